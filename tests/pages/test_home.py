"""Home: the race is queued as chosen, what goes on is said in words and shown, and the answer comes first."""

from dataclasses import asdict

import pytest
from helpers import drawn, noise, write_files

from core.comparison.conclusion import conclusion_of
from core.comparison.planning import smallest_gap
from core.comparison.race_verdict import race_verdict
from core.comparison.race_wording import expected_gap
from core.comparison.wording import whole_points
from core.data.edit import delete, set_groups
from core.data.groups import find_groups
from core.data.ingest import ingest
from core.runs.example import showcase_runs
from core.runs.race import every_fold, plan_race, submit
from core.runs.results import load_outcome
from core.runs.store import RunStore
from core.settings.recipes import RECIPES
from core.settings.schema import DataSettings, RunSettings
from core.training.history import Progress


def race_of(dataset_id: str, seeds: tuple[int, ...] = (0,)) -> list[str]:
    plans = plan_race(RunSettings(), ["frozen", "finetuned"], seeds)
    return submit(RunStore(), plans, ingest(dataset_id), as_race=True)


def said(at) -> str:
    """What is read on the page, without what only keeps it literal."""
    shown = (*at.title, *at.header, *at.markdown, *at.caption, *at.info, *at.error)
    return "\n".join(part.value for part in shown).replace("\\", "").replace("⁠", "").replace("\u00a0", " ")


def opened(at, key: str):
    at.session_state[key] = True
    return at.run()


def test_one_click_in_an_empty_home_races_frozen_against_finetuned_over_three_quick_seeds(start, tiny_dataset):
    at = start("home.py", data=tiny_dataset.id)
    assert not at.exception and not at.error
    assert [button.key for button in at.button if button.proto.type == "primary"] == ["home.race"]

    at.button(key="home.race").click().run()

    runs = RunStore().runs()
    quick = RECIPES["quick"].apply(RunSettings()).optim
    assert {(run.settings.model.scenario, run.settings.seed) for run in runs} == {
        (scenario, seed) for scenario in ("frozen", "finetuned") for seed in (0, 1, 2)
    }
    assert {run.settings.optim for run in runs} == {quick}
    assert {run.settings.data.dataset for run in runs} == {tiny_dataset.id}
    assert {run.race for run in runs} == {at.query_params["race"]}
    assert "Run 1 of 6: **Frozen, seed 0** · starting" in at.get("progress")[0].proto.text


def test_what_is_chosen_is_what_is_raced_and_settings_of_ones_own_stay(start, tiny_dataset):
    at = start("home.py", data=tiny_dataset.id, epochs="7")
    at.pills(key="home.scenarios").set_value(["frozen", "probe-then-finetune"])
    at.segmented_control(key="home.seeds").set_value(1).run()
    assert at.segmented_control(key="home.recipe").value == "own"

    at.button(key="home.race").click().run()
    assert {(run.settings.model.scenario, run.settings.optim.epochs) for run in RunStore().runs()} == {
        ("frozen", 7),
        ("probe-then-finetune", 7),
    }


def test_what_is_being_done_is_said_in_words_and_changes_with_it(start, tiny_dataset):
    store = RunStore()
    race_of(tiny_dataset.id)
    store.tell_waiting("torch")
    at = start("home.py", data=tiny_dataset.id)

    def now() -> str:
        assert "worker" not in said(at)
        return at.get("progress")[0].proto.text.removeprefix("Run 1 of 2: **Frozen, seed 0** · ")

    assert now() == "starting PyTorch"
    store.tell_waiting("timing")
    at.run()
    assert now() == "timing this machine"
    run = store.claim()
    for progress, words in (
        (Progress(phase="pictures"), "reading pictures"),
        (Progress(phase="features"), "computing features"),
        (Progress(phase="train", epoch=2, epochs=5), "training, epoch 2 of 5"),
        (Progress(phase="test"), "testing"),
    ):
        store.report(run, progress=asdict(progress))
        at.run()
        assert now() == words


def test_validation_pictures_show_what_the_runs_of_a_seed_say_at_this_moment(start, tiny_dataset):
    store, names = RunStore(), tiny_dataset.class_names
    race_of(tiny_dataset.id)
    split = tiny_dataset.split(0, DataSettings())
    run = store.claim()
    at = start("home.py", data=tiny_dataset.id)
    count = len(at.get("image"))
    assert 0 < count <= len(split.val) and "● Frozen: no answers yet" in said(at)

    pictures = list(split.val)[:count]
    truths = [tiny_dataset.pictures[index].target for index in pictures]
    answers = [(truths[0], 0.9), *(((truth + 1) % 3, 0.6) for truth in truths[1:])]
    store.report(run, watched={"pictures": pictures, "said": answers, "epoch": 1})
    at.run()

    assert f"● Frozen: 1 of {count} right" in said(at)
    assert f"● ✓ {names[truths[0]]} 90.0 %" in said(at)
    assert said(at).count("✗") == count - 1


def test_a_stopped_race_can_be_started_again_and_a_failed_run_says_why(start, tiny_dataset, complete):
    """One run of each seed finished, one was stopped, one failed: the answer is about what there is."""
    store, (a, b, c, d) = RunStore(), race_of(tiny_dataset.id, (0, 1))
    complete(a)
    store.end(store.claim([b]), "failed", cause="The loss became nan. Try <b>less</b>.")
    complete(c)
    store.cancel(d)

    at = start("home.py", data=tiny_dataset.id)

    assert "Frozen: 100.0 % test accuracy" in said(at)
    assert "\\<b\\>" in at.error[0].value, "a cause is shown literally"
    assert "Stopped: 1 of 4 runs; nothing of these was kept." in said(at)
    at.button(key="stopped.again").click().run()
    assert [run.state for run in store.runs(race=store.get(a).race)] == ["queued", "finished", "failed", "finished"]


def test_the_answer_comes_first_names_its_data_and_the_rest_is_folded(start, tiny_dataset, finish):
    for seed in range(3):
        finish(tiny_dataset, "frozen", seed, race="r", wrong=range(0, 30, 2))
        finish(tiny_dataset, "finetuned", seed, race="r", wrong=[seed])

    at = start("home.py", data=tiny_dataset.id, race="r")

    verdict = race_verdict([load_outcome(run.id) for run in RunStore().runs()[::-1]])
    text = said(at)
    assert conclusion_of(verdict).headline == "Fine-tuned is clearly better than Frozen" == said(at).splitlines()[1]
    assert f"On **{tiny_dataset.title}** · just now" in text
    assert not at.metric and not at.get("plotly_chart") and not at.pills
    opened(at, "home.numbers")
    assert len(at.metric) == 2 and at.get("plotly_chart")
    opened(at, "home.new")
    assert at.button(key="home.race").disabled is False


def test_a_result_stays_where_its_pictures_were_deleted(start, tiny_dataset, finish):
    finish(tiny_dataset, "frozen", race="r")
    finish(tiny_dataset, "finetuned", race="r")
    delete(tiny_dataset)

    at = start("home.py", race="r")

    assert not at.exception and "deleted since: their numbers stand" in said(at)


def test_an_empty_home_shows_the_recorded_case_and_what_this_machine_was_measured_to_be(start, tiny_dataset, thaw_home):
    at = start("home.py", data=tiny_dataset.id)

    found = conclusion_of(race_verdict([load_outcome(run.id) for run in showcase_runs()]))
    assert at.header[0].value == "Pretraining gained 37.6 points on photos of ants and bees"
    assert found.numbers in said(at)
    shown = next(table.value for table in at.dataframe if "chosen" in table.value.columns)
    assert shown["fp32"].tolist() == [50, 50, 50] and set(shown["chosen"]) == {"fp32"}
    (thaw_home / "speeds.json").unlink()
    at.run()
    assert not at.exception and any("has not been timed here yet" in caption.value for caption in at.caption)


def test_what_the_test_part_can_show_is_said_before_the_race_for_the_chosen_seeds(start, tmp_path):
    files = {f"{part}/{name}/{n}.png": drawn(name, n + 50 * len(part)) for part, many in (("train", 8), ("test", 4))
             for name in ("discs", "squares") for n in range(many)}  # fmt: skip
    dataset = ingest(write_files(tmp_path / "few", files)).dataset

    at = start("home.py", data=dataset.id)
    size = whole_points(smallest_gap(3, 8) or 0.0)
    assert f"smallest detectable difference: about {size}" in said(at)

    at.segmented_control(key="home.seeds").set_value(1)
    opened(at, "home.gaps")
    assert whole_points(smallest_gap(1, 8) or 0.0) in said(at) and expected_gap(1, 8) in said(at)


@pytest.mark.parametrize("folds", [None, 3])
def test_of_pictures_in_groups_the_groups_are_counted(start, tmp_path, folds):
    """Ten pictures of one subject show no ten times as much; the verdict counts groups, too."""
    files = {f"{kind}/p{n // 3 + 6 * (kind == 'b')}_{n}.png": noise(n, ord(kind)) for kind in "ab" for n in range(18)}
    dataset = ingest(write_files(tmp_path / "patients", files)).dataset
    grouped = set_groups(dataset, find_groups(dataset, "name:(p#)_*"))
    settings = DataSettings(folds=folds)
    tested = {grouped.pictures[i].subject for data in every_fold(settings) for i in grouped.split(0, data).test}

    at = start("home.py", data=grouped.id, **({"folds": str(folds)} if folds else {}))
    opened(at, "home.gaps")

    assert f"{len(tested)} groups of test pictures" in " ".join(caption.value for caption in at.caption)


def test_a_race_over_folds_is_one_accuracy_over_all_pictures(start, finish, tiny_dataset):
    for name in ("frozen", "scratch"):
        for fold in (1, 2, 3):
            base = RunSettings(data=DataSettings(folds=3, fold=fold))
            finish(tiny_dataset, name, race="r", settings=base, wrong=range(0, 30, 3) if name == "scratch" else ())

    at = start("home.py", data=tiny_dataset.id, race="r")

    assert not at.exception and not at.error
    text = said(at)
    assert "30 test pictures" in text and "Each fold was tested on its own pictures" in text
    assert "Over 3 folds every picture was tested once" in text
