"""`compare`: finished runs side by side, with the verdict that the Compare page gives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.commands.command import Commands, Result
from core.commands.runs import finished
from core.errors import RunError
from core.runs.example import find_run
from core.runs.store import RunStore

if TYPE_CHECKING:  # statistics are slow to import: not before they are asked for
    from core.comparison.fairness import Outcome


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add(
        "compare",
        "Compare experiments over their seeds, or finished runs.",
        lambda a: compare(a.runs, a.band, a.report),
    )
    command.add_argument("runs", metavar="NAME", nargs="+", help="an experiment's key, or a run's id")
    command.add_argument("--band", type=float, default=0.02, help="gap that makes no difference in practice (fraction)")
    command.add_argument("--report", default="text", choices=("text", "markdown", "csv"), help="what to print")


def compare(names: Sequence[str], band: float, report: str = "text") -> Result:
    """Two runs are compared on their pictures; more are a race. CSV has a row per picture, of a race a row per pair.

    Args:
        names: runs, or experiments, each of which stands for its finished runs.
    """
    from core.runs.results import load_outcome

    store = RunStore()
    ids = _runs_of(store, names)
    twice = next((run for run in ids if ids.count(run) > 1), None)
    if twice is not None:
        raise RunError(f"The run {twice} is named twice; a run cannot be compared with itself.")
    if len(ids) < 2:
        raise RunError("A comparison needs two runs or more.")
    outcomes = [load_outcome(run) for run in ids]
    if len(ids) > 2:
        return race_result(outcomes, band, report)
    return _two_runs(store, (outcomes[0], outcomes[1]), band, report)


def _runs_of(store: RunStore, names: Sequence[str]) -> list[str]:
    """The ids of the runs that were named, by themselves or by their experiment."""
    from core.runs.experiments import experiments_of

    stored = {one.key: one.finished for one in experiments_of(store.runs())}
    found: list[str] = []
    for name in names:
        group = stored.get(name)
        if group is not None and not group:
            raise RunError(f"No run of the experiment {name} has finished.")
        found += [run.id for run in group or [finished(find_run(store, name))]]
    return found


def _two_runs(store: RunStore, outcomes: "tuple[Outcome, Outcome]", band: float, report: str) -> Result:
    from core.comparison.compare import compare as compare_two
    from core.comparison.conclusion import conclusion_of
    from core.comparison.race_verdict import race_verdict
    from core.runs.record import load_record
    from core.takehome.report import as_csv, as_markdown

    records = (load_record(outcomes[0].run), load_record(outcomes[1].run))
    comparison = compare_two(*outcomes, band)
    conclusion = conclusion_of(race_verdict(outcomes, band, store.names())) if _two_experiments(outcomes) else None
    text = f"{conclusion.headline}.\n{comparison.sentence}" if conclusion else comparison.sentence
    if report == "markdown":
        text = as_markdown(comparison, records, [store.evaluations(record.test_part) for record in records])
    if report == "csv":
        if comparison.agreement is None:
            raise RunError(f"There is no table of pictures: {comparison.sentence}")
        text = as_csv(comparison, outcomes, records[0].test_names)
    values = {**comparison.to_dict(), "verdict": comparison.outcome}
    return values | {"conclusion": conclusion.to_dict() if conclusion else None}, text


def _two_experiments(outcomes: "tuple[Outcome, Outcome]") -> bool:
    """Whether two runs are of two experiments; two seeds or folds of one are just two models."""
    from core.comparison.experiments import experiment_of

    a, b = (experiment_of(outcome.settings) for outcome in outcomes)
    return a != b


def race_result(outcomes: "Sequence[Outcome]", band: float, report: str = "text") -> Result:
    """The conclusion and the verdict over a race, with every arm, every pair and who trained faster."""
    from core.comparison.conclusion import conclusion_of
    from core.comparison.folds import gather_folds, incomplete_seeds, question
    from core.comparison.race_report import race_as_csv, race_as_markdown
    from core.comparison.race_verdict import race_verdict
    from core.comparison.race_wording import accuracy_interval
    from core.comparison.wording import per_cent

    verdict = race_verdict(gather_folds(outcomes), band, RunStore().names())
    conclusion = conclusion_of(verdict)
    left_out = incomplete_seeds([outcome.settings for outcome in outcomes])
    values = {
        **verdict.to_dict(),
        "conclusion": conclusion.to_dict(),
        "question": question(outcomes),
        "left_out": left_out,
    }
    if report != "text":
        return values, (race_as_markdown if report == "markdown" else race_as_csv)(verdict)
    pairs = [pair.sentence for pair in verdict.pairs] if len(verdict.pairs) > 1 else []
    arms = [f"{arm.label}: test accuracy {per_cent(arm.mean)} ({accuracy_interval(arm)})" for arm in verdict.arms]
    lines = [
        f"{conclusion.headline}.",
        verdict.sentence,
        *arms,
        *pairs,
        *(pair.speed for pair in verdict.pairs if pair.speed),
    ]
    return values, "\n".join([*lines, *filter(None, [values["question"]]), *left_out])
