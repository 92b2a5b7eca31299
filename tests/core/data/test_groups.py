"""Pictures of one group are never parted, however they are said to be groups, and no pattern takes long."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import KINDS, drawn_classes, noise, write_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.copies import name_families, name_together
from core.data.dataset import MANIFEST, MANIFEST_VERSION, SPLITS, Dataset, load_stored
from core.data.edit import add_pictures, drop_pictures, set_groups
from core.data.groups import by_table, compile_pattern, count_groups, find_groups, groups_sentence, looks_grouped
from core.data.health import Finding, find_problems
from core.data.ingest import ingest
from core.data.pictures import Picture
from core.data.reading.report import as_csv
from core.errors import DatasetError
from core.home import sealed, unsealed
from core.takehome.training_script import pictures_csv

quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def patients(count: int = 6, each: int = 3, folder: str = "{kind}/patient{patient}_{view}.png") -> dict[str, bytes]:
    """Drawn pictures of all classes, some of every patient."""
    return {
        folder.format(kind=kind, patient=patient, view=view): noise(place, patient, view)
        for place, kind in enumerate(KINDS)
        for patient in range(count)
        for view in range(each)
    }


def bring(tmp_path: Path, files: dict[str, bytes], layout: str = "auto") -> Dataset:
    return ingest(write_files(tmp_path / "pictures", files), layout=layout).dataset


def subjects_by_part(dataset: Dataset, seed: int) -> list[set[str]]:
    split = dataset.split(seed)
    return [{dataset.pictures[index].subject for index in split.part(part)} for part in SPLITS]


def finding(dataset: Dataset, kind: str) -> Finding:
    return next(found for found in find_problems(dataset, dataset.split(0)) if found.kind == kind)


@pytest.mark.parametrize(
    ("pattern", "name", "group"),
    [
        ("(patient#)_*", "cats/patient12_03.jpg", "patient12"),
        ("(*)_*", "p1_s2_03.jpg", "p1"),
        ("(*)_#", "p1_s2_03.jpg", "p1_s2"),
        ("*_(#)_*", "IMG_20240501_cam3_001.JPG", "20240501"),
        ("*_(cam?)_*", "IMG_20240501_cam3_001.jpg", "cam3"),
        ("(*#)?", "site7a.png", "site7"),
        ("(patient#)*", "PATIENT7 left.jpg", "patient7"),
        ("(*)-*", "a.b-1.tar.png", "a.b"),
        ("(*)", "whole name.webp", "whole name"),
        ("*(#)", "no ending12", "12"),
        ("*/(*)/*", "cats/anna/1.jpg", "anna"),
        ("(*#)_*.jpg", "p3_1.jpg", "p3"),
        ("(*#)_*", "no number_1.jpg", ""),
        ("(#)_*", "a12_1.jpg", ""),
    ],
)
def test_a_pattern_says_the_group(pattern: str, name: str, group: str):
    pictures = [replace(one, name=name) for one in listing(["a/1", "b/1"]).pictures]
    dataset = replace(listing([]), pictures=tuple(pictures))

    if not group:
        with pytest.raises(DatasetError, match="fits no file name"):
            find_groups(dataset, f"name:{pattern}")
        return

    assert find_groups(dataset, f"name:{pattern}").groups == (group, group)


def listing(names: list[str], **values) -> Dataset:
    """A data set without pixels, of the classes that the names begin with."""
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    known = {"id": "0" * 16, "title": "listing", "kind": "folder", "fingerprint": "0" * 64, "decode_s": 0.0}
    rest = {"skipped": (), "ignored": (), "added": "2026-01-01T00:00:00+00:00"}
    pictures = [
        Picture(
            name=name,
            target=classes.index(name.split("/")[0]),
            given=None,
            content=name,
            group=name,
            place=(0, 1, 1),
        )
        for name in names
    ]
    return Dataset(**known, **rest, class_names=classes, pictures=tuple(pictures), **values)


@pytest.mark.parametrize("pattern", ["", "*", "()", ")(", "(a", "a)", "(a)(b)", "((a))", "(" + "a" * 99 + ")"])
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str):
    with pytest.raises(DatasetError, match=r"brackets|most"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 40 + "(b)*", "*" * 90 + "(*)x", "*#" * 40 + "(b)", "(" + "?*" * 40 + ")y", "*?#" * 30 + "(*)z"],
    ids=["stars and letters", "stars", "numbers", "any", "all"],
)
def test_hostile_patterns_come_to_an_end(pattern: str):
    """As regular expressions written in the usual way, each of these would take longer than the universe is old."""
    compiled = compile_pattern(pattern)

    assert not any(compiled.fullmatch(sign * 1_000) for sign in "a1")


def reaches(pattern: str, name: str) -> bool:
    """Whether a pattern fits a name, by trying everything that a sign may stand for; # takes all digits there are."""
    states = {0}
    for sign in pattern:
        if sign == "*":
            states = {end for start in states for end in range(start, len(name) + 1)}
        elif sign == "#":
            digits = {start: len(name[start:]) - len(name[start:].lstrip("0123456789")) for start in states}
            states = {start + number for start, number in digits.items() if number}
        elif sign not in "()":
            states = {s + 1 for s in states if s < len(name) and (sign == "?" or name[s] == sign)}
    return len(name) in states


SIGNS = st.text("ab1*#?", max_size=6)


@quick
@given(before=SIGNS, inside=SIGNS.filter(bool), after=SIGNS, name=st.text("ab12", max_size=12))
def test_a_pattern_fits_what_it_fits_when_everything_is_tried(before: str, inside: str, after: str, name: str):
    pattern = f"{before}({inside}){after}"

    assert bool(compile_pattern(pattern).fullmatch(name)) == reaches(pattern, name)


def test_groups_by_folder_are_those_below_the_class(tmp_path: Path):
    files = patients(folder="wrap/train/{kind}/Patient {patient}/{view}/x.png") | drawn_classes(2, "wrap/train/")
    dataset = bring(tmp_path, files)

    groups = dict(zip((p.name for p in dataset.pictures), find_groups(dataset, "folder").groups, strict=True))

    assert groups["wrap/train/discs/Patient 3/1/x.png"] == "patient 3" and groups["wrap/train/discs/0.png"] == ""


def test_where_no_folder_lies_below_a_class_it_is_said(tiny_dataset: Dataset):
    with pytest.raises(DatasetError, match="No picture lies in a folder below its class's folder"):
        find_groups(tiny_dataset, "folder")


TABLE = ["file,who,when\n", *(f"discs/{n}.png,anna,{n}\n" for n in range(10)), "squares/0.png,ben,1\n"]


def test_a_table_says_the_groups_and_who_is_not_in_it_stands_alone(tiny_dataset: Dataset, tmp_path: Path):
    (tmp_path / "groups.csv").write_text("".join(TABLE))

    found = find_groups(tiny_dataset, f"table:{tmp_path / 'groups.csv'}:Who")

    counts = count_groups([picture.name for picture in tiny_dataset.pictures], found.groups)
    assert (counts.groups, counts.grouped, counts.alone, counts.largest[0]) == (2, 11, 19, ("anna", 10))
    assert groups_sentence(counts) == "2 groups of 11 pictures, the largest anna with 10; 19 pictures stand alone"
    assert found.said == "the column who of groups.csv"


@pytest.mark.parametrize("root", ["/home/x/pics/", "C:\\pics\\", ""])
def test_a_table_that_was_made_elsewhere_names_pictures_by_the_end_of_their_paths(tiny_dataset: Dataset, root: str):
    sign = "\\" if "\\" in root else "/"
    lines = [f"{root}{row.name.replace('/', sign)},p{place}\n" for place, row in enumerate(tiny_dataset.pictures)]

    found = by_table(tiny_dataset, "groups.csv", "".join(["file,who\n", *lines]).encode())

    assert found.groups == tuple(f"p{place}" for place in range(30)), "discs/1.png is not squares/1.png"


def test_what_programs_write_into_empty_cells_is_no_group(tiny_dataset: Dataset):
    lines = [*TABLE, *(f"squares/{n}.png,{empty},\n" for n, empty in enumerate(["NaN", "<NA>", "None", "null"], 1))]

    found = by_table(tiny_dataset, "groups.csv", "".join(lines).encode(), "who")

    assert set(found.groups) == {"anna", "ben", ""}


def test_a_pattern_that_leaves_its_group_empty_is_refused_with_the_reason():
    dataset = listing(["a/x1.jpg", "b/x2.jpg"])

    for pattern in ("**(*)**", "(*)*", "*(**)*", "(*)x*"):
        with pytest.raises(DatasetError, match="leaves nothing between its brackets"):
            find_groups(dataset, f"name:{pattern}")


def test_a_table_without_a_header_says_them_too(tiny_dataset: Dataset):
    data = "".join(f"{picture.name};group {place % 3}\n" for place, picture in enumerate(tiny_dataset.pictures))

    assert set(by_table(tiny_dataset, "g.csv", data.encode()).groups) == {"group 0", "group 1", "group 2"}


@pytest.mark.parametrize(
    ("lines", "column", "message"),
    [
        (TABLE, "", r"several columns. Say which one holds the group: who, when\."),
        (TABLE, "where", r"no column 'where'. Say which one holds the group: who, when\."),
        (["a,b\n", "x1.png,2\n", "x3.png,4\n"], "", "no column that names the pictures here"),
        ([line.replace("discs/", "../../discs/") for line in TABLE], "who", "tries to leave the folder"),
        ([line.replace("anna", "a" * 300) for line in TABLE], "who", "more than 200 characters"),
        ([*TABLE, "discs/0.png,ben,\n"], "who", "gives discs/0.png two groups, anna and ben"),
        (
            [line.replace("anna", "").replace("ben", "") for line in TABLE],
            "who",
            "column who .* says no picture's group",
        ),
    ],
    ids=["several", "unknown", "other pictures", "a way out", "a long name", "two groups", "no group"],
)
def test_a_table_that_says_nothing_is_refused(tiny_dataset: Dataset, lines: list[str], column: str, message: str):
    with pytest.raises(DatasetError, match=message):
        by_table(tiny_dataset, "groups.csv", "".join(lines).encode(), column)


@pytest.mark.parametrize("how", ["", "folders", "table:", "table:/etc", "table:nosuch.csv", "table:a\0b", "x" * 500])
def test_other_ways_to_say_groups_are_refused_shortly(tiny_dataset: Dataset, how: str):
    with pytest.raises(DatasetError) as refused:
        find_groups(tiny_dataset, how)
    assert len(str(refused.value)) < 300


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


def test_a_row_that_is_there_twice_and_one_without_a_group_change_nothing(tiny_dataset: Dataset):
    twice = [*TABLE, "discs/0.png,Anna,\n", "discs/1.png,,\n"]

    found, again = (by_table(tiny_dataset, "g.csv", "".join(lines).encode(), "who") for lines in (TABLE, twice))

    assert again.groups == found.groups


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


def test_a_table_that_is_too_large_is_not_read(tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.data.groups.MAX_TABLE_BYTES", 100)
    (tmp_path / "groups.csv").write_text("".join(TABLE))

    for ask in (
        lambda: find_groups(tiny_dataset, f"table:{tmp_path / 'groups.csv'}:who"),
        lambda: by_table(tiny_dataset, "groups.csv", b"x" * 101),
    ):
        with pytest.raises(DatasetError, match=r"groups\.csv is larger than"):
            ask()


def test_where_all_of_train_is_of_the_groups_of_test_it_is_refused(tmp_path: Path):
    files = patients(3, 3, "train/{kind}/patient{patient}_{view}.png")
    files |= {f"test/{kind}/patient{n}_9.png": noise(5_000, n, KINDS.index(kind)) for kind in KINDS for n in range(3)}
    dataset = bring(tmp_path, files)

    with pytest.raises(DatasetError, match=r"copies of test pictures, or of their groups, so nothing is left"):
        set_groups(dataset, find_groups(dataset, "name:(patient#)_*"))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("{kind}/patient{patient}_{view:02}.png", "name:(*#)_*"),
        ("{kind}/Site-{patient}-{view}.png", "name:(*#)-*"),
        ("{kind}/scan {patient} ({view}).png", "name:(*#) *"),
        ("{kind}/person{patient}/{view}.png", "folder"),
        ("{kind}/2021_p{patient}_{view}.png", "name:(*)_#"),
    ],
)
def test_names_that_look_like_groups_are_said_with_what_would_set_them(tmp_path: Path, name: str, how: str):
    dataset = bring(tmp_path, patients(folder=name), "folders")

    found = finding(dataset, "looks-grouped")

    assert found.groups == how and "group" in found.fixes and "6 groups" in found.sentence
    done = set_groups(dataset, find_groups(dataset, found.groups))
    assert not any(one.kind == "looks-grouped" for one in find_problems(done, done.split(0)))


@pytest.mark.parametrize(
    "name",
    [
        lambda kind, n: f"{kind}/{kind[:-1]}-{n:04}.jpg",
        lambda kind, n: f"{kind}/{kind[:-1]}_{n}.jpg",
        lambda kind, n: f"{kind}/IMG_{n:04}.JPG",
        lambda kind, n: f"{kind}/{kind}.{n}.jpg",
        lambda kind, n: f"{kind}/{15_000 + 37 * n}_{n * 7_919:x}.jpg",
        lambda kind, n: f"{kind}/{n}.png",
        lambda kind, n: f"{kind}/n02{kind}_{n}.jpeg",
    ],
    ids=["built in", "counted", "a camera", "kaggle", "flickr", "numbers", "imagenet"],
)
def test_names_that_only_count_pictures_are_no_groups(name: Callable[[str, int], str]):
    assert looks_grouped(listing([name(kind, n) for kind in ("ants", "bees") for n in range(50)])) is None
