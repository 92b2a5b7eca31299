"""PostgreSQL is started anew in the middle: no run is lost, and all end as they would have."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from helpers import claim_run, queue_runs

from core.errors import DatabaseAway
from core.runs.database import RUNS, Database, engine_of
from core.runs.execute import execute
from core.runs.record import load_predictions, load_record
from core.runs.server import MOST
from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings

pytestmark = pytest.mark.postgres


@pytest.fixture
def server_url(new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where THAW_DATABASE leads."""
    url = new_database()
    monkeypatch.setenv("THAW_DATABASE", url)
    yield url
    engine_of(url).dispose()


def once(do: Callable[[], object]) -> Callable[[], None]:
    """Does it at the first call."""
    left = [do]
    return lambda: left.pop()() and None if left else None


@contextmanager
def before(name: str, do: Callable[[], object]) -> Iterator[None]:
    """The first time that a store is asked for something."""
    method, first = getattr(RunStore, name), once(do)

    def called(self: RunStore, *args: Any, **values: Any) -> Any:
        first()
        return method(self, *args, **values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunStore, name, called)
        yield


@contextmanager
def holding_the_run(do: Callable[[], object]) -> Iterator[None]:
    """While a worker holds its run and puts the files in their place."""
    method, first = RunStore.holding, once(do)

    @contextmanager
    def holding(self: RunStore, run: Run) -> Iterator[bool]:
        with method(self, run) as ours:
            first()
            yield ours

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunStore, "holding", holding)
        yield


@contextmanager
def before_the_statement(start: str, do: Callable[[], object]) -> Iterator[None]:
    """After a connection was asked whether it lives, and before it is used."""
    first = once(do)

    def executing(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(start):
            first()

    sa.event.listen(sa.Engine, "before_cursor_execute", executing)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", executing)


def test_a_run_ends_with_the_same_result_however_often_the_server_is_restarted(
    server_url: str, claimed: Callable[..., tuple[RunStore, Run]], restart_postgres: Callable[[], None]
):
    store, undisturbed = claimed()
    execute(store, undisturbed, lambda: False)
    _, run = claimed()
    restarted: list[str] = []

    def restart(when: str) -> Callable[[], None]:
        return lambda: restarted.append(when) or restart_postgres()

    with (
        before("report", restart("training")),
        before("holding", restart("writing")),
        before_the_statement("SELECT runs.id", restart("asking for the row")),
        holding_the_run(restart("holding the row")),
        before("end", restart("ending")),
        before_the_statement("INSERT INTO looks", restart("in the last transaction")),
    ):
        execute(store, run, lambda: False)

    ended = store.get(run.id)
    assert len(restarted) == 6
    assert (ended.state, ended.attempt, ended.crashes, ended.cause) == ("finished", 1, 0, None)
    expected, found = load_predictions(undisturbed.id), load_predictions(run.id)
    assert np.array_equal(expected.probabilities, found.probabilities)
    assert store.evaluations(load_record(run.id).test_part) == 2


def test_who_asks_while_the_server_starts_waits_for_it(server_url: str, postgres_down: Callable[[], Any]):
    store = RunStore()
    (id_,) = queue_runs(store)

    with postgres_down() as start:
        starting = threading.Timer(1.0, start)
        starting.start()
        assert [run.id for run in store.runs()] == [id_] and store.count() == 1
        starting.join()
    assert claim_run(store).id == id_


def test_a_server_that_stays_away_is_a_sentence_and_nothing_is_lost(server_url: str, postgres_down: Callable[[], Any]):
    store = RunStore(patience_s=0.3)
    (id_,) = queue_runs(store)
    run = claim_run(store)

    with postgres_down() as start:
        for call in (store.runs, store.claim, lambda: store.report(run), lambda: store.end(run, "finished")):
            with pytest.raises(DatabaseAway, match="does not answer"):
                call()
        start()
    assert store.report(run) and store.end(run, "finished") and store.get(id_).state == "finished"


def test_a_read_is_repeated_where_its_connection_dies_in_the_middle(
    server_url: str, restart_postgres: Callable[[], None]
):
    store = RunStore()
    (id_,) = queue_runs(store)
    first = once(restart_postgres)

    def die(found: sa.Result[Any]) -> list[str]:
        first()
        with store._database.reading() as connection:
            return [str(one) for one in connection.execute(sa.select(RUNS.c.id)).scalars()]

    assert Database().ask(sa.select(RUNS), die) == [id_]


def test_a_process_opens_no_more_connections_than_agreed(server_url: str):
    assert RunStore()._database.engine.pool is RunStore()._database.engine.pool, "one pool for a process"

    threads = [threading.Thread(target=lambda: RunStore().runs()) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    with Database().reading() as connection:
        own = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert 1 <= connection.execute(own).scalar_one() <= MOST


def test_a_database_that_says_nothing_of_letters_serves_as_well(
    new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    """As a server makes them where no locale was set."""
    url = new_database("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    monkeypatch.setenv("THAW_DATABASE", url)
    (id_,) = RunStore().submit([RunSettings()], "Käfer")

    assert RunStore().get(id_).state == "queued"
    engine_of(url).dispose()
