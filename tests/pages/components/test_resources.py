"""What pages keep of data sets: each visitor's, and each data set's, apart."""

from pathlib import Path

import pytest
from helpers import drawn_classes, write_files

from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.home import ask_for_workspace, thaw_home
from core.settings.schema import DataSettings, RunSettings
from core.workspaces.workspace import Workspace, new_workspace
from pages.components import resources

Asked = tuple[bool, int]
"""Whether the loaders came from the cache, and how many thumbnails had to be drawn."""


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sides of the thumbnails that were really drawn."""
    sides: list[int] = []
    square = resources.square_jpeg
    monkeypatch.setattr(resources, "square_jpeg", lambda image, side: sides.append(side) or square(image, side))
    return sides


def test_deleting_a_data_set_forgets_its_pictures_and_loaders_and_nothing_of_others(
    monkeypatch: pytest.MonkeyPatch, drawn: list[int], tiny_folder: Path, tmp_path: Path
):
    monkeypatch.setenv("THAW_HOSTED", "1")
    write_files(tmp_path / "more", drawn_classes(4))
    (mine, _), (other, _) = new_workspace(), new_workspace()

    def visit(workspace: Workspace) -> str:
        ask_for_workspace(lambda: workspace.id)
        return str(thaw_home())

    def look(workspace: Workspace, dataset: Dataset) -> Asked:
        home, before = visit(workspace), len(drawn)
        settings = RunSettings(data=DataSettings(dataset=dataset.id))
        _, was_kept = resources.cached_loaders(home, settings, dataset.id)
        resources.thumbnail(home, dataset.id, 0)
        return was_kept, len(drawn) - before

    visit(other)
    theirs = ingest(tiny_folder).dataset
    visit(mine)
    gone, stays = ingest(tiny_folder).dataset, ingest(tmp_path / "more").dataset
    assert theirs.id == gone.id, "the same pictures, brought by two"
    places = [(mine, gone), (mine, stays), (other, theirs)]
    assert [look(*place) for place in places] == [(False, 1)] * 3
    assert [look(*place) for place in places] == [(True, 0)] * 3

    resources.forget_dataset(visit(mine), gone.id)

    assert [look(*place) for place in places] == [(False, 1), (True, 0), (True, 0)]
