"""The recorded race that ships with Thaw: complete, consistent, and without anything that is not ours."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from core.comparison.conclusion import conclusion_of
from core.comparison.race_verdict import race_verdict
from core.errors import RunError
from core.runs.example import example_runs, find_run, later_runs, showcase_runs
from core.runs.findings import later_sentence
from core.runs.record import RECORDED, delete_files, is_recorded, load_predictions, load_record, run_folder
from core.runs.results import load_outcome
from core.runs.store import RunStore
from core.settings.scenarios import place_of
from core.settings.schema import differences


def test_it_is_a_race_of_five_seeds_with_the_same_ways_of_training_in_each():
    runs = example_runs()
    ways = {(run.settings.seed, run.settings.model.scenario) for run in runs}

    assert len(ways) == len(runs) == 15
    assert {scenario for _, scenario in ways} == {"frozen", "finetuned", "looks-frozen"}
    order = [(run.settings.seed, place_of(run.settings.model.scenario)) for run in runs]
    assert order == sorted(order)


def test_its_numbers_belong_together():
    for run in (*example_runs(), *showcase_runs(), *later_runs()):
        record, said = load_record(run.id), load_predictions(run.id)
        right = said.probabilities.argmax(1) == said.targets
        assert right.mean() == pytest.approx(record.test_accuracy, abs=1e-5)
        assert np.trace(np.array(record.confusion)) == right.sum()
        assert sum(asdict(record.timings).values()) == pytest.approx(record.duration_s, rel=1e-4)
        assert load_outcome(run.id).pictures == record.test_contents
        assert record.layers and record.costs.peak_memory_bytes


def test_frozen_was_frozen_and_looks_frozen_only_looked_it():
    for run in example_runs():
        audit, scenario = load_record(run.id).freeze_audit, run.settings.model.scenario
        assert audit.bit_identical == (scenario == "frozen")
        assert (audit.checked > 0) == (scenario != "finetuned")


def test_it_holds_no_names_of_photos_no_pictures_and_no_weights():
    assert {path.name for path in RECORDED.rglob("*.*")} == {"about.json", "record.json", "predictions.safetensors"}
    for run in (*example_runs(), *showcase_runs(), *later_runs()):
        names = load_record(run.id).test_names
        assert names == tuple(f"picture {number}" for number in range(1, len(names) + 1))


def test_it_is_found_by_id_and_cannot_be_deleted(thaw_home):
    run = example_runs()[0]

    delete_files(run.id)

    assert run_folder(run.id).is_dir() and find_run(RunStore(), run.id) == run


@pytest.mark.parametrize("name", ["recorded-9-frozen", "recorded-../../x", "recorded-"])
def test_an_id_that_only_looks_recorded_finds_nothing(thaw_home, name):
    with pytest.raises(RunError, match="is no run"):
        find_run(RunStore(), name)


def test_an_id_is_never_a_path():
    assert not is_recorded("recorded-../../etc")
    assert not is_recorded("recorded-/etc")


def test_the_showcase_is_decided_and_about_nothing_but_the_start():
    runs = showcase_runs()
    settings = {run.settings.model.scenario: replace(run.settings, seed=0) for run in runs}

    found = conclusion_of(race_verdict([load_outcome(run.id) for run in runs]))

    assert found.grade == "clearly" and len(runs) == 10
    assert [field for field, _, _ in differences(settings["scratch"], settings["finetuned"])] == [
        "model.scenario",
        "model.weights",
        "model.batchnorm",
        "optim.lr",
        "optim.backbone_lr",
    ]


def test_the_long_run_from_scratch_stands_beside_frozen_and_fine_tuned_and_belongs_to_no_race():
    head, short, long = later_runs()

    assert [run.settings.model.scenario for run in (head, short, long)] == ["frozen", "finetuned", "scratch"]
    assert long.settings.optim.epochs == 10 * short.settings.optim.epochs == len(load_record(long.id).history)
    others = {run.id for run in (*example_runs(), *showcase_runs())}
    assert not others & {head.id, short.id, long.id}
    assert len({load_record(run.id).split.hash for run in later_runs()}) == 1
    assert later_sentence(later_runs()).startswith(("Yes", "Not")) and later_sentence([long]) == ""
