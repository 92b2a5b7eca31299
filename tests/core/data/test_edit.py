"""Edits make new data sets of old pixels, move nobody across a split, and notice another window."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import drawn_classes, write_files

from core.data.dataset import SPLITS, Dataset, is_readable, load_stored, stored_ids
from core.data.edit import (
    add_pictures,
    delete,
    draw_all,
    draw_val,
    drop_pictures,
    move_pictures,
    remove_class,
    rename,
    rename_class,
    set_groups,
)
from core.data.groups import Grouping
from core.data.ingest import ingest
from core.data.pixels import FILE_NAME
from core.data.reading import intake
from core.data.reading.decode import read_picture
from core.errors import DatasetError


@pytest.fixture(autouse=True)
def nothing_is_decoded(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After the data set was made, no picture is decoded unless a test says so."""

    def allow() -> None:
        monkeypatch.setattr(intake, "read_picture", read_picture)

    def refuse(*args: object) -> None:
        raise AssertionError("an edit decodes nothing")

    monkeypatch.setattr(intake, "read_picture", refuse)
    return allow


def classes(dataset: Dataset) -> dict[str, int]:
    return {n: sum(p.target == t for p in dataset.pictures) for t, n in enumerate(dataset.class_names)}


def pixels_by_content(dataset: Dataset) -> dict[str, np.ndarray]:
    return {picture.content: np.array(dataset.pixels[index]) for index, picture in enumerate(dataset.pictures)}


def test_dropped_pictures_are_gone_and_the_others_are_as_they_were(tiny_dataset: Dataset):
    edited = drop_pictures(tiny_dataset, [0, 29])

    before, after = pixels_by_content(tiny_dataset), pixels_by_content(edited)
    assert classes(edited) == {"discs": 9, "squares": 10, "stripes": 9}
    assert all(np.array_equal(before[content], pixels) for content, pixels in after.items())
    assert edited.id != tiny_dataset.id and load_stored(tiny_dataset.id) == tiny_dataset


def test_moving_back_gives_the_same_data_set_again(tiny_dataset: Dataset):
    moved = move_pictures(tiny_dataset, [0, 1], "squares")
    back = move_pictures(
        moved, [i for i, p in enumerate(moved.pictures) if p.name in ("discs/0.png", "discs/1.png")], "discs"
    )

    assert classes(moved) == {"discs": 8, "squares": 12, "stripes": 10}
    assert back.id == tiny_dataset.id


def test_a_class_is_renamed_merged_and_removed(tiny_dataset: Dataset):
    assert classes(rename_class(tiny_dataset, "discs", "<b>coins</b>")) == {
        "<b>coins</b>": 10,
        "squares": 10,
        "stripes": 10,
    }
    assert classes(rename_class(tiny_dataset, "discs", "squares")) == {"squares": 20, "stripes": 10}
    assert classes(remove_class(tiny_dataset, "discs")) == {"squares": 10, "stripes": 10}


RELABELLED: list[Callable[[Dataset], Dataset]] = [
    lambda dataset: rename_class(dataset, "discs", "coins"),
    lambda dataset: move_pictures(dataset, [0, 25], "squares"),
    lambda dataset: set_groups(dataset, Grouping(groups=("one", "two", "three", "four", "five", "six") * 5, said="x")),
]


@pytest.mark.parametrize("edit", RELABELLED, ids=["renamed", "moved", "grouped"])
@pytest.mark.parametrize("first", ["old", "new"])
def test_an_edit_that_keeps_all_pictures_shares_their_pixels_and_outlives_what_it_was_made_of(
    tiny_dataset: Dataset, edit: Callable[[Dataset], Dataset], first: str
):
    edited = edit(tiny_dataset)
    before = pixels_by_content(tiny_dataset)

    assert (edited.folder / FILE_NAME).samefile(tiny_dataset.folder / FILE_NAME)
    delete(tiny_dataset if first == "old" else edited)
    left = load_stored((edited if first == "old" else tiny_dataset).id)
    left.pixels.check()
    assert all(np.array_equal(before[content], pixels) for content, pixels in pixels_by_content(left).items())


def test_where_a_file_cannot_have_two_names_pixels_are_copied(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    def refused(*names: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)

    edited = rename_class(tiny_dataset, "discs", "coins")

    assert not (edited.folder / FILE_NAME).samefile(tiny_dataset.folder / FILE_NAME)
    edited.pixels.check()


def test_damage_to_shared_pixels_is_known_of_all_sets_that_have_them(
    tiny_dataset: Dataset, tiny_folder: Path, nothing_is_decoded
):
    edited = rename_class(tiny_dataset, "discs", "coins")
    path = edited.folder / FILE_NAME
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(DatasetError, match="damaged"):
        tiny_dataset.pixels.check()
    assert not is_readable(edited.id) and not is_readable(tiny_dataset.id)

    nothing_is_decoded()
    again = ingest(tiny_folder).dataset
    again.pixels.check()
    rename_class(again, "discs", "coins").pixels.check()


def test_a_title_changes_in_place(tiny_dataset: Dataset):
    renamed = rename(tiny_dataset, "  Shapes ")

    assert (renamed.id, renamed.title) == (tiny_dataset.id, "Shapes") and load_stored(renamed.id).title == "Shapes"


def test_added_pictures_leave_every_old_one_where_it_was(tiny_dataset: Dataset, tmp_path: Path, nothing_is_decoded):
    nothing_is_decoded()
    more = ingest(write_files(tmp_path / "more", {**drawn_classes(8, first=100), **drawn_classes(2)})).dataset

    grown = add_pictures(tiny_dataset, more)

    assert classes(grown) == {"discs": 18, "squares": 18, "stripes": 18}, "six copies were left out"
    for seed in range(4):
        old, new = tiny_dataset.split(seed), grown.split(seed)
        part_of = {grown.pictures[index].content: part for part in SPLITS for index in new.part(part)}
        for part in SPLITS:
            assert {part_of[tiny_dataset.pictures[index].content] for index in old.part(part)} == {part}
    assert {picture.batch for picture in grown.pictures} == {0, 1}
    with pytest.raises(DatasetError, match="in the data set already"):
        add_pictures(grown, more)


def test_parts_that_were_brought_can_be_drawn_instead(tmp_path: Path, nothing_is_decoded):
    nothing_is_decoded()
    files = {
        f"{part}/{name}": data
        for part, first in (("train", 0), ("val", 20), ("test", 40))
        for name, data in drawn_classes(6, first=first).items()
    }
    dataset = ingest(write_files(tmp_path / "parts", files)).dataset

    val, all_ = draw_val(dataset), draw_all(dataset)

    def names(data: Dataset, part: str) -> set[str]:
        return {data.pictures[index].name for index in data.split(3).part(part)}

    assert names(val, "test") == names(dataset, "test") and names(val, "val") != names(dataset, "val")
    assert names(all_, "test") & names(dataset, "train") and {picture.given for picture in all_.pictures} == {None}
    assert len({dataset.id, val.id, all_.id}) == 3 and load_stored(dataset.id) == dataset


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: drop_pictures(d, range(20)), "At least 2 classes are needed; this would leave 1"),
        (lambda d: remove_class(d, "nosuch"), "no class 'nosuch'"),
        (lambda d: rename_class(d, "discs", "\u200b"), "visible name"),
        (lambda d: rename(d, " "), "A title needs"),
    ],
    ids=["one class left", "unknown class", "invisible name", "no title"],
)
def test_an_edit_that_makes_no_sense_changes_nothing(tiny_dataset: Dataset, edit, message: str):
    before = stored_ids()

    with pytest.raises(DatasetError, match=message):
        edit(tiny_dataset)
    assert stored_ids() == before


def test_the_second_window_learns_that_the_first_was_faster(tiny_dataset: Dataset):
    delete(tiny_dataset)

    for edit in (
        lambda: drop_pictures(tiny_dataset, [0]),
        lambda: rename(tiny_dataset, "x"),
        lambda: delete(tiny_dataset),
    ):
        with pytest.raises(DatasetError, match="changed or deleted in another window"):
            edit()
    assert stored_ids() == []


def test_a_deleted_data_set_leaves_no_file(tiny_dataset: Dataset):
    folder = tiny_dataset.folder

    delete(tiny_dataset)

    assert not folder.exists()
