"""One run as the database has it.

States: queued -> running -> finished | failed | cancelled. A run whose worker is lost goes back to the queue, or ends.
"""

from dataclasses import dataclass
from typing import Any, Final

from core.settings.schema import RunSettings

ACTIVE: Final = ("queued", "running")
ENDED: Final = ("finished", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One row, as it was when it was read. Times are seconds since the epoch."""

    number: int
    id: str
    race: str | None
    state: str
    attempt: int
    crashes: int
    settings: RunSettings
    dataset_title: str
    decode_s: float
    """Seconds that decoding took for this run, before it was queued; 0 when the pixels were there already."""
    created: float
    started: float | None
    ended: float | None
    worker: dict[str, Any] | None
    beat: float | None
    cancel: bool
    progress: dict[str, Any] | None
    epochs: list[dict[str, Any]] | None
    cause: str | None
    summary: dict[str, Any] | None
    beats: int = 0
    """Signs of life of its worker, counted through all attempts."""
    stopping: bool = False
    """Its worker was asked to stop: however it ends, the run has not crashed."""
    reached: dict[str, Any] | None = None
    """The furthest progress at which a worker was lost."""
    owner: dict[str, Any] | None = None
    """The process that it belongs to and ends with, if any."""
    owner_beats: int = 0

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE
