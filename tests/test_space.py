"""This repository as a Hugging Face Space: its header, what its image is made of, what may be pushed. `make space`.

Keys and their values: huggingface.co/docs/hub/spaces-config-reference.
"""

import re
import subprocess
from typing import Any

import pytest
from helpers import REPOSITORY
from huggingface_hub import metadata_load

TEXT = (REPOSITORY / "README.md").read_text("utf-8")
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text("utf-8")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
ALLOWED: dict[str, Any] = {
    "title": lambda value: 0 < len(value) <= 60,
    "emoji": lambda value: len(value) <= 2 and not value.isascii(),
    "colorFrom": COLOURS.__contains__,
    "colorTo": COLOURS.__contains__,
    "sdk": "docker".__eq__,
    "app_port": lambda value: isinstance(value, int),
    "hf_oauth": True.__eq__,
    "header": {"mini", "default"}.__contains__,
    "short_description": lambda value: 0 < len(value) <= 60,
    "suggested_hardware": {"cpu-basic", "cpu-upgrade"}.__contains__,
    "license": "mit".__eq__,
    "tags": lambda value: all(re.fullmatch(r"[a-z0-9-]+", tag) for tag in value),
}
LARGEST_FILE, LARGEST_SPACE, MOST_FILES = 10_000_000, 1_000_000_000, 10_000


def header() -> dict[str, Any]:
    return metadata_load(REPOSITORY / "README.md") or {}


def pushed() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a checkout, so what would be pushed is not known")
    return listed.stdout.strip("\0").split("\0")


@pytest.mark.parametrize("key", ALLOWED)
def test_the_header_says_what_a_space_needs_as_it_may_be_said(key):
    assert ALLOWED[key](header()[key])


def test_the_header_has_no_other_keys_and_is_short():
    assert set(header()) == set(ALLOWED)
    assert TEXT.split("---\n")[2].startswith("# Thaw")


def test_the_image_serves_where_the_header_says_as_a_user_that_a_space_allows():
    port = header()["app_port"]

    assert f"EXPOSE {port}\n" in DOCKERFILE and f"STREAMLIT_SERVER_PORT={port}\n" in DOCKERFILE
    assert f"127.0.0.1:{port}/health" in DOCKERFILE
    assert "--uid 1000" in DOCKERFILE and re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["1000"]


def test_the_image_takes_from_the_repository_what_is_named_and_all_of_it_is_there():
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    taken = {line.removeprefix("!") for line in lines if line.startswith("!")}

    assert lines[0] == "*"
    assert {name for name in taken if (REPOSITORY / name).exists()} == taken
    assert taken == {".streamlit", "LICENSE", "app.py", "doors.py", "core", "pages", "requirements.lock"}


def test_what_is_pushed_is_small_enough():
    sizes = {name: (REPOSITORY / name).stat().st_size for name in pushed() if (REPOSITORY / name).is_file()}

    assert not {name: size for name, size in sizes.items() if size > LARGEST_FILE}
    assert sum(sizes.values()) < LARGEST_SPACE and len(sizes) < MOST_FILES


def test_the_base_and_the_packages_are_held():
    """By release, versions and hashes: the lock has a hash for whatever it names."""
    lock = (REPOSITORY / "requirements.lock").read_text()
    named = re.findall(r"^[a-z0-9-]+==", lock, re.MULTILINE)

    assert re.search(r"^ARG BASE=debian:\w+-slim$", DOCKERFILE, re.MULTILINE)
    assert len(named) == len(re.findall(r"^[a-z0-9-]+==\S+[^\n]*\\\n    --hash=sha256:", lock, re.MULTILINE)) > 50
    assert DOCKERFILE.count("--only-binary :all:") == 1 and "--require-hashes" in DOCKERFILE


def test_whatever_else_runs_for_this_repository_is_held_too():
    """Actions by the hash of a commit, hooks and tools by their version."""
    workflows = "".join(path.read_text() for path in (REPOSITORY / ".github" / "workflows").glob("*.yml"))
    actions = re.findall(r"uses: (\S+)", workflows)
    hooks = re.findall(r"additional_dependencies: .*\[(.*)\]", (REPOSITORY / ".pre-commit-config.yaml").read_text())
    tools = re.findall(r"tool run (?:--from )?(\S+)", (REPOSITORY / "Makefile").read_text())

    assert actions and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in actions)
    assert hooks and tools and all(re.fullmatch(r"[a-z-]+==[0-9.]+", one) for one in (*hooks, *tools))
