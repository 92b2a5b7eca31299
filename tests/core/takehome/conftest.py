"""The files of a zip that was packed."""

import zipfile
from pathlib import Path

import pytest

from core.takehome import package

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def _members(packed: Path) -> Members:
    with zipfile.ZipFile(packed) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != package.SUMS}


@pytest.fixture
def members(_members: Members) -> Members:
    """What the zip holds by name, to be changed and packed again with hashes that fit."""
    return dict(_members)
