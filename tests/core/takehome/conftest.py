"""A run packed once, as the command line packs it."""

from pathlib import Path

import pytest
from helpers import FinishedRace

from core.__main__ import main


@pytest.fixture(scope="session")
def packed(_race: FinishedRace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip of the fine-tuned run; read only."""
    path = tmp_path_factory.mktemp("packed") / "run.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THAW_HOME", str(_race.home))
        assert main(["export", _race.run("finetuned"), str(path), "--json"]) == 0
    return path
