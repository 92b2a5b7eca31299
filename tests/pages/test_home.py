"""Home: the race is queued as chosen, and what it says comes from the runs."""

import pytest
from helpers import drawn, noise, write_files

from core.comparison.planning import smallest_gap
from core.comparison.race_verdict import race_verdict
from core.comparison.race_wording import accuracy_interval, expected_gap
from core.data.edit import set_groups
from core.data.groups import find_groups
from core.data.ingest import ingest
from core.runs.example import example_runs
from core.runs.race import every_fold, plan_race, submit
from core.runs.results import load_outcome
from core.runs.store import RunStore
from core.settings.schema import DataSettings, RunSettings


def race_of(dataset_id: str) -> list[str]:
    return submit(RunStore(), plan_race(RunSettings(), ["frozen", "scratch"], [0]), ingest(dataset_id), as_race=True)


def badges(at) -> list[str]:
    return [markdown.value for markdown in at.markdown if "-badge[" in markdown.value]


def test_before_a_race_the_pictures_are_shown(start, tiny_dataset):
    at = start("home.py", data=tiny_dataset.id)

    assert not at.exception and not at.error
    assert len(at.get("image")) == 12
    assert at.button(key="home.race").disabled is False


def test_the_button_queues_the_chosen_scenarios_on_the_chosen_data(start, tiny_dataset):
    at = start("home.py", data=tiny_dataset.id)

    at.pills(key="home.scenarios").set_value(["frozen", "probe-then-finetune"]).run()
    at.button(key="home.race").click().run()

    runs = RunStore().runs()
    assert not at.exception
    assert sorted(run.settings.model.scenario for run in runs) == ["frozen", "probe-then-finetune"]
    assert {run.settings.data.dataset for run in runs} == {tiny_dataset.id}
    assert {run.race for run in runs} == {at.query_params["race"]}
    assert at.button(key="home.race").disabled


def test_a_race_that_waits_is_shown_and_can_be_stopped(start, tiny_dataset):
    ids = race_of(tiny_dataset.id)
    at = start("home.py", data=tiny_dataset.id)
    assert "The race is on" in [heading.value for heading in at.subheader]

    at.button(key="header.stop").click().run()

    assert {RunStore().get(run).state for run in ids} == {"cancelled"}
    assert sum("was stopped" in caption.value for caption in at.caption) == 2


def test_a_failed_run_says_why(start, tiny_dataset):
    store = RunStore()
    race_of(tiny_dataset.id)
    while run := store.claim():
        store.end(run, "failed", cause="The loss became nan. Try <b>less</b>.")

    at = start("home.py", data=tiny_dataset.id)

    assert len(at.error) == 2
    assert "\\<b\\>" in at.error[0].value, "a cause is shown literally"


def test_the_result_shows_every_run_with_its_interval_and_the_verdict(start, finished_race):
    at = start("home.py", data=finished_race.values["runs"][0]["dataset"]["id"])

    assert not at.exception
    shown = [metric.value for metric in at.metric]
    assert shown == [f"{run['test_accuracy']:.1%}" for run in finished_race.values["runs"]]
    assert any("Verdict" in markdown.value for markdown in at.markdown)
    assert sum("bit-identical" in markdown.value for markdown in at.markdown) == 1
    assert len(at.get("plotly_chart")) == 4  # the difference with its interval, two of curves, one of seconds


def test_the_machine_card_shows_what_was_measured_and_what_was_chosen(start, tiny_dataset):
    at = start("home.py", data=tiny_dataset.id)

    shown = next(table.value for table in at.dataframe if "chosen" in table.value.columns)

    assert shown["fp32"].tolist() == [50, 50, 50] and set(shown["chosen"]) == {"fp32"}


def test_a_machine_that_was_never_measured_says_so(start, tiny_dataset, thaw_home):
    (thaw_home / "speeds.json").unlink()

    at = start("home.py", data=tiny_dataset.id)

    assert not at.exception and any("has not been timed here yet" in caption.value for caption in at.caption)


def told_gap(at) -> str:
    (told,) = [caption.value for caption in at.caption if "Smallest detectable difference" in caption.value]
    return told


def test_what_the_test_part_can_show_is_said_before_the_race_for_the_chosen_seeds(start, tmp_path):
    files = {f"{part}/{name}/{n}.png": drawn(name, n + 50 * len(part)) for part, many in (("train", 8), ("test", 4))
             for name in ("discs", "squares") for n in range(many)}  # fmt: skip
    dataset = ingest(write_files(tmp_path / "few", files)).dataset

    at = start("home.py", data=dataset.id)
    assert expected_gap(1, 8) in told_gap(at) and "two trained models" in told_gap(at)

    at.segmented_control(key="home.seeds").set_value(3).run()
    assert expected_gap(3, 8) in told_gap(at) and "two training strategies, with 3 seeds" in told_gap(at)
    assert smallest_gap(3, 8) < smallest_gap(1, 8)


@pytest.mark.parametrize("folds", [None, 3])
def test_of_pictures_in_groups_the_groups_are_counted(start, tmp_path, folds):
    """Ten pictures of one subject show no ten times as much; the verdict counts groups, too."""
    files = {f"{kind}/p{n // 3 + 6 * (kind == 'b')}_{n}.png": noise(n, ord(kind)) for kind in "ab" for n in range(18)}
    dataset = ingest(write_files(tmp_path / "patients", files)).dataset
    grouped = set_groups(dataset, find_groups(dataset, "name:(p#)_*"))
    settings = DataSettings(folds=folds)
    tested = {grouped.pictures[i].subject for data in every_fold(settings) for i in grouped.split(0, data).test}

    at = start("home.py", data=grouped.id, **({"folds": str(folds)} if folds else {}))
    at.segmented_control(key="home.seeds").set_value(3).run()

    assert f"{len(tested)} groups of test pictures" in " ".join(caption.value for caption in at.caption)


def test_a_race_over_three_seeds_queues_every_scenario_with_each(start, tiny_dataset):
    at = start("home.py", data=tiny_dataset.id)
    at.segmented_control(key="home.seeds").set_value(3)
    at.pills(key="home.scenarios").set_value(["frozen", "scratch"]).run()
    at.button(key="home.race").click().run()

    queued = sorted((run.settings.model.scenario, run.settings.seed) for run in RunStore().runs())
    assert queued == [(name, seed) for name in ("frozen", "scratch") for seed in (0, 1, 2)]


def test_the_recorded_race_is_shown_with_intervals_that_are_the_verdicts(start, tiny_dataset):
    at = start("home.py", data=tiny_dataset.id)

    verdict = race_verdict([load_outcome(run.id) for run in example_runs()])
    captions = [caption.value for caption in at.caption]
    for arm in verdict.arms:
        assert any(accuracy_interval(arm) in caption for caption in captions)
        assert f"{arm.mean:.1%}" in [metric.value for metric in at.metric]
    assert {"home.example.forest", "home.example.chances"} <= {chart.key for chart in at.get("plotly_chart")}


def test_a_race_over_folds_is_one_accuracy_over_all_pictures(start, finish, tiny_dataset):
    for name in ("frozen", "scratch"):
        for fold in (1, 2, 3):
            base = RunSettings(data=DataSettings(folds=3, fold=fold))
            finish(tiny_dataset, name, race="r", settings=base, wrong=range(0, 30, 3) if name == "scratch" else ())

    at = start("home.py", data=tiny_dataset.id, race="r")

    assert not at.exception and not at.error
    said = " ".join(shown.value for shown in (*at.markdown, *at.caption)).replace("\\", "")
    assert "30 test pictures" in said and "Each fold was tested on its own pictures" in said
    assert "Over 3 folds every picture was tested once" in said
