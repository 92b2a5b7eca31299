"""Words that several pages use."""

import re

import pytest
from helpers import REPOSITORY

from core.comparison.wording import said_probability
from core.runs.store import RunStore
from core.settings.schema import ModelSettings, RunSettings
from core.takehome.predict import in_words
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


@pytest.mark.parametrize(
    ("fraction", "said"),
    [
        (1.0, ">99.9 %"),
        (0.9995, ">99.9 %"),
        (0.9994, "99.9 %"),
        (0.5, "50.0 %"),
        (0.0006, "0.1 %"),
        (0.0004, "<0.1 %"),
        (0.0, "<0.1 %"),
    ],
)
def test_rounding_makes_no_answer_certain_on_pages_nor_in_a_network_taken_home(fraction: float, said: str):
    assert said_probability(fraction) == in_words(fraction) == said
