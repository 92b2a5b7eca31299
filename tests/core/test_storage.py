"""What the system, the database and tensor files refuse, as sentences; and what is a bug and stays one."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
import torch
from helpers import files_no_longer_than
from safetensors import SafetensorError
from safetensors.torch import save_file

from core.__main__ import main
from core.errors import RunError, StorageError
from core.home import home_folder, sealed, temporary_folder, unsealed, write_atomically
from core.runs.store import RunStore
from core.settings.schema import RunSettings
from core.storage import FULL_SENTENCE, explain, explained

COMMANDS = [
    ["data", "builtin"],
    ["train", "--data", "builtin"],
    ["race", "--data", "builtin"],
    ["compare", "a", "b"],
    ["classify", "a", "b.png"],
    ["export", "a", "b.zip"],
    ["publish", "a", "b/c"],
    ["import", "b.zip"],
    ["runs"],
    ["machine"],
]
"""What needs the home folder."""


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    (tmp_path / "a file").write_bytes(b"x")
    return tmp_path / "a file"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command says before it ends with exit code 2."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and "Traceback" not in printed.err
    return printed.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_says_in_one_line_that_the_home_cannot_be_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, a_file: Path, command: list[str]
):
    monkeypatch.setattr("core.commands.train.preload", lambda: None)
    monkeypatch.setenv("THAW_HOME", str(a_file))

    said = refused(capsys, *command)

    assert f"THAW_HOME is {a_file}, which cannot be written (it is a file): name a folder that can." in said


@pytest.mark.parametrize(
    ("home", "reason"),
    [
        ("/proc/thaw", "cannot be written"),
        ("{a_file}/below", "cannot be written (Not a directory)"),
        ("/dev/null/x", "cannot be written (Not a directory)"),
        ("~nobody-has-this-name/x", "begins with a user that does not exist"),
        ("/" + "x" * 3000, "cannot be written (File name too long)"),
        ("a\nb\x1b[31m/" + "y" * 300, "cannot be written (File name too long)"),
    ],
    ids=["proc", "below a file", "below a device", "nobody's", "long", "odd"],
)
def test_a_home_that_cannot_be_is_named_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, a_file: Path, home: str, reason: str
):
    monkeypatch.setenv("THAW_HOME", home.format(a_file=a_file))

    said = refused(capsys, "runs")

    assert reason in said and len(said) < 600


def test_a_home_that_is_meant_from_a_folder_that_is_gone_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("THAW_HOME", "here")

    assert "THAW_HOME is 'here', to be found from a folder that is not there any more" in refused(capsys, "runs")


def test_without_thaw_home_the_sentence_says_what_to_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, a_file: Path
):
    monkeypatch.delenv("THAW_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(a_file))

    assert "set THAW_HOME to a folder that can" in refused(capsys, "runs")


@pytest.mark.parametrize(
    "name", ["why?", "50% #1", "a b", "ünï 日本", "x;y&z=1", "a:b@c", "\udce9", "-", "file:x", ".db"]
)
def test_the_database_is_in_the_home_whatever_that_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
):
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "homes" / name))

    assert RunStore().runs() == []

    assert [path.name for path in (tmp_path / "homes").iterdir()] == [name]
    assert [path.name for path in (tmp_path / "homes" / name).iterdir()] == ["thaw.db"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_sentence_whoever_notices_it(code: int):
    said = [
        explain(OSError(code, os.strerror(code))),
        explain(SafetensorError(f"Error while serializing: I/O error: {os.strerror(code)} (os error {code})")),
    ]

    assert [str(error) for error in said] == [FULL_SENTENCE] * 2
    assert all(isinstance(error, StorageError) and error.full for error in said)
    assert "no room left for 'a.zip'" in str(explain(OSError(code, ""), "a.zip"))


def test_tensor_files_really_say_it_like_that(tmp_path: Path):
    with pytest.raises(SafetensorError) as raised, files_no_longer_than(100_000):
        save_file({"a": torch.zeros(10**6)}, tmp_path / "full")

    assert str(explain(raised.value)) == FULL_SENTENCE and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_home_that_is_closed_is_told_from_somebody_s_own_file(thaw_home: Path, tmp_path: Path, code: int):
    ours = explain(OSError(code, "", str(thaw_home / "runs" / "x")))
    theirs = explain(OSError(code, "", str(tmp_path / "photos.zip")))

    assert f"THAW_HOME is {thaw_home}, which cannot be written ({os.strerror(code)})" in str(ours)
    assert "'photos.zip' could not be read or written" in str(theirs) and str(tmp_path) not in str(theirs)


@pytest.mark.parametrize(
    "bug",
    [
        TypeError("x"),
        KeyError("x"),
        OSError("not the system's"),
        BrokenPipeError(errno.EPIPE, "x"),
        ConnectionResetError(errno.ECONNRESET, "x"),
        sa.exc.IntegrityError("x", {}, sqlite3.IntegrityError("x")),
        sa.exc.InvalidRequestError("x"),
    ],
    ids=repr,
)
def test_bugs_stay_what_they_are(bug: Exception):
    assert explain(bug) is None
    with pytest.raises(type(bug)) as raised, explained():
        raise bug
    assert raised.value is bug


def test_a_sentence_that_is_one_already_is_left_alone():
    error = RunError("There is no run.")

    with pytest.raises(RunError) as raised, explained():
        raise error
    assert raised.value is error


def in_a_temporary_folder() -> None:
    with temporary_folder("x") as folder:
        raise OSError(errno.ENOSPC, "full", str(folder))


def in_a_file(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    return lambda: write_atomically(home_folder() / "x.json", b"{}")


def test_what_guards_the_home_says_it_and_leaves_nothing(thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    before = sorted(thaw_home.iterdir())
    for work in (in_a_temporary_folder, in_a_file(monkeypatch)):
        with pytest.raises(StorageError, match="The storage is full"):
            work()

    assert sorted(thaw_home.rglob("*")) == sorted([*before, thaw_home / "staging"])


# -- the database


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, but a text that is long enough to be one" * 100)


def half(path: Path) -> None:
    RunStore()
    path.write_bytes(path.read_bytes()[:5000])


def a_folder(path: Path) -> None:
    path.mkdir()


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
    connection.close()


def rows_of_nonsense(path: Path) -> None:
    RunStore()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO runs (id, state, attempt, crashes, settings, dataset_title, decode_s, created, cancel) "
            "VALUES ('a', 'finished', 1, 0, '{\"version\":', 't', 0, 0, 0)"
        )
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (garbage, "is damaged (file is not a database). Move that file away"),
        (half, "is damaged (database disk image is malformed). Move that file away"),
        (a_folder, "could not be read or written (unable to open database file)"),
        (of_another_program, "is not one that this version of Thaw can use (no such column"),
        (rows_of_nonsense, "is damaged (a run in it cannot be read)"),
    ],
)
def test_a_database_that_cannot_be_used_is_a_sentence(
    capsys: pytest.CaptureFixture[str], thaw_home: Path, spoil: Callable[[Path], None], sentence: str
):
    spoil(thaw_home / "thaw.db")

    assert sentence in refused(capsys, "runs")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (garbage, "is damaged (file is not a database). Name another one in THAW_DATABASE; data sets"),
        (
            a_folder,
            "(unable to open database file): its file is closed to us, or the disk is full or damaged. Make room",
        ),
    ],
)
def test_a_database_elsewhere_is_called_by_the_variable_that_names_it(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None],
    sentence: str,
):
    spoil(tmp_path / "other.db")
    monkeypatch.setenv("THAW_DATABASE", f"sqlite:///{tmp_path / 'other.db'}")

    said = refused(capsys, "runs")

    assert "The database that THAW_DATABASE names " in said and sentence in said and "THAW_HOME" not in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("settings = json_set(settings, '$.version', 99)", "another version of Thaw, which this one cannot read"),
        ("settings = json_set(settings, '$.model.scenario', 'new')", "another version of Thaw"),
        ("worker = '\"x\"'", "a run in it cannot be read"),
        ("progress = '[]'", "a run in it cannot be read"),
        ("epochs = '{}'", "a run in it cannot be read"),
        ("summary = '3'", "a run in it cannot be read"),
    ],
)
def test_a_run_that_holds_what_it_cannot_is_a_sentence(
    capsys: pytest.CaptureFixture[str], thaw_home: Path, change: str, sentence: str
):
    RunStore().submit([RunSettings()], "pictures")
    with closing(sqlite3.connect(thaw_home / "thaw.db")) as connection, connection:
        connection.execute(f"UPDATE runs SET {change}")

    assert sentence in refused(capsys, "runs")


def test_a_locked_database_is_a_sentence(
    capsys: pytest.CaptureFixture[str], thaw_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("core.sqlite.PATIENCE_MS", 50)
    RunStore()
    other = sqlite3.connect(thaw_home / "thaw.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    assert "The database is locked" in refused(capsys, "runs")
    other.close()
    assert main(["runs"]) == 0


def test_a_full_database_is_the_same_sentence_as_a_full_disk(thaw_home: Path):
    store = RunStore()

    @sa.event.listens_for(store._database.engine, "connect")
    def stop_growing(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    from core.settings.schema import RunSettings

    with pytest.raises(StorageError) as raised:
        store.submit([RunSettings()] * 200, "pictures")
    assert str(raised.value) == FULL_SENTENCE and raised.value.full
    assert store.runs() == []


def test_a_read_only_database_says_so(thaw_home: Path):
    store = RunStore()

    @sa.event.listens_for(store._database.engine, "connect")
    def only_read(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA query_only = 1")

    with pytest.raises(StorageError, match=r"could not be read or written \(attempt to write a readonly database\)"):
        store.cancel("a")
    assert store.runs() == []


@pytest.mark.parametrize(
    "address", ["nonsense", "nosuch://u:secret@h/d", "oracle+nosuch://u:secret@h/d", "sqlite://x/y"]
)
def test_an_address_of_no_database_is_a_sentence_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, address: str
):
    monkeypatch.setenv("THAW_DATABASE", address)

    said = refused(capsys, "runs")

    assert "THAW_DATABASE is no address" in said and "secret" not in said


@pytest.mark.parametrize("name", ["x" * 3000, "x" * 100_000, "a%", "_", "a b", "ü"])
def test_what_is_no_id_is_no_run(name: str):
    with pytest.raises(RunError, match="There is no run") as raised:
        RunStore().get(name)
    assert len(str(raised.value)) < 200


# -- the seal


def test_sealed_json_is_json_and_comes_back_to_the_byte():
    text = '{"version": 1, "a": "ü",\n "b": [1, 2]}'.encode()

    assert unsealed(sealed(text)) == (text, True) and unsealed(text) == (text, False)
    for place in range(len(sealed(text))):
        changed = bytearray(sealed(text))
        changed[place] ^= 1
        with pytest.raises(ValueError):
            unsealed(bytes(changed))


def test_a_copied_home_is_the_same_home(monkeypatch: pytest.MonkeyPatch, tiny_dataset, thaw_home: Path, tmp_path: Path):
    from core.data.dataset import load_stored

    shutil.copytree(thaw_home, tmp_path / "copied")
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "copied"))

    assert load_stored(tiny_dataset.id) == tiny_dataset
