"""The glossary: a table that can be searched, and that every setting's help can lead to."""

from dataclasses import fields

import pytest
from helpers import REPOSITORY

from core.glossary import find_terms, glossary, term_of_option
from core.settings.schema import PARTS, RunSettings

WANTED = (
    *("Transfer learning", "Backbone", "Head", "Feature extraction (frozen)", "Linear probe", "Fine-tuning"),
    *("Layer-wise learning-rate decay", "Learning rate", "Epoch", "Batch", "Training, validation and test"),
    *("Test accuracy", "Confusion matrix", "BatchNorm running statistics", "Augmentation", "Seed"),
    *("Confidence interval", "Smallest detectable difference", "Calibration", "Prediction set", "Out-of-distribution"),
)


def test_the_words_of_the_tutorial_and_the_lecture_are_explained_in_a_sentence_or_two():
    assert set(WANTED) <= glossary().keys()
    for term in glossary().values():
        assert term.meaning.endswith((".", "?")) and 20 <= len(term.meaning) <= 260, term.name


def test_entries_have_an_address_each_a_page_that_there_is_and_settings_that_there_are():
    terms = glossary().values()
    options = [option for term in terms for option in term.options]
    known = {field.name for part in (RunSettings, *PARTS.values()) for field in fields(part)}

    assert len({term.anchor for term in terms}) == len(terms)
    assert all((REPOSITORY / "pages" / f"{term.page}.py").is_file() for term in terms)
    assert len(set(options)) == len(options) and set(options) <= known


def test_entries_of_a_topic_stand_together():
    topics = [term.topic for term in glossary().values()]

    assert [topic for place, topic in enumerate(topics) if topic not in topics[:place]] == [
        topic for place, topic in enumerate(topics) if place == 0 or topics[place - 1] != topic
    ]


@pytest.mark.parametrize(
    ("query", "name"),
    [("requires_grad", "Feature extraction (frozen)"), ("CNN CODES", "Features"), ("rate tenth", "Learning rate")],
)
def test_a_search_finds_what_other_books_call_it(query: str, name: str):
    assert name in [term.name for term in find_terms(query)]
    assert len(find_terms(query)) < len(glossary()) == len(find_terms(""))
    assert find_terms(f"{query} xyzzy") == []


def test_a_setting_leads_to_what_explains_it():
    assert term_of_option("lr") == term_of_option("backbone_lr") == glossary()["Learning rate"]
    assert term_of_option("test_fraction") is None
