"""A class: a teacher lends a data set and settings to whoever has the link, and all see their runs together.

Who joins gets a data set of their own and a range of seeds of their own, so that thirty races of one seed each are one
race of thirty seeds. Nothing else of a workspace is seen by the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.comparison.experiments import experiment_key
from core.comparison.fairness import Outcome
from core.data.dataset import load_stored
from core.data.ingest import lend
from core.errors import SettingsError, ThawError
from core.home import within
from core.runs.everybody import store_of
from core.runs.results import load_outcome
from core.runs.store import Run
from core.visitors.registry import Place, Registry, Room, as_read
from core.workspaces.workspace import Workspace

SEEDS_EACH: Final = 100
LONGEST_NAME: Final = 40
LONGEST_TITLE: Final = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One student on the board."""

    workspace: str
    name: str
    place: int
    runs: tuple[Run, ...]
    """On the class's pictures, newest first."""


def open_room(teacher: Workspace, dataset_id: str, title: str, address: dict[str, str]) -> str:
    """Begin a class; the code that its link has.

    Args:
        address: the settings, as a page's address says them.

    Raises:
        SettingsError: the title is empty or too long.
        DatasetError: the data set is not there.
    """
    with within(teacher.id):
        load_stored(dataset_id)
    return Registry().open_room(teacher.id, dataset_id, _named(title, "title", LONGEST_TITLE), address)


def find_room(code: str) -> Room | None:
    """The class of a link; None if it is over or never was."""
    return Registry().find_room(code)


def room_of(workspace: Workspace) -> Room | None:
    """The class that this visitor has joined."""
    joined = workspace.place.room
    return Registry().room(joined) if joined else None


def rooms_of(teacher: Workspace) -> list[Room]:
    """The classes that this visitor teaches, newest first."""
    return Registry().rooms_of(teacher.id)


def join(student: Workspace, room: Room, name: str) -> int:
    """Take part under this name: the pictures are the student's own from now on. The first seed to run.

    Raises:
        SettingsError: the name is empty, too long, or somebody else's on the board.
        DatasetError: the teacher has deleted the pictures.
        WorkspaceError: they are more than the student's share, or the class is over.
    """
    called = _named(name, "name", LONGEST_NAME)
    Registry().check_name(student.id, room.id, called)  # before there are pictures of a class that is not joined
    lend(room.dataset, room.teacher, student.id)
    place = Registry().join(student.id, room.id, called)
    return int(room.address.get("seed", "0")) + SEEDS_EACH * (place - 1)


def leave(student: Workspace) -> None:
    """Take part no longer: the student's runs are off the board, and stay."""
    Registry().leave_room(student.id)


def close_room(teacher: Workspace, room: Room) -> None:
    """End a class: its link opens nothing any more; what students have stays theirs."""
    Registry().close_room(teacher.id, room.id)


def is_over(room: Room) -> bool:
    """Whether it was ended, by its teacher or with the teacher's workspace."""
    return Registry().room(room.id) is None


def board(room: Room) -> list[Entry]:
    """Everybody who has joined, in the order of joining, with the runs on the class's pictures that have finished."""
    return [_entry(member, room) for member in Registry().members(room.id)]


def _entry(member: Place, room: Room) -> Entry:
    try:
        runs = store_of(member.id).runs(["finished"])
    except ThawError:  # deleted at this moment, or damaged
        runs = []
    own = tuple(run for run in runs if run.settings.data.dataset == room.dataset)
    return Entry(workspace=member.id, name=member.name or "", place=member.place or 0, runs=own)


def gathered(entries: Sequence[Entry]) -> list[Outcome]:
    """The runs of a board as one comparison: of each experiment one run for each seed."""
    found: dict[tuple[str, int], Outcome] = {}
    for entry in entries:
        with within(entry.workspace):
            for run in entry.runs:
                key = (experiment_key(run.settings), run.settings.seed)
                try:
                    found.setdefault(key, load_outcome(run.id))
                except ThawError:  # deleted at this moment, or damaged: the others count
                    continue
    return list(found.values())


def _named(text: str, what: str, longest: int) -> str:
    """One line that can be printed.

    Raises:
        SettingsError: nothing is left of it, or it is too long.
    """
    line = "".join(sign for sign in " ".join(text.split()) if sign.isprintable())
    if not as_read(line) or len(line) > longest:
        raise SettingsError(f"The {what} must have 1 to {longest} characters that can be seen.")
    return line
