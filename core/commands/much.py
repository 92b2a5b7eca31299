"""`advise`, `sweep` and `crossing`: how much of a network to thaw for these pictures, and whether more would help."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.advice.evidence import Evidence, save_evidence
from core.advice.plans import plan_check
from core.advice.rule import advise
from core.commands.command import Commands, Result, Say, progress_of
from core.commands.data import bring
from core.commands.options import add_run_options, run_settings, seeds_in
from core.commands.runs import finished
from core.commands.train import train_all
from core.comparison.wording import per_cent
from core.data.dataset import Dataset
from core.machine.process import imports_exempt_from_gc
from core.runs.life import identity
from core.runs.store import RunStore
from core.runs.studies import Kind, Study, check_of, checks_here, start_study, studies
from core.settings.schema import RunSettings

if TYPE_CHECKING:  # it brings torch
    from core.training.history import Progress


def register(commands: Commands) -> None:
    """Add the commands to the command line."""
    first = _command(commands, "advise", "Say how much of the network to thaw, and what that rests on.", _advise)
    first.add_argument("--check", action="store_true", help="train what was advised and its rivals, and say who won")


def _command(
    commands: Commands, name: str, help: str, run: Callable[[Namespace], Result], seeds: str = "0,1,2"
) -> ArgumentParser:
    command = commands.add(name, help, run)
    add_run_options(command)
    command.add_argument("--seeds", default=seeds, help=f"comma-separated (default: {seeds})")
    return command


def _advise(arguments: Namespace) -> Result:
    """The advice with its evidence, and its check where that is asked for."""
    say, seeds = progress_of(arguments), seeds_in(arguments.seeds)
    dataset, settings = bring(arguments.data, arguments.layout, arguments.groups).dataset, run_settings(arguments)
    evidence = looked_at(settings, dataset, say)
    advice = advise(evidence)
    values: dict[str, Any] = {"dataset": dataset.id, "title": dataset.title, "check": None}
    values |= {"advice": asdict(advice), "evidence": asdict(evidence)}
    lines = [f"{dataset.title}: {advice.headline}. {advice.because}", advice.numbers, *_depth_lines(evidence)]
    if arguments.check:
        plans = plan_check(settings, advice.stages, seeds, evidence.pictures)
        check = check_of(_studied("check", plans, dataset, say, advice.stages))
        assert check is not None, "all of its runs have finished"
        values["check"] = asdict(check)
        lines.append(check.sentence)
    record = checks_here(RunStore())
    values["record"] = asdict(record)
    if record.checks:
        lines.append(f"Advice was right in {record.right} of {record.checks} checks here.")
    return values, "\n".join(lines)


def looked_at(settings: RunSettings, dataset: Dataset, say: Say) -> Evidence:
    """Look at the training pictures, and keep what was found."""
    with imports_exempt_from_gc():
        from core.advice.depths import look

    def show(progress: "Progress") -> None:
        say(f"{progress.phase} {progress.done:,} of {progress.total:,}")

    evidence = look(settings, dataset, on_progress=show)
    save_evidence(dataset, evidence)
    return evidence


def _depth_lines(evidence: Evidence) -> list[str]:
    lines = ["  stage                 nearest mean   neighbours   linear probe"]
    for row in evidence.depths:
        shares = "".join(f"{per_cent(share):>13}" for share in (row.nearest_mean, row.neighbours, row.probe))
        lines.append(f"  {row.stage:2} {row.name:18} {shares}")
    for called in evidence.called:
        names = ", ".join(f"{name} {per_cent(share)}" for name, share in called.names)
        lines.append(f"  {called.name} is called {names}")
    return lines


def _studied(kind: Kind, plans: Sequence[RunSettings], dataset: Dataset, say: Say, about: int | None = None) -> Study:
    """A study whose runs are this command's, trained."""
    store = RunStore()
    race = start_study(store, kind, plans, dataset, about, owner=identity())
    for run in train_all(store, [run.id for run in store.runs(race=race)], say):
        finished(run)
    return next(study for study in studies(store, kind) if study.race == race)
