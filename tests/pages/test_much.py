"""How much?: the advice first, checked by runs that a reload does not lose, and nothing of it takes Home's place."""

from dataclasses import replace

import pytest

from core.advice.evidence import Called, Depth, Ends, Evidence, load_evidence, save_evidence
from core.advice.plans import thawed
from core.runs.example import example_runs, showcase_runs
from core.runs.store import RunStore
from core.runs.studies import checks_here, studies
from core.settings.schema import RunSettings


def said(at) -> str:
    shown = (*at.title, *at.header, *at.markdown, *at.caption, *at.error)
    return "\n".join(part.value for part in shown).replace("\\", "").replace("⁠", "").replace("\u00a0", " ")


@pytest.fixture
def looked(tiny_dataset):
    """A data set that was looked at: a head alone is enough."""
    depths = tuple(
        Depth(
            stage=n, name=f"stage{n}", numbers=8, nearest_mean=0.6, neighbours=0.6, probe=0.1 * n + 0.08,
            interval=Ends(low=0.05, high=1.0),
        )
        for n in range(1, 10)
    )  # fmt: skip
    found = Evidence(
        dataset=tiny_dataset.id,
        backbone=RunSettings().model.backbone,
        weights=None,
        split=tiny_dataset.split(0).hash,
        pictures=18,
        per_class=(6, 6, 6),
        depths=depths,
        lead=0.0,
        lead_interval=None,
        called=(Called(name="discs", pictures=6, names=(("ant", 0.5),), sure=0.7),),
        names_alone=0.5,
        seconds=0.1,
    )
    save_evidence(tiny_dataset, found)
    return tiny_dataset


def test_without_a_look_there_is_one_button_and_no_advice(start, tiny_dataset):
    at = start("much.py", data=tiny_dataset.id)

    assert not at.exception and not at.error
    assert [button.key for button in at.button if button.proto.type == "primary"] == ["much.look"]


def test_the_advice_is_checked_by_its_own_button_and_then_judged(start, looked, complete):
    at = start("much.py", data=looked.id)
    assert "Train the head only" in said(at) and "In our own checks" in said(at)

    at.button(key="much.check.start").click().run()
    (study,) = studies(RunStore(), "check", looked.id)
    assert study.is_active and sorted({thawed(run.settings) for run in study.runs}) == [0, 2, 9]
    assert len(study.runs) == 9 and at.get("progress")

    test = looked.split(0).test
    for run in study.runs:
        complete(run.id, wrong=() if thawed(run.settings) == 9 else test[:2])
    at = start("much.py", data=looked.id)

    assert "The advice was too little" in said(at) and "Right in 0 of 1 check here" in said(at)
    assert checks_here(RunStore()).too_little == 1
    assert "head only" in said(at) and "everything 100.0 %" in said(at)


def test_a_sweep_and_its_numbers_stand_in_its_section(start, looked, complete):
    at = start("much.py", data=looked.id)
    key = next(one for one in ("much.section.Thaw sweep: which depth is enough?",))
    at.session_state[key] = True
    at.run()
    at.segmented_control(key="much.sweep.seeds").set_value(1).run()
    at.button(key="much.sweep.start").click().run()

    (study,) = studies(RunStore(), "sweep", looked.id)
    assert [thawed(run.settings) for run in study.runs] == [0, 1, 2, 3, 9]
    for run in study.runs:
        complete(run.id)
    at = start("much.py", data=looked.id)
    at.session_state[key] = True
    at.run()
    assert "Enough is head only: 100.0 % test accuracy" in said(at) and len(at.get("plotly_chart")) == 1


def test_studies_that_were_stopped_are_gone_on_with_each_by_its_own_button(start, looked):
    at = start("much.py", data=looked.id)
    at.button(key="much.check.start").click().run()
    at.session_state["much.section.One learning rate for all?"] = True
    at.run()
    at.button(key="much.rates.start").click().run()
    store = RunStore()
    for run in store.runs():
        store.cancel(run.id)
    at = start("much.py", data=looked.id)
    at.session_state["much.section.One learning rate for all?"] = True
    at.run()

    keys = {button.key for button in at.button}
    assert not at.exception and {"much.check.again", "much.rates.live.again"} <= keys
    assert not {"much.check.start", "much.rates.start"} & keys, "one way on, not two"
    at.button(key="much.check.again").click().run()
    (study,) = studies(store, "check", looked.id)
    assert study.is_active and len(study.runs) == 9


def test_home_shows_races_and_no_studies(start, looked):
    at = start("much.py", data=looked.id)
    at.button(key="much.check.start").click().run()

    home = start("home.py", data=looked.id)

    assert any(button.key == "home.race" for button in home.button), "there is no race yet"


def test_a_backbone_that_stays_frozen_is_named_before_it_is_fetched_and_is_held_against_nothing(start, looked):
    evidence = load_evidence(looked, RunSettings())
    at = start("much.py", data=looked.id, backbone="dinov2_vits14")

    assert not at.exception and "88.2 MB from huggingface.co, licence Apache 2.0: they are downloaded first" in said(at)
    for title in ("One learning rate for all?", "From scratch gets there later?"):
        at.session_state[f"much.section.{title}"] = True
    at.run()
    assert said(at).count("DINOv2 ViT-S/14 is offered frozen only") == 2
    assert not {"much.rates.start", "much.later.start"} & {button.key for button in at.button}

    save_evidence(looked, replace(evidence, backbone="dinov2_vits14"))
    at = start("much.py", data=looked.id, backbone="dinov2_vits14")
    assert "Train the head only" in said(at) and "much.check.start" not in {button.key for button in at.button}


def test_from_scratch_later_is_shown_as_we_recorded_it_beside_the_button_for_one_s_own(
    start, tiny_dataset, complete, monkeypatch
):
    found = {run.settings.model.scenario: run for run in (*example_runs(), *showcase_runs()) if not run.settings.seed}
    recorded = tuple(found[name] for name in ("frozen", "finetuned", "scratch"))
    monkeypatch.setattr("components.much.lessons.later_runs", lambda: recorded)
    at = start("much.py", data=tiny_dataset.id)
    at.session_state["much.section.From scratch gets there later?"] = True
    at.run()
    assert "Not within 5 epochs from scratch: 47.1 % test accuracy" in said(at) and "recorded by us" in said(at)
    assert len(at.get("plotly_chart")) == 1

    at.button(key="much.later.start").click().run()
    (study,) = studies(RunStore(), "later", tiny_dataset.id)
    for run in study.runs:
        complete(run.id)
    at = start("much.py", data=tiny_dataset.id)
    at.session_state["much.section.From scratch gets there later?"] = True
    at.run()
    assert "Yes, within 50 epochs from scratch" in said(at) and "recorded by us" not in said(at)
