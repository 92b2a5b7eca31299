"""Large sets are divided as ordinary ones are."""

import random
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pytest

from core.data.pictures import Picture
from core.data.splits import divide as divide_pictures
from core.errors import DatasetError
from core.settings.schema import DataSettings
from core.shards.large_set import OUT, TEST, TRAIN, VAL, Columns, divide
from core.shards.taking_in import GIVEN, rank_of

CLASSES = ("a", "b", "c")


def pictures(count: int, seed: int, given: tuple[str | None, ...], copies: float) -> list[Picture]:
    """Some of them copies of others, also of other classes and parts."""
    dice = random.Random(seed)
    names = [
        sha256(f"{seed} {dice.randrange(int(count / copies) + 1) if copies else n}".encode()) for n in range(count)
    ]
    return [
        Picture(
            name=f"{number}",
            target=dice.choices(range(3), (6, 3, 1))[0] if dice.random() < 0.1 else int(name.hexdigest()[:4], 16) % 3,
            given=dice.choice(given),
            content=sha256(f"{number}".encode()).hexdigest(),
            group=name.hexdigest(),
            place=(0, 1, 1),
        )
        for number, name in enumerate(names)
    ]


def columns(some: list[Picture], seed: int) -> Columns:
    return Columns(
        sides=np.array([rank_of(f"test:0:{one.side}") for one in some], dtype=np.uint64),
        val_ranks=np.array([rank_of(f"val:{seed}:{one.side}") for one in some], dtype=np.uint64),
        classes=np.array([one.target for one in some], dtype=np.int32),
        given=np.array([GIVEN.index(one.given or "") for one in some], dtype=np.uint8),
    )


def large(some: list[Picture]) -> SimpleNamespace:
    return SimpleNamespace(classes=CLASSES, counts=tuple(np.bincount([p.target for p in some], minlength=3).tolist()))


@pytest.mark.parametrize("given", [(None,), ("train", "val"), ("train", "test"), ("train", "val", "test")])
@pytest.mark.parametrize("copies", [0.0, 1.2, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_pictures_give_the_same_parts(given: tuple[str | None, ...], copies: float, seed: int):
    some, settings = pictures(400, seed, given, copies), DataSettings()

    expected = divide_pictures(some, CLASSES, False, seed, settings)
    parts = divide(large(some), columns(some, seed), settings)

    assert np.flatnonzero(parts == TEST).tolist() == expected.test
    assert np.flatnonzero(parts == VAL).tolist() == expected.val
    assert np.flatnonzero(parts == TRAIN).tolist() == expected.train
    assert (parts == OUT).sum() == 400 - sum(map(len, (expected.test, expected.val, expected.train)))


def test_what_would_have_to_be_passed_over_is_refused_by_name():
    """The only picture of a class is a copy of one of another class that is drawn for test: no large set needs that."""
    some = [one for one in pictures(400, 0, (None,), 0.0) if one.target != 2]
    drawn = some[int(np.flatnonzero(divide(large(some), columns(some, 0), DataSettings()) == TEST)[0])]
    some.append(replace(drawn, target=2))

    with pytest.raises(DatasetError, match="class c has 1 pictures, too few"):
        divide(large(some), columns(some, 0), DataSettings())
