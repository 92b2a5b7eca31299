"""What each visitor of a shared server may have. The one place where it is limited, and said how much it is."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from core.errors import StorageError, WorkspaceError
from core.home import workspace
from core.records import read_json

Limit = Annotated[int, Meta(ge=1, le=10**12)]
FAIR_USE: Final = "THAW_FAIR_USE"


@dataclass(frozen=True, kw_only=True, slots=True)
class FairUse:
    """The limits of one workspace; `THAW_FAIR_USE='{"minutes": 60}'` sets others."""

    pictures: Limit = 20_000
    """In all its data sets, the built-in one left out."""
    megabytes: Limit = 2_000
    """Of data sets, runs and what is computed from them, on the disk."""
    runs: Limit = 200
    """Kept or waiting."""
    minutes: Limit = 120
    """Of training, from midnight to midnight UTC."""
    days: Limit = 14
    """That it is kept after the last visit."""
    workspaces: Limit = 2_000
    """At once on this server."""


_REFUSALS: Final = {
    "pictures": "This server keeps {limit:,} pictures for each visitor; with these it would be {would:,}. Delete a "
    "data set on Data, or bring fewer pictures.",
    "megabytes": "This server keeps {limit:,} MB for each visitor; with this it would be {would:,}. Delete data sets "
    "on Data, or experiments on Train.",
    "runs": "This server keeps {limit:,} runs for each visitor; with these it would be {would:,}. Delete experiments "
    "on Train, or start fewer seeds.",
    "minutes": "This server trains {limit:,} minutes a day for each visitor, and yours are used up. They begin anew at "
    "00:00 UTC; on a computer of your own there is no limit.",
}


def fair_use() -> FairUse:
    """The limits of this server.

    Raises:
        StorageError: `THAW_FAIR_USE` is not what it should be.
    """
    said = os.environ.get(FAIR_USE)
    if not said:
        return FairUse()
    try:
        return read_json(said.encode(), FairUse)
    except ValueError as error:
        raise StorageError(f'{FAIR_USE} is not understood ({error}); an example: {{"minutes": 60}}.') from error


def admit(what: str, used: Callable[[], float], more: float) -> None:
    """Let something in, or say why not. On a server that tells no visitors apart nothing is asked.

    Args:
        what: `pictures`, `megabytes`, `runs` or `minutes`.
        used: counts what this workspace has of it already.
        more: what is about to come.

    Raises:
        WorkspaceError: it would be more than its share; it says what to do.
    """
    if not workspace():
        return
    limit, would = getattr(fair_use(), what), used() + more
    if would > limit:
        raise WorkspaceError(_REFUSALS[what].format(limit=limit, would=round(would)))
