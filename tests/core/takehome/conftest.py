"""The files of a zip that was packed; in the place of its ONNX file, which is half of it and nobody reads, a word."""

import zipfile
from pathlib import Path

import pytest

from core.takehome import package

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def _members(packed: Path) -> Members:
    with zipfile.ZipFile(packed) as archive:
        names = [name for name in archive.namelist() if name not in (package.SUMS, package.ONNX)]
        return {package.ONNX: b"ONNX"} | {name: archive.read(name) for name in names}


@pytest.fixture
def members(_members: Members) -> Members:
    """What the zip holds by name, to be changed and packed again with hashes that fit."""
    return dict(_members)
