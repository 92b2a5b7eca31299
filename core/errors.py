"""Every error a person can cause.

Messages name the thing, what is wrong with it and what to do, and are shown as they are.

ThawError
├── SettingsError   a chosen value is not possible
├── DatasetError    a whole upload, zip or folder cannot be used
│   └── LayoutQuestion   it can be read in more than one way
├── ImageError      one picture cannot be read; the others are kept
├── WeightsError    pretrained weights are missing, damaged or cannot be downloaded
├── TrainingError   a run started and could not go on
├── PackageError    a zip with a run cannot be trusted or used
├── RunError        a run is unknown, unfinished or its files are damaged
├── WorkspaceError  a workspace is gone, or its share of the server is used up
└── StorageError    the home folder, its disk or the database cannot be read or written
    └── DatabaseAway     the server that the database is on does not answer; it may come back
    └── StoreError      the store that several machines share does not answer

What the system, the database and tensor files raise becomes one of these in `core.storage`.
"""

from collections.abc import Sequence


class ThawError(Exception):
    """The root: pages and the command line catch this one, show its message and go on."""


class SettingsError(ThawError):
    """Change the named field to one of the values the message lists."""


class DatasetError(ThawError):
    """Nothing was stored; mend the archive or folder as the message says and try again."""


class LayoutQuestion(DatasetError):
    """Choose one of the ways it can be read."""

    def __init__(self, reason: str, offers: Sequence[tuple[str, str]]) -> None:
        """`offers`: (layout, what it gives), as `core.data.reading.layout` calls them, the likeliest first."""
        ways = " or ".join(f"--layout {layout} ({what})" for layout, what in offers)
        super().__init__(f"{reason} To choose, give {ways}.")
        self.reason = reason
        self.offers = tuple((layout, what) for layout, what in offers)


class ImageError(ThawError):
    """This picture was skipped; re-export or re-download it."""

    def __init__(self, reason: str, code: str = "IMG_UNREADABLE") -> None:
        """`code` names the kind of reason for support: it goes into the report of an upload."""
        super().__init__(reason)
        self.code = code


class WeightsError(ThawError):
    """Choose a backbone whose weights are here, train from scratch, or go online once."""


class WorkspaceError(ThawError):
    """Delete something, wait until tomorrow, or begin anew, as the message says."""


class TrainingError(ThawError):
    """The run has ended; its record says why and what to change."""


class PackageError(ThawError):
    """Pack the run again where it was trained, and bring that zip as it is."""


class RunError(ThawError):
    """Look at `python -m core runs` for the runs there are."""


class StorageError(ThawError):
    """Nothing was stored; make room, or name another home folder, as the message says."""

    def __init__(self, reason: str, *, full: bool = False, damaged: bool = False) -> None:
        """`full`: deleting something would help. `damaged`: an object of the store is not what was put there."""
        super().__init__(reason)
        self.full, self.damaged = full, damaged


class DatabaseAway(StorageError):
    """Start the database's server, or wait until it has started: what is tried again then goes on."""


class StoreError(StorageError):
    """It may work later: wait, or see to the store that `THAW_STORE` names."""


def shown(name: str, longest: int = 60) -> str:
    """A name that somebody gave, in quotes, on one line, and cut where it is long: fit for a message."""
    return repr(name if len(name) <= longest else name[: longest - 1] + "…")
