"""Dividing a data set, and its description on disk."""

import hashlib
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from core.data.dataset import MANIFEST, SPLITS, Dataset, Split, load_stored, stored_datasets
from core.data.pictures import Picture
from core.errors import DatasetError
from core.settings.schema import DataSettings


def picture(target: int, number: int, given: str | None = None, group: str | None = None) -> Picture:
    content = hashlib.sha256(f"{target}/{number}".encode()).hexdigest()
    return Picture(
        name=f"{target}/{number}.png",
        target=target,
        given=given,
        content=content,
        group=group or content,
        place=(0, 1, 1),
    )


def listing(*pictures: Picture) -> Dataset:
    """A data set of two classes without any pixels."""
    return Dataset(
        id="0" * 16,
        title="listing",
        kind="folder",
        fingerprint="0" * 64,
        class_names=("cats", "dogs"),
        pictures=pictures,
        skipped=(),
        ignored=(),
        decode_s=0.0,
        added="2026-01-01T00:00:00+00:00",
    )


def classes(count: int, given: str | None = None, first: int = 0) -> list[Picture]:
    return [picture(target, number, given) for number in range(first, first + count) for target in (0, 1)]


def contents(dataset: Dataset, split: Split, part: str) -> set[str]:
    return {dataset.pictures[index].content for index in split.part(part)}


def sides(dataset: Dataset, split: Split) -> list[set[str]]:
    """The groups of copies in each part."""
    return [{dataset.pictures[index].group for index in split.part(part)} for part in SPLITS]


@pytest.mark.parametrize("seed", range(3))
def test_every_picture_is_in_exactly_one_part(seed: int):
    split = listing(*classes(50)).split(seed)

    assert sorted(split.train + split.val + split.test) == list(range(100))
    assert split.notices == ()


def test_parts_hold_the_asked_share_of_each_class():
    dataset = listing(*classes(40))
    counts = dataset.counts(dataset.split(0, DataSettings(test_fraction=0.25, val_fraction=0.2)))

    assert counts == {
        "train": {"cats": 24, "dogs": 24},
        "val": {"cats": 6, "dogs": 6},
        "test": {"cats": 10, "dogs": 10},
    }


def test_the_same_seed_divides_the_same_and_another_does_not():
    dataset = listing(*classes(50))

    assert dataset.split(1) == dataset.split(1)
    assert len({dataset.split(seed).hash for seed in range(10)}) == 10


def test_the_hash_names_the_division_not_the_order_of_pictures():
    pictures = classes(50)
    dataset, shuffled = listing(*pictures), listing(*pictures[::-1])

    assert shuffled.split(3).hash == dataset.split(3).hash
    for part in SPLITS:
        assert contents(shuffled, shuffled.split(3), part) == contents(dataset, dataset.split(3), part)


@pytest.mark.parametrize(("rule", "seed"), [(2, 0), *((1, seed) for seed in range(5))])
def test_more_pictures_never_take_one_out_of_the_test_part(rule: int, seed: int):
    """Old pictures keep their order in the drawing, so a larger quota only adds."""
    old = classes(40)
    few, many = listing(*old), listing(*old, *classes(40, first=40))
    data = DataSettings(split_rule=rule)
    before, after = (contents(some, some.split(seed, data), "test") for some in (few, many))

    olds = {row.content for row in old}
    ranked = {row.content: hashlib.sha256(f"test:{seed}:{row.group}".encode()).digest() for row in old}
    assert len(before) == 20 and len(after) == 40
    for target in (0, 1):
        mine = {row.content for row in old if row.target == target}
        order = sorted(mine, key=ranked.__getitem__)
        for chosen in (before & mine, after & mine & olds):
            assert chosen == set(order[: len(chosen)])


def test_given_parts_are_respected():
    pictures = classes(10, "train") + classes(4, "val", 10) + classes(6, "test", 20)
    split = listing(*pictures).split(7)

    assert [pictures[i].given for i in split.train] == ["train"] * 20
    assert [pictures[i].given for i in split.val] == ["val"] * 8
    assert [pictures[i].given for i in split.test] == ["test"] * 12
    assert split == listing(*pictures).split(8)


def test_a_given_val_becomes_test_where_there_is_no_test():
    pictures = classes(20, "train") + classes(6, "val", 20)
    dataset = listing(*pictures)
    split = dataset.split(0)

    assert [pictures[i].given for i in split.test] == ["val"] * 12
    assert {pictures[i].given for i in split.train + split.val} == {"train"}
    assert dataset.counts(split)["val"] == {"cats": 4, "dogs": 4}


def test_with_train_and_test_a_val_part_is_drawn_from_train():
    pictures = classes(20, "train") + classes(6, "test", 20)
    split = listing(*pictures).split(0)

    assert [pictures[i].given for i in split.test] == ["test"] * 12
    assert len(split.val) == 8 and len(split.train) == 32


def test_with_train_alone_everything_is_drawn():
    assert [len(listing(*classes(20, "train")).split(0).part(part)) for part in SPLITS] == [24, 6, 10]


@pytest.mark.parametrize("seed", range(10))
def test_copies_are_never_on_two_sides(seed: int):
    copies = [picture(0, 100 + n, group=f"same {n // 3}") for n in range(12)]
    dataset = listing(*classes(20), *copies)
    train, val, test = sides(dataset, dataset.split(seed))

    assert train.isdisjoint(val) and train.isdisjoint(test) and val.isdisjoint(test)
    assert sum(len(dataset.split(seed).part(part)) for part in SPLITS) == 52


@pytest.mark.parametrize("seed", range(10))
def test_a_copy_in_another_class_goes_along(seed: int):
    copies = [picture(target, 100 + n, group=f"same {n}") for n in range(6) for target in (0, 1)]
    dataset = listing(*classes(20), *copies)
    train, val, test = sides(dataset, dataset.split(seed))

    assert train.isdisjoint(val) and train.isdisjoint(test) and val.isdisjoint(test)


@pytest.mark.parametrize("test_part", ["val", "test"])
def test_training_pictures_that_are_copies_of_test_pictures_are_left_out_and_said(test_part: str):
    copies = [picture(0, 1, "train", "same"), picture(0, 2, "train", "same"), picture(0, 90, test_part, "same")]
    dataset = listing(*classes(20, "train", 10), *classes(5, test_part, 50), *copies)
    split = dataset.split(0)
    train, val, test = sides(dataset, split)

    assert "same" in test and "same" not in train | val
    assert split.notices == ("2 training pictures are copies of test pictures and were left out.",)


def test_training_pictures_that_are_copies_of_given_val_pictures_are_left_out():
    copies = [picture(0, 1, "train", "same"), picture(0, 2, "val", "same")]
    dataset = listing(*classes(9, "train", 10), *classes(5, "val", 50), *classes(5, "test", 90), *copies)
    train, val, _ = sides(dataset, dataset.split(0))

    assert "same" in val and "same" not in train


def test_three_pictures_of_each_class_are_enough():
    dataset = listing(*classes(3))

    assert all(Counter(row.values()) == {1: 2} for row in dataset.counts(dataset.split(0)).values())


@pytest.mark.parametrize("count", [1, 2])
def test_a_part_that_would_be_empty_is_refused_by_name(count: int):
    with pytest.raises(DatasetError, match=r"The (train|val|test) part is empty: bring at least 3 pictures"):
        listing(*classes(count)).split(0)


def test_a_data_set_that_is_not_there_is_named():
    for unknown in ("0" * 16, "../../etc", "", "a/b", "0" * 3000, "a\0b", "ü", ".."):
        with pytest.raises(DatasetError, match="is not here any more") as refused:
            load_stored(unknown)
        assert len(str(refused.value)) < 200


def test_stored_data_sets_are_listed_oldest_first(tiny_dataset: Dataset, thaw_home: Path):
    from core.data.dataset import manifest_of

    for age, name in enumerate(("f" * 16, "a" * 16)):
        other = replace(tiny_dataset, id=name, added=f"20{20 - age}-01-01T00:00:00+00:00")
        shutil.copytree(tiny_dataset.folder, other.folder)
        (other.folder / MANIFEST).write_bytes(manifest_of(other))

    assert [dataset.id for dataset in stored_datasets()] == ["a" * 16, "f" * 16, tiny_dataset.id]
