"""Pictures of one group are never parted, however they are said to be groups, and no pattern takes long."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from examples import quick
from helpers import drawn_classes
from hypothesis import given
from hypothesis import strategies as st
from patients import bring, finding, listing, patients

from core.data.dataset import Dataset
from core.data.edit import set_groups
from core.data.groups import by_table, compile_pattern, count_groups, find_groups, groups_sentence, looks_grouped
from core.data.health import find_problems
from core.errors import DatasetError


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


def test_a_row_that_is_there_twice_and_one_without_a_group_change_nothing(tiny_dataset: Dataset):
    twice = [*TABLE, "discs/0.png,Anna,\n", "discs/1.png,,\n"]

    found, again = (by_table(tiny_dataset, "g.csv", "".join(lines).encode(), "who") for lines in (TABLE, twice))

    assert again.groups == found.groups


def test_a_table_that_is_too_large_is_not_read(tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.data.groups.MAX_TABLE_BYTES", 100)
    (tmp_path / "groups.csv").write_text("".join(TABLE))

    for ask in (
        lambda: find_groups(tiny_dataset, f"table:{tmp_path / 'groups.csv'}:who"),
        lambda: by_table(tiny_dataset, "groups.csv", b"x" * 101),
    ):
        with pytest.raises(DatasetError, match=r"groups\.csv is larger than"):
            ask()


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
