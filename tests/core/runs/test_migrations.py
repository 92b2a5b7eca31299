"""Databases of every earlier shape open, in a file and on a server; Alembic comes to the same."""

import sqlite3
import threading
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers import REPOSITORY, claim_run

from core.comparison.experiments import experiment_key
from core.errors import StorageError
from core.runs.database import METADATA, Database
from core.runs.migrations.upgrade import MIGRATIONS
from core.runs.store import Label, RunStore

alembic = pytest.importorskip("alembic", reason="pip install -r tests/requirements.txt")
COMMITS = ("d648e77", "0482656", "6f9e300", "8fd2bb4", "3353556")
FIRST_WITH_EVALUATIONS, FIRST_WITH_LABELS = 1, 3


def fill(url: str, commit: str) -> str:
    """Make an empty database what the code of a commit made of it; its address."""
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    with zipfile.ZipFile(REPOSITORY / "tests" / "fixtures" / "databases.zip") as archive:
        script = archive.read(f"{kind}-{commit}.sql").decode()
    if kind == "sqlite":
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(script)
    else:
        with Database(url, upgraded=False).write() as connection:
            connection.exec_driver_sql(script)
    return url


def differences(url: str) -> list[object]:
    """What Alembic would change so that a database has the tables that the code speaks of."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with Database(url, upgraded=False).reading() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA))


def by_alembic(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command
    from alembic.config import Config

    with monkeypatch.context() as patch:
        patch.setenv("THAW_DATABASE", url)
        command.upgrade(Config(toml_file=REPOSITORY / "pyproject.toml"), "head")


def schema(url: str) -> dict[str, object]:
    """Tables with their columns and indexes, as the database tells them."""
    with Database(url, upgraded=False).reading() as connection:
        there = sa.inspect(connection)
        return {
            name: (
                [(one["name"], str(one["type"]), one["nullable"], one["default"]) for one in there.get_columns(name)],
                sorted(str(one["name"]) for one in there.get_indexes(name)),
                there.get_pk_constraint(name)["constrained_columns"],
            )
            for name in there.get_table_names()
        }


@pytest.mark.parametrize("commit", COMMITS)
def test_a_database_of_every_earlier_shape_opens_and_goes_on(database_url: str, commit: str):
    url = fill(database_url, commit)
    shape = COMMITS.index(commit)

    store = RunStore(url)

    assert [run.state for run in store.runs()] == ["cancelled", "queued", "failed", "finished"]
    finished, waiting = store.runs(["finished"])[0], store.runs(["queued"])[0]
    assert finished.summary is not None and finished.summary["test_accuracy"] == 0.95
    assert (finished.race, finished.settings.seed, finished.beats, finished.watched) == ("0123456789", 0, 0, None)
    assert store.evaluations("7" * 64) == (shape >= FIRST_WITH_EVALUATIONS)
    kept = {experiment_key(finished.settings): Label(name="the usual", note="kept")}
    assert store.labels() == (kept if shape >= FIRST_WITH_LABELS else {})
    run = claim_run(store)
    assert run.id == waiting.id and store.report(run) and store.end(run, "finished", test_part="8" * 64)
    assert RunStore(url).get(run.id).beats == 1 and store.evaluations("8" * 64) == 1
    assert differences(url) == []


@pytest.mark.parametrize("commit", [None, *COMMITS])
def test_alembic_comes_to_the_same(
    database_url: str, another_database: str, monkeypatch: pytest.MonkeyPatch, commit: str | None
):
    for url in (database_url, another_database) if commit else ():
        fill(url, str(commit))

    RunStore(database_url)
    by_alembic(another_database, monkeypatch)

    assert schema(another_database) == schema(database_url) and differences(another_database) == []
    assert len(RunStore(another_database).runs()) == (4 if commit else 0)


def test_a_database_between_two_shapes_gets_what_it_lacks(database_url: str):
    url = fill(database_url, "3353556")
    with Database(url, upgraded=False).write() as connection:
        connection.execute(sa.text("DROP TABLE labels"))
        connection.execute(sa.text("ALTER TABLE runs DROP COLUMN reached"))

    assert len(RunStore(url).runs()) == 4
    assert differences(url) == []


def test_two_that_open_an_old_database_at_once_change_it_once(database_url: str):
    url, failed = fill(database_url, "d648e77"), list[BaseException]()

    def open_it() -> None:
        try:
            RunStore(url)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failed == [] and differences(url) == []


def test_a_database_that_a_newer_thaw_changed_is_left_alone(database_url: str):
    RunStore(database_url)
    with Database(database_url).write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v99_more'"))
    before = schema(database_url)

    with pytest.raises(StorageError, match="changed by a newer version of Thaw"):
        RunStore(database_url)
    assert schema(database_url) == before


def test_what_thaw_runs_is_what_alembic_knows():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(Config(toml_file=REPOSITORY / "pyproject.toml"))

    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == MIGRATIONS
    assert all(Path(script.path).stem == script.revision for script in scripts.walk_revisions())
