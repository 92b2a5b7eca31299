"""The seam between the queue and what trains, with an engine that does what it is told."""

import socket
from collections.abc import Callable

import pytest
from helpers import claim_run, queue_runs

from core.errors import SettingsError
from core.machine import cluster
from core.machine.cluster import Node
from core.runs import engine, life
from core.runs.engine import Dispatcher, Ended
from core.runs.healing import DRIVER_GONE, MAX_CRASHES, has_begun
from core.runs.on_ray import OnRay
from core.runs.store import Run, RunStore
from core.settings.schema import OptimSettings, RunSettings


class Fake:
    """An engine with so many places, in which nothing happens by itself."""

    alone = False

    def __init__(self, places: int) -> None:
        self.places = places
        self.at_work: dict[str, Run] = {}
        self.ended: list[Ended] = []
        self.ended_by_us: list[str] = []
        self.closed = False

    def capacity(self, settings: RunSettings) -> int:
        return self.places - len(self.at_work)

    def submit(self, run: Run, own: RunStore) -> None:
        self.at_work[run.id] = run

    def cancel(self, run: Run) -> None:
        self.ended_by_us.append(run.id)
        self.lose(run.id, None)

    def poll(self) -> list[Ended]:
        told, self.ended = self.ended, []
        return told

    def close(self) -> None:
        self.closed = True

    def lose(self, run_id: str, loss: str | None) -> None:
        run = self.at_work.pop(run_id, None)
        if run:
            self.ended.append(Ended(run=run, loss=loss))


@pytest.fixture
def fake() -> Fake:
    return Fake(2)


@pytest.fixture
def dispatcher(store: RunStore, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Dispatcher:
    """One that looks after its runs at every step."""
    monkeypatch.setattr(engine, "BEAT_S", 0.0)
    return Dispatcher(store, fake)


def states(store: RunStore, ids: list[str]) -> list[str]:
    return [store.get(id_).state for id_ in ids]


def test_as_many_runs_are_handed_out_as_there_is_room_for_in_their_order(store, fake: Fake, dispatcher: Dispatcher):
    ids = queue_runs(store, 4)

    assert dispatcher.step() and dispatcher.is_busy
    assert states(store, ids) == ["running", "running", "queued", "queued"]
    assert not dispatcher.step()

    store.end(fake.at_work[ids[1]], "finished")
    fake.lose(ids[1], None)
    assert dispatcher.step()
    assert states(store, ids) == ["running", "finished", "running", "queued"]


def test_only_the_wanted_runs_are_handed_out(store: RunStore, fake: Fake, dispatcher: Dispatcher):
    ids = queue_runs(store, 3)

    dispatcher.step(only=[ids[2]])

    assert states(store, ids) == ["queued", "queued", "running"]


def test_a_run_that_has_not_begun_is_kept_alive_and_one_that_has_gives_its_own_signs(
    store: RunStore, fake: Fake, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
):
    waits, begun = queue_runs(store, 2)
    dispatcher.step()
    mine = life.identity()
    monkeypatch.setattr("core.runs.store.identity", lambda: {**mine, "host": "elsewhere"})
    assert store.take_over(store.get(begun))
    before = {id_: store.get(id_).beats for id_ in (waits, begun)}
    dispatcher.step()

    assert store.get(waits).beats == before[waits] + 1
    assert store.get(begun).beats == before[begun]


def test_a_run_whose_task_is_lost_goes_back_to_the_queue_and_ends_after_that_happened_too_often(
    store: RunStore, fake: Fake, dispatcher: Dispatcher
):
    (id_,) = queue_runs(store)
    for crashes in range(1, MAX_CRASHES + 1):
        dispatcher.step()
        fake.lose(id_, "The cluster is on fire")
        dispatcher.step()
        run = store.get(id_)
        assert (run.crashes, run.attempt) == (crashes, crashes + 1), "lost, and handed out again"
    fake.lose(id_, None)
    dispatcher.step()

    run = store.get(id_)
    assert run.state == "failed" and "3 times without" in (run.cause or "")
    assert not dispatcher.is_busy


def test_what_a_task_wrote_down_stays_whatever_the_engine_says_of_it(
    store: RunStore, fake: Fake, dispatcher: Dispatcher
):
    (id_,) = queue_runs(store)
    dispatcher.step()
    store.end(fake.at_work[id_], "finished")
    fake.lose(id_, "The node died")
    dispatcher.step()

    assert store.get(id_).state == "finished" and not dispatcher.is_busy


def test_a_run_that_was_taken_away_is_ended_where_it_is_and_its_successor_is_not(
    store: RunStore, fake: Fake, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine, "LEAVES_WITHIN_S", -1.0)
    (id_,) = queue_runs(store)
    dispatcher.step()
    stale = fake.at_work[id_]
    fake.places = 1
    store.give_back(stale)
    dispatcher.step()
    assert fake.ended_by_us == [id_]

    dispatcher.step()
    fresh = fake.at_work[id_]
    assert fresh.attempt == stale.attempt + 1 and not store.take_over(stale)
    assert store.take_over(store.get(id_)) and store.get(id_).state == "running"


def test_stop_ends_a_run_that_has_not_begun(store: RunStore, fake: Fake, dispatcher: Dispatcher):
    (id_,) = queue_runs(store)
    dispatcher.step()
    store.cancel(id_)
    dispatcher.step()

    assert store.get(id_).state == "cancelled" and fake.ended_by_us == [id_]


def test_a_dispatcher_that_goes_gives_everything_back_and_nothing_counts_as_a_crash(
    store: RunStore, fake: Fake, dispatcher: Dispatcher
):
    begun, waits, stopped = queue_runs(store, 3)
    fake.places = 3
    dispatcher.step()
    store.take_over(store.get(begun))
    store.cancel(stopped)
    dispatcher.close()

    assert states(store, [begun, waits, stopped]) == ["queued", "queued", "cancelled"]
    assert [store.get(id_).crashes for id_ in (begun, waits)] == [0, 0]
    assert fake.closed and not dispatcher.is_busy


@pytest.mark.parametrize("begun", [False, True], ids=["waits", "trains"])
def test_a_run_of_a_driver_that_is_gone_is_taken_up_again_and_that_is_no_crash_of_its(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, begun: bool
):
    (id_,), mine = queue_runs(store), life.identity()
    with monkeypatch.context() as patch:
        patch.setattr("core.runs.store.identity", lambda: {**mine, "born": mine["born"] - 1000})
        store.hand_over(claim_run(store))
    assert not has_begun(store.get(id_))
    if begun:
        assert store.take_over(store.get(id_)) and has_begun(store.get(id_))
    store.heal()

    run = store.get(id_)
    assert (run.state, run.crashes) == ("queued", 0) and DRIVER_GONE in (run.cause or "")


def test_whoever_stops_a_driver_asks_for_all_that_it_handed_out(store: RunStore, fake: Fake, dispatcher: Dispatcher):
    ids = queue_runs(store, 2)
    dispatcher.step()
    store.take_over(store.get(ids[0]))
    pid = life.identity()["pid"]

    store.ask_to_stop(pid)
    assert [store.get(id_).stopping for id_ in ids] == [True, True]
    store.give_up(pid)
    assert states(store, ids) == ["queued", "queued"]


def test_local_trains_one_at_a_time_and_waits_for_others(store: RunStore, monkeypatch: pytest.MonkeyPatch):
    trained: list[str] = []
    executes: Callable[..., None] = lambda own, run, *rest, **options: trained.append(run.id)  # noqa: E731
    monkeypatch.setattr(engine, "_training", lambda: executes)
    first, _ = queue_runs(store, 2)

    assert engine.run_next(store, lambda: False)
    assert not engine.run_next(store, lambda: False), "the first is still at work, as far as anybody knows"
    assert trained == [first]


@pytest.mark.parametrize(
    "variables", [{"THAW_ENGINE": "rai"}, {"THAW_ENGINE": "ray", "THAW_RAY_CORES": "0"}], ids=["engine", "cores"]
)
def test_what_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=list(variables)[-1]):
        cluster.cores_of_a_run()


@pytest.fixture
def cluster_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., OnRay]:
    """A connection to a cluster that only says what it has: (cores, cards) of its machines."""

    def connected(*machines: tuple[int, int], cores: int = 2, hosts: str = "", is_file: bool = True) -> OnRay:
        names = hosts.split() or [socket.gethostname()] * len(machines)
        rows = [Node(host=name, cores=has, cards=cards) for name, (has, cards) in zip(names, machines, strict=True)]
        monkeypatch.setattr("core.runs.on_ray.connect", lambda: None)
        monkeypatch.setattr("core.runs.on_ray.nodes", lambda: rows)
        monkeypatch.setenv("THAW_ENGINE", "ray")
        monkeypatch.setenv("THAW_RAY_CORES", str(cores))
        return OnRay(is_file)

    return connected


def test_there_is_room_for_as_many_runs_as_fit_into_each_machine(cluster_of: Callable[..., OnRay]):
    run = RunSettings()

    assert cluster_of((3, 0), (1, 0), (4, 0)).capacity(run) == 3
    assert cluster_of((3, 0), (1, 0), (4, 0), cores=1).capacity(run) == 8
    assert cluster_of().capacity(run) == 0


def test_runs_that_may_choose_wait_for_a_card_where_there_is_one(cluster_of: Callable[..., OnRay]):
    devices = {kind: RunSettings(optim=OptimSettings(device=kind)) for kind in ("auto", "cuda", "cpu")}

    none = cluster_of((8, 0))
    assert [none.capacity(run) for run in devices.values()] == [4, 4, 4]
    some = cluster_of((8, 1), (4, 0))
    assert [some.capacity(run) for run in devices.values()] == [1, 1, 6]


def test_what_a_cluster_can_never_do_is_said(cluster_of: Callable[..., OnRay]):
    with pytest.raises(SettingsError, match="THAW_RAY_CORES is 8"):
        cluster_of((4, 0), cores=8)
    with pytest.raises(SettingsError, match="THAW_DATABASE"):
        cluster_of((4, 0), (4, 0), hosts="lab-1 lab-2")
    assert cluster_of((4, 0), (4, 0), hosts="lab-1 lab-2", is_file=False).capacity(RunSettings()) == 4


def test_a_run_is_cancelled_also_if_the_interruption_came_while_the_database_was_held():
    store = RunStore()
    queue_runs(store)

    def train(*_: object, **__: object) -> None:
        held = store._database.write()
        held.__enter__()
        raise KeyboardInterrupt

    here = engine.Local(store, lambda: False)
    here._train = train
    run = claim_run(store)
    with pytest.raises(KeyboardInterrupt):
        here.submit(run, store)

    assert store.get(run.id).state == "cancelled"
