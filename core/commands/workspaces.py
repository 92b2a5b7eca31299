"""`workspaces`: for whoever runs a server that strangers share: what there is, and away with what is over."""

from argparse import Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.commands.command import Commands, Result
from core.comparison.wording import counted
from core.errors import ThawError, WorkspaceError, shown

if TYPE_CHECKING:
    from core.visitors.registry import Place


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add("workspaces", "The workspaces of a server that strangers share.", workspaces)
    command.add_argument("--sweep", action="store_true", help="delete those whose time is up first")
    command.add_argument("--delete", metavar="ID", help="delete this one first, whatever is in it")


def workspaces(arguments: Namespace) -> Result:
    """Each workspace with what it has; never a key, which is stored nowhere.

    Raises:
        WorkspaceError: the one to be deleted is not there.
    """
    from core.visitors.registry import Registry
    from core.workspaces.sweeper import sweep_workspaces
    from core.workspaces.workspace import Workspace

    registry = Registry()
    if arguments.delete:
        if arguments.delete not in {place.id for place in registry.places()}:
            raise WorkspaceError(f"There is no workspace {shown(arguments.delete)}.")
        Workspace(id=arguments.delete).delete()
    gone = sweep_workspaces() if arguments.sweep else 0
    told = [_told(place) for place in registry.places()]
    return {"workspaces": [row for row, _ in told], "swept": gone}, "\n".join(
        line for _, line in told
    ) or "No workspaces."


def _told(place: "Place") -> tuple[dict[str, Any], str]:
    """What one has, as values and as a line; of one that cannot be read, why: the others are listed all the same."""
    from core.workspaces.workspace import Workspace

    until = datetime.fromtimestamp(place.expires, UTC).date().isoformat()
    row: dict[str, Any] = {"workspace": place.id, "until": until}
    try:
        shares = {share.what: round(share.used, 1) for share in Workspace(id=place.id).shares()}
    except ThawError as error:
        return row | {"unreadable": str(error)}, f"{place.id}  until {until}: {error}"
    runs, pictures = counted(int(shares["runs"]), "run"), counted(int(shares["pictures"]), "picture")
    has = f"{runs}, {pictures}, {shares['megabytes']} MB, {shares['minutes']} minutes today"
    return row | shares, f"{place.id}  until {until}: {has}"
