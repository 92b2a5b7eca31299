"""`--version`: of the checkout, or of what was installed."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from helpers import REPOSITORY

from core.__main__ import main
from core.commands import version
from core.commands.version import thaw_version

OURS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]


def test_the_version_is_the_checkout_s(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["--version"])

    assert not end.value.code and capsys.readouterr().out == f"Thaw {OURS}\n"


@pytest.mark.parametrize("beside", [None, "no TOML [", "[tool.ruff]", '[project]\nname = "another"\nversion = "7"'])
def test_where_it_was_installed_the_package_says_it(
    beside: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if beside is not None:
        (tmp_path / "pyproject.toml").write_text(beside)
    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(version, "version", {"thaw-lab": "1.2.3"}.__getitem__)

    assert thaw_version() == "1.2.3"


def test_a_copy_without_either_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(version, "version", unknown)

    assert thaw_version() == "of unknown version"
