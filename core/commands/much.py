"""`advise`, `sweep` and `crossing`: how much of a network to thaw for these pictures, and whether more would help."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.commands.command import Commands, Result, Say, progress_of
from core.commands.data import bring
from core.commands.options import add_run_options, names_in, run_settings, seeds_in
from core.commands.runs import finished
from core.commands.train import train_all
from core.data.dataset import Dataset
from core.data.parts import class_counts
from core.errors import ThawError
from core.machine.process import imports_exempt_from_gc
from core.runs.life import identity
from core.runs.store import RunStore
from core.settings.schema import RunSettings

if TYPE_CHECKING:  # what counts with statistics is slow to import, and brings torch here and there
    from core.advice.evidence import Evidence
    from core.runs.findings import Curve, Depth
    from core.runs.studies import Kind, Study
    from core.training.history import Progress


def register(commands: Commands) -> None:
    """Add the commands to the command line."""
    first = _command(commands, "advise", "Say how much of the network to thaw, and what that rests on.", _advise)
    first.add_argument("--check", action="store_true", help="train what was advised and its rivals, and say who won")
    sweep = _command(
        commands, "sweep", "Test accuracy by how many stages train, also on shifted test pictures.", _sweep
    )
    sweep.add_argument("--depths", help="stages that train, comma-separated (default: 0,1,2,3 and all)")
    crossing = _command(
        commands, "crossing", "Test accuracy by pictures per class, and what twice as many would buy.", _crossing
    )
    crossing.add_argument("--sizes", help="pictures per class, comma-separated, all for all of them")


def _command(
    commands: Commands, name: str, help: str, run: Callable[[Namespace], Result], seeds: str = "0,1,2"
) -> ArgumentParser:
    command = commands.add(name, help, run)
    add_run_options(command)
    command.add_argument("--seeds", default=seeds, help=f"comma-separated (default: {seeds})")
    return command


def _advise(arguments: Namespace) -> Result:
    """The advice with its evidence, and its check where that is asked for."""
    from core.advice.plans import check_thawing, plan_check
    from core.advice.rule import advise
    from core.runs.studies import check_of, checks_here

    say, seeds = progress_of(arguments), seeds_in(arguments.seeds)
    dataset, settings = bring(arguments.data, arguments.layout, arguments.groups).dataset, run_settings(arguments)
    evidence = looked_at(settings, dataset, say)
    advice = advise(evidence)
    values: dict[str, Any] = {"dataset": dataset.id, "title": dataset.title, "check": None}
    values |= {"advice": asdict(advice), "evidence": asdict(evidence)}
    lines = [f"{dataset.title}: {advice.headline}. {advice.because}", advice.numbers, *_depth_lines(evidence)]
    if arguments.check:
        check_thawing(settings)
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


def _sweep(arguments: Namespace) -> Result:
    """Accuracy by depth."""
    from core.advice.plans import depths_to_try, plan_sweep
    from core.runs.findings import sweep_of

    say, settings = progress_of(arguments), run_settings(arguments)
    dataset = bring(arguments.data, arguments.layout, arguments.groups).dataset
    depths = _numbers("--depths", arguments.depths, depths_to_try(settings))
    plans = plan_sweep(settings, depths, seeds_in(arguments.seeds))
    _say_how_long("sweep", plans, dataset, say)
    found = sweep_of(_studied("sweep", plans, dataset, say))
    assert found is not None, "its runs have finished"
    lines = [f"{dataset.title}: {found.sentence}", *map(_depth_line, found.depths), *filter(None, [found.flips])]
    return {"dataset": dataset.id, "title": dataset.title, **asdict(found)}, "\n".join(lines)


def _depth_line(row: "Depth") -> str:
    ends = f" ({_share(row.interval.low)} to {_share(row.interval.high)})" if row.interval else ""
    shifted = ", ".join(f"{name} {_share(one.accuracy)}" for name, one in row.shifted.items())
    changed = f"{row.changed_bytes / 1e6:.1f} MB changed"
    return f"  {row.label:14} {_share(row.accuracy)}{ends}, {row.seconds:.1f} s, {changed}; {shifted}"


def _crossing(arguments: Namespace) -> Result:
    """Accuracy by pictures."""
    from core.advice.plans import plan_crossing, sizes_to_try
    from core.runs.findings import crossing_of

    say, settings, seeds = progress_of(arguments), run_settings(arguments), seeds_in(arguments.seeds)
    dataset = bring(arguments.data, arguments.layout, arguments.groups).dataset
    counts = class_counts(dataset, dataset.split(settings.seed, settings.data))["train"]
    usual = sizes_to_try(min(counts))
    words = [word for word in names_in(arguments.sizes or "") if word != "all"]
    smaller = _numbers("--sizes", ",".join(words), ())
    if smaller and max(smaller) >= max(counts):
        raise ThawError(
            f"--sizes has {max(smaller)}, and no class has more than {max(counts)} pictures in train: say all."
        )
    sizes = [*smaller, None] if arguments.sizes else usual
    plans = plan_crossing(settings, sizes, seeds, counts)
    _say_how_long("crossing", plans, dataset, say)
    found = crossing_of(_studied("crossing", plans, dataset, say))
    assert found is not None, "its runs have finished"
    lines = [f"{dataset.title}: {'; '.join(found.sentences)}.", *map(_curve_line, found.curves)]
    lines += [f"{found.growing}: {found.growth.sentence}"] if found.growth else []
    return {"dataset": dataset.id, "title": dataset.title, **asdict(found)}, "\n".join(lines)


def _curve_line(curve: "Curve") -> str:
    points = zip(curve.sizes, curve.means, strict=True)
    return f"  {curve.label:16} " + ", ".join(f"{size}: {_share(mean)}" for size, mean in points)


def _share(fraction: float) -> str:
    from core.comparison.wording import per_cent  # SciPy: whoever asks for help needs none of it

    return per_cent(fraction)


def _numbers(option: str, text: str | None, usual: Sequence[int]) -> list[int]:
    """What an option lists, or what is usual.

    Raises:
        ThawError: something else than whole numbers stands there.
    """
    try:
        return [int(word) for word in names_in(text or "")] or [*usual]
    except ValueError as error:
        raise ThawError(f"{option} is {text!r}; give whole numbers, like 0,1,2.") from error


def _say_how_long(kind: "Kind", plans: Sequence[RunSettings], dataset: Dataset, say: Say) -> None:
    from core.runs.studies import estimate_study

    expected = estimate_study(kind, plans, dataset)
    say(f"{len(plans)} runs, about {expected.seconds:.0f} s" if expected else f"{len(plans)} runs")


def looked_at(settings: RunSettings, dataset: Dataset, say: Say) -> "Evidence":
    """Look at the training pictures, and keep what was found."""
    from core.advice.evidence import save_evidence

    with imports_exempt_from_gc():
        from core.advice.depths import look

    def show(progress: "Progress") -> None:
        say(f"{progress.phase} {progress.done:,} of {progress.total:,}")

    evidence = look(settings, dataset, on_progress=show)
    save_evidence(dataset, evidence)
    return evidence


def _depth_lines(evidence: "Evidence") -> list[str]:
    lines = ["  stage                 nearest mean   neighbours   linear probe"]
    for row in evidence.depths:
        shares = "".join(f"{_share(share):>13}" for share in (row.nearest_mean, row.neighbours, row.probe))
        lines.append(f"  {row.stage:2} {row.name:18} {shares}")
    for called in evidence.called:
        names = ", ".join(f"{name} {_share(share)}" for name, share in called.names)
        lines.append(f"  {called.name} is called {names}")
    return lines


def _studied(
    kind: "Kind", plans: Sequence[RunSettings], dataset: Dataset, say: Say, about: int | None = None
) -> "Study":
    """A study whose runs are this command's, trained."""
    from core.runs.studies import start_study, studies

    store = RunStore()
    race = start_study(store, kind, plans, dataset, about, owner=identity())
    for run in train_all(store, [run.id for run in store.runs(race=race)], say):
        finished(run)
    return next(study for study in studies(store, kind) if study.race == race)
