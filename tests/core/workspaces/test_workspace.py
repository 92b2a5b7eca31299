"""What is one visitor's is nobody else's: rows, files, keys, and what is left when they go."""

import hashlib
import inspect
import sqlite3
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import claim_run, queue_runs

from core.data.dataset import stored_ids
from core.data.edit import rename_class
from core.data.ingest import ingest, lend
from core.errors import RunError, StorageError, ThawError, WorkspaceError
from core.home import INTAKE, ask_for_workspace, home_folder, server_home, temporary_folder, thaw_home, within
from core.runs.deletion import delete_run
from core.runs.store import Label, RunStore
from core.takehome.backup import bring_back
from core.visitors.registry import Registry, hash_of, new_key
from core.workspaces import sweeper
from core.workspaces.sweeper import sweep_workspaces
from core.workspaces.workspace import Workspace, find_workspace, new_workspace, open_workspace, workspace_of_account

StoreIn = Callable[[Workspace], RunStore]
HOUR_S = 3600.0


# -- keys


def test_a_key_opens_its_workspace_and_is_stored_nowhere(thaw_home: Path):
    workspace, key = new_workspace()

    assert find_workspace(key) == workspace == open_workspace(key)
    assert find_workspace(new_key()) is None and find_workspace("") is None and find_workspace(key[:-1]) is None
    stored = b"".join(path.read_bytes() for path in thaw_home.rglob("*") if path.is_file())
    assert key.encode() not in stored and workspace.id.encode() in stored
    assert hashlib.sha256(f"thaw:{key}".encode()).hexdigest() == hash_of(key)


def test_one_key_asked_for_by_many_at_once_opens_one_workspace():
    key, found = new_key(), list[str]()
    threads = [threading.Thread(target=lambda: found.append(open_workspace(key).id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8 and len(set(found)) == 1


def test_an_account_finds_its_workspace_until_it_is_deleted(thaw_home: Path):
    (mine, key), (other, _) = new_workspace(), new_workspace()
    mine.give_to("account-of-ada")

    assert workspace_of_account("account-of-ada") == mine and workspace_of_account("account-of-bob") is None
    assert find_workspace(mine.add_key()) == find_workspace(key) == mine
    assert b"ada" not in b"".join(path.read_bytes() for path in thaw_home.rglob("workspaces.db*"))
    mine.change_key()
    assert workspace_of_account("account-of-ada") == mine, "a new link is about links"
    other.give_to("account-of-ada")
    assert workspace_of_account("account-of-ada") == other
    other.delete()
    assert workspace_of_account("account-of-ada") is None


def test_a_new_link_takes_the_old_one_s_place():
    workspace, old = new_workspace()

    new = workspace.change_key()

    assert find_workspace(old) is None and find_workspace(new) == workspace


# -- what is whose


def test_nobody_reaches_a_run_of_another_workspace_by_any_call(a: Workspace, b: Workspace, store_in: StoreIn):
    mine, other = store_in(a), store_in(b)
    run_id, _ = queue_runs(mine, 2)
    mine.label("key", Label(name="my secret name"))
    run = claim_run(mine)
    before = [mine.get(run_id), mine.labels(), mine.runs()]
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: other.get(run_id),
        "runs": lambda: other.runs(),
        "count": lambda: other.count(),
        "is_busy": lambda: other.is_busy(),
        "cancel": lambda: other.cancel(run_id),
        "delete": lambda: other.delete(run_id),
        "evaluations": lambda: other.evaluations("part"),
        "labels": lambda: other.labels(),
        "names": lambda: other.names(),
        "label": lambda: other.label("key", Label(archived=True)),
        "claim": lambda: other.claim(),
        "report": lambda: other.report(run),
        "tell_waiting": lambda: other.tell_waiting("torch"),
        "beat_owner": lambda: other.beat_owner([run_id]),
        "end": lambda: other.end(run, "failed"),
        "hand_over": lambda: other.hand_over(run),
        "take_over": lambda: other.take_over(run),
        "lose": lambda: other.lose(run, "killed"),
        "give_back": lambda: other.give_back(run),
        "heal": lambda: other.heal(),
        "standstill": lambda: other.standstill(run),
        "ask_to_stop": lambda: other.ask_to_stop(1),
        "give_up": lambda: other.give_up(1),
    }
    own = {"submit", "adopt", "check_share", "holding", "at_home"}  # they add to one's own, or take no id
    public = {name for name, _ in inspect.getmembers(RunStore, inspect.isfunction) if not name.startswith("_")}
    assert public == calls.keys() | own, "a new call has to be tried here, too"

    seen = []
    for call in calls.values():
        try:
            seen.append(call())
        except RunError as error:
            seen.append(str(error).replace(run_id, ""))

    assert run_id not in repr(seen) and "secret" not in repr(seen)
    assert [mine.get(run_id), mine.labels(), mine.runs()] == before
    with other.holding(run) as held:
        assert not held


def test_a_run_of_another_is_what_a_run_of_nobody_is(a: Workspace, b: Workspace, store_in: StoreIn):
    (run_id,) = queue_runs(store_in(a))

    with pytest.raises(RunError) as others:
        store_in(b).get(run_id)
    with pytest.raises(RunError) as nobodys:
        store_in(b).get("0" * 10)
    assert str(others.value).replace(run_id, "") == str(nobodys.value).replace("0" * 10, "")


def test_data_sets_are_their_workspace_s_alone(a: Workspace, b: Workspace, tiny_folder: Path):
    with within(a.id):
        dataset = ingest(tiny_folder).dataset

    with within(b.id):
        assert stored_ids() == []
        with pytest.raises(ThawError):
            ingest(dataset.id)
    with within(""):
        assert stored_ids() == []


def test_the_drawn_set_is_drawn_once_and_each_one_s_own(
    a: Workspace, b: Workspace, thaw_home: Path, bring_drawn_set: Callable[[Path], str]
):
    bring_drawn_set(thaw_home)
    with within(a.id):
        mine = ingest("builtin").dataset
        changed = rename_class(mine, mine.class_names[0], "wasps")
        assert "wasps" in changed.class_names
    with within(b.id):
        theirs = ingest("builtin").dataset

    assert theirs.id == mine.id and "wasps" not in theirs.class_names
    assert [theirs.pixels[0].tobytes()] == [mine.pixels[0].tobytes()]


def test_a_lent_data_set_outlives_the_lender_s(a: Workspace, b: Workspace, tiny_folder: Path):
    with within(a.id):
        dataset = ingest(tiny_folder).dataset
    lend(dataset.id, a.id, b.id)
    Registry().forget(a.id)

    with within(b.id):
        theirs = ingest(dataset.id).dataset
        theirs.pixels.check()
    assert theirs.class_names == dataset.class_names


def test_who_asks_for_nobody_s_files_gets_none():
    def nobody() -> str:
        raise WorkspaceError("nobody")

    before = ask_for_workspace(nobody)
    try:
        with pytest.raises(WorkspaceError):
            thaw_home()
        with pytest.raises(WorkspaceError):
            RunStore()
        assert server_home().is_dir()
    finally:
        ask_for_workspace(before)


def test_workspaces_share_no_database_that_is_named_elsewhere(
    a: Workspace, b: Workspace, store_in: StoreIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_DATABASE", f"sqlite:///{tmp_path / 'one-for-all.db'}")
    queue_runs(store_in(a))

    assert store_in(b).runs() == []


# -- going


def test_everything_is_one_zip_that_a_thaw_of_one_s_own_opens(
    a: Workspace, store_in: StoreIn, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with within(a.id):
        dataset = ingest(tiny_folder).dataset
    (run_id,) = queue_runs(store_in(a))
    store_in(a).label("key", Label(name="mine"))

    a.export(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert any(dataset.id in name for name in archive.namelist())
    monkeypatch.delenv("THAW_HOSTED")
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "own"))
    kept = bring_back(tmp_path / "all.zip")

    assert (kept.datasets, kept.runs) == (1, 1)
    assert RunStore().get(run_id).state == "queued" and RunStore().names() == {"key": "mine"}


def test_deleting_everything_leaves_nothing(a: Workspace, b: Workspace, store_in: StoreIn, thaw_home: Path):
    (run_id,) = queue_runs(store_in(a))
    (other,) = queue_runs(store_in(b))

    assert a.delete()

    assert run_id.encode() not in b"".join(path.read_bytes() for path in thaw_home.rglob("*") if path.is_file())
    assert [path.name for path in (thaw_home / "workspaces").iterdir()] == [b.id]
    assert store_in(b).get(other).state == "queued"
    with pytest.raises(WorkspaceError, match="not here any more"), within(a.id):
        home_folder("runs")
    with pytest.raises(WorkspaceError, match="not here any more"):
        _ = a.place


def test_deleting_everything_needs_no_sound_database(
    a: Workspace, damage: Callable[[Workspace], object], thaw_home: Path
):
    _ = a.runs  # opened before it was damaged
    damage(a)

    assert a.delete() and list((thaw_home / "workspaces").iterdir()) == []


def test_what_trains_is_stopped_before_its_files_go(
    a: Workspace, store_in: StoreIn, thaw_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("core.workspaces.workspace.PATIENCE_S", 0.3)
    queue_runs(store_in(a))
    run = claim_run(store_in(a))

    assert not a.delete(), "its worker has not noticed yet"
    assert store_in(a).report(run) is False and sweep_workspaces() == 0
    store_in(a).end(run, "cancelled")

    assert sweep_workspaces() == 1 and list((thaw_home / "workspaces").iterdir()) == []


def test_a_link_that_was_deleted_opens_nothing():
    workspace, key = new_workspace()

    workspace.delete()

    assert find_workspace(key) is None
    with pytest.raises(WorkspaceError, match="any more"):  # others may know it, too
        open_workspace(key)


# -- time


@pytest.mark.parametrize(("days", "wrong_s", "is_kept"), [(13.9, 0, True), (13.99, HOUR_S, True), (14.2, 0, False)])
def test_a_workspace_is_kept_for_its_time_and_no_longer(
    days: float, wrong_s: float, is_kept: bool, monkeypatch: pytest.MonkeyPatch
):
    workspace, key = new_workspace()
    now = time.time()
    monkeypatch.setattr(sweeper.time, "time", lambda: now + days * 24 * HOUR_S + wrong_s)

    sweep_workspaces()

    assert (find_workspace(key) == workspace) == is_kept


def test_a_clock_that_is_put_back_takes_no_time_away(a: Workspace, monkeypatch: pytest.MonkeyPatch):
    promised, now = a.place.expires, time.time()
    monkeypatch.setattr("core.visitors.registry.time.time", lambda: now - HOUR_S)

    a.visit()

    assert a.place.expires >= promised


def test_a_visit_begins_the_time_anew(a: Workspace, monkeypatch: pytest.MonkeyPatch):
    promised, now = a.place.expires, time.time()
    monkeypatch.setattr("core.visitors.registry.time.time", lambda: now + 24 * HOUR_S)

    a.visit()

    assert a.place.expires == pytest.approx(promised + 24 * HOUR_S, abs=5)


def test_what_was_half_deleted_when_the_server_ended_goes(a: Workspace, thaw_home: Path):
    (thaw_home / "workspaces" / ".gone-something" / "runs").mkdir(parents=True)

    sweep_workspaces()

    assert [path.name for path in (thaw_home / "workspaces").iterdir()] == [a.id]


# -- shares


def test_a_share_is_kept_and_the_refusal_says_what_to_do(
    a: Workspace, b: Workspace, store_in: StoreIn, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_FAIR_USE", '{"runs": 3, "pictures": 20}')
    with within(a.id):
        queue_runs(store_in(a), 3)
        with pytest.raises(WorkspaceError, match=r"keeps 3 runs .* it would be 4\. Delete"):
            queue_runs(store_in(a))
        with pytest.raises(WorkspaceError, match=r"keeps 20 pictures .* it would be 30\. Delete"):
            ingest(tiny_folder)
        assert stored_ids() == []
        delete_run(store_in(a), _ended(store_in(a)))
        queue_runs(store_in(a))
    with within(b.id):
        queue_runs(store_in(b), 3)


def _ended(store: RunStore) -> str:
    run = store.runs()[0]
    store.cancel(run.id)
    return run.id


def test_minutes_are_used_up_for_a_day(a: Workspace, store_in: StoreIn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_FAIR_USE", '{"minutes": 2}')
    registry, now = Registry(), time.time()
    registry.add_training(a.id, 60)
    registry.add_training(a.id, 61)

    with within(a.id):
        with pytest.raises(WorkspaceError, match="00:00 UTC"):
            queue_runs(store_in(a))
        monkeypatch.setattr("core.visitors.registry.time.time", lambda: now + 24 * HOUR_S)
        queue_runs(store_in(a))
    assert {share.what: share.used for share in a.shares()}["minutes"] == 0


def test_bytes_are_counted_once_however_many_names_they_have(a: Workspace, monkeypatch: pytest.MonkeyPatch):
    with within(a.id):
        folder = home_folder("runs")
    (folder / "one").write_bytes(bytes(3_000_000))
    (folder / "two").hardlink_to(folder / "one")

    used = {share.what: share.used for share in a.shares()}

    assert 3.0 <= used["megabytes"] < 3.5
    monkeypatch.setenv("THAW_FAIR_USE", '{"megabytes": 2}')
    with within(a.id), pytest.raises(WorkspaceError, match="keeps 2 MB"):
        queue_runs(a.runs)


def test_what_passes_through_is_in_nobodys_share_and_what_is_taken_in_is(a: Workspace):
    def megabytes() -> float:
        return {share.what: share.used for share in a.shares()}["megabytes"]

    before = megabytes()
    with within(a.id), temporary_folder("everything") as passing, temporary_folder(INTAKE) as taken_in:
        (passing / "workspace.zip").write_bytes(bytes(3_000_000))
        assert megabytes() == pytest.approx(before, abs=0.1)
        (taken_in / "pixels.u8").write_bytes(bytes(3_000_000))
        assert megabytes() == pytest.approx(before + 3, abs=0.1), "two uploads at once see each other"


def test_an_upload_s_own_zip_does_not_count_against_what_is_in_it(
    a: Workspace, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_FAIR_USE", '{"megabytes": 2}')
    with within(a.id), temporary_folder("zip") as folder:
        with zipfile.ZipFile(folder / "upload.zip", "w") as archive:
            for path in tiny_folder.rglob("*.png"):
                archive.write(path, path.relative_to(tiny_folder))
            archive.writestr("read me.txt", bytes(3_000_000))

        assert ingest(folder / "upload.zip").dataset.pictures


def test_what_the_server_lends_to_everybody_is_not_in_anybodys_share(a: Workspace):
    with within(""):
        lent = home_folder("datasets", "0123456789abcdef") / "pixels"
    lent.write_bytes(bytes(5_000_000))
    with within(a.id):
        folder = home_folder("datasets", "0123456789abcdef")
    (folder / "pixels").hardlink_to(lent)
    (folder / "own").write_bytes(bytes(1_000_000))

    assert 1.0 <= {share.what: share.used for share in a.shares()}["megabytes"] < 1.5


def test_nobody_is_limited_on_a_computer_of_one_s_own(monkeypatch: pytest.MonkeyPatch, thaw_home: Path):
    monkeypatch.delenv("THAW_HOSTED")
    monkeypatch.setenv("THAW_FAIR_USE", '{"runs": 1}')

    queue_runs(RunStore(), 5)

    assert not (thaw_home / "workspaces").exists() and not (thaw_home / "workspaces.db").exists()


def test_limits_that_are_not_understood_are_told(monkeypatch: pytest.MonkeyPatch, a: Workspace):
    monkeypatch.setenv("THAW_FAIR_USE", '{"runs": "many"}')

    with pytest.raises(StorageError, match="THAW_FAIR_USE"):
        a.shares()


def test_a_full_server_says_so(monkeypatch: pytest.MonkeyPatch, a: Workspace):
    monkeypatch.setenv("THAW_FAIR_USE", '{"workspaces": 1}')

    with pytest.raises(WorkspaceError, match="no room"):
        new_workspace()


def test_no_message_names_the_server_s_folder(a: Workspace, store_in: StoreIn, thaw_home: Path):
    store_in(a)
    database = thaw_home / "workspaces" / a.id / "thaw.db"
    with sqlite3.connect(database) as connection:
        connection.execute("SELECT 1")
    connection.close()
    database.write_bytes(b"no database at all, but a text that is long enough to be one" * 100)

    with pytest.raises(StorageError) as refused:
        store_in(a).runs()
    assert str(thaw_home) not in str(refused.value)
