"""Whoever looks, heals: workers and owners that are silent, elsewhere, halted or gone, whatever the clock says."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from helpers import claim_run, python, queue_runs

import core.runs.store
from core.runs import healing, life
from core.runs.healing import CANCEL_WITHIN_S, SILENCE_S, STILL_S
from core.runs.store import RunStore
from core.settings.schema import RunSettings

Wait = Callable[..., list[str]]


def test_a_living_worker_without_a_sign_of_life_is_given_up_and_cannot_disturb(store: RunStore, pass_time: Wait):
    (id_,) = queue_runs(store)
    stopped = claim_run(store)

    assert pass_time(store, SILENCE_S) == []
    assert pass_time(store, 5) == [id_]

    run = store.get(id_)
    assert (run.state, run.crashes) == ("queued", 1) and "stopped answering" in (run.cause or "")
    fresh = claim_run(store)
    assert not store.report(stopped) and not store.report(stopped) and not store.end(stopped, "failed", cause="stale")
    assert store.get(id_) == fresh


def test_a_worker_elsewhere_is_believed_as_long_as_it_gives_signs_of_life(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
):
    (id_,) = queue_runs(store)
    elsewhere: dict[str, Any] = {"host": "elsewhere", "pid": 1, "born": 0.0}
    with monkeypatch.context() as patch:
        patch.setattr(core.runs.store, "identity", lambda: elsewhere)
        claim_run(store)

    assert store.heal() == []
    monkeypatch.setattr(healing, "SILENCE_S", -1.0)
    assert store.heal() == [id_]


def test_slow_work_goes_on_as_long_as_its_worker_beats_and_is_only_spoken_of(store: RunStore, pass_time: Wait):
    queue_runs(store)
    run = claim_run(store)
    store.report(run, progress={"fraction": 0.1})
    assert store.standstill(run) is None

    assert pass_time(store, 2 * STILL_S, every=5, meanwhile=lambda: store.report(run)) == []

    said = store.standstill(store.get(run.id))
    assert said is not None and said.startswith("no progress for 20 minutes")
    store.report(run, progress={"fraction": 0.2})
    assert store.standstill(store.get(run.id)) is None


def test_a_watcher_that_was_stopped_itself_has_seen_nothing_meanwhile(store: RunStore, pass_time: Wait):
    queue_runs(store)
    claim_run(store)

    assert pass_time(store, 36_000, every=12_000) == []


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_changes_nothing(store: RunStore, monkeypatch: pytest.MonkeyPatch, step: float):
    (id_,) = queue_runs(store)
    run, real, boot = claim_run(store), time.time, psutil.boot_time()
    monkeypatch.setattr(time, "time", lambda: real() + step)
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + step)  # as the kernel tells it then
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + step, raising=False)

    assert store.heal() == [] and store.report(run)
    assert "[]" in python("from core.runs.store import RunStore; print(RunStore().heal())")
    assert store.get(id_).attempt == 1 and store.end(run, "finished")


def test_another_container_with_our_name_is_judged_by_its_beats(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, pass_time: Wait
):
    (id_,) = queue_runs(store)
    with monkeypatch.context() as patch:
        mine = life.identity()
        patch.setattr(core.runs.store, "identity", lambda: {**mine, "space": "pid:[1]", "born": 0})
        claim_run(store)

    assert store.heal() == [] and pass_time(store, SILENCE_S + 1) == [id_]


def test_a_cancelled_run_whose_worker_goes_on_beating_ends_all_the_same(store: RunStore, pass_time: Wait):
    (id_,) = queue_runs(store)
    run = claim_run(store)
    store.cancel(id_)

    assert pass_time(store, CANCEL_WITHIN_S, meanwhile=lambda: store.report(run)) == []
    assert pass_time(store, 2, meanwhile=lambda: store.report(run)) == [id_]
    assert store.get(id_).state == "cancelled" and not store.report(run)


@pytest.fixture
def gone() -> life.Identity:
    """A process that has ended."""
    return json.loads(python("import json; from core.runs.life import identity; print(json.dumps(identity()))"))


def test_a_run_ends_with_the_process_it_belongs_to(store: RunStore, gone: life.Identity):
    (id_,) = store.submit([RunSettings()], "pictures", owner=gone)
    (ours,) = store.submit([RunSettings()], "pictures", owner=life.identity())

    assert store.heal() == [id_] and claim_run(store).id == ours
    run = store.get(id_)
    assert run.state == "cancelled" and "command that trained it was ended" in (run.cause or "") and run.ended


def test_a_worker_learns_that_the_command_it_trains_for_was_ended(store: RunStore):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as command:
        (id_,) = store.submit([RunSettings()], "pictures", owner=life.identity(command.pid))
        run = claim_run(store)
        assert store.heal() == [] and store.report(run)
    assert store.heal() == [id_]

    assert store.get(id_).state == "running" and not store.report(run)
    store.end(run, "cancelled")
    assert "command that trained it was ended" in (store.get(id_).cause or "")


def test_a_run_whose_owner_trained_it_and_was_killed_is_not_trained_by_the_next(store: RunStore):
    python(
        "from core.runs.life import identity; from core.runs.store import RunStore; from core.settings.schema import "
        "RunSettings\nRunStore().submit([RunSettings()], 'x', owner=identity()); assert RunStore().claim()"
    )

    assert store.claim() is None
    (run,) = store.runs()
    assert run.state == "cancelled" and "command that trained it was ended" in (run.cause or "")


def test_an_owner_elsewhere_is_known_by_its_beats(store: RunStore, pass_time: Wait):
    elsewhere = {**life.identity(), "host": "elsewhere", "pid": 1}
    (id_,) = store.submit([RunSettings()], "pictures", owner=elsewhere)

    assert pass_time(store, 3 * SILENCE_S, every=5, meanwhile=lambda: store.beat_owner([id_])) == []
    assert pass_time(store, SILENCE_S + 2) == [id_]
