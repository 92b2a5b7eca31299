"""Two questions that one's own runs answer: one learning rate or two, and whether from scratch gets there later."""

from typing import Final

import streamlit as st

from core.advice.plans import ALL, plan_later, plan_rates
from core.comparison.conclusion import conclusion_of
from core.data.dataset import Dataset
from core.runs.studies import Study
from core.settings.schema import RunSettings

from ..cards import record
from ..charts import accuracy_by_epoch
from ..messages import LONGEST_MESSAGE, md
from ..verdicts import race_verdict_of
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
    """From scratch for a long time, beside fine-tuning for a tenth of it."""
    st.markdown(
        f"With time, training from scratch catches up where there are enough pictures ([He et al. 2019]"
        f"(https://arxiv.org/abs/1811.08883), on COCO). Does it on yours? {LONG} epochs, beside {LONG // 10} of "
        f"{ALL.label.lower()}."
    )
    known, goes_on = latest("later", dataset, settings), False
    if known and known.finished and not known.is_active:
        _curves(known)
    if known:
        goes_on = show_progress(known, "much.later.live")
    if not goes_on:
        with st.container(horizontal=True, vertical_alignment="center"):
            offer("later", "Run again" if known else "Find out", plan_later(settings, LONG), dataset, primary=not known)


def _curves(known: Study) -> None:
    series = [
        (run.settings.model.row.label, run.settings.model.scenario, record(run).history) for run in known.finished
    ]
    said = [
        f"{label} {100 * record(run).test_accuracy:.1f} %"
        for (label, _, _), run in zip(series, known.finished, strict=True)
    ]
    st.markdown(f"**Test accuracy: {' · '.join(said)}**")
    st.plotly_chart(accuracy_by_epoch(series), key="much.later.chart", alt="Validation accuracy by epoch")
