"""A card for each run or each experiment: accuracy with its interval, seconds, what trained."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from core.comparison.arms import ArmSummary
from core.comparison.experiments import experiment_of
from core.comparison.metrics import balanced_accuracy
from core.comparison.race_wording import accuracy_interval
from core.data.reading.folder_names import listed
from core.runs.experiments import experiments_of
from core.runs.record import RunRecord
from core.runs.store import Run
from core.settings.schema import RunSettings

from . import chosen
from .help import with_term
from .messages import LONGEST_MESSAGE, md, plain
from .resources import run_record
from .verdicts import race_verdict_of
from .wording import per_cent, run_label, seconds


def record(run: Run) -> RunRecord:
    """The record of a finished run."""
    return run_record(chosen.home(), run.id)


def strategy_cards(runs: Sequence[Run]) -> None:
    """A card per experiment: its accuracy with its interval, and seconds."""
    arms = race_verdict_of([run.id for run in runs]).arms
    groups = {one.key: one.finished for one in experiments_of(runs)}
    grid = st.grid(min(4, len(arms)), min_column_width=230)
    for arm in arms:
        with grid.cell(), st.container(border=True, height="stretch"):
            _strategy_card(arm, groups[arm.experiment])


def _strategy_card(arm: ArmSummary, group: Sequence[Run]) -> None:
    results = [record(run) for run in group]
    st.metric(
        arm.label,
        per_cent(arm.mean),
        help=with_term("Mean accuracy on the test pictures.", "Test accuracy", "Confidence interval"),
    )
    st.caption(accuracy_caption(arm))
    if arm.unbalanced or group[0].settings.optim.class_weights == "balanced":
        ends = arm.balanced_interval
        within = f" (95 % interval {100 * ends.low:.1f} to {per_cent(ends.high)})" if ends else ""
        st.caption(f":material/balance: balanced accuracy {per_cent(arm.balanced)}{within}: the mean over the classes")
    show_lacks(results)
    for cached, words in ((False, "to train and test"), (True, "with features from the cache")):
        times = [training_seconds(r) for r in results if bool(r.work.get("features_from_cache")) == cached]
        if times:
            runs = f" ({len(times)} runs)" if len(times) > 1 else ""
            st.markdown(f":material/timer: **{seconds(float(np.median(times)))}** {words}{runs}")
    settings = group[0].settings
    with st.container(horizontal=True, gap="xsmall"):
        st.badge(f"weights: {plain(results[0].weights.origin, 30)}", color="gray")
        st.badge(f"BatchNorm {settings.model.statistics}", color="gray")
        st.badge(f"{results[0].parameters.trained_words} trains", color="gray")


def cards(runs: Sequence[Run]) -> None:
    """A card per run: accuracy with its interval, seconds, what trained, the freeze audit."""
    grid = st.grid(min(4, max(2, len(runs))), min_column_width=230)
    for run in runs:
        with grid.cell(), st.container(border=True, height="stretch"):
            _card(run, record(run))


def _card(run: Run, result: RunRecord) -> None:
    arm = race_verdict_of([run.id]).arms[0]
    st.metric(
        run_label(run),
        per_cent(arm.mean),
        help=with_term(
            f"Accuracy on {arm.pictures} test pictures, which nothing was chosen on. Wilson's 95 % interval.",
            "Test accuracy",
            "Confidence interval",
        ),
    )
    st.caption(accuracy_caption(arm))
    show_lacks([result])
    if result.settings.optim.class_weights == "balanced":
        mean = balanced_accuracy(np.array(result.confusion))
        said = "-" if mean is None else per_cent(mean)
        st.caption(f":material/balance: balanced accuracy {said}: the mean over classes of what was recognised")
    st.markdown(f":material/timer: **{seconds(training_seconds(result))}** to train and test")
    if result.work.get("features_from_cache"):
        st.caption(":material/cached: With features from the cache; a first run takes longer.")
    trained, share = result.parameters.trained, result.parameters.trained_words
    st.caption(f"{trained:,} parameters trained ({share}) · weights: {md(result.weights.origin)}")
    _audit_badge(result)


def accuracy_caption(arm: ArmSummary) -> str:
    """What an accuracy's interval is and holds for, and what it was measured on."""
    seeds = "" if len(arm.seeds) == 1 else f", seeds {', '.join(map(str, arm.seeds))}"
    return f"{accuracy_interval(arm)} · {arm.pictures:,} test picture{'s' * (arm.pictures != 1)}{seeds}"


def show_lacks(results: Sequence[RunRecord]) -> None:
    """What classes without pictures in a part mean for an accuracy: each sentence once."""
    for sentence in dict.fromkeys(sentence for result in results for sentence in result.lacks):
        st.caption(f":material/warning: {md(sentence, LONGEST_MESSAGE)}")


def _audit_badge(result: RunRecord) -> None:
    """What became of the backbone, as its hashes say."""
    audit = result.freeze_audit
    if not audit.checked:
        st.badge("the whole backbone trained", icon=":material/water_drop:", color="orange", help=audit.sentence)
        return
    what = result.settings.model.row.frozen_part
    if audit.bit_identical:
        st.badge(f"{what} bit-identical", icon=":material/ac_unit:", color="blue", help=audit.sentence)
    else:
        st.badge(f"{what} changed", icon=":material/warning:", color="red", help=audit.sentence)


def why_not_pooled(runs: Sequence[Run]) -> str:
    """Why no mean over the seeds of these runs says anything, and what to do; empty where it does."""
    titles = {run.settings.data.dataset: run.dataset_title for run in runs}
    if len(titles) > 1:
        return (
            f"These runs learnt from different data sets ({listed(titles.values(), 3)}), so each stands by itself. To "
            "compare training strategies over seeds, keep the runs of one data set above."
        )
    first: dict[RunSettings, Run] = {}
    for run in runs:
        other = first.setdefault(
            replace(experiment_of(run.settings), seed=run.settings.seed, data=run.settings.data), run
        )
        if other is not run:
            return (
                f"{run_label(other)} and {run_label(run)} are the same experiment and seed, so each run stands by "
                "itself. To compare over seeds, take one of the two out above."
            )
    return ""


def training_seconds(result: RunRecord) -> float:
    """All of a run but decoding, which is done once per data set and shared."""
    return result.duration_s - result.timings.decode
