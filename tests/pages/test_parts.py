"""No page breaks on a data set: what cannot be divided or learnt from is said, and other pictures can be chosen."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import REPOSITORY, drawn, drawn_classes, write_files

from core.data.dataset import MANIFEST, Dataset, load_stored, manifest_of
from core.data.ingest import ingest
from core.home import sealed, unsealed
from core.runs.race import submit
from core.runs.record import RECORD, load_record, run_folder, summary_of
from core.runs.store import RunStore
from core.settings.schema import RunSettings

PAGES = sorted(path.name for path in (REPOSITORY / "pages").glob("*.py") if path.stem not in ("main", "workspace"))
STARTS = {"home.py": "home.race", "train.py": "train.start"}
"""The button with which training starts, by page; Train last."""
LACK = "The class discs has no picture in train: it can never be named, and all of its 2 test pictures count as wrong."


def said(at) -> str:
    """Everything that Markdown, captions, errors and expanders say, without what only keeps it literal."""
    parts = [shown.value for shown in (*at.markdown, *at.caption, *at.error, *at.warning)]
    parts += [expander.label for expander in at.expander]
    return "\n".join(parts).replace("\\", "").replace("\u2060", "")


@pytest.fixture
def undivided(tiny_dataset: Dataset) -> Dataset:
    """A data set that an earlier version took in: every class has one picture, many times."""
    pictures = tuple(replace(picture, group=f"{picture.target}", family="") for picture in tiny_dataset.pictures)
    other = replace(tiny_dataset, id="f" * 16, title="all copies", pictures=pictures)
    shutil.copytree(tiny_dataset.folder, other.folder)
    (other.folder / MANIFEST).write_bytes(manifest_of(other))
    return load_stored(other.id)


@pytest.fixture
def one_class(tmp_path: Path) -> Dataset:
    """Discs in train alone, squares in test alone."""
    files = {f"train/discs/{n}.png": drawn("discs", n) for n in range(12)}
    files |= {f"test/squares/{n}.png": drawn("squares", n) for n in range(12)}
    return ingest(write_files(tmp_path / "one class", files)).dataset


@pytest.mark.parametrize("page", PAGES)
def test_no_page_breaks_on_what_cannot_be_divided(start, undivided: Dataset, page: str):
    at = start(page, data=undivided.id, seed="4")

    assert not at.exception
    if page in ("home.py", "data.py", "augment.py", "train.py"):
        assert "are all copies of one" in said(at)
    if page in STARTS:
        assert at.button(key=STARTS[page]).disabled


def test_from_what_cannot_be_divided_there_is_a_way_to_other_pictures(start, undivided: Dataset, tiny_dataset: Dataset):
    at = start("data.py", data=undivided.id)
    assert at.selectbox(key=f"data.edit.class.{undivided.id}"), "and it can be changed"

    at.selectbox(key="data.chosen").set_value(tiny_dataset.id).run()

    assert not at.exception and not at.error
    assert "Health" in [heading.value for heading in at.subheader]
    at.switch_page("train.py").run()
    assert not at.exception and not at.error and not at.button(key="train.start").disabled


def test_nothing_can_be_started_where_nothing_can_be_learnt(start, one_class: Dataset):
    for page, button in STARTS.items():
        at = start(page, data=one_class.id)
        assert not at.exception and "Only the class discs has pictures in train" in said(at)
        assert at.button(key=button).disabled

    at.number_input(key="train.seed").set_value(4)
    at.session_state["train.loaders"] = True
    at.run()
    assert not at.exception and at.button(key="train.start").disabled
    assert "There is nothing to load" in said(at)


def test_runs_that_are_there_stay_in_sight_while_nothing_can_be_started(
    start, one_class: Dataset, tiny_dataset: Dataset
):
    from core.data.ingest import Ingested

    store = RunStore()
    run = submit(store, [RunSettings()], Ingested(dataset=tiny_dataset, decode_s=0.0), as_race=True)[0]
    store.cancel(run)

    at = start("train.py", data=one_class.id)
    home = start("home.py", data=one_class.id)

    assert next(shown.value["state"].tolist() for shown in at.dataframe if "state" in shown.value) == ["stopped"]
    assert not home.exception and "was stopped" in home.info[0].value


def test_pages_divide_a_set_of_bursts_with_any_seed_of_the_address(start, tmp_path: Path):
    files = {
        f"{kind}/{number}-{copy}.png": drawn(kind, number) + b"\0" * copy
        for kind in ("discs", "squares")
        for number, size in enumerate([1, 1, 6])
        for copy in range(size)
    }
    dataset = ingest(write_files(tmp_path / "bursts", files)).dataset

    for seed in ("5", "28"):
        for page in ("data.py", "augment.py", "home.py"):
            at = start(page, data=dataset.id, seed=seed)
            assert not at.exception and not at.error
    at = start("train.py", data=dataset.id, seed="4")
    at.session_state["train.loaders"] = True
    at.run()
    assert not at.exception and not at.error and "batches of" in said(at)


def test_a_class_that_a_part_lacks_is_left_out_with_a_click(start, tmp_path: Path):
    files = {f"train/{name}": data for name, data in drawn_classes(12).items() if not name.startswith("stripes")}
    dataset = ingest(write_files(tmp_path / "lacking", files | drawn_classes(5, prefix="val/", first=50))).dataset
    at = start("data.py", data=dataset.id)
    assert "The class stripes has no picture in train" in said(at)
    assert at.button(key="data.health.0.leave-out").label == "Leave out stripes"

    at.button(key="data.health.0.leave-out").click().run()

    now = load_stored(at.session_state["chosen.settings"].data.dataset)
    assert not at.exception and now.class_names == ("discs", "squares")
    assert "has no picture in" not in said(at)


@pytest.mark.parametrize("mend", ["draw-val", "draw-all"])
def test_parts_that_lack_a_class_are_drawn_anew_with_a_click(start, tmp_path: Path, mend: str):
    files = drawn_classes(9, "train/") | {"val/discs/v.png": drawn("discs", 99)} | drawn_classes(4, "test/", 50)
    dataset = ingest(write_files(tmp_path / "lacking", files)).dataset
    at = start("data.py", data=dataset.id)
    assert "The classes squares and stripes have no picture in val" in said(at)

    at.button(key=f"data.health.0.{mend}").click().run()

    now = load_stored(at.session_state["chosen.settings"].data.dataset)
    assert not at.exception and "no picture in" not in said(at)
    assert {picture.given for picture in now.pictures} == ({None} if mend == "draw-all" else {"train", "test"})


def test_names_that_differ_in_case_are_merged_with_a_click(start, tmp_path: Path):
    files = {f"train/{name.capitalize()}": data for name, data in drawn_classes(9).items()}
    dataset = ingest(write_files(tmp_path / "case", files | drawn_classes(4, "val/", 50))).dataset
    at = start("data.py", data=dataset.id)
    assert "Classes differ only in letter case, width or spaces: 'Discs' and 'discs'" in said(at)

    at.button(key="data.health.0.merge").click().run()

    now = load_stored(at.session_state["chosen.settings"].data.dataset)
    assert not at.exception and now.class_names == ("Discs", "Squares", "Stripes")
    assert "no picture in" not in said(at)


def _copy_what_is_another(source: str, target: str) -> None:
    """The drawn pictures lie in both homes as one file."""
    if not (Path(target).exists() and Path(target).samefile(source)):
        shutil.copy2(source, target)


@pytest.fixture
def lacking_race(_race, thaw_home: Path) -> list[str]:
    """The race, as if discs had not been in train; the ids of its runs."""
    shutil.copytree(_race.home, thaw_home, dirs_exist_ok=True, copy_function=_copy_what_is_another)
    ids = [run.id for run in RunStore().runs()]
    for run_id in ids:
        path = run_folder(run_id) / RECORD
        values = json.loads(unsealed(path.read_bytes())[0])
        values["class_counts"]["train"][0] = 0
        path.write_bytes(sealed(json.dumps(values).encode()))
        assert LACK in summary_of(load_record(run_id))["lacks"]
    return ids


@pytest.mark.parametrize("page", ["home.py", "train.py", "compare.py", "classify.py"])
def test_the_sentence_stands_beside_the_accuracy(start, lacking_race: list[str], page: str):
    at = start(page, runs=",".join(lacking_race)) if page == "compare.py" else start(page)

    assert not at.exception and not at.error
    assert any(caption.value.replace("\\", "").endswith(LACK) for caption in at.caption)
