"""Record a finished race as the example that ships with Thaw: `python benchmarks/record_example.py RACE`.

RACE is the id that `python -m core race` printed with `--json`; several may be named, and with `--beside` what was
recorded earlier stays. Kept are settings, numbers, hashes and predictions; left out are weights, pictures and their
names, which become "picture 12". The machine and the date are part of it.
"""

import argparse
import json
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.home import sealed
from core.runs.example import ABOUT
from core.runs.record import (
    PREDICTIONS,
    RECORD,
    RECORDED,
    RECORDED_PREFIX,
    load_record,
    record_values,
    run_folder,
)
from core.runs.store import Run, RunStore

DIGITS = 6  # significant ones of what is not a probability


def shortened(value: object) -> object:
    """The same values with fewer digits."""
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(inner) for inner in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def main() -> None:
    """Write the folder anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("race", nargs="+")
    parser.add_argument("--beside", action="store_true", help="add to what is recorded, on the same pictures")
    parser.add_argument("--title", default="Photos of ants and bees")
    arguments = parser.parse_args()
    found = [run for race in arguments.race for run in RunStore().runs(race=race)]
    runs = [run for run in found if run.state == "finished"]
    if not arguments.beside:
        shutil.rmtree(RECORDED, ignore_errors=True)
    for run in runs:
        record_run(run, RECORDED_PREFIX, arguments.title)
    if not arguments.beside:
        _date(max(run.ended or 0.0 for run in runs))
    print(f"{len(runs)} runs, {sum(path.stat().st_size for path in RECORDED.rglob('*.*')):,} bytes in {RECORDED.name}/")


def record_run(run: Run, prefix: str, title: str) -> None:
    """One run into a folder of its own."""
    record = load_record(run.id)
    new_id = f"{prefix}{record.settings.seed}-{record.settings.model.scenario}"
    shown = tuple(f"picture {number}" for number, _ in enumerate(record.test_names, start=1))
    dataset = replace(record.dataset, title=title, kind="recorded")
    record = replace(record, run=new_id, test_names=shown, dataset=dataset)
    folder = RECORDED / new_id
    folder.mkdir(parents=True)
    shutil.copy(run_folder(run.id) / PREDICTIONS, folder)
    text = json.dumps(shortened(record_values(record)), ensure_ascii=False, separators=(",", ":")) + "\n"
    (folder / RECORD).write_bytes(sealed(text.encode()))


def _date(created: float) -> None:
    """When the race was run."""
    about = {"race": "recorded", "created": created, "date": datetime.fromtimestamp(created, UTC).date().isoformat()}
    (RECORDED / ABOUT).write_text(json.dumps(about) + "\n")


if __name__ == "__main__":
    main()
