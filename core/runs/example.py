"""Races that we ran ourselves and that ship with Thaw: settings and numbers, no pictures and no weights.

So that pages have something to show before anyone has trained. `benchmarks/record_example.py` makes them.
"""

import json
from functools import cache
from typing import Final

from core.runs.record import RECORD, RECORDED, RECORDED_PREFIX, is_recorded, load_record, summary_of
from core.runs.store import Run, RunStore
from core.settings.scenarios import place_of

ABOUT = "about.json"


LATER: Final = "later"


def example_runs() -> tuple[Run, ...]:
    """The recorded race, by seed and scenario, as if its runs were in the database."""
    return tuple(run for run in _race() if not run.settings.model.row.from_nothing)


def showcase_runs() -> tuple[Run, ...]:
    """A case that is decided: the same network trained as a whole, from ImageNet weights and from a random start.

    The latter were recorded later than the race, with its settings and seeds.
    """
    return tuple(run for run in _race() if run.settings.model.row.stages == "all")


def later_runs() -> tuple[Run, ...]:
    """From scratch for a long time on the drawn set, beside frozen and fine-tuned; none where it was not recorded."""
    return tuple(run for run in _recorded() if run.race == LATER)


def _race() -> tuple[Run, ...]:
    return tuple(run for run in _recorded() if run.race != LATER)


@cache
def _recorded() -> tuple[Run, ...]:
    if not (RECORDED / ABOUT).is_file():
        return ()
    about = json.loads((RECORDED / ABOUT).read_text())
    runs = []
    records = [load_record(path.parent.name) for path in RECORDED.glob(f"*/{RECORD}")]
    records.sort(key=lambda record: (record.settings.seed, place_of(record.settings.model.scenario)))
    for number, record in enumerate(records, start=1):
        is_later = record.run.startswith(f"{RECORDED_PREFIX}{LATER}-")
        created = about[LATER if is_later else "created"]
        runs.append(
            Run(
                number=number,
                id=record.run,
                race=LATER if is_later else about["race"],
                state="finished",
                attempt=1,
                crashes=0,
                settings=record.settings,
                dataset_title=record.dataset.title,
                decode_s=record.timings.decode,
                created=created,
                started=created,
                ended=created,
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
