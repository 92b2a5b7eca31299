"""`runs`: what there is; and what every command says about a run."""

from argparse import Namespace
from dataclasses import replace
from typing import Any

from core.commands.command import PROGRAM, Commands, Result
from core.comparison.experiments import experiment_key
from core.comparison.wording import counted
from core.errors import RunError, TrainingError
from core.home import sweep_staging
from core.runs.experiments import stored_experiments
from core.runs.store import NO_LABEL, Label, Run, RunStore
from core.settings.scenarios import SCENARIOS


def register(commands: Commands) -> None:
    """Add the commands to the command line."""
    listing = commands.add("runs", "List the runs there are.", lambda a: list_runs(a.archived))
    listing.add_argument("--archived", action="store_true", help="also those whose experiment was put away")
    label = commands.add("label", "Name, annotate or archive the experiment that a run belongs to.", label_experiment)
    label.add_argument("member", metavar="RUN", help="any run of it")
    label.add_argument("--name", help="what to call it; empty: by its training strategy")
    label.add_argument("--note", help="what to remember about it")
    label.add_argument("--archived", choices=("yes", "no"), help="put it away, or take it back")


def list_runs(archived: bool = False) -> Result:
    """Runs, newest first; what dead processes have left behind goes.

    Args:
        archived: those of experiments that were put away are among them.
    """
    store = RunStore()
    store.heal()
    sweep_staging()
    labelled = [(run, one) for one in stored_experiments(store, archived=archived) for run in one.runs]
    labelled.sort(key=lambda pair: -pair[0].number)
    rows = [run_values(run) | _label_values(one.key, one.label) for run, one in labelled]
    return {"runs": rows}, "\n".join(map(run_line, rows)) or f"No runs yet. Try: {PROGRAM} train --data builtin"


def label_experiment(arguments: Namespace) -> Result:
    """Note what is given about a run's experiment, leave the rest as it is, and say what is noted now."""
    store = RunStore()
    key = experiment_key(store.get(arguments.member).settings)
    given = {"name": arguments.name, "note": arguments.note}
    given |= {"archived": arguments.archived and arguments.archived == "yes"}
    changed = {name: value for name, value in given.items() if value is not None}
    store.label(key, replace(store.labels().get(key, NO_LABEL), **changed))
    label = store.labels().get(key, NO_LABEL)
    said = [f"Experiment {key}: {label.name or 'no name'}{', archived' if label.archived else ''}"]
    return _label_values(key, label), "\n".join([*said, *filter(None, [label.note])])


def _label_values(key: str, label: Label) -> dict[str, Any]:
    return {"experiment": key, "name": label.name, "note": label.note, "archived": label.archived}


def run_values(run: Run) -> dict[str, Any]:
    """One run as JSON values: what it is, how it stands, and once it has finished what came out."""
    model = run.settings.model
    values = {"run": run.id, "number": run.number, "state": run.state, "scenario": model.scenario}
    values |= {"backbone": model.backbone, "seed": run.settings.seed, "data": run.dataset_title, "race": run.race}
    values |= {"fold": run.settings.data.fold, "folds": run.settings.data.folds}
    return {**(run.summary or {}), **values, "cause": run.cause}


def run_line(values: dict[str, Any]) -> str:
    """The same for a person, in a line and one more for each warning."""
    fold = f", fold {values['fold']} of {values['folds']}" if values["fold"] is not None else ""
    name = f"{values['name']}: " if values.get("name") else ""
    line = f"{values['run']}  {name}{SCENARIOS[values['scenario']].label:22} "
    line += f"{values['backbone']}, seed {values['seed']}{fold}: "
    if values["state"] != "finished":
        return line + str(values["state"]) + (f" ({values['cause']})" if values["cause"] else "")
    parameters = values["parameters"]
    balanced = ""
    if values.get("class_weights") == "balanced" and values["balanced_accuracy"] is not None:
        balanced = f" (balanced {100 * values['balanced_accuracy']:.1f} %)"
    of = f" of {counted(values['split']['test'], 'picture')}" if "split" in values else ""
    return (
        f"{line}test accuracy {100 * values['test_accuracy']:.1f} %{of}{balanced} in {values['duration_s']:.1f} s, "
        f"{parameters['trained']:,} of {parameters['total']:,} parameters trained"
        + "".join(f"\n  warning: {sentence}" for sentence in values.get("lacks", ()))
    )


def finished(run: Run) -> Run:
    """The run, if it can be used.

    Raises:
        TrainingError: it failed; its cause is said.
        RunError: it is not finished.
    """
    if run.state == "finished":
        return run
    if run.state == "failed":
        raise TrainingError(run.cause or "The run failed.")
    raise RunError(f"The run {run.id} is {run.state}; only finished runs can be used.")
