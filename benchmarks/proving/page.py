"""The page of figures: a section for each thing that was tried, with its command, seed, machine and date."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import torch

from core.machine.facts import this_machine

NOT_PROMISED: Final = """## Not promised

- Power cuts: a killed process leaves what it wrote in the system's memory, so kills prove nothing about them. Files are
  synced before they get their names, the folders they lie in are not.
- Equal numbers across machines, numbers of threads, or versions of torch: such a run begins anew.
- Protection between people who share a link, or one user of the operating system.
- A worker is noticed to be dead at once, to be silent after 60 s; what it computed since the last checkpoint is done
  again (checkpoints are written at the ends of epochs, every 20 s at most)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """What was tried, and what came of it."""

    title: str
    tried: int
    wanted: int
    figures: Mapping[str, object]
    zeros: Mapping[str, int]
    """What must be nothing."""
    faults: Sequence[str]
    """Whatever was wrong, in sentences."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Everything that was counted."""
    remarks: str = ""


def written(section: Section, command: str, seed: int, seconds: float) -> dict[str, Any]:
    """A section as JSON values, with where and when it was run."""
    machine = this_machine()
    where = f"{machine.processor}, {machine.cores} cores, Python {platform.python_version()}, torch {torch.__version__}"
    about = {"command": command, "seed": seed, "seconds": round(seconds), "machine": where, "commit": COMMIT}
    return {**asdict(section), **about, "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


COMMIT: Final = _commit()
"""When the process began: what is tried later is what was loaded then."""


def told(kept: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> str:
    """The page, in Markdown; what was not run is said."""
    rows = [_row(kept[name]) if name in kept else f"| {name} | not run | | |" for name in names]
    table = ["| what | tried | must be 0 | faults |", "|---|---|---|---|", *rows]
    return "\n".join(["# Whether runs survive", "", *table, "", *map(_details, kept.values()), NOT_PROMISED])


def _row(row: Mapping[str, Any]) -> str:
    zeros = ", ".join(f"{name} {count}" for name, count in row["zeros"].items())
    wanted = f" of {row['wanted']:,}" if row["tried"] < row["wanted"] else ""
    return f"| {row['title']} | {row['tried']:,}{wanted} | {zeros} | {len(row['faults'])} |"


def _details(row: Mapping[str, Any]) -> str:
    figures = [f"- {name}: {value}" for name, value in row["figures"].items()]
    faults = [f"- **{fault}**" for fault in row["faults"]] or ["- No fault."]
    about = (
        f"`{row['command']}`, seed {row['seed']}, {row['date']}, {row['seconds']} s, {row['machine']}, {row['commit']}"
    )
    remarks = [row["remarks"], ""] if row["remarks"] else []
    return "\n".join([f"## {row['title']}", "", *remarks, *figures, *faults, "", about, ""])
