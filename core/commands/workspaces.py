"""`workspaces`: for whoever runs a server that strangers share: what there is, and away with what is over."""

from argparse import Namespace
from datetime import UTC, datetime

from core.commands.command import Commands, Result
from core.comparison.wording import counted


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
        Workspace(id=registry.place(arguments.delete).id).delete()
    gone = sweep_workspaces() if arguments.sweep else 0
    rows = []
    for place in registry.places():
        until = datetime.fromtimestamp(place.expires, UTC).date().isoformat()
        shares = {share.what: round(share.used, 1) for share in Workspace(id=place.id).shares()}
        rows.append({"workspace": place.id, "until": until, **shares})
    lines = [
        f"{row['workspace']}  until {row['until']}: {counted(round(row['runs']), 'run')}, "
        f"{counted(round(row['pictures']), 'picture')}, {row['megabytes']} MB, {row['minutes']} minutes today"
        for row in rows
    ]
    return {"workspaces": rows, "swept": gone}, "\n".join(lines) or "No workspaces."
