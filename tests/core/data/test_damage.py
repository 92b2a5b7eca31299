"""Data sets whose files are not what was stored: noticed, never used, and replaced by adding the pictures again."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import ENDLESS

from core.data.dataset import (
    MANIFEST,
    SPLITS,
    Dataset,
    delete_stored,
    is_readable,
    load_stored,
    stored_datasets,
    stored_ids,
)
from core.data.edit import drop_pictures
from core.data.ingest import ingest
from core.data.pixels import FILE_NAME, PixelStore
from core.errors import DatasetError


def rewrite(dataset: Dataset, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as an earlier version would have written it: without a hash of its own."""
    values = json.loads((dataset.folder / MANIFEST).read_bytes())
    del values["sha256"]
    change(values)
    (dataset.folder / MANIFEST).write_text(json.dumps(values))


def is_damaged(dataset: Dataset) -> bool:
    """Whether it is refused as damaged, by name, and not listed."""
    with pytest.raises(DatasetError, match=f"'{dataset.id}' are damaged. Add the same pictures again"):
        load_stored(dataset.id)
    return list(stored_datasets()) == [] and not is_readable(dataset.id) and stored_ids() == [dataset.id]


CONTENTS = [b"", b"{", b"[]", b"{}", b"null", b"3", b'"text"', b'[{"version": 1}]', b'{"version": 1}', b"\xff\xfe"]


@pytest.mark.parametrize(
    "content", [*CONTENTS, b"[" * 10**6, b'{"version": []}'], ids=lambda content: repr(content[:20])
)
def test_a_damaged_manifest_is_refused_and_not_listed(tiny_dataset: Dataset, content: bytes):
    (tiny_dataset.folder / MANIFEST).write_bytes(content)

    assert is_damaged(tiny_dataset)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no pictures": lambda values: values.update(pictures=None),
    "pictures by name": lambda values: values.update(pictures={"a": 1}),
    "a picture that is a number": lambda values: values["pictures"].append(7),
    "a class of its own": lambda values: values["pictures"][0].update(target=3),
    "a class by name": lambda values: values["pictures"][0].update(target="discs"),
    "a negative class": lambda values: values["pictures"][0].update(target=-1),
    "a place of two numbers": lambda values: values["pictures"][0]["place"].pop(),
    "a place in letters": lambda values: values["pictures"][0].update(place=["a", 1, 1]),
    "a place before the file": lambda values: values["pictures"][0]["place"].__setitem__(0, -9),
    "a place beyond the file": lambda values: values["pictures"][0]["place"].__setitem__(0, 10**12),
    "no height": lambda values: values["pictures"][0]["place"].__setitem__(1, 0),
    "a name that is a number": lambda values: values["pictures"][0].update(name=7),
    "no hash": lambda values: values["pictures"][0].pop("group"),
    "notes that are a number": lambda values: values["pictures"][0].update(notes=3),
    "classes in one word": lambda values: values.update(class_names="abc"),
    "classes that are numbers": lambda values: values.update(class_names=[1, 2, 3]),
    "a class less": lambda values: values["class_names"].pop(),
    "a title that is a list": lambda values: values.update(title=["a"]),
    "seconds in words": lambda values: values.update(decode_s="two"),
    "another data set's": lambda values: values.update(id="0" * 16),
    "skipped is a text": lambda values: values.update(skipped="abc"),
    "a skipped file without a reason": lambda values: values.update(skipped=[{"file": "a"}]),
    "notices that are no texts": lambda values: values.update(notices=[1]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_manifest_that_says_what_it_cannot_say_is_refused(
    tiny_dataset: Dataset, change: Callable[[dict[str, Any]], object]
):
    rewrite(tiny_dataset, change)

    assert is_damaged(tiny_dataset)


def test_a_manifest_of_an_earlier_version_has_no_hash_and_is_read(tiny_dataset: Dataset):
    rewrite(tiny_dataset, lambda values: [values.update(version=1), values.pop("notices")])

    assert load_stored(tiny_dataset.id) == tiny_dataset


def test_what_a_later_version_tells_beside_what_we_know_is_no_damage(tiny_dataset: Dataset):
    rewrite(tiny_dataset, lambda values: [values.update(licence="CC0"), values["pictures"][0].update(colour="red")])

    assert load_stored(tiny_dataset.id) == tiny_dataset


def test_half_a_pair_in_a_manifest_divides_like_any_other_text(tiny_dataset: Dataset):
    rewrite(tiny_dataset, lambda values: values["pictures"][0].update(content="\ud800", together="\ud800"))

    split = load_stored(tiny_dataset.id).split(0)
    assert sum(len(split.part(part)) for part in SPLITS) == len(tiny_dataset.pictures)


@pytest.mark.parametrize("seed", range(20))
def test_no_bit_of_a_manifest_turns_unnoticed(tiny_dataset: Dataset, seed: int):
    dice = random.Random(seed)
    path = tiny_dataset.folder / MANIFEST
    content = bytearray(path.read_bytes())
    place = dice.randrange(20, len(content)) if seed else 15  # in what it says, or in the hash itself
    content[place] ^= 1 << dice.randrange(8)
    path.write_bytes(content)

    assert is_damaged(tiny_dataset)


def zeroed(content: bytes) -> bytes:
    return bytes(len(content))


def half_zeroed(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


def one_bit_turned(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "change", [zeroed, half_zeroed, one_bit_turned, lambda content: content[:-1], lambda content: b""]
)
def test_pixels_that_have_changed_are_damage(tiny_dataset: Dataset, change: Callable[[bytes], bytes]):
    path = tiny_dataset.folder / FILE_NAME
    path.write_bytes(change(path.read_bytes()))
    os.utime(path, ns=(2**62, 2**62))

    assert is_damaged(tiny_dataset)


def test_pixels_that_have_gone_are_damage(tiny_dataset: Dataset):
    (tiny_dataset.folder / FILE_NAME).unlink()

    assert is_damaged(tiny_dataset)


def test_pixels_that_have_changed_unseen_are_noticed_when_they_are_looked_at(tiny_dataset: Dataset):
    path = tiny_dataset.folder / FILE_NAME
    before = path.stat()
    path.write_bytes(zeroed(path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(DatasetError, match="damaged"):
        load_stored(tiny_dataset.id).pixels[0]


def test_pixels_that_were_found_to_have_changed_are_replaced_by_the_same_pictures(
    tiny_dataset: Dataset, tiny_folder: Path
):
    path = tiny_dataset.folder / FILE_NAME
    before = path.stat()
    path.write_bytes(one_bit_turned(path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    dataset = load_stored(tiny_dataset.id)

    with pytest.raises(DatasetError, match="Add the same pictures again"):
        dataset.pixels.check()

    assert is_damaged(tiny_dataset)
    ingest(tiny_folder).dataset.pixels.check()


@pytest.mark.parametrize("name", [MANIFEST, FILE_NAME])
@pytest.mark.parametrize("make", ENDLESS, ids=lambda make: make.__name__)
def test_what_is_no_file_is_damage_and_is_not_read(tiny_dataset: Dataset, name: str, make: Callable[[Path], None]):
    (tiny_dataset.folder / name).unlink()
    make(tiny_dataset.folder / name)

    assert is_damaged(tiny_dataset)


def test_pixels_that_were_only_touched_are_looked_through_once(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    os.utime(tiny_dataset.folder / FILE_NAME)
    assert load_stored(tiny_dataset.id) == tiny_dataset

    def again(self: PixelStore) -> None:
        raise AssertionError("they are looked through again")

    monkeypatch.setattr(PixelStore, "check", again)
    assert load_stored(tiny_dataset.id) == tiny_dataset


@pytest.mark.parametrize("name", [MANIFEST, FILE_NAME])
@pytest.mark.parametrize("gone", [True, False])
def test_adding_the_same_pictures_again_replaces_a_damaged_set(
    tiny_dataset: Dataset, tiny_folder: Path, name: str, gone: bool
):
    path = tiny_dataset.folder / name
    path.unlink() if gone else path.write_bytes(b"{}")

    again = ingest(tiny_folder).dataset

    assert again.pictures == tiny_dataset.pictures and [d.id for d in stored_datasets()] == [tiny_dataset.id]
    again.pixels.check()


def test_a_damaged_set_can_be_deleted_by_its_id_and_nothing_else_can(tiny_dataset: Dataset, thaw_home: Path):
    (tiny_dataset.folder / MANIFEST).write_bytes(b"null")
    for name in ("..", "../runs", "", "a/b", "x" * 3000):
        with pytest.raises(DatasetError, match="no data set"):
            delete_stored(name)

    delete_stored(tiny_dataset.id)

    assert stored_ids() == [] and (thaw_home / "datasets").is_dir()


def test_an_edit_that_leads_to_a_damaged_set_writes_it_anew(tiny_dataset: Dataset):
    edited = drop_pictures(tiny_dataset, [0])
    (edited.folder / FILE_NAME).unlink()

    assert drop_pictures(tiny_dataset, [0]) == edited
    load_stored(edited.id).pixels.check()


def test_a_manifest_of_another_version_is_refused(tiny_dataset: Dataset):
    rewrite(tiny_dataset, lambda values: values.update(version=99))

    with pytest.raises(DatasetError, match="another version"):
        load_stored(tiny_dataset.id)
