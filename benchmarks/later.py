"""From scratch for a long time on the drawn set, beside frozen and fine-tuned: trained here, and recorded for Thaw.

    THAW_HOME=FOLDER python benchmarks/later.py [--epochs 80] [--size 128] [--minutes 60]

What has been trained stays in THAW_HOME. A run that the minutes are over for goes on after its last epoch when this is
started again; once all three have finished, they are put beside the recorded example, in place of earlier ones.
"""

import argparse
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.machine.process import prepare_process

prepare_process()

from record_example import record_run

from core.advice.plans import plan_later
from core.comparison.wording import per_cent
from core.data.ingest import ingest
from core.runs.engine import run_next
from core.runs.example import ABOUT, LATER
from core.runs.race import submit
from core.runs.record import RECORDED, RECORDED_PREFIX
from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings

PREFIX = f"{RECORDED_PREFIX}{LATER}-"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--epochs", type=int, default=80)
    arguments.add_argument("--size", type=int, default=128, help="pixels that networks train on; a frozen one sees all")
    arguments.add_argument("--minutes", type=float, default=60.0)
    options = arguments.parse_args()
    end = time.monotonic() + 60 * options.minutes
    runs = trained(plans(options.epochs, options.size), end)
    for run in runs:
        print(run.settings.model.row.label, run.state, per_cent(run.summary["test_accuracy"]) if run.summary else "")
    if all(run.state == "finished" for run in runs):
        keep(runs)


def plans(epochs: int, size: int) -> list[RunSettings]:
    """The three runs; the data set is drawn if it never was."""
    usual, dataset = RunSettings(), ingest("builtin").dataset
    wanted = plan_later(replace(usual, data=replace(usual.data, dataset=dataset.id)), epochs)
    return [
        replace(plan, optim=replace(plan.optim, train_size=size if plan.model.row.takes_steps else None))
        for plan in wanted
    ]


def trained(wanted: list[RunSettings], end: float) -> list[Run]:
    """What is there, and what can be trained until then."""
    store = RunStore()
    there = {run.settings: run.id for run in store.runs(limit=5000)}
    for plan in wanted:
        if plan not in there:
            (there[plan],) = submit(store, [plan], ingest("builtin"), as_race=False)
    ids = [there[plan] for plan in wanted]
    while time.monotonic() < end and run_next(store, lambda: time.monotonic() > end, ids):
        pass
    return [store.get(run_id) for run_id in ids]


def keep(runs: list[Run]) -> None:
    """Record them, and when they were run."""
    for path in RECORDED.glob(f"{PREFIX}*"):
        shutil.rmtree(path)
    for run in runs:
        record_run(run, PREFIX, run.dataset_title)
    about = json.loads((RECORDED / ABOUT).read_text())
    about[LATER] = max(run.ended or 0.0 for run in runs)
    (RECORDED / ABOUT).write_text(json.dumps(about) + "\n")


if __name__ == "__main__":
    main()
