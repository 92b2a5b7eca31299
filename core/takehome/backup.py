"""Everything that cannot be had again, in one zip: data sets, runs, weights and the database, from a home in use.

What is computed anew stays out: features, thumbnails, this machine's speeds. Bringing a backup back adds what is not
there and changes nothing that is.
"""

import hashlib
import json
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from core.data.reading.archive import ENCRYPTED_FLAG
from core.errors import PackageError, RunError, SettingsError, StorageError
from core.home import home_folder, ordinary, temporary_folder, thaw_home
from core.objects.cache import share
from core.objects.store import store_here
from core.runs.database import ACTIVE, ENDED, METADATA, RUNS, TABLES, Database, check_row
from core.runs.record import run_folder
from core.storage import explained
from core.takehome.package import SUMS, write_package

ROWS: Final = "database.json"
_FOLDERS: Final = ("datasets", "runs")
_NAME: Final = re.compile(r"(?:(?:datasets|runs)/[0-9a-zA-Z-]{1,64}|weights)/(?!\.{1,2}\Z)[0-9a-zA-Z_.-]{1,120}")
_CHUNK_BYTES: Final = 1 << 20
_ATTEMPTS: Final = 5
_UNREADABLE: Final = (
    *(SettingsError, RunError, sa.exc.SQLAlchemyError),
    *(ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError),
)
_DAMAGED: Final = (
    *(zipfile.BadZipFile, struct.error, EOFError, NotImplementedError),
    *(ValueError, LookupError, RecursionError),
)
_OTHERS: Final = "It is no backup of Thaw's, or it is damaged"
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What a backup holds, or what was new in it when it was brought back."""

    datasets: int
    runs: int
    size_bytes: int


def back_up(target: Path, say: Say = str) -> Kept:
    """Write a backup of the home folder, all or nothing, whatever else is going on there.

    What somebody deletes meanwhile is left out.

    Raises:
        StorageError: it cannot be written, or what is there cannot be read.
    """
    if store_here() is not None:
        raise StorageError(
            "With THAW_STORE data sets and runs lie in the store, and only some of them here: "
            "back up the store and the database by their own means."
        )
    for attempt in range(_ATTEMPTS):
        rows = _rows()
        members = dict(_files())
        there = {name.split("/")[1] for name in members if name.startswith("runs/")}
        rows[RUNS.name] = [row for row in rows[RUNS.name] if row["state"] != "finished" or row["id"] in there]
        say(f"{len(members)} files")
        try:
            write_package(target, {**members, ROWS: json.dumps(rows, ensure_ascii=True).encode()})
            break
        except StorageError as error:
            gone = isinstance(error.__cause__, FileNotFoundError) and target.parent.is_dir()
            if not gone or attempt == _ATTEMPTS - 1:
                raise
    return Kept(
        datasets=len({name.split("/")[1] for name in members if name.startswith("datasets/")}),
        runs=len(rows[RUNS.name]),
        size_bytes=target.stat().st_size,
    )


def bring_back(source: Path, say: Say = str) -> Kept:
    """Add what a backup has and the home folder has not.

    Runs that were waiting or at work wait again; those that a command waited for are gone with it.

    Raises:
        PackageError: it is no backup, or not one byte for byte; nothing was added.
        StorageError: it cannot be written; what was added before is whole, and is added once if tried again.
    """
    damaged = PackageError(f"{source.name}: {_OTHERS}. Nothing was added.")
    try:
        ordinary(source)
    except OSError as error:
        raise damaged from error
    with explained(source.name), temporary_folder("restore") as folder:
        try:
            rows = _unpacked(source, folder, say)
        except _DAMAGED as error:
            raise damaged from error
        checked = _checked_rows(rows, source.name)
        new = [name for name in (*_below(folder, "datasets"), *_below(folder, "runs")) if _put(folder, name)]
        for name in _below(folder, "weights"):
            _put(folder, name)
        for name in new:
            share(thaw_home() / name)
        added = _add_rows(checked)
    sizes = (file.stat().st_size for name in new for file in (thaw_home() / name).iterdir())
    return Kept(datasets=sum(name.startswith("datasets/") for name in new), runs=added, size_bytes=sum(sizes))


def _rows() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table as JSON values, of one moment."""
    with Database().reading() as connection:
        return {table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()] for table in TABLES}


def _files() -> Iterator[tuple[str, Path]]:
    """(name in the zip, path) of all files that are kept. Each folder was put in its place whole."""
    for kind in _FOLDERS:
        for folder in sorted(home_folder(kind).iterdir()):
            with suppress(FileNotFoundError, NotADirectoryError):
                found = [(f"{kind}/{folder.name}/{file.name}", file) for file in sorted(folder.iterdir())]
                yield from (pair for pair in found if _NAME.fullmatch(pair[0]) and pair[1].is_file())
    weights = thaw_home() / "weights"
    if weights.is_dir():
        yield from ((f"weights/{file.name}", file) for file in sorted(weights.iterdir()) if file.is_file())


def _unpacked(source: Path, folder: Path, say: Say) -> dict[str, Any]:
    """Unpack all files, each checked against its hash; the rows.

    Raises:
        One of `_DAMAGED`: it is no backup, or damaged.
    """
    with zipfile.ZipFile(source) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ENCRYPTED_FLAG for info in infos.values()):
            raise ValueError("packed in another way")
        sums = dict(line.split("  ", 1)[::-1] for line in archive.read(SUMS).decode("ascii").splitlines())
        if ROWS not in sums or set(infos) != {*sums, SUMS}:
            raise ValueError("other members than its list of hashes has")
        for place, (name, digest) in enumerate(sums.items(), start=1):
            if name != ROWS and not _NAME.fullmatch(name):
                raise ValueError("a name that no backup has")
            say(f"{place} of {len(sums)} files")
            if _extract(archive, infos[name], folder / name) != digest:
                raise ValueError("a file is not what it was")
    rows = json.loads((folder / ROWS).read_bytes())
    if not isinstance(rows, dict):
        raise ValueError("no rows")
    return rows


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> str:
    """Write one member, which cannot be larger than the zip itself; its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with archive.open(info) as member, target.open("xb") as file:
        while chunk := member.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _checked_rows(rows: Mapping[str, Any], name: str) -> dict[str, list[dict[str, Any]]]:
    """The rows, which this version can read and a database takes, with the columns that it knows.

    Raises:
        PackageError: there is one that it cannot read, or none takes.
    """
    try:
        known = {
            table.name: [
                {column.name: row[column.name] for column in table.columns if column.name in row or column.primary_key}
                for row in rows.get(table.name, ())
            ]
            for table in TABLES
        }
        for row in known[RUNS.name]:
            check_row(row)
            run_folder(row["id"])
            if row["state"] not in (*ACTIVE, *ENDED):
                raise ValueError("no state of a run")
        _try_to_add(known)
    except _UNREADABLE as error:
        raise PackageError(
            f"{name}: a run in it cannot be read; another version of Thaw may have made it. Nothing was added."
        ) from error
    return known


def _try_to_add(rows: Mapping[str, list[dict[str, Any]]]) -> None:
    """Raises what the database would once files are in their place: values of another kind, one missing, one twice."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            METADATA.create_all(connection)
            for table in TABLES:
                if rows[table.name]:
                    connection.execute(sa.insert(table), rows[table.name])
    finally:
        engine.dispose()


def _below(folder: Path, kind: str) -> list[str]:
    place = folder / kind
    return sorted(f"{kind}/{path.name}" for path in place.iterdir()) if place.is_dir() else []


def _put(folder: Path, name: str) -> bool:
    """Put a folder or a file in its place unless there is one; whether there was none."""
    final = thaw_home() / name
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        return False
    os.rename(folder / name, final)
    return True


def _add_rows(rows: Mapping[str, list[dict[str, Any]]]) -> int:
    """Insert the rows whose first unique column is not there; how many runs were new."""
    database = Database()
    with database.write() as connection:
        fresh = connection.execute(sa.select(sa.func.count()).select_from(RUNS)).scalar_one() == 0
        keep_numbers = fresh and database.is_file
        added = 0
        for table in TABLES:
            names = RUNS.c.id if table is RUNS else next(iter(table.primary_key.columns))
            there = set(connection.execute(sa.select(names)).scalars())
            new = [row for row in rows[table.name] if row[names.name] not in there]
            if table is RUNS:
                new = [_again(row, keep_numbers) for row in sorted(new, key=lambda row: int(row["number"]))]
                added = len(new)
            if new:
                connection.execute(sa.insert(table), new)
    return added


def _again(row: dict[str, Any], keep_number: bool) -> dict[str, Any]:
    """A run's row as it is where no worker has it."""
    row = row if keep_number else {name: value for name, value in row.items() if name != "number"}
    if row["state"] not in ACTIVE:
        return row
    idle: dict[str, Any] = {"worker": None, "beat": None, "started": None, "stopping": False}
    idle |= {"progress": None, "epochs": []}
    if row.get("owner") is not None:
        cause = "The command that it belonged to had ended when this backup was brought back."
        return row | idle | {"state": "cancelled", "owner": None, "cause": cause, "ended": row["created"]}
    return row | idle | {"state": "queued"}
