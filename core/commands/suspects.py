"""`suspects`: pictures of a data set that may be mislabelled."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.commands.command import Commands, Result, progress_of
from core.commands.data import bring
from core.commands.options import DATA_HELP, add_reading
from core.comparison.wording import said_probability
from core.data.dataset import Dataset, load_stored
from core.data.labels import LabelCheck, Suspect, check_settings, load_check, open_suspects, save_check
from core.data.reading.layout import AUTO
from core.errors import RunError
from core.machine.process import imports_exempt_from_gc
from core.runs.store import RunStore
from core.settings.schema import ModelSettings, RunSettings
from core.storage import unfolded

if TYPE_CHECKING:  # it brings torch
    from core.training.history import Progress

OnProgress = Callable[["Progress"], None]


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add(
        "suspects",
        "Find pictures that may be mislabelled.",
        lambda a: suspects(a.data, a.backbone, a.layout, a.groups, _shown_by(progress_of(a))),
    )
    command.add_argument("--data", required=True, metavar="D", help=f"{DATA_HELP}; or the id of a run")
    command.add_argument(
        "--backbone", default=ModelSettings().backbone, help="whose features are asked; a run has its own"
    )
    add_reading(command)


def suspects(
    where: str,
    backbone: str = ModelSettings().backbone,
    layout: str = AUTO,
    groups: str | None = None,
    on_progress: OnProgress = lambda progress: None,
) -> Result:
    """Pictures that a network, which did not learn them, takes for another class with confidence; the surest first.

    Those whose label was kept by a person, on the Data page, are counted and not listed.

    Args:
        where: a data set, or the id of a run: then of its data set, and by its backbone.
    """
    settings, dataset = _asked(where, backbone, layout, groups)
    with imports_exempt_from_gc():
        from core.training.suspects import check_labels
    save_check(dataset, check_labels(settings, dataset, on_progress=on_progress))
    check, found = load_check(dataset), open_suspects(dataset)
    assert check is not None
    values = {
        "dataset": dataset.id,
        "title": dataset.title,
        "backbone": check.backbone,
        "accuracy": check.accuracy,
        "pictures": check.pictures,
        "kept": len(check.suspects) - len(found),
        "suspects": [
            {"file": dataset.pictures[one.picture].name, **asdict(one), "margin": one.margin} for one in found
        ],
    }
    return values, "\n".join([_summary(dataset, check, found), *(_line(dataset, one) for one in found)])


def _asked(where: str, backbone: str, layout: str, groups: str | None) -> tuple[RunSettings, Dataset]:
    """The settings that features are computed with, and the data set."""
    if not os.path.exists(unfolded(where)):
        with suppress(RunError):  # then it is a data set, or bringing it says what is wrong
            run = RunStore().get(where)
            return run.settings, load_stored(run.settings.data.dataset)
    dataset = bring(where, layout, groups).dataset
    return check_settings(dataset, backbone), dataset


def _summary(dataset: Dataset, check: LabelCheck, found: tuple[Suspect, ...]) -> str:
    kept = len(check.suspects) - len(found)
    told = "" if not kept else ", 1 more was kept as it is" if kept == 1 else f", {kept} more were kept as they are"
    return (
        f"{dataset.title}: {len(found)} of {check.pictures:,} pictures may be mislabelled{told} "
        f"({check.backbone}, accuracy {100 * check.accuracy:.1f} % on pictures held out)"
    )


def _values(dataset: Dataset, one: Suspect) -> dict[str, Any]:
    return {"file": dataset.pictures[one.picture].name, **asdict(one), "margin": one.margin}


def _line(dataset: Dataset, one: Suspect) -> str:
    return (
        f"  {dataset.pictures[one.picture].name}: {one.given} {said_probability(one.given_probability)}, "
        f"rather {one.suggested} {said_probability(one.suggested_probability)}"
    )


def _shown_by(say: Callable[[str], None]) -> OnProgress:
    return lambda progress: say(f"{progress.phase} {progress.done:,} of {progress.total:,}")
