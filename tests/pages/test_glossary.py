"""The glossary page, and the links that lead to it."""

import ast
import re

import pytest
from helpers import REPOSITORY

from core.glossary import glossary
from pages.components.help import with_term


def entries(at) -> list[str]:
    """Names of the entries on the page."""
    return [found[1] for shown in at.markdown if (found := re.match("### (.+?)  \n", shown.value))]


def test_every_entry_is_on_the_page_in_its_place(start):
    at = start("glossary.py")

    assert not at.exception
    assert entries(at) == list(glossary())


def test_a_search_leaves_what_was_looked_for_and_says_where_there_is_nothing(start):
    at = start("glossary.py")

    at.text_input(key="glossary.query").set_value("running mean").run()
    assert entries(at) == ["BatchNorm running statistics"]

    at.text_input(key="glossary.query").set_value("xyzzy").run()
    assert entries(at) == [] and any("No entry has these words" in caption.value for caption in at.caption)


KINDS = ("radio", "selectbox", "number_input", "slider", "button_group", "toggle", "metric", "checkbox")


def linked(at) -> set[str]:
    """The entries that help texts on a page lead to."""
    helps = [shown.proto.help for kind in KINDS for shown in at.get(kind)]
    return set(re.findall(r"\(glossary#([^)]+)\)", " ".join(helps)))


@pytest.mark.parametrize("page", ["home.py", "train.py"])
def test_help_texts_lead_to_entries_that_there_are(start, page: str):
    found = linked(start(page))

    assert found and found <= {term.anchor for term in glossary().values()}


def test_every_word_that_pages_link_to_has_an_entry():
    named = {
        name.value
        for path in (REPOSITORY / "pages").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "with_term"
        for name in call.args[1:]
        if isinstance(name, ast.Constant)
    }

    assert len(named) > 10 and named <= glossary().keys()
    with pytest.raises(KeyError):
        with_term("Some help.", "A word that nobody explains")
