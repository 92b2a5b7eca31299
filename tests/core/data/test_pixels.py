"""Decoded pixels in one file."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.data.pixels import FILE_NAME, PixelStore, PixelWriter, hash_pixels, share_pixels
from core.errors import DatasetError


def hashed(pixels: np.ndarray) -> str:
    return hash_pixels(*pixels.shape[:2], pixels.tobytes())


@pytest.fixture
def written(tmp_path: Path) -> tuple[list[np.ndarray], PixelStore]:
    dice = np.random.default_rng(0)
    pictures = [dice.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in ((5, 7), (1, 1), (9, 2))]
    with closing(PixelWriter(tmp_path)) as writer:
        places = [(writer.append(pixels), *pixels.shape[:2]) for pixels in pictures]
    return pictures, PixelStore(tmp_path, places, [hashed(pixels) for pixels in pictures])


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

    pixels = PixelStore(tmp_path, store, [hashed(picture) for picture in pictures])
    first = pixels[0]

    assert all((pixels[index] == index).all() for _ in range(2) for index in range(20))
    assert (first == 0).all(), "a view handed out earlier still shows its picture"


@pytest.mark.parametrize("place", range(9))
def test_one_bit_that_has_turned_is_noticed_in_its_picture_and_only_there(
    written: tuple[list[np.ndarray], PixelStore], tmp_path: Path, place: int
):
    pictures, store = written
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    content[105 + 3 + 6 * place] ^= 1 << place % 8  # in the third picture
    (tmp_path / FILE_NAME).write_bytes(content)

    assert np.array_equal(store[0], pictures[0]) and np.array_equal(store[1], pictures[1])
    for read in (lambda: store[2], store.check):
        with pytest.raises(DatasetError, match="damaged"):
            read()


@pytest.mark.parametrize("length", [0, 1, 107, 161])
def test_a_file_that_is_cut_off_is_not_opened(
    written: tuple[list[np.ndarray], PixelStore], tmp_path: Path, length: int
):
    pictures, _ = written
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / FILE_NAME).write_bytes((tmp_path / FILE_NAME).read_bytes()[:length])

    with pytest.raises(DatasetError, match="'cut' are damaged"):
        PixelStore(tmp_path / "cut", [(0, 5, 7), (105, 1, 1), (108, 9, 2)], [hashed(pixels) for pixels in pictures])


def test_a_file_that_is_missing_is_damage_too(tmp_path: Path):
    with pytest.raises(DatasetError, match="damaged"):
        PixelStore(tmp_path, [(0, 1, 1)], [""])


def test_pixels_of_a_data_set_that_is_deleted_meanwhile_are_not_shared(tmp_path: Path):
    with pytest.raises(DatasetError, match="'gone' was deleted in another window"):
        share_pixels(tmp_path / "gone", tmp_path)
