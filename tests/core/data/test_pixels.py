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


def test_what_was_read_is_handed_back_and_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.data.pixels.HELD_BYTES", 100)
    pictures = [np.full((8, 8, 3), value, dtype=np.uint8) for value in range(20)]
    writer = PixelWriter(tmp_path)
    store = [(writer.append(pixels), 8, 8) for pixels in pictures]
    writer.close()

    pixels = PixelStore(tmp_path, store)
    first = pixels[0]

    assert all((pixels[index] == index).all() for _ in range(2) for index in range(20))
    assert (first == 0).all(), "a view handed out earlier still shows its picture"
