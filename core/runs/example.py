"""Races that we ran ourselves and that ship with Thaw: settings and numbers, no pictures and no weights.

So that pages have something to show before anyone has trained. `benchmarks/record_example.py` makes them.
"""

import json
from functools import cache

from core.runs.record import RECORD, RECORDED, is_recorded, load_record, summary_of
from core.runs.store import Run, RunStore
from core.settings.scenarios import place_of

ABOUT = "about.json"


def example_runs() -> tuple[Run, ...]:
    """The recorded race, by seed and scenario, as if its runs were in the database."""
    return tuple(run for run in _recorded() if not run.settings.model.row.from_nothing)


def showcase_runs() -> tuple[Run, ...]:
    """A case that is decided: the same network trained as a whole, from ImageNet weights and from a random start.

    The latter were recorded later than the race, with its settings and seeds.
    """
    return tuple(run for run in _recorded() if run.settings.model.row.stages == "all")


@cache
def _recorded() -> tuple[Run, ...]:
    if not (RECORDED / ABOUT).is_file():
        return ()
    about = json.loads((RECORDED / ABOUT).read_text())
    runs = []
    records = [load_record(path.parent.name) for path in RECORDED.glob(f"*/{RECORD}")]
    records.sort(key=lambda record: (record.settings.seed, place_of(record.settings.model.scenario)))
    for number, record in enumerate(records, start=1):
        runs.append(
            Run(
                number=number,
                id=record.run,
                race=about["race"],
                state="finished",
                attempt=1,
                crashes=0,
                settings=record.settings,
                dataset_title=record.dataset.title,
                decode_s=record.timings.decode,
                created=about["created"],
                started=about["created"],
                ended=about["created"],
                summary=summary_of(record),
            )
        )
    return tuple(runs)


def find_run(store: RunStore, run_id: str) -> Run:
    """A run by its id, recorded or in the database.

    Raises:
        RunError: there is none.
    """
    if is_recorded(run_id):
        found = next((run for run in _recorded() if run.id == run_id), None)
        if found is not None:
            return found
    return store.get(run_id)
