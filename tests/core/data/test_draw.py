"""Parts are drawn so that every class stands in each of them where it can, for every seed alike."""

import hashlib
from collections import Counter
from dataclasses import replace

import pytest
from examples import quick
from hypothesis import given
from hypothesis import strategies as st

from core.data.dataset import SPLITS, Dataset, Split
from core.data.pictures import Picture
from core.data.splits import TEST_SEED
from core.errors import DatasetError
from core.settings.schema import DataSettings

FRACTIONS = st.builds(
    DataSettings,
    val_fraction=st.sampled_from([0.05, 0.2, 0.5]),
    test_fraction=st.sampled_from([0.05, 0.25, 0.5]),
    split_rule=st.sampled_from([1, 2]),
)
SEEDS = st.integers(0, 2**31 - 1)
SIZES = st.lists(st.sampled_from([1, 1, 1, 2, 3, 8, 40]), min_size=1, max_size=9)
"""Of the sides of a class: how many copies or near copies each of them holds."""
CLASSES = st.lists(SIZES, min_size=2, max_size=4)
SHARED = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=8)
"""(picture, class): a copy of the picture that stands in this class, too."""


def listing(pictures: list[Picture], num_classes: int) -> Dataset:
    """A data set without any pixels."""
    names = tuple("abcdefgh"[:num_classes])
    known = {"id": "0" * 16, "title": "listing", "kind": "folder", "fingerprint": "0" * 64, "decode_s": 0.0}
    rest = {"skipped": (), "ignored": (), "added": "2026-01-01T00:00:00+00:00"}
    return Dataset(**known, **rest, class_names=names, pictures=tuple(pictures))


def drawn(classes: list[list[int]], shared: list[tuple[int, int]] = (), batch: int = 0) -> list[Picture]:
    """Pictures of these classes, each given by the sizes of its sides."""
    rows = [
        (target, f"{batch}/{target}/{side}")
        for target, sizes in enumerate(classes)
        for side, size in enumerate(sizes)
        for _ in range(size)
    ]
    rows += [(target, rows[place % len(rows)][1]) for place, target in shared if target < len(classes)]
    return [
        Picture(
            name=f"{n}", target=target, given=None, content=f"{batch}/{n}", group=side, place=(0, 1, 1), batch=batch
        )
        for n, (target, side) in enumerate(rows)
    ]


def sides(dataset: Dataset) -> list[set[str]]:
    """The sides of each class."""
    return [{p.side for p in dataset.pictures if p.target == c} for c in range(len(dataset.class_names))]


def parts_of(dataset: Dataset, split: Split) -> list[set[str]]:
    """The parts each class stands in."""
    found: list[set[str]] = [set() for _ in dataset.class_names]
    for part in SPLITS:
        for index in split.part(part):
            found[dataset.pictures[index].target].add(part)
    return found


def expected_parts(number: int) -> set[str]:
    """The parts a class with so many sides stands in: it is learnt first of all, then tested, then chosen on."""
    return {1: {"train"}, 2: {"train", "test"}}.get(number, set(SPLITS))


def by_share_alone(dataset: Dataset, seed: int, data: DataSettings) -> tuple[set[str], set[str]]:
    """Sides of test and val as a draw takes them that looks at nothing but the share of each class."""
    taken: list[set[str]] = []
    pool = list(dataset.pictures)
    test_seed = seed if data.split_rule == 1 else TEST_SEED
    for purpose, of, fraction in (("test", test_seed, data.test_fraction), ("val", seed, data.val_fraction)):
        found: set[str] = set()
        for target in range(len(dataset.class_names)):
            counts = Counter(picture.side for picture in pool if picture.target == target)
            quota, number = max(1, round(fraction * counts.total())) if len(counts) > 1 else 0, 0
            for side in sorted(counts, key=lambda name: hashlib.sha256(f"{purpose}:{of}:{name}".encode()).digest()):
                if number < quota:
                    found.add(side)
                    number += counts[side]
        pool = [picture for picture in pool if picture.side not in found]
        taken.append(found)
    return taken[0], taken[1]


@quick
@given(classes=CLASSES, seed=SEEDS, data=FRACTIONS)
def test_every_class_stands_in_every_part_it_has_pictures_for(classes, seed: int, data: DataSettings):
    dataset = listing(drawn(classes), len(classes))
    if max(map(len, classes)) < 3:
        with pytest.raises(DatasetError):
            dataset.split(seed, data)
        return

    found = parts_of(dataset, dataset.split(seed, data))

    assert found == [expected_parts(len(sizes)) for sizes in classes]


@quick
@given(classes=CLASSES, shared=SHARED, seeds=st.lists(SEEDS, min_size=2, max_size=6), data=FRACTIONS)
def test_what_can_be_divided_for_one_seed_can_be_for_all(classes, shared, seeds: list[int], data: DataSettings):
    """Also where copies of a picture stand in several classes, and each part holds whole sides only."""
    dataset = listing(drawn(classes, shared), len(classes))
    can = max(map(len, sides(dataset))) >= 3

    for seed in seeds:
        if not can:
            with pytest.raises(DatasetError):
                dataset.split(seed, data)
            continue
        split = dataset.split(seed, data)
        held = [{dataset.pictures[index].side for index in split.part(part)} for part in SPLITS]
        assert all(held) and sum(map(len, held)) == len(set().union(*held)), "no side stands in two parts"
        assert sorted(split.train + split.val + split.test) == list(range(len(dataset.pictures)))


@quick
@given(classes=CLASSES, shared=SHARED, seed=SEEDS, data=FRACTIONS)
def test_a_draw_by_share_alone_that_divides_well_is_kept(classes, shared, seed: int, data: DataSettings):
    """Runs recorded the hashes of such divisions: not one picture may move."""
    dataset = listing(drawn(classes, shared), len(classes))
    test, val = by_share_alone(dataset, seed, data)
    part_of = {p.side: "test" if p.side in test else "val" if p.side in val else "train" for p in dataset.pictures}
    stands = [{part_of[side] for side in held} for held in sides(dataset)]
    if max(map(len, sides(dataset))) < 3 or any(
        not found >= expected_parts(len(held)) for found, held in zip(stands, sides(dataset), strict=True)
    ):
        return

    split = dataset.split(seed, data)

    assert {dataset.pictures[index].side: part for part in SPLITS for index in split.part(part)} == part_of


@quick
@given(first=CLASSES, later=st.lists(CLASSES, min_size=1, max_size=2), shared=SHARED, seed=SEEDS, data=FRACTIONS)
def test_adding_pictures_never_moves_an_old_one(first, later, shared, seed: int, data: DataSettings):
    grown = listing(drawn(first, shared), 4)
    for batch, classes in enumerate(later, 1):
        before = grown
        grown = replace(before, pictures=(*drawn(classes, shared, batch), *before.pictures))
        if max(map(len, sides(before))) < 3:
            continue  # it could not be divided, so nothing stood anywhere

        old, new = before.split(seed, data), grown.split(seed, data)

        now = {grown.pictures[index].content: part for part in SPLITS for index in new.part(part)}
        was = {before.pictures[index].content: part for part in SPLITS for index in old.part(part)}
        assert {content: now[content] for content in was} == was
        gained = zip(sides(grown), parts_of(grown, new), strict=True)
        assert shared or all(found == expected_parts(len(held)) for held, found in gained if held)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 8], [1, 1, 6], [30, 1, 1]], ids=str)
def test_a_large_burst_takes_no_class_out_of_a_part(sizes: list[int]):
    dataset = listing(drawn([sizes, sizes]), 2)

    for seed in range(60):
        assert parts_of(dataset, dataset.split(seed)) == [set(SPLITS)] * 2


def test_where_every_side_is_some_class_s_only_one_a_part_is_drawn_all_the_same():
    """A class whose every picture also stands in another class, alone there."""
    dataset = listing(drawn([[1, 1, 1], [], [], []], [(0, 1), (1, 2), (2, 3)]), 4)

    for seed in range(10):
        assert all(dataset.split(seed).part(part) for part in SPLITS)


@quick
@given(classes=CLASSES, shared=SHARED, seeds=st.lists(SEEDS, min_size=2, max_size=6), data=FRACTIONS)
def test_all_seeds_share_one_test_part_of_content_alone(classes, shared, seeds: list[int], data: DataSettings):
    data = replace(data, split_rule=2)
    dataset = listing(drawn(classes, shared), len(classes))
    turned = replace(dataset, pictures=dataset.pictures[::-1])
    if max(map(len, sides(dataset))) < 3:
        return

    tested = {dataset.split(seed, data).test for seed in seeds}
    contents = {turned.pictures[index].content for index in turned.split(seeds[0], data).test}

    assert len(tested) == 1
    assert contents == {dataset.pictures[index].content for index in tested.pop()}


def test_train_and_val_vary_with_the_seed():
    dataset = listing(drawn([[1] * 20, [1] * 20]), 2)

    assert len({dataset.split(seed).val for seed in range(10)}) == 10


def test_divisions_of_earlier_versions_are_bit_for_bit_the_same():
    dataset = listing(drawn([[1] * 12, [1] * 9 + [3]]), 2)
    old = DataSettings(split_rule=1)

    assert [dataset.split(seed, old).hash[:16] for seed in range(3)] == [
        "407428ad0fea97ae",
        "b40b8d4c4627db90",
        "af5853c2f1c32ac4",
    ]


def test_of_the_first_seed_both_rules_divide_alike_and_of_others_not():
    dataset = listing(drawn([[1] * 12, [1] * 9 + [3]]), 2)
    old = DataSettings(split_rule=1)

    assert dataset.split(0) == dataset.split(0, old)
    assert dataset.split(1).test != dataset.split(1, old).test


def of_fold(fold: int, folds: int) -> DataSettings:
    return DataSettings(folds=folds, fold=fold)


def all_folds(dataset: Dataset, folds: int, seed: int = 0) -> list[tuple[int, ...]]:
    return [dataset.split(seed, of_fold(fold, folds)).test for fold in range(1, folds + 1)]


@quick
@given(classes=CLASSES, shared=SHARED, folds=st.integers(2, 6), seed=st.integers(0, 99))
def test_every_picture_is_tested_once_and_no_side_is_parted_or_all_folds_are_refused(classes, shared, folds, seed):
    dataset = listing(drawn(classes, shared), len(classes))
    refused = 0
    for fold in range(1, folds + 1):
        try:
            split = dataset.split(seed, of_fold(fold, folds))
        except DatasetError:
            refused += 1
            continue
        held = [{dataset.pictures[index].side for index in split.part(part)} for part in SPLITS]
        assert all(held) and sum(map(len, held)) == len(set().union(*held))
        assert sorted(split.train + split.val + split.test) == list(range(len(dataset.pictures)))

    assert refused in (0, folds)
    if not refused:
        assert sorted(sum(all_folds(dataset, folds, seed), ())) == list(range(len(dataset.pictures)))


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_single_pictures_are_spread_to_within_one(folds: int):
    dataset = listing(drawn([[1] * 33, [1] * 48, [1] * 9]), 3)

    for target in range(3):
        counts = [sum(dataset.pictures[i].target == target for i in test) for test in all_folds(dataset, folds)]
        assert max(counts) - min(counts) <= 1


def test_groups_of_all_sizes_make_folds_of_about_one_size():
    sizes = [1, 2, 3, 5, 8, 13] * 5
    dataset = listing(drawn([sizes, sizes[::-1]]), 2)

    counts = [Counter(dataset.pictures[index].target for index in test) for test in all_folds(dataset, 5)]

    assert all(abs(count[target] - sum(sizes) / 5) <= 3 for count in counts for target in (0, 1))


def test_the_test_parts_do_not_depend_on_the_seed_or_the_order_and_val_does():
    dataset = listing(drawn([[1] * 20, [2] * 12]), 2)
    turned = replace(dataset, pictures=dataset.pictures[::-1])

    assert all_folds(dataset, 5, seed=0) == all_folds(dataset, 5, seed=9)
    assert {frozenset(turned.pictures[i].content for i in test) for test in all_folds(turned, 5)} == {
        frozenset(dataset.pictures[i].content for i in test) for test in all_folds(dataset, 5)
    }
    assert len({dataset.split(seed, of_fold(1, 5)).val for seed in range(5)}) > 1


def test_every_fold_has_a_hash_of_its_own():
    dataset = listing(drawn([[1] * 20, [1] * 20]), 2)

    assert len({dataset.split(0, of_fold(fold, 5)).hash for fold in range(1, 6)} | {dataset.split(0).hash}) == 6


def test_pictures_that_are_added_move_no_old_one_to_another_fold():
    before = listing(drawn([[1] * 12, [3] * 9]), 2)
    later = [replace(picture, group=before.pictures[0].group) for picture in drawn([[1]], batch=1)]
    grown = replace(before, pictures=(*drawn([[4] * 7, [1] * 30], batch=1), *later, *before.pictures))

    for old, new in zip(all_folds(before, 4), all_folds(grown, 4), strict=True):
        contents = {grown.pictures[index].content for index in new}
        assert {before.pictures[index].content for index in old} <= contents


def test_parts_that_were_brought_are_not_used_and_that_is_said():
    rows = [
        replace(picture, given="test" if n % 4 == 0 else "train") for n, picture in enumerate(drawn([[1] * 20] * 2))
    ]
    dataset = listing(rows, 2)
    split = dataset.split(0, of_fold(2, 4))

    assert sorted(sum(all_folds(dataset, 4), ())) == list(range(40))
    assert split.notices == (
        "Fold 2 of 4: over all folds, every picture is tested once.",
        "The parts that the pictures came in are not used: folds are of all of them.",
    )


def test_too_few_for_so_many_folds_is_said_with_the_number():
    dataset = listing(drawn([[5, 5, 5], [1, 1]]), 2)

    with pytest.raises(DatasetError, match="The class a, the largest, has 3 different pictures: too few for 5 folds"):
        dataset.split(0, DataSettings(folds=5))
