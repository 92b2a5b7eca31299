"""Compare: the page's verdict is the command line's verdict, and its cells open their pictures."""

import json

import numpy as np
import pytest
from helpers import drawn_classes, write_files

from core.commands.compare import compare
from core.data.ingest import ingest
from core.runs.example import example_runs
from core.runs.record import load_predictions, load_record
from core.runs.store import RunStore
from core.settings.schema import DataSettings, RunSettings


@pytest.fixture
def ids(finished_race) -> tuple[str, str]:
    return finished_race.run("frozen"), finished_race.run("finetuned")


@pytest.fixture
def at(start, ids):
    return start("compare.py", runs=",".join(ids))


def texts(at) -> list[str]:
    """What Markdown and captions say, without what only keeps it literal."""
    return [shown.value.replace("\\", "").replace("\u2060", "") for shown in (*at.markdown, *at.caption)]


def open_tab(start, ids, name: str):
    """A link to one of the tabs below the verdict."""
    return start("compare.py", runs=",".join(ids), **{"compare.details": name})


def test_with_fewer_than_two_runs_the_recorded_race_is_shown(start, tiny_dataset):
    at = start("compare.py", data=tiny_dataset.id)

    recorded = [run.id for run in example_runs()]
    assert not at.exception and not at.error
    assert any("needs two finished runs" in text for text in texts(at))
    assert at.multiselect(key="compare.runs").value == recorded
    values, text = compare(recorded, band=0.02)
    for sentence in [values["sentence"], *(pair["sentence"] for pair in values["pairs"])]:
        assert sentence in text and any(sentence in shown for shown in texts(at))
    assert len(at.metric) == len({run.settings.model.scenario for run in example_runs()})


def test_a_race_over_seeds_shows_every_pair_in_one_plot_and_by_other_scores(start, tiny_dataset):
    at = start("compare.py", data=tiny_dataset.id)

    values = compare([run.id for run in example_runs()], band=0.02)[0]
    assert {"compare.race.forest", "compare.race.chances"} <= {chart.key for chart in at.get("plotly_chart")}
    table = table_with(at, "score")
    wanted = [score for pair in values["pairs"] for score in pair["scores"]]
    assert table["difference"].tolist() == pytest.approx([score["estimate"]["value"] for score in wanted])
    assert {"Race report", "Pairs", "Race numbers"} <= {button.proto.label for button in at.get("download_button")}


def test_the_verdict_is_the_command_lines(at, ids):
    values, sentence = compare(ids, band=0.02)

    assert not at.exception and not at.error
    assert at.selectbox(key="compare.a").value == ids[0]
    assert sentence in texts(at)
    assert at.multiselect(key="compare.runs").value == list(ids)
    accuracies = at.dataframe[0].value["test accuracy"].tolist()
    assert accuracies == pytest.approx([100 * values[side]["accuracy"]["value"] for side in ("a", "b")])


def test_every_cell_of_the_agreement_square_opens_its_pictures(at, ids):
    agreement = compare(ids, band=0.02)[0]["agreement"]

    for cell, count in (("both", "both"), ("neither", "neither"), ("only-b", "only_b"), ("only-a", "only_a")):
        button = at.button(key=f"compare.cell.{cell}")
        assert button.label.startswith(f"**{agreement[count]}**")
        button.click().run()
        assert not at.exception
        assert len(at.get("image")) == min(12, agreement[count])
        assert at.query_params["cell"] == cell


def test_pictures_carry_both_answers_with_their_probabilities_and_the_file_name(at, ids):
    at.button(key="compare.cell.both").click().run()

    place = compare(ids, band=0.02)[0]["agreement"]["both_index"][0]
    names = load_record(ids[0]).dataset.class_names
    for side, run in zip("AB", ids, strict=True):
        row = load_predictions(run).probabilities[place]
        wanted = f"✓ {side}: {names[row.argmax()]} {row.max():.0%}"
        assert any(wanted in text for text in texts(at))
    assert any(load_record(ids[0]).test_names[place].rsplit("/", 1)[-1] in text for text in texts(at))


def test_a_cell_in_the_address_is_opened_and_a_strange_one_does_no_harm(start, ids):
    for asked, expected in (("neither", "neither"), ("x", None)):
        at = start("compare.py", runs=",".join(ids), cell=asked)
        assert not at.exception
        kinds = [button.proto.type for button in at.button if str(button.key).startswith("compare.cell.")]
        assert kinds.count("primary") == 1
        if expected:
            assert at.button(key=f"compare.cell.{expected}").proto.type == "primary"


def test_the_band_of_practical_equality_can_be_changed(at, ids):
    at.number_input(key="compare.band").set_value(20.0).run()

    assert not at.exception
    assert compare(ids, band=0.2)[1] in texts(at)


def test_a_comparison_can_be_taken_home_in_three_kinds(at):
    buttons = {button.proto.label for button in at.get("download_button")}
    assert {"Report", "Pictures", "Numbers"} <= buttons


def test_the_address_shows_the_same_comparison_to_others(start, ids):
    at = start("compare.py", runs=",".join(ids), a=ids[1], band="5")

    assert (at.selectbox(key="compare.a").value, at.selectbox(key="compare.b").value) == ids[::-1]
    assert at.number_input(key="compare.band").value == 5.0
    at.number_input(key="compare.band").set_value(3.0).run()
    assert (at.query_params["band"], at.query_params["a"]) == ("3", ids[1])


def test_a_run_that_the_address_names_twice_is_one_run(start, ids):
    twice, both = (start("compare.py", runs=",".join(runs)) for runs in ([ids[0], ids[0]], [*ids, ids[0]]))

    assert not twice.exception and not twice.error
    assert len(set(twice.multiselect(key="compare.runs").value)) > 1, "the usual ones"
    assert both.multiselect(key="compare.runs").value == list(ids) and not both.error


@pytest.mark.parametrize("band", ["", "x", "nan", "-3", "1e9"])
def test_a_strange_band_in_the_address_does_no_harm(start, ids, band):
    at = start("compare.py", runs=",".join(ids), band=band)

    assert not at.exception and 0.5 <= at.number_input(key="compare.band").value <= 20


def table_with(at, column: str):
    return next(table.value for table in at.dataframe if column in table.value.columns)


def test_probabilities_are_held_against_the_truth(start, ids):
    table = table_with(open_tab(start, ids, "Probabilities"), "Brier score")

    assert table["Brier score"].between(0, 2).all() and table["calibration error"].between(0, 100).all()


def test_confusion_matrices_and_their_difference_stand_side_by_side_with_recalls(start, ids):
    at = open_tab(start, ids, "Confusion")

    assert not at.exception
    values = compare(ids, band=0.02)[0]
    table = table_with(at, "A recall")
    for letter, side in (("A", "a"), ("B", "b")):
        recalls = [100 * recall["value"] for recall in values[side]["recalls"]]
        assert table[f"{letter} recall"].tolist() == pytest.approx(recalls)
    charts = [chart.proto for chart in at.get("plotly_chart")]
    assert len(charts) >= 3 + 3  # the curves above, and the three matrices


def test_costs_are_those_of_the_records(start, ids):
    table = table_with(open_tab(start, ids, "Run time and cost"), "ms per prediction")

    records = [load_record(run) for run in ids]
    assert table["parameters trained"].tolist() == [record.parameters.trained for record in records]
    assert table["state changed, MB"].tolist() == [record.costs.changed_bytes / 1e6 for record in records]
    assert (table["peak memory, MB"] > 100).all()


@pytest.mark.parametrize("name", ["Weight changes by layer", "What moved inside"], ids=["now", "in older addresses"])
def test_weight_changes_say_what_the_freeze_audit_found(start, ids, name: str):
    at = open_tab(start, ids, name)

    assert not at.exception
    for run in ids:
        assert any(load_record(run).freeze_audit.sentence in text for text in texts(at))


def test_small_print_counts_the_evaluations_on_the_test_part(start, ids):
    at = open_tab(start, ids, "Small print")

    evaluations = RunStore().evaluations(load_record(ids[0]).test_part)
    assert evaluations >= 2
    assert sum(f"so far, on this machine: {evaluations}" in text for text in texts(at)) == 2


def test_the_best_of_several_is_called_optimistic(start, tiny_dataset):
    at = start("compare.py", data=tiny_dataset.id)

    right = {run.id: np.mean(predicted_right(run.id)) for run in example_runs()}
    best = next(run for run in example_runs() if right[run.id] == max(right.values()))
    said = next(text for text in texts(at) if "Optimistic:" in text)
    assert f"{best.settings.model.row.label}, seed {best.settings.seed} is the highest of" in said


def predicted_right(run: str) -> np.ndarray:
    predictions = load_predictions(run)
    return predictions.probabilities.argmax(1) == predictions.targets


def test_two_runs_are_not_called_optimistic(at):
    assert not any("Optimistic:" in text for text in texts(at))


def test_the_verdict_over_a_single_pair_is_said_once(start, finish, tiny_dataset):
    runs = [finish(tiny_dataset, scenario, seed, race="r").id for seed in (0, 1) for scenario in ("frozen", "scratch")]

    at = start("compare.py", runs=",".join(runs))

    (pair,) = compare(runs, band=0.02)[0]["pairs"]
    assert not at.exception
    assert sum(pair["sentence"] in text for text in texts(at)) == 1


def test_an_axis_of_accuracy_does_not_go_beyond_all_right(start, finish, tiny_dataset):
    """Plotly draws an axis from 0 to 200 % around curves that are all at 100 %."""
    runs = [finish(tiny_dataset, scenario, val_accuracy=1.0).id for scenario in ("frozen", "scratch")]

    at = start("compare.py", runs=",".join(runs))

    axes = [json.loads(chart.proto.spec)["layout"]["yaxis"] for chart in at.get("plotly_chart")]
    ends = [
        axis["autorangeoptions"]["clipmax"] for axis in axes if axis.get("title", {}).get("text") == "accuracy on val"
    ]
    assert len(ends) == 2 and all(1 < end < 1.1 for end in ends)


def test_runs_of_two_data_sets_are_never_averaged(start, finish, tiny_dataset, tmp_path):
    other = ingest(write_files(tmp_path / "other", drawn_classes(12, first=500)), title="other").dataset
    runs = [finish(tiny_dataset, "frozen", seed).id for seed in (0, 1)] + [finish(other, "frozen", 2, wrong=[0]).id]

    at = start("compare.py", runs=",".join(runs))

    assert not at.exception
    shown = [metric.value for metric in at.metric]
    assert shown == [f"{load_record(run).test_accuracy:.1%}" for run in runs], "a card per run"
    (told,) = [text for text in texts(at) if "learnt from different data sets" in text]
    assert "other" in told and "keep the runs of one data set" in told


def test_runs_that_share_way_and_seed_each_stand_by_themselves(start, finish, tiny_dataset):
    runs = [finish(tiny_dataset, "frozen", wrong=wrong) for wrong in ([], range(30))]
    runs.append(finish(tiny_dataset, "scratch"))

    at = start("compare.py", runs=",".join(run.id for run in runs))

    assert not at.exception and not at.error
    assert [metric.value for metric in at.metric] == ["100.0%", "0.0%", "100.0%"]
    assert any("#1 Frozen, seed 0 and #2 Frozen, seed 0 share strategy and seed" in text for text in texts(at))


def test_a_race_over_folds_is_compared_whole_however_many_runs_it_has(start, finish, tiny_dataset):
    runs = [
        finish(
            tiny_dataset,
            name,
            seed,
            race="r",
            settings=RunSettings(data=DataSettings(folds=5, fold=fold)),
            wrong=range(12) if name == "scratch" else (),
        )
        for seed in range(3)
        for fold in range(1, 6)
        for name in ("frozen", "scratch")
    ]

    at = start("compare.py", data=tiny_dataset.id, runs=",".join(run.id for run in runs))

    assert not at.exception and not at.error
    said = " ".join(shown.value for shown in (*at.markdown, *at.caption)).replace("\\", "")
    assert "30 test pictures, seeds 0, 1, 2" in said and "Over 5 folds every picture was tested once" in said
    assert "Frozen is better than From scratch" in said
