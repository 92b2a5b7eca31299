"""`runs`: what there is; and what every command says about a run."""

from typing import Any

from core.commands.command import PROGRAM, Commands, Result
from core.errors import RunError, TrainingError
from core.home import sweep_staging
from core.runs.store import Run, RunStore
from core.settings.scenarios import SCENARIOS


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    commands.add("runs", "List the runs there are.", lambda a: list_runs())


def list_runs() -> Result:
    """All runs, newest first; what dead processes have left behind goes."""
    store = RunStore()
    store.heal()
    sweep_staging()
    rows = [run_values(run) for run in store.runs()]
    return {"runs": rows}, "\n".join(map(run_line, rows)) or f"No runs yet. Try: {PROGRAM} train --data builtin"


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
    line = f"{values['run']}  {SCENARIOS[values['scenario']].label:22} "
    line += f"{values['backbone']}, seed {values['seed']}{fold}: "
    if values["state"] != "finished":
        return line + str(values["state"]) + (f" ({values['cause']})" if values["cause"] else "")
    parameters = values["parameters"]
    balanced = ""
    if values.get("class_weights") == "balanced" and values["balanced_accuracy"] is not None:
        balanced = f" (balanced {values['balanced_accuracy']:.1%})"
    return (
        f"{line}test accuracy {values['test_accuracy']:.1%}{balanced} in {values['duration_s']:.1f} s, "
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
