"""`backup` and `restore`: everything that cannot be had again, in one file."""

from dataclasses import asdict

from core.commands.command import Commands, Result, Say, file_to_read, file_to_write, progress_of
from core.comparison.wording import counted
from core.takehome.backup import Kept, back_up, bring_back


def register(commands: Commands) -> None:
    """Add the commands to the command line."""
    backup = commands.add(
        "backup",
        "Write data sets, runs and weights into one zip; Thaw may go on working meanwhile.",
        lambda a: write_backup(a.file, progress_of(a)),
    )
    backup.add_argument("file", metavar="FILE.zip")
    restore = commands.add(
        "restore",
        "Add what a backup has and this home folder has not.",
        lambda a: read_backup(a.file, progress_of(a)),
    )
    restore.add_argument("file", metavar="FILE.zip")


def write_backup(file: str, say: Say) -> Result:
    """A backup of the home folder."""
    kept = back_up(file_to_write(file), say)
    return asdict(kept) | {"file": file}, f"{file}: {_what(kept)}, {_size(kept.size_bytes)}."


def read_backup(file: str, say: Say) -> Result:
    """What was new in it."""
    kept = bring_back(file_to_read(file), say)
    return asdict(kept), f"Added {_what(kept)}, {_size(kept.size_bytes)}."


def _what(kept: Kept) -> str:
    return f"{counted(kept.datasets, 'data set')} and {counted(kept.runs, 'run')}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
