"""A page that waits for runs always ends: however they end, and be it between two lines of the page."""

import time
from collections.abc import Callable

import pytest

from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.runs import execute
from core.runs.healing import MAX_CRASHES
from core.runs.race import plan_race, submit
from core.runs.store import ACTIVE, RunStore
from core.settings.schema import RunSettings
from core.training.history import Progress
from pages.components.queue import ahead


def race_of(dataset_id: str) -> list[str]:
    return submit(RunStore(), plan_race(RunSettings(), ["frozen", "finetuned"], [0]), ingest(dataset_id), as_race=True)


def cancelled(run_id: str, complete) -> None:
    RunStore().cancel(run_id)


def failed(run_id: str, complete) -> None:
    store = RunStore()
    store.end(store.claim([run_id]), "failed", cause="The loss became nan.")


def finished(run_id: str, complete) -> None:
    complete(run_id)


def deleted(run_id: str, complete) -> None:
    cancelled(run_id, complete)
    RunStore().delete(run_id)


def died(run_id: str, complete) -> None:
    """Its worker is gone, and was gone as often as is put up with."""
    store = RunStore()
    for _ in range(MAX_CRASHES):
        crashed(store, run_id)
        assert run_id in store.heal()
    crashed(store, run_id)


def crashed(store: RunStore, run_id: str) -> None:
    run = store.claim([run_id])
    store.report(run, worker={**run.worker, "born": 1.0})  # another process has its number now


def end_between(monkeypatch, method: str, when: Callable[[dict], bool], end: Callable[[], None]) -> list[bool]:
    """End the runs right after a page has read them as active: it works with what is not true any more."""
    done: list[bool] = []
    read = getattr(RunStore, method)

    def reading(store, *args, **values):
        found = read(store, *args, **values)
        if not done and when(values):
            done.append(True)
            end()
        return found

    monkeypatch.setattr(RunStore, method, reading)
    return done


# of what a page finds instead (an answer, none, or no run at all) each page meets every kind, and some page every way
@pytest.mark.parametrize("way", [failed, finished, deleted, died])
def test_home_does_not_wait_for_a_race_that_ended_while_it_was_drawn(start, tiny_dataset, complete, monkeypatch, way):
    ids = race_of(tiny_dataset.id)
    done = end_between(
        monkeypatch, "runs", lambda values: bool(values.get("race")), lambda: [way(run, complete) for run in ids]
    )

    at = start("home.py", data=tiny_dataset.id)

    assert done and not at.exception
    assert not at.get("progress") and "header.stop" not in [button.key for button in at.button]


@pytest.mark.parametrize("way", [cancelled, finished, deleted])
def test_train_does_not_wait_for_a_run_that_ended_while_it_was_drawn(start, tiny_dataset, complete, monkeypatch, way):
    run_id, mate = race_of(tiny_dataset.id)
    RunStore().cancel(mate)
    every = {"states": None}
    done = end_between(monkeypatch, "runs", lambda values: values == every, lambda: way(run_id, complete))

    at = start("train.py", data=tiny_dataset.id, run=run_id)

    assert done and not at.exception
    assert RunStore().runs(states=ACTIVE) == []
    assert not at.get("progress")


def test_a_race_is_watched_on_where_one_of_its_runs_was_deleted(start, tiny_dataset):
    ids = race_of(tiny_dataset.id)
    RunStore().cancel(ids[0])
    at = start("home.py", data=tiny_dataset.id)
    RunStore().delete(ids[0])

    at.run()

    assert not at.exception and at.get("progress")[0].proto.text.startswith("**Fine-tuned, seed 0**")


def test_an_address_with_a_race_that_is_gone_shows_what_is_there(start, tiny_dataset, finish):
    finish(tiny_dataset, race="here")

    at = start("home.py", data=tiny_dataset.id, race="gone")

    assert not at.exception and "Frozen" in at.header[0].value


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, 1e9])
def test_the_time_left_does_not_follow_a_clock_that_is_set(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, step_s: float
):
    store, (run_id, *_) = RunStore(), race_of(tiny_dataset.id)
    run = store.claim([run_id])
    reporter = execute._Reporter(store, run, lambda: False, lambda: None)
    reporter._start -= 90.0
    reporter.progress(Progress(phase="train", done=1, total=2, fraction=0.75))

    run, now = store.get(run_id), time.time()
    monkeypatch.setattr("time.time", lambda: now + step_s)

    assert ahead([run]).seconds == pytest.approx(30.0, abs=1.0)
