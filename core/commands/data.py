"""`data`: brings a data set into the store and describes it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands.command import Commands, Result, cannot_write, named_folder
from core.commands.options import DATA_HELP, add_reading
from core.data.dataset import Dataset, Split
from core.data.edit import set_groups
from core.data.groups import GroupCounts, count_groups, find_groups, groups_sentence
from core.data.ingest import Ingested, ingest
from core.data.reading.layout import AUTO
from core.data.reading.report import as_csv
from core.errors import SettingsError
from core.machine.facts import usable_cores
from core.settings.schema import DataSettings

if TYPE_CHECKING:  # what looks at pixels is slow to import
    from core.data.health import Finding


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add(
        "data",
        "Bring a data set into the store and describe it.",
        lambda a: data(a.data, a.report, a.draw, a.layout, a.groups),
    )
    command.add_argument("data", metavar="D", help=DATA_HELP)
    add_reading(command)
    command.add_argument(
        "--report", default="text", choices=("text", "csv"), help="what to print: csv has a row per file"
    )
    command.add_argument("--draw", metavar="FOLDER", help="write the built-in pictures there, as files")


def data(
    where: str, report: str = "text", draw: str | None = None, layout: str = AUTO, groups: str | None = None
) -> Result:
    """Classes, counts by split, fingerprint, what was left out, and what may be wrong; or a row per file as CSV."""
    from core.data.health import find_problems

    if draw is not None:
        _draw(where, named_folder("--draw", draw))
    dataset = bring(where, layout, groups).dataset
    split = dataset.split(0, DataSettings())
    grouped = count_groups([row.name for row in dataset.pictures], [row.subject for row in dataset.pictures])
    findings = find_problems(dataset, split)
    values = {
        "dataset": dataset.id,
        "title": dataset.title,
        "classes": list(dataset.class_names),
        "counts": dataset.counts(split),
        "fingerprint": dataset.fingerprint,
        "split": split.hash,
        "read_as": dataset.read_as,
        "groups": {"by": dataset.grouped_by, **asdict(grouped)},
        "class_folders": [asdict(row) for row in dataset.class_folders],
        "skipped": [{"file": row.file, "reason": row.reason} for row in dataset.skipped],
        "ignored": [{"file": row.file, "reason": row.reason} for row in dataset.ignored],
        "notices": [*dataset.notices, *split.notices],
        "findings": [asdict(finding) for finding in findings],
    }
    return values, as_csv(dataset) if report == "csv" else "\n".join(_lines(dataset, split, grouped, findings))


def _lines(dataset: Dataset, split: Split, grouped: GroupCounts, findings: "Sequence[Finding]") -> list[str]:
    """The same for a person."""
    counts = dataset.counts(split)
    lines = [f"{dataset.title}: {len(dataset.pictures)} pictures, {len(dataset.class_names)} classes"]
    lines += [f"  read as {dataset.read_as}"] if dataset.read_as else []
    lines += [f"  groups by {dataset.grouped_by}: {groups_sentence(grouped)}"] if dataset.grouped_by else []
    lines += [f"  {part:5} " + ", ".join(f"{name} {n}" for name, n in row.items()) for part, row in counts.items()]
    lines += [f"  skipped {row.file}: {row.reason}" for row in dataset.skipped]
    if dataset.ignored:
        reasons = Counter(row.reason for row in dataset.ignored)
        lines.append("  ignored " + ", ".join(f"{number} ({reason})" for reason, number in reasons.items()))
    lines += [f"  {notice}" for notice in (*dataset.notices, *split.notices)]
    return lines + [f"  {'warning' if finding.serious else 'note'}: {finding.sentence}" for finding in findings]


def bring(where: str, layout: str, groups: str | None) -> Ingested:
    """A data set in the store, its pictures grouped where that is asked for."""
    ingested = ingest(where, layout=layout)
    if groups is None:
        return ingested
    return replace(ingested, dataset=set_groups(ingested.dataset, find_groups(ingested.dataset, groups)))


def _draw(where: str, folder: Path) -> None:
    """The built-in pictures as files, in a folder for each part and class."""
    from core.data.drawn.drawings import pictures

    if where != "builtin":
        raise SettingsError("--draw writes the built-in pictures; yours are files already.")
    try:
        for name, content in pictures(usable_cores()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as error:
        raise cannot_write("--draw", "no pictures", folder, error) from error
