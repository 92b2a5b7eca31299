"""What may be wrong with a data set is found, and a data set without faults is left alone."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import encoded, write_files
from PIL import Image, ImageEnhance

from core.data.dataset import Dataset, load_stored
from core.data.edit import draw_all, draw_val, merge_alike, remove_classes
from core.data.health import Finding, find_problems, others_of, separable
from core.data.ingest import ingest


def findings(dataset: Dataset) -> dict[str, Finding]:
    return {finding.kind: finding for finding in find_problems(dataset, dataset.split(0))}


def bring(tmp_path: Path, files: dict[str, bytes]) -> Dataset:
    return ingest(write_files(tmp_path / "pictures", files)).dataset


def names(dataset: Dataset, finding: Finding) -> set[str]:
    return {dataset.pictures[index].name for index in finding.pictures}


def noise(number: int, size: tuple[int, int] = (60, 60)) -> bytes:
    """A picture that nothing but chance tells from others of its kind."""
    small = np.random.default_rng(number).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return encoded(Image.fromarray(small).resize(size))


def two_classes(count: int = 20) -> dict[str, bytes]:
    return {f"{kind}/{n}.png": noise(1000 * place + n) for place, kind in enumerate(("a", "b")) for n in range(count)}


def test_a_sound_data_set_has_no_findings(tmp_path: Path):
    assert findings(bring(tmp_path, two_classes())) == {}


def test_a_picture_in_two_classes_is_serious(tmp_path: Path):
    dataset = bring(tmp_path, two_classes() | {"a/same.png": noise(7777), "b/same.png": noise(7777)})

    found = findings(dataset)["two-classes"]

    assert found.serious and names(dataset, found) == {"a/same.png", "b/same.png"} and "drop" in found.fixes


def test_exact_and_near_copies_are_told_apart(tmp_path: Path):
    brighter = encoded(ImageEnhance.Brightness(Image.open(_file(noise(1)))).enhance(0.9))
    dataset = bring(tmp_path, two_classes() | {"a/copy.png": noise(0), "a/brighter.png": brighter})

    found = findings(dataset)

    assert names(dataset, found["exact-copies"]) == {"a/0.png", "a/copy.png"}
    assert names(dataset, found["near-copies"]) == {"a/1.png", "a/brighter.png"}
    extra = others_of(dataset, found["exact-copies"].pictures)
    assert len(extra) == 1 and found["exact-copies"].sentence.startswith("1 picture is an exact copy")


def _file(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


def test_training_pictures_that_are_copies_of_test_pictures_are_serious(tmp_path: Path):
    files = {f"train/{name}": data for name, data in two_classes().items()}
    files |= {f"val/{kind}/{n}.png": noise(5000 + 100 * p + n) for p, kind in enumerate("ab") for n in range(10)}
    dataset = bring(tmp_path, files | {"train/a/leak.png": noise(5000)})

    found = findings(dataset)["across-splits"]

    assert found.serious and names(dataset, found) == {"train/a/leak.png"}
    assert found.sentence.startswith("1 picture was brought")


def test_small_and_uneven_classes_are_named(tmp_path: Path):
    dataset = bring(tmp_path, {**two_classes(40), **{f"c/{n}.png": noise(9000 + n) for n in range(4)}})

    found = findings(dataset)

    assert found["small-class"].sentence.startswith("The class c has 4 pictures")
    assert "10 times as many" in found["imbalance"].sentence


def test_many_small_classes_are_one_finding_of_all_their_pictures(tmp_path: Path):
    small = {f"c{kind}/{n}.png": noise(9000 + 10 * kind + n) for kind in range(6) for n in range(4)}
    dataset = bring(tmp_path, two_classes() | small)

    found = [one for one in find_problems(dataset, dataset.split(0)) if one.kind == "small-class"]

    assert [one.sentence for one in found] == [
        "6 classes have fewer than 10 pictures, too few to measure anything about them: c0 4, c1 4, c2 4 and 3 more."
    ]
    assert names(dataset, found[0]) == set(small) and "drop" in found[0].fixes


def test_small_classes_are_not_to_be_dropped_where_too_few_classes_would_be_left(tmp_path: Path):
    dataset = bring(tmp_path, two_classes(5))

    assert findings(dataset)["small-class"].fixes == ("keep",)


def test_blank_tiny_and_long_pictures_are_found(tmp_path: Path):
    odd = {
        "a/blank.png": encoded(Image.new("RGB", (80, 80), (250, 250, 250))),
        "a/tiny.png": encoded(Image.open(_file(noise(50))).resize((20, 20))),
        "a/long.png": noise(51, (600, 60)),
    }
    dataset = bring(tmp_path, two_classes() | odd)

    found = findings(dataset)

    for kind in ("blank", "tiny", "shape"):
        word = {"shape": "long"}.get(kind, kind)
        assert names(dataset, found[kind]) == {f"a/{word}.png"}
        assert found[kind].sentence.startswith("1 picture is ")


@pytest.mark.parametrize("what", ["width", "mean brightness"])
def test_a_class_that_can_be_told_by_one_number_is_serious(tmp_path: Path, what: str):
    files = two_classes()
    for number in range(20):
        if what == "width":
            files[f"b/{number}.png"] = noise(number + 500, (90, 60))
        else:
            image = Image.open(_file(noise(number + 500)))
            files[f"b/{number}.png"] = encoded(ImageEnhance.Brightness(image).enhance(0.3))

    found = findings(bring(tmp_path, files))["told-by"]

    assert found.serious and "can be told by" in found.sentence
    assert ("mean" in found.sentence) == (what == "mean brightness")  # shape goes with width, a channel with brightness


def test_a_number_that_says_nothing_is_at_chance():
    dice = np.random.default_rng(0)
    values, mine = dice.random(400), dice.random(400) < 0.5

    score, surely = separable(values, mine)

    assert abs(score - 0.5) < 0.1 and not surely
    assert separable(np.ones(40), np.arange(40) % 3 == 0)[0] <= 0.5 + 1e-9
    assert separable(np.arange(100.0), np.arange(100) >= 50) == (pytest.approx(1.0, abs=0.05), True)


@pytest.mark.slow
def test_the_built_in_set_is_sound(thaw_home: Path, all_drawn: Path):
    shutil.copytree(all_drawn, thaw_home / "datasets" / all_drawn.name)
    dataset = load_stored(all_drawn.name)

    assert find_problems(dataset, dataset.split(0)) == ()


def test_the_drawn_classes_of_the_tests_are_told_by_their_colour(tiny_dataset: Dataset):
    found = findings(tiny_dataset)

    assert found["told-by"].serious and "mean" in found["told-by"].sentence
    assert found["tiny"].pictures == tuple(range(len(tiny_dataset.pictures)))


def test_more_pictures_than_are_looked_at_are_sampled(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.data.health.MOST_LOOKED_AT", 10)

    assert isinstance(find_problems(replace(tiny_dataset), tiny_dataset.split(0)), tuple)


def in_parts(**parts: str) -> dict[str, bytes]:
    """Ten pictures of each class in each part: in_parts(train="ab", val="abc")."""
    return {
        f"{part}/{kind}/{n}.png": noise(10_000 * list(parts).index(part) + 100 * ord(kind) + n)
        for part, kinds in parts.items()
        for kind in kinds
        for n in range(10)
    }


def lacks(dataset: Dataset) -> list[Finding]:
    return [finding for finding in find_problems(dataset, dataset.split(0)) if finding.kind == "lacks-class"]


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"train": "ab", "val": "ab", "test": "ab"}, []),
        (
            {"train": "ab", "val": "abc"},
            [
                ("The class c has no picture in train", ("draw-all", "leave-out", "keep")),
                ("The class c has no picture in val", ("draw-all", "leave-out", "keep")),
            ],
        ),
        (
            {"train": "abc", "val": "bc"},
            [("The class a has no picture in test", ("draw-all", "leave-out", "keep"))],
        ),
        (
            {"train": "ab", "val": "a", "test": "ab"},
            [("The class b has no picture in val", ("draw-val", "draw-all", "keep"))],
        ),
        (
            {"train": "a", "test": "b"},
            [
                ("The class b has no picture in train", ("draw-all", "keep")),
                ("The class b has no picture in val", ("draw-all", "keep")),
                ("The class a has no picture in test", ("draw-all", "keep")),
            ],
        ),
    ],
    ids=["none", "train", "test", "val", "nothing in common"],
)
def test_each_part_that_lacks_a_class_is_serious_and_can_be_mended(tmp_path: Path, parts: dict, found: list):
    dataset = bring(tmp_path, in_parts(**parts))

    seen = lacks(dataset)

    assert [(f.sentence.partition(":")[0], f.fixes) for f in seen] == found
    assert all(f.serious and {dataset.pictures[i].target for i in f.pictures} for f in seen)
    fixes = {"draw-all": draw_all, "draw-val": draw_val}
    for finding in seen:
        for fix in set(fixes) & set(finding.fixes):
            assert lacks(fixes[fix](dataset)) == []
        if "leave-out" in finding.fixes:
            assert lacks(remove_classes(dataset, finding.classes)) == []


def test_a_class_with_one_picture_is_told_to_be_untested_and_drawing_anew_is_no_way_out(tmp_path: Path):
    found = lacks(bring(tmp_path, two_classes() | {"c/0.png": noise(9)}))

    assert [f.sentence.partition(":")[0] for f in found] == [
        "The class c has no picture in val",
        "The class c has no picture in test",
    ]
    assert {f.fixes for f in found} == {("leave-out", "keep")}


def test_a_class_that_lacks_pictures_since_they_are_copies_of_test_pictures_is_named(tmp_path: Path):
    files = in_parts(train="ab", test="ab")
    files |= {name.replace("test/", "train/"): data for name, data in files.items() if name.startswith("test/b")}

    assert [f.classes for f in lacks(bring(tmp_path, files))] == [("b",), ("b",)]


def test_classes_that_differ_in_case_between_parts_can_be_merged(tmp_path: Path):
    files = {f"train/{k.upper()}{k}/{n}.png": noise(100 * ord(k) + n) for k in "ab" for n in range(12)}
    files |= {f"val/{k}{k}/{n}.png": noise(100 * ord(k) + 50 + n) for k in "ab" for n in range(10)}
    dataset = bring(tmp_path, files)

    alike, *others = find_problems(dataset, dataset.split(0))

    assert alike.kind == "alike-classes" and alike.serious
    assert alike.sentence == (
        "Classes differ only in letter case, width or spaces: 'Aa' and 'aa'; 'Bb' and 'bb'. If they are one, "
        "merge them."
    )
    assert {f.fixes for f in (alike, *others) if f.kind in ("alike-classes", "lacks-class")} == {("merge", "keep")}
    merged = merge_alike(dataset)
    assert merged.class_names == ("Aa", "Bb") and find_problems(merged, merged.split(0)) == ()


def test_alike_classes_that_stand_in_every_part_are_told_and_not_serious(tmp_path: Path):
    files = {
        f"{kind}/{n}.png": noise(1000 * place + n) for place, kind in enumerate(("a", "b", "B")) for n in range(12)
    }
    dataset = bring(tmp_path, files)

    found = findings(dataset)

    assert not found["alike-classes"].serious and "lacks-class" not in found
