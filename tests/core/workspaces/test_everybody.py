"""Who trains goes round: nobody waits for all that another has queued."""

import os
import random
import time
from collections.abc import Callable

import pytest
from helpers import queue_runs

from core.home import home_folder, thaw_home, within, workspace
from core.runs.everybody import Everybody, sweep
from core.runs.store import RunStore
from core.visitors.registry import Registry
from core.workspaces.workspace import Workspace, new_workspace


def queue_in(owner: Workspace, count: int) -> list[str]:
    with within(owner.id):
        return queue_runs(RunStore(), count)


def train_next(stores: Everybody) -> str:
    """Let the next run end well; its id."""
    run = stores.claim()
    assert run is not None
    with stores.at_home(run) as own:
        own.end(run, "finished")
    return run.id


def test_one_run_beside_fifty_waits_for_at_most_one(a: Workspace, b: Workspace):
    stores, _ = Everybody(), queue_in(a, 50)
    at_work = stores.claim()
    assert at_work is not None
    (one,) = queue_in(b, 1)

    with stores.at_home(at_work) as own:
        own.end(at_work, "finished")
    assert train_next(stores) == one


@pytest.mark.parametrize("seed", range(2))
def test_whoever_queues_when_waits_for_one_run_of_each_other_at_most(seed: int):
    dice, owners = random.Random(seed), [new_workspace()[0] for _ in range(4)]
    stores, whose, waited, looked = Everybody(), dict[str, int](), dict[int, list[int]](), 0
    for _ in range(40):
        who = dice.randrange(4)
        if dice.random() < 0.4:
            whose |= dict.fromkeys(queue_in(owners[who], dice.randint(1, 5)), who)
            waited.setdefault(who, [])
        elif run := stores.claim():
            with stores.at_home(run) as own:
                own.end(run, "finished")
            served = whose.pop(run.id)
            for other, others in waited.items():
                if other != served and other in whose.values():
                    others.append(served)
                    looked += 1
                    assert max(map(others.count, others)) <= 1, "nobody is served twice while another waits"
            waited[served] = []

    assert looked > 5, "there was something to wait for"


def test_a_run_is_trained_in_its_owner_s_home_and_its_time_is_counted(a: Workspace, b: Workspace):
    (run_id,), stores = queue_in(a, 1), Everybody()
    run = stores.claim()
    assert run is not None and run.id == run_id

    with stores.at_home(run) as own:
        assert workspace() == a.id and thaw_home().name == a.id
        assert own.get(run_id) == run
        time.sleep(0.05)
        own.end(run, "finished")

    assert workspace() == ""
    assert a.place.trained_s >= 0.05 and b.place.trained_s == 0


def test_whose_minutes_are_used_up_waits_and_others_do_not(a: Workspace, b: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_FAIR_USE", '{"minutes": 1}')
    (mine,), (other,), stores = queue_in(a, 1), queue_in(b, 1), Everybody()
    Registry().add_training(a.id, 60)

    assert train_next(stores) == other and stores.claim() is None
    assert a.runs.get(mine).state == "queued"


def test_a_run_is_ended_when_the_minutes_are_used_up(a: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_FAIR_USE", '{"minutes": 1}')
    monkeypatch.setattr("core.runs.everybody.LOOK_S", 0.01)
    (run_id,), stores = queue_in(a, 1), Everybody()
    Registry().add_training(a.id, 59.9)
    run = stores.claim()
    assert run is not None

    with stores.at_home(run) as own:
        end = time.monotonic() + 30
        while own.report(run) and time.monotonic() < end:
            time.sleep(0.01)
        own.end(run, "cancelled")

    ended = a.runs.get(run_id)
    assert ended.state == "cancelled" and "minutes" in (ended.cause or "")


def test_one_damaged_workspace_stops_no_other(a: Workspace, b: Workspace, damage: Callable[[Workspace], object]):
    queue_in(a, 1)
    (other,) = queue_in(b, 1)
    damage(a)

    assert train_next(Everybody()) == other


def test_who_looks_after_a_worker_reaches_everybody_s_runs_but_those_of_a_damaged_workspace(
    a: Workspace, b: Workspace, damage: Callable[[Workspace], object]
):
    broken = new_workspace()[0]
    (mine,), (other,), _ = queue_in(a, 1), queue_in(b, 1), queue_in(broken, 1)
    stores, pid = Everybody(), os.getpid()
    damage(broken)
    run = stores.claim()
    assert run is not None and run.id == mine

    assert {run.id for run in stores.runs(["queued", "running"])} == {mine, other}
    stores.tell_waiting("torch")
    waiting = b.runs.get(other).progress
    assert waiting is not None and waiting.phase == "torch"
    stores.ask_to_stop(pid)
    assert a.runs.get(mine).stopping
    stores.give_up(pid)
    assert a.runs.get(mine).state == "queued" and stores.heal() == []


def test_what_is_left_behind_is_swept_in_every_home(a: Workspace, b: Workspace):
    left = []
    for owner in (a, b):
        (run_id,) = queue_in(owner, 1)
        with within(owner.id):
            owner.runs.cancel(run_id)
            left += [home_folder("runs", run_id), home_folder("checkpoints") / "gone.safetensors"]
            left[-1].touch()

    sweep(Everybody())

    assert [path for path in left if path.exists()] == []


def test_after_a_restart_whatever_waits_is_found(a: Workspace):
    (run_id,) = queue_in(a, 1)
    registry = Registry()
    for own, _, asked in registry.waiting():
        registry.rest(own, asked)
    assert registry.waiting() == []

    assert train_next(Everybody()) == run_id


def test_what_nobody_waits_for_is_not_looked_at_again_and_again(a: Workspace, b: Workspace):
    (one,), stores = queue_in(a, 1), Everybody()
    assert train_next(stores) == one and stores.claim() is None

    assert Registry().waiting() == []
    (two,) = queue_in(b, 1)
    assert [own for own, *_ in Registry().waiting()] == [b.id] and train_next(stores) == two
