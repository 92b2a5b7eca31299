"""Compare: the conclusion first, the command line's verdict below it, and cells that open their pictures."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import drawn_classes, noise, write_files

from core.commands.compare import compare
from core.comparison.wording import said_probability
from core.data.ingest import ingest
from core.home import thaw_home
from core.runs.example import example_runs
from core.runs.experiments import experiments_of
from core.runs.record import load_predictions, load_record
from core.runs.store import RunStore
from core.settings.schema import DataSettings, OptimSettings, RunSettings
from pages.components.charts import MOST_CELLS
from pages.components.kept import NAMES


@pytest.fixture
def ids(finished_race) -> tuple[str, str]:
    return finished_race.run("frozen"), finished_race.run("finetuned")


@pytest.fixture
def at(start, ids):
    return opened(start, ids, "models", "differences", "pairs", "seeds")


def opened(start, ids, *parts: str, **address: str):
    """A link to these runs, as older addresses were, with these parts of the evidence open. A is Frozen."""
    named = {"a": ids[0], "b": ids[1]} if "models" in parts and len(ids) == 2 else {}
    return start("compare.py", runs=",".join(ids), **{f"compare.{part}": "true" for part in parts}, **(named | address))


def texts(at) -> list[str]:
    """What Markdown and captions say, without what only keeps it literal."""
    return [literal(shown.value) for shown in (*at.header, *at.markdown, *at.caption)]


def literal(text: str) -> str:
    return text.replace("\\", "").replace("\u2060", "").replace("\u00a0", " ")


def compared(at) -> list[str]:
    return at.query_params["experiments"].split(",")


def test_a_comparison_opens_with_its_conclusion_and_everything_else_is_folded(start, finish, tiny_dataset):
    runs = [
        finish(tiny_dataset, scenario, seed, race="r", wrong=range(5 + 2 * seed) if scenario == "frozen" else [])
        for seed in range(3)
        for scenario in ("frozen", "finetuned")
    ]
    at = start("compare.py")

    (headline,) = [literal(shown.value) for shown in at.header]
    values, text = compare(compared(at), band=0.02)
    assert not at.exception and not at.error
    assert headline == values["conclusion"]["headline"] and text.startswith(f"{headline}.")
    assert values["conclusion"]["numbers"] in texts(at) and "3 seeds" in values["conclusion"]["numbers"]
    assert compared(at) == [one.key for one in reversed(experiments_of(RunStore().runs()))]
    assert {one.key for one in experiments_of(runs)} == set(compared(at))
    assert not at.dataframe and not at.get("plotly_chart") and not at.metric
    words = " ".join(texts(at))
    assert words.count("Fine-tuned 9") + words.count("Fine-tuned 100") == 1, "no number is said twice"


def test_without_two_of_ones_own_the_recorded_experiments_are_shown(start, tiny_dataset):
    at = start("compare.py", **{"compare.pairs": "true", "compare.seeds": "true", "compare.scores": "true"})

    assert not at.exception and not at.error
    assert any("needs two finished experiments" in text for text in texts(at))
    recorded = [run.id for run in example_runs()]
    values, text = compare(recorded, band=0.02)
    assert all(name.startswith("recorded-") for name in compared(at))
    for pair in values["pairs"]:
        assert pair["sentence"] in text and any(pair["sentence"] in shown for shown in texts(at))
    assert len(at.metric) == len({run.settings.model.scenario for run in example_runs()})
    wanted = [score for pair in values["pairs"] for score in pair["scores"]]
    shown = table_with(at, "score")["difference"].tolist()
    assert shown == pytest.approx([score["estimate"]["value"] for score in wanted])
    assert not any(button.key == "compare.disagreements" for button in at.button), "pictures are not here"
    assert {"Race report", "Pairs", "Race numbers"} <= {button.proto.label for button in at.get("download_button")}


def test_experiments_join_and_leave_and_only_what_can_be_compared_is_offered(start, finish, tiny_dataset, tmp_path):
    other = ingest(write_files(tmp_path / "other", drawn_classes(12, first=500)), title="other").dataset
    quick = RunSettings(optim=OptimSettings(epochs=2))
    finish(tiny_dataset, "scratch", wrong=[0])
    finish(other, "frozen")
    for scenario, settings in (("frozen", None), ("finetuned", None), ("finetuned", quick)):
        finish(tiny_dataset, scenario, race="r", settings=settings)

    at = start("compare.py")
    assert len(compared(at)) == 3, "the newest race"
    assert at.selectbox(key="compare.add").options == ["From scratch, 1 seed"]
    assert any("other: other pictures" in text for text in texts(at)), "what is left out, and why"
    assert any("Fine-tuned (2 epochs)" in literal(button.label) for button in at.button)

    at.selectbox(key="compare.add").select_index(0).run()
    assert len(compared(at)) == 4 and not at.exception
    numbers = next(shown.value for shown in at.markdown if shown.value.startswith("Test accuracy"))
    assert numbers.count("  \n") == 5, "a line for each of four, and one for what they have in common"
    assert "\\" not in re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", numbers), "nothing but punctuation is escaped"
    for _ in range(2):
        next(button for button in at.button if str(button.key).startswith("compare.drop.")).click().run()
    assert len(compared(at)) == 2 and not at.exception
    instead = next(button for button in at.button if str(button.key).startswith("compare.instead."))
    instead.click().run()
    assert compared(at) == [str(instead.key).rpartition(".")[2]] and not at.exception
    assert [literal(shown.value) for shown in at.header] == ["Frozen: 100.0 % test accuracy"]


def test_more_seeds_are_queued_from_the_conclusion_and_asked_for_once(start, finish, tiny_dataset):
    for scenario, seeds in (("frozen", 2), ("finetuned", 1)):
        for seed in range(seeds):
            finish(tiny_dataset, scenario, seed, race="r", wrong=range(seed + 1))
    at = start("compare.py")

    assert at.button(key="compare.more").label == "Run 2 more seeds"
    at.button(key="compare.more").click().run()

    plans = [(run.settings.model.scenario, run.settings.seed) for run in RunStore().runs(states=("queued",))]
    assert sorted(plans) == [("finetuned", 1), ("finetuned", 2), ("frozen", 2)], "three that both have"
    assert not at.exception and not any(button.key == "compare.more" for button in at.button)


def test_the_pictures_they_disagree_on_are_one_click_away(start, finish, tiny_dataset):
    tested = tiny_dataset.split(0, DataSettings(dataset=tiny_dataset.id)).test
    finish(tiny_dataset, "frozen", race="r", wrong=tested[:2])
    finish(tiny_dataset, "finetuned", race="r", wrong=tested[2:3])
    at = start("compare.py")
    at.button(key="compare.disagreements").click().run()

    assert not at.exception and len(at.get("image")) == 3
    assert any("Only Fine-tuned is right: 2" in text for text in texts(at))
    assert any("Only Frozen is right: 1" in text for text in texts(at))


def test_what_an_address_names_and_is_not_here_is_said(start, finish, tiny_dataset):
    runs = [finish(tiny_dataset, scenario) for scenario in ("frozen", "scratch")]
    key = experiments_of(runs)[0].key

    at = start("compare.py", experiments=f"{key},0123456789")
    assert compared(at) == [key] and not at.exception
    assert [literal(said.value) for said in at.warning] == [
        "The experiment **0123456789** of this address is not here any more, or never was."
    ]
    at = start("compare.py", runs="gone")
    assert len(compared(at)) == 2 and "run **gone** of this address is not here" in literal(at.warning[0].value)


def test_a_damaged_run_is_left_out_with_a_sentence_and_the_rest_is_compared(start, finish, tiny_dataset):
    runs = [finish(tiny_dataset, scenario, seed) for scenario in ("frozen", "scratch") for seed in (0, 1)]
    record = next(Path(thaw_home()).glob(f"runs/{runs[0].id}/record.json"))
    record.write_text("{")

    at = start("compare.py")
    assert not at.exception and len(compared(at)) == 2
    assert "1 run cannot be read and is left out" in at.warning[0].value
    assert any(", 1 seed" in text and ", 2 seeds" in text for text in texts(at)), "whose they are"


def test_while_a_race_runs_what_has_finished_is_compared(start, finish, tiny_dataset):
    first = finish(tiny_dataset, "frozen", race="r")
    store = RunStore()
    plan = replace(first.settings, model=replace(first.settings.model, scenario="finetuned"))
    store.submit([plan], "tiny", race="r")

    at = start("compare.py")
    assert not at.exception and any("1 run on the way" in text for text in texts(at))
    finish(tiny_dataset, "scratch", race="r")
    at = start("compare.py")
    assert len(compared(at)) == 2 and any("still training" in text for text in texts(at))
    assert "1 more run on the way" in {link.proto.label for link in at.get("page_link")}


def test_the_verdict_is_the_command_lines_whatever_counts_as_practically_equal(at, ids):
    values, text = compare(ids, band=0.02)

    assert not at.exception and not at.error
    assert at.selectbox(key="compare.a").value == ids[0]
    assert values["sentence"] in texts(at) and values["sentence"] in text
    assert compared(at) == [experiments_of([RunStore().get(run)])[0].key for run in ids]
    accuracies = table_with(at, "test accuracy")["test accuracy"].tolist()
    assert accuracies == pytest.approx([100 * values[side]["accuracy"]["value"] for side in ("a", "b")])

    at.number_input(key="compare.band").set_value(20.0).run()
    assert not at.exception
    assert compare(ids, band=0.2)[0]["sentence"] in texts(at)
    assert {"Report", "Pictures", "Numbers"} <= {button.proto.label for button in at.get("download_button")}


def test_every_cell_of_the_agreement_square_opens_its_pictures_with_both_answers(at, ids):
    agreement = compare(ids, band=0.02)[0]["agreement"]

    for cell, count in (("neither", "neither"), ("only-b", "only_b"), ("only-a", "only_a"), ("both", "both")):
        button = at.button(key=f"compare.cell.{cell}")
        assert button.label.startswith(f"**{agreement[count]}**")
        button.click().run()
        assert not at.exception
        assert len(at.get("image")) == min(12, agreement[count])
        assert at.query_params["cell"] == cell

    place = agreement["both_index"][0]
    names = load_record(ids[0]).dataset.class_names
    for side, run in zip("AB", ids, strict=True):
        row = load_predictions(run).probabilities[place]
        wanted = f"✓ {side}: {names[row.argmax()]} {said_probability(row.max())}"
        assert any(wanted in text for text in texts(at))
    assert any(load_record(ids[0]).test_names[place].rsplit("/", 1)[-1] in text for text in texts(at))


def test_a_cell_in_the_address_is_opened_and_a_strange_one_is_told(start, ids):
    at = opened(start, ids, cell="neither")
    kinds = [button.proto.type for button in at.button if str(button.key).startswith("compare.cell.")]
    assert kinds.count("primary") == 1 and at.button(key="compare.cell.neither").proto.type == "primary"

    strange = opened(start, ids, "models", cell="x")
    kinds = [button.proto.type for button in strange.button if str(button.key).startswith("compare.cell.")]
    assert kinds.count("primary") == 1 and "cell=x" in literal(strange.error[0].value)


def test_the_address_shows_the_same_comparison_to_others(start, ids):
    at = opened(start, ids, "differences", a=ids[1], band="5")

    assert (at.selectbox(key="compare.a").value, at.selectbox(key="compare.b").value) == ids[::-1]
    assert at.number_input(key="compare.band").value == 5.0
    at.number_input(key="compare.band").set_value(3.0).run()
    assert (at.query_params["band"], at.query_params["a"]) == ("3", ids[1])


def test_a_strange_band_in_the_address_is_told(start, ids):
    at = opened(start, ids, "differences", band="nan")

    assert not at.exception and at.number_input(key="compare.band").value == 2
    assert "band=nan." in literal(at.error[0].value)
    for strange in ("x", "-3", "nan", "1e3"):
        with pytest.raises(ValueError):
            NAMES["compare.band"].read(strange)


def table_with(at, column: str):
    return next(table.value for table in at.dataframe if column in table.value.columns)


def test_probabilities_are_held_against_the_truth(start, ids):
    table = table_with(opened(start, ids, **{"compare.details": "Probabilities"}), "Brier score")

    assert table["Brier score"].between(0, 2).all() and table["calibration error"].between(0, 100).all()


def test_confusion_matrices_and_their_difference_stand_side_by_side_with_recalls(start, ids):
    at = opened(start, ids, **{"compare.details": "Confusion"}, a=ids[0])

    assert not at.exception
    values = compare(ids, band=0.02)[0]
    table = table_with(at, "A recall")
    for letter, side in (("A", "a"), ("B", "b")):
        recalls = [100 * recall["value"] for recall in values[side]["recalls"]]
        assert table[f"{letter} recall"].tolist() == pytest.approx(recalls)
    assert len(at.get("plotly_chart")) == 3


def test_of_many_classes_one_matrix_is_shown_at_a_time(start, finish, tmp_path):
    files = {f"class {kind:02}/{n}.png": noise(kind, n) for kind in range(MOST_CELLS + 1) for n in range(4)}
    dataset = ingest(write_files(tmp_path / "many", files)).dataset
    mine = (finish(dataset).id, finish(dataset, "finetuned").id)
    at = opened(start, mine, **{"compare.details": "Confusion"}, a=mine[0])
    assert len(at.get("plotly_chart")) == 1 and not any("Click a cell" in text for text in texts(at))

    at.segmented_control(key="compare.confusion").set_value("A - B").run()

    assert not at.exception and len(at.get("plotly_chart")) == 1
    assert "**Difference**, A minus B" in texts(at) and table_with(at, "A recall")["class"].size == MOST_CELLS + 1


def test_costs_are_those_of_the_records(start, ids):
    table = table_with(opened(start, ids, **{"compare.details": "Run time and cost"}, a=ids[0]), "ms per prediction")

    records = [load_record(run) for run in ids]
    assert table["parameters trained"].tolist() == [record.parameters.trained for record in records]
    assert table["state changed, MB"].tolist() == [record.costs.changed_bytes / 1e6 for record in records]
    assert (table["peak memory, MB"] > 100).all()


@pytest.mark.parametrize("name", ["Weight changes by layer", "What moved inside"], ids=["now", "in older addresses"])
def test_weight_changes_say_what_the_freeze_audit_found(start, ids, name: str):
    at = opened(start, ids, **{"compare.details": name})

    assert not at.exception
    for run in ids:
        assert any(load_record(run).freeze_audit.sentence in text for text in texts(at))


def test_small_print_counts_the_evaluations_on_the_test_part(start, ids):
    at = opened(start, ids, **{"compare.details": "Small print"})

    evaluations = RunStore().evaluations(load_record(ids[0]).test_part)
    assert evaluations >= 2
    assert sum(f"so far, on this machine: {evaluations}" in text for text in texts(at)) == 2


def test_the_best_of_several_is_called_optimistic(start, tiny_dataset):
    at = start("compare.py", **{"compare.cautions": "true"})

    right = {run.id: np.mean(predicted_right(run.id)) for run in example_runs()}
    best = next(run for run in example_runs() if right[run.id] == max(right.values()))
    said = next(text for text in texts(at) if "Optimistic:" in text)
    assert f"{best.settings.model.row.label}, seed {best.settings.seed} is the highest of" in said


def predicted_right(run: str) -> np.ndarray:
    predictions = load_predictions(run)
    return predictions.probabilities.argmax(1) == predictions.targets


def test_an_axis_of_accuracy_neither_goes_beyond_all_right_nor_makes_a_cliff_of_a_picture(start, finish, tiny_dataset):
    """Plotly draws an axis from 0 to 200 % around curves that are all at 100 %."""
    runs = [finish(tiny_dataset, scenario, val_accuracy=1.0).id for scenario in ("frozen", "scratch")]

    at = opened(start, runs, "curves")

    axes = [json.loads(chart.proto.spec)["layout"]["yaxis"] for chart in at.get("plotly_chart")]
    found = [
        axis["autorangeoptions"] for axis in axes if axis.get("title", {}).get("text") == "validation accuracy (%)"
    ]
    assert len(found) == 2 and all(100 < options["clipmax"] < 110 for options in found)
    low, high = found[0]["include"]
    assert high - low == pytest.approx(min(100, 800 / load_record(runs[0]).split.val))


def test_of_a_seed_that_was_run_twice_the_newest_is_compared(start, finish, tiny_dataset):
    runs = [finish(tiny_dataset, "frozen", wrong=wrong) for wrong in ([], range(60))] + [
        finish(tiny_dataset, "scratch")
    ]

    at = opened(start, [run.id for run in runs], "seeds")

    assert not at.exception and not at.error
    assert [metric.value for metric in at.metric] == ["0.0 %", "100.0 %"]


def test_a_race_over_folds_is_compared_whole_however_many_runs_it_has(start, finish, tiny_dataset):
    for seed in range(3):
        for fold in range(1, 6):
            for name in ("frozen", "scratch"):
                settings = RunSettings(data=DataSettings(folds=5, fold=fold))
                wrong = range(12) if name == "scratch" else ()
                finish(tiny_dataset, name, seed, race="r", settings=settings, wrong=wrong)

    at = start("compare.py")

    assert not at.exception and not at.error
    said = " ".join(texts(at))
    assert "3 seeds over 5 folds, 30 test pictures" in said and "Over 5 folds every picture was tested once" in said
    assert "Frozen is clearly better than From scratch" in said
