"""What a sweep's run says about shifted test pictures is kept beside its record, and is no matter of the run."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from helpers import claim_run, queue_runs

from core.errors import DatasetError, StorageError
from core.home import home_folder
from core.runs.shifted import load_shifted, shift_after
from core.runs.store import RunStore
from core.training.history import Cancelled


@pytest.fixture
def looked(tiny_dataset, monkeypatch):
    """Looks after a run of a sweep; what the look does is given, and what is kept comes out."""

    def look(right):
        queue_runs(RunStore())
        run = replace(claim_run(RunStore()), race="sweep-1")
        (home_folder("runs") / run.id).mkdir()
        monkeypatch.setattr("core.training.shifts.right_when_shifted", right)
        trained = SimpleNamespace(model=None, split=SimpleNamespace(test=()))
        shift_after(run, tiny_dataset, trained, lambda: False)
        return load_shifted(run.id)

    return look


def test_what_was_right_is_kept(looked):
    assert looked(lambda *_: {"dark": (True, False)}) == {"dark": (True, False)}


@pytest.mark.parametrize(
    "error",
    [Cancelled(), StorageError("full"), DatasetError("deleted"), MemoryError(), RuntimeError("a bug")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_goes_wrong_the_run_has_ended_well(looked, error: Exception):
    def fail(*_):
        raise error

    assert looked(fail) == {}
