"""A race that we ran ourselves and that ships with Thaw: settings and numbers, no pictures and no weights.

So that pages have something to show before anyone has trained. `benchmarks/record_example.py` makes it.
"""

import json
from functools import cache

from core.runs.record import RECORD, RECORDED, is_recorded, load_record, summary_of
from core.runs.store import Run, RunStore
from core.settings.scenarios import place_of

ABOUT = "about.json"


@cache
def example_runs() -> tuple[Run, ...]:
    """The recorded runs, by seed and scenario, as if they were in the database."""
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
        found = next((run for run in example_runs() if run.id == run_id), None)
        if found is not None:
            return found
    return store.get(run_id)
