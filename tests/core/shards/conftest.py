"""Pieces are read in the test's own process: a process for each would double the time."""

import pytest

from core.data.reading.intake import take_in


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.shards.taking_in.take_in_contained", take_in)
