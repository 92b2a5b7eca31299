"""`workspaces`: for whoever runs a server that strangers share: what there is, and away with what is over."""

from argparse import Namespace
from datetime import UTC, datetime

from core.commands.command import Commands, Result
from core.comparison.wording import counted
from core.errors import WorkspaceError, shown


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
    rows, lines = [], []
    for place in registry.places():
        until = datetime.fromtimestamp(place.expires, UTC).date().isoformat()
        shares = {share.what: round(share.used, 1) for share in Workspace(id=place.id).shares()}
        rows.append({"workspace": place.id, "until": until, **shares})
        runs, pictures = counted(int(shares["runs"]), "run"), counted(int(shares["pictures"]), "picture")
        lines.append(
            f"{place.id}  until {until}: {runs}, {pictures}, {shares['megabytes']} MB, "
            f"{shares['minutes']} minutes today"
        )
    return {"workspaces": rows, "swept": gone}, "\n".join(lines) or "No workspaces."
