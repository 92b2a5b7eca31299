"""Which workspaces there are on a server that strangers share, whose key opens which, and whose turn it is to train.

Kept in `workspaces.db` beside them. A key is never stored, only its SHA-256: who reads the file can open nothing.
"""

import hashlib
import re
import secrets
import shutil
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from core.errors import SettingsError, WorkspaceError
from core.home import GONE, WORKSPACES, server_folder, server_home
from core.objects.cache import forget
from core.sqlite import open_file
from core.storage import explained
from core.visitors.fair_use import fair_use

COOKIE: Final = "thaw"
"""Of a browser's own key; those of links that were opened have their beginning behind it."""
FRAMED: Final = f"{COOKIE}-framed"
"""Of a browser that shows Thaw in a frame of another site."""
SECRET: Final = "session"
"""Begins a picture's address where a secret and `_` stand before the owner."""
KEY: Final = re.compile(r"[A-Za-z0-9_-]{22}")
CODE_LENGTH: Final = 10
KEPT_PACES: Final = 100
_LETTERS: Final = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # that nobody mistakes for another, read from a wall
_UNSEEN: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Letters and marks, to Python, that show nothing: games are full of names made of them."""
_IN_NO_ROOM: Final = {"room": None, "place": None, "name": None}
DAY_S: Final = 86_400.0
_FILE: Final = "workspaces.db"
_metadata = sa.MetaData()
_PLACES: Final = sa.Table(
    "workspaces",
    _metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("gone", sa.Boolean, nullable=False, default=False),
    sa.Column("turn", sa.Integer, nullable=False, default=0),
    sa.Column("asked", sa.Integer, nullable=False, default=0),
    sa.Column("rested", sa.Integer, nullable=False, default=0),
    sa.Column("day", sa.Integer, nullable=False, default=0),
    sa.Column("trained_s", sa.Float, nullable=False, default=0.0),
    sa.Column("room", sa.String(32), index=True),
    sa.Column("place", sa.Integer),
    sa.Column("name", sa.Unicode(60)),
)
_KEYS: Final = sa.Table(
    "keys",
    _metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("workspace", sa.String(32), index=True, nullable=False),
)
_ACCOUNTS: Final = sa.Table(
    "accounts",
    _metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("workspace", sa.String(32), index=True, nullable=False),
)
_ROOMS: Final = sa.Table(
    "rooms",
    _metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("code", sa.String(16), unique=True, nullable=False),
    sa.Column("teacher", sa.String(32), index=True, nullable=False),
    sa.Column("title", sa.Unicode(200), nullable=False),
    sa.Column("dataset", sa.String(32), nullable=False),
    sa.Column("address", sa.JSON, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
)
_PACES: Final = sa.Table(
    "paces",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("seconds", sa.Float, nullable=False),
)
_places, _keys, _accounts, _rooms = _PLACES.c, _KEYS.c, _ACCOUNTS.c, _ROOMS.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What the registry knows of one workspace. Times are seconds since the epoch."""

    id: str
    created: float
    expires: float
    trained_s: float
    """Seconds of training today (UTC)."""
    room: str | None
    """The class that its visitor has joined."""
    place: int | None
    """Which one in the class, from 1."""
    name: str | None
    """What the visitor is called there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """A class: what a teacher lends to whoever opens its link."""

    id: str
    code: str
    """In its link; no key, so it is stored as it is."""
    teacher: str
    """The teacher's workspace."""
    title: str
    dataset: str
    address: dict[str, str]
    """The settings, as a page's address says them."""
    created: float


def new_key() -> str:
    """128 random bits, for a link and a cookie."""
    return secrets.token_urlsafe(16)


def hash_of(secret: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(f"thaw:{secret}".encode()).hexdigest()


class Registry:
    """The table of workspaces. Every call may raise a StorageError."""

    def __init__(self) -> None:
        self._engine = _engine(server_home() / _FILE)

    # -- a visitor comes and goes

    def find(self, key: str) -> str | None:
        """The workspace that a key opens; None if none."""
        if not KEY.fullmatch(key):
            return None
        with self._reading() as connection:
            return connection.execute(_opened_by(key)).scalar_one_or_none()

    def open(self, key: str) -> str:
        """The workspace that a key opens, made if there is none.

        Raises:
            WorkspaceError: the server is full, or the key has been spent: what was deleted is not begun anew by those
                who know its old key.
        """
        if not KEY.fullmatch(key) or self.is_spent(key):
            raise WorkspaceError("This key opens no workspace any more.")
        with self._writing() as connection:
            found = connection.execute(_opened_by(key)).scalar_one_or_none()
            if found is not None:
                return str(found)
            self._check_room(connection)
            own, now = uuid.uuid4().hex, time.time()
            row = {"id": own, "created": now, "expires": now + fair_use().days * DAY_S}
            server_folder(WORKSPACES, own)
            connection.execute(sa.insert(_PLACES).values(**row))
            connection.execute(sa.insert(_KEYS).values(hash=hash_of(key), workspace=own))
            return own

    def is_spent(self, key: str) -> bool:
        """Whether it has opened a workspace and never will again."""
        with self._reading() as connection:
            spent = sa.select(_keys.hash).where(_keys.hash == hash_of(key), _keys.workspace == "")
            return connection.execute(spent).first() is not None

    def _check_room(self, connection: sa.Connection) -> None:
        query = sa.select(sa.func.count()).select_from(_PLACES).where(~_places.gone)
        if connection.execute(query).scalar_one() >= fair_use().workspaces:
            raise WorkspaceError(
                "This server has no room for another visitor. Come back tomorrow, or run Thaw yourself."
            )

    def visit(self, workspace: str) -> None:
        """Keep it for its full time from now on. A clock that was put back takes nothing away."""
        until = time.time() + fair_use().days * DAY_S
        self._change(_places.id == workspace, _places.expires < until, expires=until)

    def place(self, workspace: str) -> Place:
        """What is known of it.

        Raises:
            WorkspaceError: it was deleted.
        """
        found = self._places_where(_places.id == workspace)
        if not found:
            raise WorkspaceError(GONE)
        return found[0]

    def _places_where(
        self, *where: sa.ColumnElement[bool], order: sa.ColumnElement[Any] = _places.created
    ) -> list[Place]:
        names = [_places[name] for name in Place.__slots__ if name != "trained_s"]
        trained = sa.case((_places.day == _today(), _places.trained_s), else_=0.0).label("trained_s")
        query = sa.select(*names, trained).where(~_places.gone, *where).order_by(order)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [Place(**{str(name): value for name, value in row.items()}) for row in rows]

    def change_key(self, workspace: str) -> str:
        """A new key that opens it; no earlier one does any more."""
        key = new_key()
        with self._writing() as connection:
            connection.execute(_spend_keys(workspace))
            connection.execute(sa.insert(_KEYS).values(hash=hash_of(key), workspace=workspace))
        return key

    def add_key(self, workspace: str) -> str:
        """One key more that opens it."""
        key = new_key()
        with self._writing() as connection:
            connection.execute(sa.insert(_KEYS).values(hash=hash_of(key), workspace=workspace))
        return key

    def of_account(self, account: str) -> str | None:
        """The workspace that whoever is signed in with this account has; None if none."""
        query = sa.select(_accounts.workspace).where(_accounts.hash == hash_of(account))
        with self._reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def give_to_account(self, workspace: str, account: str) -> None:
        """Let this account open it from now on."""
        with self._writing() as connection:
            connection.execute(sa.delete(_ACCOUNTS).where(_accounts.hash == hash_of(account)))
            connection.execute(sa.insert(_ACCOUNTS).values(hash=hash_of(account), workspace=workspace))

    def leave(self, workspace: str) -> None:
        """Nobody can open it any more; its files are the sweeper's."""
        with self._writing() as connection:
            connection.execute(_spend_keys(workspace))
            connection.execute(sa.delete(_ACCOUNTS).where(_accounts.workspace == workspace))
            taught = sa.select(_rooms.id).where(_rooms.teacher == workspace)
            connection.execute(sa.update(_PLACES).where(_places.room.in_(taught)).values(**_IN_NO_ROOM))
            connection.execute(sa.delete(_ROOMS).where(_rooms.teacher == workspace))
            gone = {"gone": True, **_IN_NO_ROOM}
            connection.execute(sa.update(_PLACES).where(_places.id == workspace).values(**gone))

    def over(self, before: float) -> list[str]:
        """Workspaces that were left, or whose time was up before this moment."""
        query = sa.select(_places.id).where(_places.gone | (_places.expires < before))
        with self._reading() as connection:
            return list(connection.execute(query).scalars())

    def forget(self, workspace: str) -> None:
        """Remove its folder and all that is known of it."""
        folder = server_folder(WORKSPACES) / workspace
        forget(folder)
        with explained():
            away = folder.with_name(f".gone-{workspace}")  # first out of sight: whoever is at work in it finds nothing
            if folder.is_dir():
                folder.rename(away)
            shutil.rmtree(away, ignore_errors=True)
        self.leave(workspace)
        with self._writing() as connection:
            connection.execute(sa.delete(_PLACES).where(_places.id == workspace))

    def unknown_folders(self) -> list[Path]:
        """Folders of no workspace: what was being deleted when the server ended."""
        with self._writing() as connection:  # whoever makes one has its row written before anybody else may look
            known = set(connection.execute(sa.select(_places.id)).scalars())
            return [folder for folder in server_folder(WORKSPACES).iterdir() if folder.name not in known]

    # -- whose turn it is

    def ask(self, workspace: str) -> None:
        """Say that something waits there to be trained."""
        self._change(_places.id == workspace, asked=_places.asked + 1)

    def ask_for_all(self) -> None:
        """The same for every one: after a start nothing is known."""
        self._change(asked=_places.asked + 1)

    def waiting(self) -> list[tuple[str, int, int]]:
        """(workspace, its last turn, how often it has asked) where something may wait; served longest ago first."""
        query = sa.select(_places.id, _places.turn, _places.asked).where(~_places.gone, _places.asked != _places.rested)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(_places.turn, _places.created)).all()
        return [(row.id, row.turn, row.asked) for row in rows]

    def serve(self, workspace: str) -> None:
        """Its turn is now: all others come before its next one."""
        latest = sa.select(sa.func.max(_places.turn)).scalar_subquery()
        self._change(_places.id == workspace, turn=latest + 1)

    def rest(self, workspace: str, asked: int) -> None:
        """Nothing waits there, unless it has been asked again since."""
        self._change(_places.id == workspace, _places.asked == asked, rested=asked)

    def add_training(self, workspace: str, seconds: float) -> None:
        """Count what it has used of its minutes today."""
        today = sa.case((_places.day == _today(), _places.trained_s), else_=0.0)
        self._change(_places.id == workspace, trained_s=today + seconds, day=_today())
        with self._writing() as connection:
            connection.execute(sa.insert(_PACES).values(seconds=seconds))
            latest = sa.select(sa.func.max(_PACES.c.number)).scalar_subquery()
            connection.execute(sa.delete(_PACES).where(_PACES.c.number <= latest - KEPT_PACES))

    def paces(self, count: int) -> list[float]:
        """What the last runs took, in seconds, whosever they were."""
        query = sa.select(_PACES.c.seconds).order_by(_PACES.c.number.desc()).limit(count)
        with self._reading() as connection:
            return list(connection.execute(query).scalars())

    # -- classes

    def open_room(self, teacher: str, dataset: str, title: str, address: dict[str, str]) -> str:
        """A new class; its code."""
        code = "".join(secrets.choice(_LETTERS) for _ in range(CODE_LENGTH))
        row = {"id": uuid.uuid4().hex, "code": code, "teacher": teacher, "created": time.time()}
        with self._writing() as connection:
            connection.execute(sa.insert(_ROOMS).values(**row, dataset=dataset, title=title, address=address))
        return code

    def find_room(self, code: str) -> Room | None:
        """The class that has this code, however it was typed."""
        plain = "".join(sign for sign in code.upper()[:40] if sign in _LETTERS)
        return self._room(_rooms.code == plain)

    def room(self, room: str) -> Room | None:
        """A class by its id."""
        return self._room(_rooms.id == room)

    def _room(self, where: sa.ColumnElement[bool]) -> Room | None:
        found = self._rooms_where(where)
        return found[0] if found else None

    def rooms_of(self, teacher: str) -> list[Room]:
        """The classes of a teacher, newest first."""
        return self._rooms_where(_rooms.teacher == teacher)

    def _rooms_where(self, where: sa.ColumnElement[bool]) -> list[Room]:
        columns = [_rooms[name] for name in Room.__slots__]
        with self._reading() as connection:
            rows = connection.execute(sa.select(*columns).where(where).order_by(_rooms.created.desc())).mappings().all()
        return [Room(**{str(name): value for name, value in row.items()}) for row in rows]

    def close_room(self, teacher: str, room: str) -> None:
        """End a class of this teacher."""
        with self._writing() as connection:
            gone = connection.execute(sa.delete(_ROOMS).where(_rooms.id == room, _rooms.teacher == teacher))
            if gone.rowcount:
                connection.execute(sa.update(_PLACES).where(_places.room == room).values(**_IN_NO_ROOM))

    def join(self, workspace: str, room: str, name: str) -> int:
        """Take part in a class under this name; which one it is there, from 1, the same when it joins once more.

        Raises:
            SettingsError: somebody else there is called so.
            WorkspaceError: the class is over.
        """
        with self._writing() as connection:
            _check_name(connection, workspace, room, name)
            here = connection.execute(
                sa.select(_places.place).where(_places.id == workspace, _places.room == room)
            ).scalar_one_or_none()
            last = connection.execute(sa.select(sa.func.max(_places.place)).where(_places.room == room)).scalar()
            place = here or (last or 0) + 1
            values = {"room": room, "place": place, "name": name}
            connection.execute(sa.update(_PLACES).where(_places.id == workspace).values(**values))
        return int(place)

    def check_name(self, workspace: str, room: str, name: str) -> None:
        """Whether it would be told from all others in the class.

        Raises:
            SettingsError: it would not.
            WorkspaceError: the class is over.
        """
        with self._reading() as connection:
            _check_name(connection, workspace, room, name)

    def leave_room(self, workspace: str) -> None:
        """Take part in no class any more."""
        self._change(_places.id == workspace, **_IN_NO_ROOM)

    def places(self) -> list[Place]:
        """All that were not left, oldest first."""
        return self._places_where()

    def members(self, room: str) -> list[Place]:
        """Who takes part, in the order of joining."""
        return self._places_where(_places.room == room, order=_places.place)

    # -- how it is done

    def _change(self, *where: sa.ColumnElement[bool], **values: Any) -> None:
        with self._writing() as connection:
            connection.execute(sa.update(_PLACES).where(*where).values(**values))

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with explained(), self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with explained(), self._engine.connect() as connection:
            yield connection


def _opened_by(key: str) -> sa.Select[Any]:
    here = sa.select(_keys.workspace).join(_PLACES, _places.id == _keys.workspace)
    return here.where(_keys.hash == hash_of(key), ~_places.gone)


def _check_name(connection: sa.Connection, workspace: str, room: str, name: str) -> None:
    if connection.execute(sa.select(_rooms.id).where(_rooms.id == room)).first() is None:
        raise WorkspaceError("The class is over.")
    others = sa.select(_places.name).where(_places.room == room, _places.id != workspace)
    if as_read(name) in {as_read(other or "") for other in connection.execute(others).scalars()}:
        raise SettingsError(
            f"{name} is on the board already, so nobody could tell whose runs are whose. Add an initial or a number."
        )


def as_read(name: str) -> str:
    """The same of names that are one to whoever reads them: they differ in letter case, width, or what nobody sees."""
    return " ".join(_UNSEEN.sub("", unicodedata.normalize("NFKC", name)).casefold().split())


def _spend_keys(workspace: str) -> sa.Update:
    return sa.update(_KEYS).where(_keys.workspace == workspace).values(workspace="")


def _today() -> int:
    return int(time.time() // DAY_S)


@lru_cache(maxsize=8)
def _engine(path: Path) -> sa.Engine:
    """One for each server's home; its table is made when it is first asked for."""
    engine = open_file(path)
    with explained(), engine.connect().execution_options(writes=True) as connection, connection.begin():
        _metadata.create_all(connection)
    return engine
