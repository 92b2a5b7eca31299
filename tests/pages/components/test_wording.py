"""Words that several pages use."""

from core.runs.store import RunStore
from core.settings.schema import ModelSettings, RunSettings
from pages.components.wording import run_label


def test_a_run_whose_backbone_is_no_more_keeps_its_name_in_lists():
    store = RunStore()
    (run,) = store.submit([RunSettings(model=ModelSettings(backbone="network-of-old"))], "pictures")

    assert run_label(store.get(run)) == "#1 Frozen, network-of-old, seed 0"
