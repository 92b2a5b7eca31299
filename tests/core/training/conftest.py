"""Few drawn pictures for all trainings of a module, which leave nothing behind in any test's home."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import home_at

from core.data.dataset import Dataset
from core.data.ingest import ingest


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, few_folder: Path) -> Iterator[Dataset]:
    with home_at(tmp_path_factory.mktemp("scenarios")):
        found = ingest(few_folder).dataset
        assert len(found.pixels) == 15  # mapped now, while the home is set
        yield found
