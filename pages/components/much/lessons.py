"""Two questions that one's own runs answer: one learning rate or two, and whether from scratch gets there later."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from core.advice.plans import plan_later, plan_rates
from core.comparison.conclusion import conclusion_of
from core.data.dataset import Dataset
from core.runs.example import later_runs
from core.runs.findings import later_sentence
from core.runs.store import Run
from core.runs.studies import Study
from core.settings.scenarios import place_of
from core.settings.schema import RunSettings

from ..cards import record
from ..charts import accuracy_by_epoch
from ..messages import LONGEST_MESSAGE, md
from ..verdicts import race_verdict_of
from ..wording import backbone_label, per_cent
from .studying import latest, offer, show_progress

SEEDS: Final = 3
LONG: Final = 50
"""Epochs from scratch that are offered: on two cores a quarter of an hour on the photos of ants and bees."""


def show_rates(dataset: Dataset, settings: RunSettings) -> None:
    """One rate for all, against a tenth of it for the backbone."""
    st.markdown("The backbone usually learns at a tenth of the head's rate. What does one rate for all do?")
    known, goes_on = latest("rates", dataset, settings), False
    if known:
        _verdict(known)
        goes_on = show_progress(known, "much.rates.live")
    if not goes_on:
        plans = plan_rates(settings, range(settings.seed, settings.seed + SEEDS))
        with st.container(horizontal=True, vertical_alignment="center"):
            offer("rates", "Run again" if known else "Train both", plans, dataset, primary=not known)


def _verdict(known: Study) -> None:
    """The conclusion over both, once each has a finished run."""
    if len({run.settings.optim.backbone_lr for run in known.finished}) < 2 or known.is_active:
        return
    found = conclusion_of(race_verdict_of([run.id for run in known.finished]))
    st.markdown(f"**{md(found.headline, LONGEST_MESSAGE)}**")
    st.markdown(md(found.numbers, LONGEST_MESSAGE))


def show_later(dataset: Dataset, settings: RunSettings) -> None:
    """From scratch for a long time, beside a frozen backbone, and fine-tuning for a tenth of it: ours, or one's own."""
    st.markdown(
        "With time, training from scratch catches up where there are enough pictures ([He et al. 2019]"
        "(https://arxiv.org/abs/1811.08883), on COCO). Does it on few?"
    )
    known, goes_on = latest("later", dataset, settings), False
    own = known is not None and not known.is_active and len(known.finished) > 1
    if known and own:
        _curves(known.finished, "much.later.chart")
    elif runs := later_runs():
        st.badge("recorded example", icon=":material/history:", color="gray")
        _curves(runs, "much.later.recorded")
        st.caption(_recorded_words(runs))
    if known:
        goes_on = show_progress(known, "much.later.live")
    if not goes_on:
        with st.container(horizontal=True, vertical_alignment="center"):
            label = "Run again" if known else f"Find out on yours, {LONG} epochs"
            offer("later", label, plan_later(settings, LONG), dataset, primary=not known)


def _recorded_words(runs: Sequence[Run]) -> str:
    """On what it was recorded."""
    scratch = next(run for run in runs if run.settings.model.row.from_nothing)
    split, size = record(scratch).split, scratch.settings.optim.train_size
    looked = f", trained at {size} px" if size else ""
    return (
        f"{scratch.dataset_title}, {split.train} training pictures, {backbone_label(scratch.settings.model.backbone)}"
        f"{looked}; one seed, recorded by us."
    )


def _curves(runs: Sequence[Run], key: str) -> None:
    ordered = sorted(runs, key=lambda run: place_of(run.settings.model.scenario))
    st.markdown(f"**{md(later_sentence(ordered), LONGEST_MESSAGE)}**")
    series = [(run.settings.model.row.label, run.settings.model.scenario, record(run).history) for run in ordered]
    st.plotly_chart(accuracy_by_epoch(series), key=key, alt="Validation accuracy by epoch")
    ends = [
        f"{label} {per_cent(record(run).test_accuracy)}" for (label, _, _), run in zip(series, ordered, strict=True)
    ]
    st.markdown(f"Test accuracy: {' · '.join(ends)}")
