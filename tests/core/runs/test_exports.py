"""Of several that would send runs to a tracker one does, on any machine that shares the database."""

import pytest
from filelock import Timeout

from core.runs.exports import Exports


def test_one_exports_at_a_time(database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_DATABASE", database_url)

    with Exports("mlflow").alone() as mine, Exports("mlflow").alone() as also_mine:
        assert mine and not also_mine
    with pytest.raises(KeyError), Exports("mlflow").alone() as mine:
        raise KeyError("whatever ends it")
    with Exports("mlflow").alone() as again:
        assert mine and again


def test_who_exports_alone_may_wait_in_vain_for_something_else():
    with pytest.raises(Timeout), Exports("mlflow").alone() as mine:
        assert mine
        raise Timeout("another lock")
