"""Data sets with groups: no group is parted, whatever is drawn, added, edited or taken home."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from examples import quick
from helpers import KINDS, noise, write_files
from hypothesis import given
from hypothesis import strategies as st
from patients import bring, finding, listing, patients

from core.data.copies import name_families, name_together
from core.data.dataset import MANIFEST, MANIFEST_VERSION, SPLITS, Dataset, load_stored
from core.data.edit import add_pictures, drop_pictures, set_groups
from core.data.groups import find_groups
from core.data.health import find_problems
from core.data.ingest import ingest
from core.data.reading.report import as_csv
from core.errors import DatasetError
from core.home import sealed, unsealed
from core.takehome.training_script import pictures_csv


def subjects_by_part(dataset: Dataset, seed: int) -> list[set[str]]:
    split = dataset.split(seed)
    return [{dataset.pictures[index].subject for index in split.part(part)} for part in SPLITS]


MEMBERS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 12)), min_size=3, max_size=40)
"""(class, subject or 0 for none, near copies of this number)"""


def grouped(rows: list[tuple[int, int, int]], before: Dataset | None = None) -> Dataset:
    """A data set of these rows; what `before` has was there first."""
    batch = 1 if before else 0
    old = list(before.pictures) if before else []
    new = [
        replace(picture, target=row[0], group=f"pixels {row[2]}", subject=f"s{row[1]}" if row[1] else "", batch=batch)
        for picture, row in zip(listing([f"abc/{batch}/{n}" for n in range(len(rows))]).pictures, rows, strict=True)
    ]
    pictures = [*old, *new]
    families = name_families(pictures, [])
    pictures = [replace(picture, family=name) for picture, name in zip(pictures, families, strict=True)]
    together = name_together(pictures)
    pictures = [replace(picture, together=name) for picture, name in zip(pictures, together, strict=True)]
    return replace(listing([]), class_names=("a", "b", "c"), pictures=tuple(pictures), grouped_by="made")


@quick
@given(rows=MEMBERS, seeds=st.lists(st.integers(0, 99), min_size=2, max_size=3))
def test_neither_groups_nor_copies_lie_in_two_parts_and_all_seeds_can_or_none(rows, seeds: list[int]):
    dataset = grouped(rows)
    for mark in ("subject", "group"):
        sides: dict[str, set[str]] = {}
        for picture in dataset.pictures:
            if getattr(picture, mark):
                sides.setdefault(getattr(picture, mark), set()).add(picture.side)
        assert all(len(found) == 1 for found in sides.values()), "the union of both relations is one side"
    can = max(len({p.side for p in dataset.pictures if p.target == target}) for target in range(3)) >= 3

    for seed in seeds:
        if not can:
            with pytest.raises(DatasetError):
                dataset.split(seed)
            continue
        split = dataset.split(seed)
        held = [{dataset.pictures[index].side for index in split.part(part)} for part in SPLITS]
        assert all(held) and sum(map(len, held)) == len(set().union(*held))


@quick
@given(first=MEMBERS, later=MEMBERS)
def test_added_pictures_join_groups_and_move_no_old_picture(first, later):
    before = grouped(first)
    known = {picture.subject for picture in before.pictures} | {picture.group for picture in before.pictures}
    joins = [{f"s{row[1]}" if row[1] else "", f"pixels {row[2]}"} & known for row in later]
    after = grouped([row for row, joined in zip(later, joins, strict=True) if len(joined) < 2], before)
    if max(len({p.side for p in before.pictures if p.target == target}) for target in range(3)) < 3:
        return
    if len({p.side for p in after.pictures[: len(before.pictures)]}) < len({p.side for p in before.pictures}):
        return  # several that came later tie two old groups together

    old, new = before.split(1), after.split(1)

    assert all(set(old.part(part)) <= set(new.part(part)) for part in SPLITS)


@pytest.fixture
def grouped_set(tmp_path: Path) -> Dataset:
    dataset = bring(tmp_path, patients())
    return set_groups(dataset, find_groups(dataset, "name:(patient#)_*"))


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_stands_in_one_part_through_all_classes(grouped_set: Dataset, seed: int):
    train, val, test = subjects_by_part(grouped_set, seed)

    assert train and val and test and len(train) + len(val) + len(test) == 6
    assert not train & val and not train & test and not val & test


def test_groups_make_another_data_set_and_giving_them_up_the_old_one(tmp_path: Path):
    dataset = bring(tmp_path, patients())
    once = set_groups(dataset, find_groups(dataset, "name:(patient#)_*"))
    again = set_groups(once, find_groups(once, "name:*_(#)"))

    assert len({dataset.id, once.id, again.id}) == 3
    assert once.grouped_by == "the pattern (patient#)_*" and load_stored(once.id) == once
    assert set_groups(again, None) == dataset
    assert set_groups(dataset, find_groups(dataset, "name:(patient#)_*")) == once


def test_the_hash_of_a_split_knows_the_groups(tmp_path: Path):
    dataset = listing([f"{kind}/{n}" for kind in "ab" for n in range(9)])
    alone = tuple(replace(picture, subject=picture.name) for picture in dataset.pictures)
    said = replace(dataset, pictures=alone, grouped_by="the name")

    assert said.split(0).train == dataset.split(0).train and said.split(0).hash != dataset.split(0).hash


@pytest.mark.parametrize("grouped_first", [True, False])
def test_pictures_without_groups_do_not_join_some_that_have(grouped_set: Dataset, tmp_path: Path, grouped_first: bool):
    """Another picture of patient3 would stand alone, and so in any part."""
    more = ingest(write_files(tmp_path / "more", {"discs/patient3_9.png": noise(9_000)} | other())).dataset
    both = (grouped_set, more) if grouped_first else (more, grouped_set)

    with pytest.raises(DatasetError, match=f"Set the groups of {more.title} first"):
        add_pictures(*both)


def test_edits_keep_the_groups(grouped_set: Dataset, tmp_path: Path):
    fewer = drop_pictures(grouped_set, [0])
    more = ingest(write_files(tmp_path / "more", {"discs/patient3_9.png": noise(9_000)} | other())).dataset
    grown = add_pictures(grouped_set, set_groups(more, find_groups(more, "name:(patient#)_*")))

    assert fewer.grouped_by == grown.grouped_by == grouped_set.grouped_by
    third = {picture.side for picture in grown.pictures if picture.subject == "patient3"}
    assert len(third) == 1 and len(grown.pictures) == len(grouped_set.pictures) + 10
    for seed in range(3):
        old, new = grouped_set.split(seed), grown.split(seed)
        for part in SPLITS:
            here = {grown.pictures[index].content for index in new.part(part)}
            assert {grouped_set.pictures[index].content for index in old.part(part)} <= here


def other() -> dict[str, bytes]:
    return {f"{kind}/patient{20 + n}_1.png": noise(9_100, n, KINDS.index(kind)) for kind in KINDS for n in range(3)}


@pytest.mark.parametrize("version", [1, 2])
def test_a_data_set_of_an_earlier_version_has_no_groups(tiny_dataset: Dataset, version: int):
    path = tiny_dataset.folder / MANIFEST
    record = json.loads(unsealed(path.read_bytes())[0])
    assert record["version"] == MANIFEST_VERSION == 3
    del record["grouped_by"]
    for row in record["pictures"]:
        del row["subject"], row["together"]
    path.write_bytes(sealed(json.dumps({**record, "version": version}).encode()))

    assert load_stored(tiny_dataset.id) == tiny_dataset
    assert load_stored(tiny_dataset.id).split(3) == tiny_dataset.split(3)


def test_classes_that_are_one_group_each_cannot_be_divided(tmp_path: Path):
    dataset = bring(
        tmp_path, {f"{kind}/{kind[0]}1_{n}.png": noise(n, KINDS.index(kind)) for kind in KINDS for n in range(8)}
    )

    with pytest.raises(DatasetError) as refused:
        set_groups(dataset, find_groups(dataset, "name:(*#)_*"))

    assert str(refused.value) == (
        "The 8 pictures of discs are all of one group, the 8 pictures of squares are all of one group and the 8 "
        "pictures of stripes are all of one group. Groups stay in one part, so these are too few for train, val and "
        "test: bring at least 3 groups per class (better 20)."
    )


def test_a_class_that_is_one_group_stays_in_train_and_health_says_why(tmp_path: Path):
    files = {name: data for name, data in patients().items() if not name.startswith("discs/")}
    files |= {f"discs/clinic9_{n}.png": noise(n) for n in range(8)}
    dataset = bring(tmp_path, files)
    dataset = set_groups(dataset, find_groups(dataset, "name:(*#)_*"))

    assert dataset.counts(dataset.split(0))["train"]["discs"] == 8
    assert "All 8 pictures of discs are of one group" in finding(dataset, "one-group").sentence
    said = [found.sentence for found in find_problems(dataset, dataset.split(0)) if found.kind == "lacks-class"]
    assert any("discs has no picture in test" in sentence for sentence in said)


def test_a_group_that_was_brought_in_two_parts_is_tested_and_not_trained_on(tmp_path: Path):
    files = patients(6, 3, "train/{kind}/patient{patient}_{view}.png")
    files |= {
        f"test/{kind}/patient{n}_9.png": noise(5_000, n, KINDS.index(kind)) for kind in KINDS for n in (0, 1, 30, 31)
    }
    dataset = bring(tmp_path, files)

    parted = set_groups(dataset, find_groups(dataset, "name:(patient#)_*"))
    split = parted.split(0)

    train, val, test = subjects_by_part(parted, 0)
    assert test == {"patient0", "patient1", "patient30", "patient31"} and not test & (train | val)
    assert split.notices == ("18 training pictures are of groups that stand in test, too, and were left out.",)
    found = finding(parted, "groups-across")
    assert found.serious and len(found.pictures) == 18 and "draw-all" in found.fixes
    assert found.sentence.startswith("2 groups were brought in more than one part (patient0 and patient1)")


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_taken_home_has_the_same_parts_for_its_script(grouped_set: Dataset, seed: int):
    """All seeds list the same test pictures, and no patient in two parts."""
    split = grouped_set.split(seed)
    rows = list(csv.DictReader(io.StringIO(pictures_csv(grouped_set, split))))

    assert {row["sha256"] for row in rows if row["part"] == "test"} == {
        grouped_set.pictures[index].content for index in grouped_set.split(0).test
    }
    parts = {(row["name"].split("/")[1].split("_")[0], row["part"]) for row in rows}
    assert len(parts) == 6 and {part for _, part in parts} == set(SPLITS)


def test_the_report_says_the_group_of_every_picture(grouped_set: Dataset):
    rows = list(csv.DictReader(io.StringIO(as_csv(grouped_set))))

    assert all(f"/{row['group']}_" in row["file"] for row in rows) and len({row["group"] for row in rows}) == 6


def test_where_all_of_train_is_of_the_groups_of_test_it_is_refused(tmp_path: Path):
    files = patients(3, 3, "train/{kind}/patient{patient}_{view}.png")
    files |= {f"test/{kind}/patient{n}_9.png": noise(5_000, n, KINDS.index(kind)) for kind in KINDS for n in range(3)}
    dataset = bring(tmp_path, files)

    with pytest.raises(DatasetError, match=r"copies of test pictures, or of their groups, so nothing is left"):
        set_groups(dataset, find_groups(dataset, "name:(patient#)_*"))
