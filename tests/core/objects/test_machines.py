"""Two machines, each with a home of its own, one database and one store: what one has, the other can use."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from buckets import Bucket
from helpers import home_at, know_speeds

from core.data.dataset import Dataset, stored_ids
from core.data.ingest import Ingested, ingest
from core.objects import cache
from core.runs.race import submit
from core.runs.record import Predictions, load_predictions, load_record, run_folder
from core.runs.store import RunStore
from core.runs.worker import run_next
from core.settings.schema import ModelSettings, OptimSettings, RunSettings

Machine = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database and a folder that both machines have."""
    monkeypatch.setenv("THAW_DATABASE", f"sqlite:///{tmp_path / 'thaw.db'}")
    monkeypatch.setenv("THAW_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(cache, "LOOK_AGAIN_S", 0.0)


@pytest.fixture
def a(tmp_path: Path) -> Machine:
    return machine(tmp_path / "a")


@pytest.fixture
def b(tmp_path: Path) -> Machine:
    return machine(tmp_path / "b")


def machine(home: Path) -> Machine:
    know_speeds(home)
    return lambda: home_at(home)


def queue(dataset: Dataset, scenario: str = "finetuned") -> str:
    model, optim = ModelSettings(scenario=scenario), OptimSettings(epochs=1, batch_size=8)
    return submit(
        RunStore(), [RunSettings(model=model, optim=optim)], Ingested(dataset=dataset, decode_s=0.0), as_race=False
    )[0]


def trained(run_id: str) -> Predictions:
    """What the next worker makes of the queue; the run must have finished."""
    assert run_next(RunStore(), lambda: False)
    assert RunStore().get(run_id).cause is None
    assert RunStore().get(run_id).state == "finished"
    return load_predictions(run_id)


def same(one: Predictions, other: Predictions) -> bool:
    return np.array_equal(one.probabilities, other.probabilities) and np.array_equal(one.targets, other.targets)


@pytest.mark.slow
def test_one_machine_trains_on_what_the_other_took_in(
    few_folder: Path, bucket: Bucket, shared: None, a: Machine, b: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_STORE", bucket.address)
    with a():
        dataset = ingest(few_folder).dataset
        run = queue(dataset)
    with b():
        assert stored_ids() == [dataset.id]
        there = trained(run)
    with a():
        assert not run_folder(run).exists()
        assert same(load_predictions(run), there)
        assert load_record(run).run == run
        monkeypatch.delenv("THAW_STORE")
        assert same(trained(queue(dataset)), there), "as on one machine, bit for bit"
