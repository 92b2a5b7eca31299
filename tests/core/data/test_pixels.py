"""Decoded pixels in one file."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.data.pixels import PixelStore, PixelWriter


@pytest.fixture
def written(tmp_path: Path) -> tuple[list[np.ndarray], PixelStore]:
    dice = np.random.default_rng(0)
    pictures = [dice.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in ((5, 7), (1, 1), (9, 2))]
    with closing(PixelWriter(tmp_path)) as writer:
        places = [(writer.append(pixels), *pixels.shape[:2]) for pixels in pictures]
    return pictures, PixelStore(tmp_path, places)


def test_pictures_come_back_as_they_were(written: tuple[list[np.ndarray], PixelStore]):
    pictures, store = written

    assert len(store) == 3
    assert all(np.array_equal(store[index], pixels) for index, pixels in enumerate(pictures))


def test_pictures_are_views_that_cannot_be_written_to(written: tuple[list[np.ndarray], PixelStore]):
    _, store = written

    assert not store[0].flags["OWNDATA"]
    with pytest.raises(ValueError, match="read-only"):
        store[0][0, 0, 0] = 1
