"""Compare: the page's verdict is the command line's verdict, and its cells open their pictures."""

import pytest

from core.commands import compare_runs


@pytest.fixture
def ids(finished_race) -> tuple[str, str]:
    return finished_race.run("frozen"), finished_race.run("finetuned")


def test_with_fewer_than_two_runs_it_says_what_to_do(start, tiny_dataset):
    at = start("compare.py", data=tiny_dataset.id)

    assert not at.exception
    assert any("needs two finished runs" in markdown.value for markdown in at.markdown)


def test_the_verdict_is_the_command_lines(start, ids):
    at = start("compare.py", runs=",".join(ids))

    values, sentence = compare_runs(*ids, band=0.02)
    assert not at.exception and not at.error
    assert at.selectbox(key="compare.a").value == ids[0]
    shown = [markdown.value.replace("\\", "").replace("\u2060", "") for markdown in at.markdown]
    assert sentence in shown
    assert at.multiselect(key="compare.runs").value == list(ids)
    accuracies = at.dataframe[0].value["test accuracy"].tolist()
    assert accuracies == pytest.approx([100 * values[side]["accuracy"]["value"] for side in ("a", "b")])


def test_every_cell_of_the_agreement_square_opens_its_pictures(start, ids):
    at = start("compare.py", runs=",".join(ids))
    agreement = compare_runs(*ids, band=0.02)[0]["agreement"]

    for cell, count in (("both are right", "both"), ("both are wrong", "neither"), ("only B is right", "only_b")):
        at.segmented_control(key="compare.cell").set_value(cell).run()
        assert not at.exception
        assert len(at.get("image")) == min(12, agreement[count])


def test_the_band_of_practical_equality_can_be_changed(start, ids):
    at = start("compare.py", runs=",".join(ids))

    at.number_input(key="compare.band").set_value(20.0).run()

    assert not at.exception
    sentence = compare_runs(*ids, band=0.2)[1]
    assert sentence in [markdown.value.replace("\\", "").replace("\u2060", "") for markdown in at.markdown]


def test_a_comparison_can_be_taken_home_in_three_kinds(start, ids):
    at = start("compare.py", runs=",".join(ids))

    buttons = {button.proto.label for button in at.get("download_button")}
    assert {"Report", "Pictures", "Numbers"} <= buttons


def test_the_address_shows_the_same_comparison_to_others(start, ids):
    at = start("compare.py", runs=",".join(ids), a=ids[1], band="5")

    assert (at.selectbox(key="compare.a").value, at.selectbox(key="compare.b").value) == ids[::-1]
    assert at.number_input(key="compare.band").value == 5.0
    at.number_input(key="compare.band").set_value(3.0).run()
    assert (at.query_params["band"], at.query_params["a"]) == ("3", ids[1])


@pytest.mark.parametrize("band", ["", "x", "nan", "-3", "1e9"])
def test_a_strange_band_in_the_address_does_no_harm(start, ids, band):
    at = start("compare.py", runs=",".join(ids), band=band)

    assert not at.exception and 0.5 <= at.number_input(key="compare.band").value <= 20


def test_probabilities_are_held_against_the_truth(start, ids):
    at = start("compare.py", runs=",".join(ids))

    table = next(table.value for table in at.dataframe if "Brier score" in table.value.columns)
    assert table["Brier score"].between(0, 2).all() and table["calibration error"].between(0, 100).all()
