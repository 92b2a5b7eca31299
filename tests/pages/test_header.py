"""The header of every page: what is at work and its one Stop, what began and ended, links, and what is gone."""

import re
from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest
import streamlit as st
from helpers import REPOSITORY

from core.data.ingest import ingest
from core.runs.race import plan_race, submit
from core.runs.store import Run, RunStore
from core.settings.schema import AugmentSettings, RunSettings
from core.training.history import Progress
from core.training.plan import Estimate
from pages.components import queue, sharing
from pages.components.address import ROWS
from pages.components.addressed import known_names
from pages.components.kept import NAMES

PAGES = sorted(path.name for path in (REPOSITORY / "pages").glob("*.py") if path.stem not in ("main", "workspace"))
IDS = ("run", "race", "runs", "a", "b", "second", "of", "beside", "data")


def race_of(dataset_id: str, scenarios: Sequence[str] = ("frozen", "scratch")) -> list[str]:
    return submit(RunStore(), plan_race(RunSettings(), scenarios, [0]), ingest(dataset_id), as_race=True)


def said(at) -> str:
    """Everything in Markdown, captions and errors, without what keeps it literal."""
    parts = [shown.value for shown in (*at.markdown, *at.caption, *at.error)]
    return "\n".join(parts).replace("\\", "").replace("\u2060", "")


def stops(at) -> list[str]:
    return [button.key for button in at.button if button.label == "Stop"]


def warned(at) -> str:
    return "\n".join(warning.value for warning in at.warning).replace("\\", "")


def toasts(at) -> list[str]:
    return [toast.value.replace("\\", "") for toast in at.toast]


@pytest.mark.parametrize("page", ["home.py", "train.py", "much.py", "learn.py", "glossary.py"])
def test_pages_with_live_views_and_without_say_what_is_at_work_and_have_one_stop(start, tiny_dataset, page: str):
    store, ids = RunStore(), race_of(tiny_dataset.id)
    run = store.claim(ids[:1])
    store.report(run, progress=asdict(Progress(phase="train", epoch=1, epochs=2, fraction=0.62)))

    at = start(page, data=tiny_dataset.id)

    assert not at.exception and stops(at) == ["header.stop"]
    assert re.search(r"\*\*Frozen, seed 0\*\* · 62 % · ([^·]+ left, )?1 waiting$", said(at), re.MULTILINE)
    views = [link for link in at.get("page_link") if link.proto.label == "View"]
    assert len(views) == (page != "home.py") and not any("/train" in link.proto.page for link in views)


def test_stop_ends_the_whole_race_and_no_other_run(start, tiny_dataset):
    ids, other = race_of(tiny_dataset.id), race_of(tiny_dataset.id)
    RunStore().claim(ids[:1])
    at = start("glossary.py", data=tiny_dataset.id)

    at.button(key="header.stop").click().run()

    store = RunStore()
    assert not at.exception and store.get(ids[0]).cancel and store.get(ids[1]).state == "cancelled"
    assert {store.get(run_id).state for run_id in other} == {"queued"}
    assert at.button(key="header.stop").disabled and "· stopping" in said(at)


def test_the_time_left_is_the_running_run_s_own_and_that_of_all_that_wait(monkeypatch):
    def a_run(number: int, state: str, progress: Progress | None = None) -> Run:
        settings = replace(RunSettings(), seed=number)
        base = {"race": None, "attempt": 1, "crashes": 0, "dataset_title": "", "decode_s": 0.0, "created": 0.0}
        base |= {"started": None, "ended": None, "summary": None}
        return Run(number=number, id=f"{number}", state=state, settings=settings, progress=progress, **base)

    expected: list[float | None] = [100.0]
    monkeypatch.setattr(queue, "_expected_s", lambda home, settings: expected[0])
    fast = Progress(phase="train", fraction=0.75, worked_s=30.0)
    waiting = [a_run(3, "queued"), a_run(2, "queued")]

    work = queue.ahead([*waiting, a_run(1, "running", fast)])
    assert [run.number for run in work.runs] == [1, 2, 3] and work.seconds == pytest.approx(10 + 2 * 100)
    assert queue.ahead([*waiting, a_run(1, "running", replace(fast, fraction=0.01))]).seconds == 70 + 2 * 100
    expected[0] = None  # this machine was not timed yet
    assert queue.ahead(waiting).seconds is None


def test_start_and_end_are_told_once_on_whatever_page(start, tiny_dataset, complete, monkeypatch):
    earlier = race_of(tiny_dataset.id)
    at = start("glossary.py", data=tiny_dataset.id)
    monkeypatch.setattr("components.queue.estimate_run", lambda *of: Estimate(seconds=200.0, measured=True))
    st.cache_data.clear()
    assert toasts(at) == [], "what was there before the session is no news"

    (alone,) = race_of(tiny_dataset.id, ["finetuned"])
    assert toasts(at.run()) == ["**Fine-tuned, seed 0** starts in about 7 min."]
    assert toasts(at.run()) == []
    complete(earlier[0])
    assert toasts(at.run()) == [], "the race goes on"
    complete(earlier[1])
    assert toasts(at.switch_page("compare.py").run()) == ["The race of 2 runs has finished."]
    complete(alone)
    (told,) = toasts(at.run())
    assert told.startswith("**Fine-tuned, seed 0**: test accuracy ")
    assert toasts(at.run()) == []


def test_a_run_that_fails_or_is_stopped_is_told_too(start, tiny_dataset):
    store = RunStore()
    (failing,), (stopped,) = race_of(tiny_dataset.id, ["frozen"]), race_of(tiny_dataset.id, ["scratch"])
    at = start("glossary.py", data=tiny_dataset.id)

    store.end(store.claim([failing]), "failed", cause="The loss became nan.")
    store.cancel(stopped)

    assert toasts(at.run()) == [
        "**Frozen, seed 0** failed.",
        "**From scratch, seed 0** was stopped. It can be started again.",
    ]


@pytest.mark.parametrize("page", PAGES)
def test_nonsense_in_an_address_is_told_on_every_page(start, tiny_dataset, finish, page: str):
    for scenario in ("frozen", "scratch"):
        finish(tiny_dataset, scenario, race="here")
    names = {row.name for row in (*ROWS, *NAMES.values())} | {*IDS}
    unknown = {"preset": "foo", "class": "bees", "__theme": "dark"}

    at = start(page, **{name: f"Nonsense {name}" for name in names}, **unknown)

    assert not at.exception
    for name in IDS:
        assert f"**Nonsense {name}** of this address is not here any more, or never was" in warned(at)
    refused = "\n".join(error.value for error in at.error).replace("\\", "")
    for row in (*ROWS, *NAMES.values()):
        if row.name not in IDS:
            assert f"asks for {row.name}=Nonsense {row.name}." in refused
    assert "Nothing here is called **preset**" in warned(at) and "**class**" in warned(at), "no names of ours"
    assert not any(name in at.query_params for name in ("run", "race", "data", "second", "preset", "class"))
    assert "theme" not in warned(at)
    at.run()
    assert not at.exception and not at.warning, "said once; the address is true now"


def test_every_name_that_a_page_reads_from_the_address_is_known_as_one():
    read = re.compile(r"""query_params(?:\.get\(|\.pop\(|\[)"([^"]+)""")
    names = {name for path in (REPOSITORY / "pages").rglob("*.py") for name in read.findall(path.read_text())}

    assert {"run", "race"} <= names and {name for name in names if "." not in name} <= known_names()


def test_a_picture_and_strategies_that_are_none_are_told_where_they_are_used(start, tiny_dataset):
    home = start("home.py", data=tiny_dataset.id, strategies="frozen,magic", seeds="4")
    augment = start("augment.py", data=tiny_dataset.id, picture="9999")

    assert "strategies=frozen,magic. It must be names with commas, of frozen," in said(home) and "seeds=4." in said(
        home
    )
    assert home.segmented_control(key="home.seeds").value == 3
    assert "picture=9999." in said(augment) and augment.number_input(key="augment.picture").value == 1


def test_what_was_deleted_in_another_window_is_told_by_its_name(start, tiny_dataset, finish):
    runs = [finish(tiny_dataset, race="them", seed=seed) for seed in range(3)]
    alone = finish(tiny_dataset, "scratch")
    train = start("train.py", data=tiny_dataset.id, run=alone.id)
    compare = start("compare.py", data=tiny_dataset.id, runs=",".join(run.id for run in runs))
    assert not train.warning and not compare.warning

    for run in (alone, runs[1]):
        RunStore().delete(run.id)

    assert "From scratch" in warned(train.run()) and "is gone: it was deleted" in warned(train)
    assert "2 seeds" in said(train), "another experiment is shown, with the seeds that are left"
    assert not compare.run().exception and "2 seeds" in said(compare)


def test_a_link_carries_what_was_chosen_on_other_pages_and_a_room_can_open_it(start, tiny_dataset, monkeypatch):
    at = start("home.py", data=tiny_dataset.id, projector="on")
    at.context["url"] = "http://localhost:8501"
    at.segmented_control(key="home.seeds").set_value(3)
    at.pills(key="home.scenarios").set_value(["frozen", "scratch"]).run()
    at.switch_page("augment.py").run()
    at.slider(key="augment.RandomResizedCrop.scale").set_value(0.55).run()
    monkeypatch.setattr("components.sharing.address_in_the_room", lambda: "192.168.1.7")
    at.session_state["header.share"] = True
    at.run()

    link = at.code[0].value
    assert link.startswith("http://192.168.1.7:8501/") and "projector" not in link
    from urllib.parse import parse_qsl, urlsplit

    other = start("augment.py", **dict(parse_qsl(urlsplit(link).query)))
    assert not other.exception and not other.error and not other.warning
    assert other.session_state["chosen.settings"] == at.session_state["chosen.settings"]
    assert isinstance(other.session_state["chosen.settings"].augment, AugmentSettings)
    other.switch_page("home.py").run()
    assert other.segmented_control(key="home.seeds").value == 3
    assert other.pills(key="home.scenarios").value == ["frozen", "scratch"]


@pytest.mark.parametrize(
    ("here", "listens", "room", "others"),
    [
        ("https://someone-thaw.hf.space/augment", False, "10.0.0.2", "https://someone-thaw.hf.space/augment"),
        ("http://localhost:8501/train", True, "10.0.0.2", "http://10.0.0.2:8501/train"),
        ("http://127.0.0.1", True, "10.0.0.2", "http://10.0.0.2"),
        ("http://localhost:8501", True, None, None),
        ("http://localhost:8501", False, "10.0.0.2", None),
    ],
)
def test_others_are_sent_to_an_address_that_they_reach(monkeypatch, here, listens, room, others):
    monkeypatch.setattr(sharing, "listens_to_others", lambda: listens)
    monkeypatch.setattr(sharing, "address_in_the_room", lambda: room)

    assert sharing.for_others(here) == others


def test_the_words_of_a_page_stand_beside_it_and_can_be_searched(start, tiny_dataset):
    at = start("compare.py", data=tiny_dataset.id)
    at.session_state["header.glossary"] = True
    at.run()
    assert "**Confidence interval**" in said(at) and "**Backbone**" not in said(at)

    at.text_input(key="header.glossary.query").set_value("backbone").run()

    assert not at.exception and "**Backbone**" in said(at)


def test_a_projector_makes_text_and_charts_larger_on_every_page(start, tiny_dataset, finish):
    for scenario in ("frozen", "scratch"):
        finish(tiny_dataset, scenario, race="here")
    at = start("home.py", data=tiny_dataset.id)
    at.session_state["home.curves"] = True
    at.run()
    small = {chart.proto.spec.count('"size":14') > 0 for chart in at.get("plotly_chart")}
    at.toggle(key="header.projector").set_value(True).run()
    assert at.query_params["projector"] in ("on", ["on"])

    at.session_state["home.curves"] = True
    at.run()

    assert small == {True} and at.toggle(key="header.projector").value
    charts = [chart.proto.spec for chart in at.get("plotly_chart")]
    assert charts and all('"size":18' in spec and '"size":14' not in spec for spec in charts)
    at.switch_page("compare.py").run()
    assert not at.exception and at.toggle(key="header.projector").value


def test_a_session_that_begins_in_the_middle_of_a_race_tells_of_the_whole_race(start, tiny_dataset, complete):
    first, second = race_of(tiny_dataset.id)
    complete(first)
    at = start("glossary.py", data=tiny_dataset.id)

    complete(second)

    assert toasts(at.run()) == ["The race of 2 runs has finished."]


def test_several_at_once_are_counted_by_machine_and_their_time_is_not_added_up(start, tiny_dataset, monkeypatch):
    store, ids = RunStore(), race_of(tiny_dataset.id, ["frozen", "scratch", "finetuned", "last-stages"])
    for number, host in enumerate(("lab-1", "lab-2", "lab-1")):
        run = store.claim([ids[number]], lambda settings: True)
        progress = Progress(phase="train", epoch=1, epochs=2, fraction=0.5, worked_s=1800.0)
        store.report(run, progress=asdict(progress), worker={"host": host})
    monkeypatch.setattr("components.queue._expected_s", lambda home, settings: 600.0)

    at = start("data.py", data=tiny_dataset.id)

    assert "**3 runs train**: 2 on lab-1, 1 on lab-2 · " in said(at) and ", 1 waiting" in said(at)
    assert "40 min left" in said(at), "three half hours at once, and one that waits for the first of them"
    store.end(run, "finished")
    assert "**2 runs train**: 1 on lab-1, 1 on lab-2 · " in said(at.run())
