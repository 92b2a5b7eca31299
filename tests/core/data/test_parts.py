"""What is wrong with parts is said with its real cause, and one sentence says it everywhere."""

from dataclasses import replace

import pytest

from core.data.dataset import Dataset
from core.data.parts import (
    alike_classes,
    check_trainable,
    class_counts,
    find_lacks,
    listed,
)
from core.data.pictures import Picture
from core.errors import DatasetError


def pictures(part: str | None, target: int, sides: str, near: bool = False) -> list[Picture]:
    """A picture for each letter: the same letter is the same picture, or one of the same burst."""
    return [
        Picture(
            name=f"{part}/{target}/{place}",
            target=target,
            given=part,
            content=f"{part}/{target}/{place}",
            group=f"{side}{place}" if near else side,
            family=side if near else "",
            place=(0, 1, 1),
        )
        for place, side in enumerate(sides)
    ]


def listing(*rows: Picture) -> Dataset:
    known = {"id": "0" * 16, "title": "listing", "kind": "folder", "fingerprint": "0" * 64, "decode_s": 0.0}
    rest = {"skipped": (), "ignored": (), "added": "2026-01-01T00:00:00+00:00"}
    return Dataset(**known, **rest, class_names=("ants", "bees"), pictures=rows)


def both(part: str | None, ants: str, bees: str) -> list[Picture]:
    return [*pictures(part, 0, ants), *pictures(part, 1, bees)]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [*both("train", "abc", "xyz"), *both("test", "abc", "xyz")],
            "All 6 training pictures are copies of test pictures, so nothing is left to train on. "
            "Bring other training pictures.",
        ),
        (
            [*both("train", "abc", "xyz"), *both("val", "abc", "xyz")],
            "All 6 training pictures are copies of test pictures, so nothing is left to train on. "
            "Bring other training pictures.",
        ),
        (
            [*both("train", "abc", "xyz"), *both("val", "abc", "xyz"), *both("test", "d", "w")],
            "All 6 training pictures are copies of validation pictures, so nothing is left to train on. "
            "Bring other training pictures.",
        ),
        (
            [*both("train", "abc", "xyz"), *both("val", "abc", ""), *both("test", "d", "xyz")],
            "All 6 training pictures are copies of test or validation pictures, so nothing is left to train on. "
            "Bring other training pictures.",
        ),
        (
            [*both("train", "abc", "xyz"), *both("val", "d", "w"), *both("test", "d", "w")],
            "All 2 validation pictures are copies of test pictures, so nothing is left to choose on. "
            "Bring other validation pictures.",
        ),
        (
            [*both("train", "abc", "xyz"), *both("val", "d", ""), *both("test", "d", "w")],
            "The only validation picture is a copy of test pictures, so nothing is left to choose on. "
            "Bring other validation pictures.",
        ),
        (
            both("test", "abc", "xyz"),
            "There is no training picture, so there is nothing to train on. Bring some in train.",
        ),
        (
            [*both("val", "abc", "xyz"), *both("test", "d", "w")],
            "There is no training picture, so there is nothing to train on. Bring some in train.",
        ),
        (
            [*both("train", "abcd", "xyz"), *both("test", "bcd", "xyz")],
            "6 training pictures are copies of test pictures and were left out. Of the others, the class ants has 1 "
            "picture. These are too few for train and val: bring at least 2 different pictures per class (better 20).",
        ),
        (
            both(None, "aaaa", "xxx"),
            "The 4 pictures of ants are all copies of one and the 3 pictures of bees are all copies of one. Copies "
            "stay in one part, so these are too few for train, val and test: bring at least 3 different pictures per "
            "class (better 20).",
        ),
        (
            [*pictures(None, 0, "aaab", near=True), *pictures(None, 1, "xy")],
            "The 4 pictures of ants are copies, near copies or a burst of 2 and the class bees has 2 pictures. Copies "
            "stay in one part, so these are too few for train, val and test: bring at least 3 different pictures per "
            "class (better 20).",
        ),
        (both(None, "ab", "xy"), "The val part is empty: bring at least 3 pictures per class (better 20)."),
        (
            [*both("train", "a", "x"), *both("test", "b", "y")],
            "The val part is empty: bring at least 2 pictures per class (better 20).",
        ),
    ],
    ids=[
        "train is test",
        "train is val that becomes test",
        "train is val",
        "train is val and test",
        "val is test",
        "one val picture",
        "test alone",
        "no train",
        "one left",
        "one picture per class",
        "two bursts per class",
        "too few",
        "too few to draw val",
    ],
)
def test_an_empty_part_is_refused_with_its_real_cause(rows: list[Picture], sentence: str):
    for seed in range(3):
        with pytest.raises(DatasetError) as refused:
            listing(*rows).split(seed)
        assert str(refused.value) == sentence


NAMES = ("ants", "bees", "cats", "dogs", "eels")


@pytest.mark.parametrize(
    ("counts", "sentences"),
    [
        ({"train": [3, 3], "val": [1, 1], "test": [1, 1]}, []),
        (
            {"train": [3, 0], "val": [1, 1], "test": [1, 5]},
            [
                "The class bees has no picture in train: it can never be named, and all of its 5 test pictures "
                "count as wrong."
            ],
        ),
        (
            {"train": [3, 0], "val": [1, 1], "test": [1, 1]},
            [
                "The class bees has no picture in train: it can never be named, and its one test picture "
                "counts as wrong."
            ],
        ),
        (
            {"train": [0, 0, 3], "val": [1, 1, 1], "test": [1200, 5, 5]},
            [
                "The classes ants and bees have no picture in train: they can never be named, and all of their 1,205 "
                "test pictures count as wrong."
            ],
        ),
        (
            {"train": [3, 3], "val": [1, 1], "test": [0, 5]},
            ["The class ants has no picture in test: nothing is known about how well it is recognised."],
        ),
        (
            {"train": [3, 3, 0], "val": [1, 0, 0], "test": [1, 1, 0]},
            [
                "The class cats has no picture in train: it can never be named.",
                "The classes bees and cats have no picture in val: what is chosen there, like the best epoch and the "
                "temperature, is chosen without them.",
                "The class cats has no picture in test: nothing is known about how well it is recognised.",
            ],
        ),
        (
            {"test": [0, 0, 0, 0, 5]},
            [
                "The classes ants, bees, cats and 1 more have no picture in test: nothing is known about how well they "
                "are recognised."
            ],
        ),
    ],
)
def test_each_part_that_lacks_classes_is_named_with_what_follows(counts: dict, sentences: list[str]):
    assert [lack.sentence for lack in find_lacks(NAMES, counts)] == sentences


def test_lists_of_names_read_like_a_sentence():
    assert [listed(NAMES[:count], 3) for count in range(1, 6)] == [
        "ants",
        "ants and bees",
        "ants, bees and cats",
        "ants, bees, cats and 1 more",
        "ants, bees, cats and 2 more",
    ]


def test_one_class_in_train_is_not_trained_on():
    dataset = listing(*pictures("train", 0, "abc"), *pictures("test", 1, "xyz"))

    with pytest.raises(DatasetError, match="Only the class ants has pictures in train"):
        check_trainable(dataset, dataset.split(0))
    whole = listing(*both(None, "abc", "xyz"))
    check_trainable(whole, whole.split(0))
    assert class_counts(whole, whole.split(0)) == {"train": [1, 1], "val": [1, 1], "test": [1, 1]}


def test_names_that_are_one_to_a_person_are_found():
    wide = "\uff23\uff21\uff34\uff33"  # CATS as Japanese keyboards write it
    names = ("Cats", "cats", "dogs", "big  dogs", "Big dogs", wide)

    assert alike_classes(names) == (("Cats", "cats", wide), ("Big dogs", "big  dogs"))
    assert alike_classes(replace(listing(), class_names=("ants", "bees")).class_names) == ()
