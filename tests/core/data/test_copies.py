"""Near copies are found, other pictures are not, and nobody who was here before is moved by a newcomer."""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from helpers import drawn_classes, encoded, write_files
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from core.data import copies
from core.data.copies import burst_pairs, name_families, near_pairs, small_square
from core.data.dataset import SPLITS, Dataset
from core.data.drawn.drawings import pictures as drawings
from core.data.ingest import ingest
from core.data.pictures import Picture
from core.data.reading.decode import decode_picture
from core.settings.schema import DataSettings


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
    "recompressed": recompressed,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
    "slightly cropped": lambda image: image.crop((2, 2, image.width - 2, image.height - 2)),
}


@pytest.fixture(scope="module")
def different() -> list[Image.Image]:
    """Twelve of the built-in drawings, none like another."""
    return [Image.fromarray(decode_picture(data)) for _, (_, data) in zip(range(12), drawings(), strict=False)]


def squares(images: list[Image.Image]) -> np.ndarray:
    return np.stack([small_square(np.array(image.convert("RGB"))) for image in images])


def test_different_pictures_of_one_kind_are_no_copies(different: list[Image.Image]):
    assert near_pairs(squares(different)) == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_found_with_its_original(different: list[Image.Image], change: str):
    changed = [CHANGES[change](image) for image in different]

    assert near_pairs(squares([*different, *changed])) == [(place, place + 12) for place in range(12)]


def test_hashes_are_signs_of_the_lowest_frequencies(different: list[Image.Image]):
    """As a library's cosine transform has them."""
    found = squares(different)
    low = dctn(found.sum(axis=3, dtype=float), axes=(1, 2), norm="ortho")[:, :8, :8].reshape(12, 64)[:, 1:]

    bits = np.unpackbits(copies.perceptual_hashes(found).view(np.uint8).reshape(12, 8), axis=1)[:, :63]

    assert (bits == (low > np.median(low, axis=1, keepdims=True))).all()


def test_flat_pictures_have_nothing_to_be_recognised_by():
    assert near_pairs(squares([Image.new("RGB", (40, 40), colour) for colour in ("white", "white", "red")])) == []


def test_pairs_are_found_across_blocks(different: list[Image.Image], monkeypatch: pytest.MonkeyPatch):
    whole = near_pairs(squares([*different, *different]))
    monkeypatch.setattr("core.data.copies._BLOCK", 5)

    assert near_pairs(squares([*different, *different])) == whole == [(place, place + 12) for place in range(12)]


def test_no_pictures_no_pairs():
    assert near_pairs(np.empty((0, 32, 32, 3), np.uint8)) == []


def test_photos_within_two_seconds_are_a_burst_and_odd_times_are_nothing():
    taken = ["2024:05:01 12:00:03", None, "2024:05:01 12:00:00", "2024:05:01 12:00:02", "2024:05:01 12:00:09", "no"]

    assert burst_pairs(taken) == [(2, 3), (0, 3)]


def picture(group: str, family: str = "", batch: int = 0) -> Picture:
    return Picture(
        name=group, target=0, given=None, content=group, group=group, place=(0, 1, 1), family=family, batch=batch
    )


def test_only_those_that_are_not_alone_have_a_family():
    pictures = [picture(name) for name in ("c", "a", "b", "a", "d")]

    assert name_families(pictures, [(0, 2), (2, 4)]) == ["b", "", "b", "", "b"]


def test_a_newcomer_takes_the_name_that_was_there():
    pictures = [
        picture("m"),
        picture("k", family="z"),
        picture("l", family="z"),
        picture("a", batch=1),
        picture("b", batch=1),
    ]

    # a joins the lonely m, which keeps its own name; b joins a family
    assert name_families(pictures, [(0, 3), (2, 4)]) == ["m", "z", "z", "m", "z"]


def test_families_last_when_nothing_ties_them_any_more():
    assert name_families([picture("k", family="z"), picture("l", family="z")], []) == ["z", "z"]


@pytest.mark.parametrize("count", [1, 7, 40, 65])
@pytest.mark.parametrize(("block", "tile"), [(8, 8), (8, 32), (16, 5), (100, 100)])
def test_tiles_leave_no_pair_out_and_find_none_twice(
    monkeypatch: pytest.MonkeyPatch, count: int, block: int, tile: int
):
    rng = np.random.default_rng(count)
    hashes = rng.integers(0, 2**63, count, dtype=np.uint64)
    hashes[count // 2 :] = hashes[: count - count // 2] ^ np.uint64(0b1011)  # each has one that is close
    monkeypatch.setattr(copies, "_BLOCK", block)
    monkeypatch.setattr(copies, "_TILE", tile)

    found = [pair for part in copies._blocks(count) for pair in zip(*copies._candidates(hashes, part), strict=True)]

    close = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= copies.MOST_BITS_APART
    assert found == [(i, j) for i in range(count) for j in range(i + 1, count) if close[i, j]]
    assert len(found) >= count // 2


def with_copies(folder) -> Dataset:
    """The drawn classes, each picture twice: as it is and recompressed."""
    files = drawn_classes(12)
    for name, data in list(files.items()):
        smaller = Image.open(io.BytesIO(data)).convert("RGB")
        files[name.replace(".png", "-copy.png")] = encoded(ImageEnhance.Brightness(smaller).enhance(0.9))
    return ingest(write_files(folder, files)).dataset


@pytest.mark.parametrize("seed", range(5))
def test_near_copies_stand_on_one_side_of_every_split(tmp_path, seed: int):
    dataset = with_copies(tmp_path / "twice")
    split = dataset.split(seed)
    sides = [
        {dataset.pictures[index].name.split(".")[0].removesuffix("-copy") for index in split.part(part)}
        for part in SPLITS
    ]

    assert all(picture.family for picture in dataset.pictures)
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert sum(map(len, sides)) == len(dataset.pictures) // 2


@pytest.mark.parametrize("seed", range(3))
def test_added_pictures_move_no_old_one(tiny_dataset: Dataset, seed: int):
    before = tiny_dataset.split(seed)
    side_of = {tiny_dataset.pictures[index].content: part for part in SPLITS for index in before.part(part)}
    new = [
        replace(row, content=f"new {row.content}", group=f"new {row.group}", batch=1)
        for row in tiny_dataset.pictures[::2]
    ]
    grown = replace(tiny_dataset, pictures=(*new, *tiny_dataset.pictures))

    after = grown.split(seed, DataSettings())

    now = {grown.pictures[index].content: part for part in SPLITS for index in after.part(part)}
    assert {content: now[content] for content in side_of} == side_of
    assert len({part for content, part in now.items() if content.startswith("new")}) == 3


def test_a_new_copy_of_an_old_picture_stands_with_it(tiny_dataset: Dataset):
    before = tiny_dataset.split(0)
    old = [tiny_dataset.pictures[before.part(part)[0]] for part in SPLITS]
    copies = [replace(row, content=f"copy {row.content}", batch=1) for row in old]
    grown = replace(tiny_dataset, pictures=(*tiny_dataset.pictures, *copies))

    after = grown.split(0)

    count = len(tiny_dataset.pictures)
    assert [next(part for part in SPLITS if count + place in after.part(part)) for place in range(3)] == list(SPLITS)
