"""The oldest and the newest Streamlit that may be installed: neither leaves the pages blank.

Each is fetched from the registry into a folder of its own; without one, the tests are skipped and say so.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from helpers import REPOSITORY, python

pytestmark = pytest.mark.long  # fetches from a registry
PATIENCE_MS = 120_000
# Streamlit's page asks for its server below the address it was opened at first; on a deep link the first try is a 404
DEEP_LINK = re.compile(r"/_stcore/(health|host-config)$")


@pytest.fixture
def streamlit(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """That version before all others, for the server, too; its file and number.

    In a folder of another name Streamlit takes itself for one that is being developed.
    """
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (wanted,) = (one for one in project["dependencies"] if one.startswith("streamlit"))
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--resolution", request.param]
    fetched = subprocess.run(
        [*uv, "--target", tmp_path / "site-packages", wanted], capture_output=True, text=True, check=False
    )
    if fetched.returncode:
        pytest.skip(f"{wanted} could not be fetched: {fetched.stderr[-200:]}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-packages"))
    return python("import streamlit; print(streamlit.__file__, streamlit.__version__)")


@pytest.mark.parametrize("streamlit", ["lowest-direct", "highest"], indirect=True)
def test_every_page_stands_and_the_policy_blocks_nothing_of_it(
    streamlit: str, chromium: Any, server: Any, tmp_path: Path
) -> None:
    assert streamlit.startswith(str(tmp_path / "site-packages")), "another one is used"
    page, errors = chromium.new_page(), list[str]()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if is_error(said) else None)

    for name in ("", "data", "augment", "train", "compare", "classify", "glossary"):
        page.goto(f"{server.url}/{name}")
        heading = name.capitalize() or "Thaw"
        page.get_by_role("heading", name=heading, exact=True, level=1).wait_for()
        page.get_by_test_id("stStatusWidget").wait_for(state="detached")
        assert page.get_by_test_id("stException").count() == 0
    assert errors == []
    page.close()


def is_error(said: Any) -> bool:
    return said.type == "error" and not DEEP_LINK.search(said.location.get("url", ""))
