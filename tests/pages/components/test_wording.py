"""Words that several pages use."""

import re

from helpers import REPOSITORY

from core.runs.store import RunStore
from core.settings.schema import ModelSettings, RunSettings
from pages.components.wording import run_label


def test_a_run_whose_backbone_is_no_more_keeps_its_name_in_lists():
    store = RunStore()
    (run,) = store.submit([RunSettings(model=ModelSettings(backbone="network-of-old"))], "pictures")

    assert run_label(store.get(run)) == "#1 Frozen, network-of-old, seed 0"


def test_a_share_is_said_in_one_format_wherever_it_is_said():
    """95.0 %: what Python, Plotly and Streamlit make of a fraction by themselves is 95%, 95.0% or 95.00%."""
    own = re.compile(r"""\.\d%|%\}"|format=["']percent["']""")
    files = [*(REPOSITORY / "core").rglob("*.py"), *(REPOSITORY / "pages").rglob("*.py")]

    lines = [(path.name, line) for path in files for line in path.read_text().splitlines()]

    assert len(files) > 200 and [place for place in lines if own.search(place[1])] == []
