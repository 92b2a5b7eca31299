"""Home: the race is queued as chosen, and what it says comes from the runs."""

import re

from helpers import drawn, write_files

from core.data.ingest import ingest
from core.runs.race import plan_race, submit
from core.runs.store import RunStore
from core.settings import RunSettings


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

    at.button(key="home.live.stop").click().run()

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
    assert len(at.get("plotly_chart")) == 3


def test_the_machine_card_shows_what_was_measured_and_what_was_chosen(start, tiny_dataset):
    at = start("home.py", data=tiny_dataset.id)

    shown = next(table.value for table in at.dataframe if "chosen" in table.value.columns)

    assert shown["fp32"].tolist() == [50, 50, 50] and set(shown["chosen"]) == {"fp32"}


def test_a_machine_that_was_never_measured_says_so(start, tiny_dataset, thaw_home):
    (thaw_home / "speeds.json").unlink()

    at = start("home.py", data=tiny_dataset.id)

    assert not at.exception and any("has not been timed here yet" in caption.value for caption in at.caption)


def test_what_the_test_part_can_show_is_one_number_where_it_is_one(start, tmp_path):
    """Eight test pictures tell two models apart from one gap up, whether they disagree on few pictures or on many."""
    files = {f"{part}/{name}/{n}.png": drawn(name, n + 50 * len(part)) for part, many in (("train", 8), ("test", 4))
             for name in ("discs", "squares") for n in range(many)}  # fmt: skip
    dataset = ingest(write_files(tmp_path / "few", files)).dataset

    at = start("home.py", data=dataset.id)

    (told,) = [caption.value for caption in at.caption if "Smallest detectable difference" in caption.value]
    assert re.search(r"with 8 test pictures: about \d+ points", told)
