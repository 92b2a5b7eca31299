"""The image, built once; `THAW_IMAGE_FOLDER` names a folder to keep it in, else it is removed at the end."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from container import Images, what_is_missing


@pytest.fixture(scope="session")
def images() -> Iterator[Images]:
    missing = what_is_missing()
    if missing:
        pytest.skip(missing)
    kept = os.environ.get("THAW_IMAGE_FOLDER")
    folder = Path(kept or tempfile.mkdtemp(prefix="thaw-image-"))
    found = Images(folder)
    try:
        found.build()
        yield found
    finally:
        if not kept:
            found.buildah("rm", "--all")
            shutil.rmtree(folder, ignore_errors=True)
