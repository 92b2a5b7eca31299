"""Under every picture stands what was said about that picture, whichever part of the data a run was tested on."""

import re
import shutil

import pytest
import streamlit as st
from helpers import KINDS, REPOSITORY, drawn, drawn_classes, write_files

from core.data.ingest import ingest
from core.settings.schema import DataSettings, RunSettings

SEEDS = (0, 1, 2)


@pytest.fixture
def shown(monkeypatch):
    """Every picture that a page draws with the answers of runs."""
    items = []
    monkeypatch.syspath_prepend(str(REPOSITORY / "pages"))  # as it is while a page runs
    from components import predictions

    drawn = predictions.gallery
    monkeypatch.setattr(predictions, "gallery", lambda found, *rest: (items.extend(found), drawn(found, *rest)))
    return items


def sureness(item) -> list[int]:
    """Per cent, of each answer."""
    return [int(found[1]) for line in item.captions if (found := re.search(r"(\d+)\.0 %$", line))]


def check(items, dataset, index_when_trained=lambda index: index):
    """Each picture has its own class and its own answers: a run is 40 + index per cent sure about it."""
    from components.resources import thumbnail

    index_of = {thumbnail("", dataset.id, index): index for index in range(len(dataset.pictures))}
    assert items
    for item in items:
        index = index_of[item.image]
        assert item.title == f"true: {dataset.class_names[dataset.pictures[index].target]}"
        assert set(sureness(item)) == {40 + index_when_trained(index)}


def race(finish, dataset, **values):
    return [finish(dataset, scenario, seed, race="r", **values) for seed in SEEDS for scenario in ("frozen", "scratch")]


def test_a_race_over_seeds_shows_each_picture_with_the_answers_about_it(shown, start, finish, tiny_dataset):
    old = RunSettings(data=DataSettings(split_rule=1))  # a race of an earlier version
    runs = race(finish, tiny_dataset, wrong=range(0, 30, 4), settings=old)
    tests = {tiny_dataset.split(seed, old.data).test for seed in SEEDS}
    assert len(tests) == len(SEEDS), "the seeds were to be tested on different pictures"

    at = start("home.py", data=tiny_dataset.id, race=runs[0].race)

    assert not at.exception and len(shown) == len({item.image for item in shown}) == 6
    check(shown, tiny_dataset)
    assert {item.captions[-1] for item in shown} == {f"seed {seed}" for seed in SEEDS}
    assert any("every picture has the answers of the seed named below it" in caption.value for caption in at.caption)


def test_where_all_seeds_share_the_test_part_one_seed_answers_and_is_named(shown, start, finish, tmp_path):
    files = drawn_classes(8, "train/") | drawn_classes(4, "test/", first=20)
    dataset = ingest(write_files(tmp_path / "given", files)).dataset
    race(finish, dataset)

    at = start("home.py", data=dataset.id, race="r")

    assert not at.exception
    check(shown, dataset)
    assert all(len(item.captions) == 2 for item in shown), "an answer of each way of training"
    assert any("these are the answers of seed 0" in caption.value for caption in at.caption)


def test_copies_in_the_test_part_are_told_apart_by_class_and_number(shown, start, finish, tmp_path):
    same = drawn("discs", 300)
    copies = {f"test/{kind}/copy {number}.png": same for kind in KINDS for number in range(2)}
    files = drawn_classes(8, "train/") | drawn_classes(1, "test/", first=20) | copies
    dataset = ingest(write_files(tmp_path / "copies", files)).dataset
    runs = [finish(dataset, scenario, wrong=range(0, len(dataset.pictures), 2)) for scenario in ("frozen", "scratch")]

    for cell in ("both", "neither"):
        assert not start("compare.py", runs=",".join(run.id for run in runs), cell=cell).exception

    tested = {i: picture for i, picture in enumerate(dataset.pictures) if picture.given == "test"}
    expected = {(picture.name.split("test/")[1], *[40 + index] * 2) for index, picture in tested.items()}
    assert {
        (f"{item.title.removeprefix('true: ')}/{item.captions[-1]}", *sureness(item)) for item in shown
    } == expected and len(expected) == 9


@pytest.mark.parametrize("page", ["train.py", "compare.py", "home.py"])
def test_a_data_set_that_came_back_in_another_order_shows_the_right_pictures(shown, start, finish, tmp_path, page):
    """It has the same id, since names do not matter, and every picture stands elsewhere."""
    files = drawn_classes(10)
    dataset = ingest(write_files(tmp_path / "first", files)).dataset
    runs = [finish(dataset, scenario, race="r") for scenario in ("frozen", "scratch")]
    start("data.py", data=dataset.id)  # the server has looked at it
    shutil.rmtree(dataset.folder)
    renamed = {f"{name.split('/')[0]}/{99 - number:03}.png": data for number, (name, data) in enumerate(files.items())}
    again = ingest(write_files(tmp_path / "second", renamed)).dataset
    assert again.id == dataset.id
    assert [p.content for p in again.pictures] != [p.content for p in dataset.pictures]

    st.cache_resource.clear()
    at = start(page, data=again.id, race="r", run=runs[0].id, runs=",".join(run.id for run in runs), cell="both")

    at.session_state["train.evidence.image_search"] = True
    at.run()
    assert not at.exception
    before = {picture.content: index for index, picture in enumerate(dataset.pictures)}
    check(shown, again, lambda index: before[again.pictures[index].content])
