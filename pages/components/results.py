"""What came out: numbers, curves, seconds and pictures of finished runs."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.comparison.metrics import balanced_accuracy
from core.comparison.statistics import wilson
from core.runs.record import RunRecord
from core.runs.store import Run
from core.settings import SCENARIO_LABELS, SCENARIOS

from . import chosen
from .charts import curves, phase_bars
from .comparison_charts import accuracy_against_seconds
from .gallery import GalleryItem, gallery
from .messages import LONGEST_MESSAGE, md
from .resources import run_predictions, run_record, thumbnail_or_grey
from .wording import per_cent, run_label, seconds


def record(run: Run) -> RunRecord:
    """The record of a finished run."""
    return run_record(chosen.home(), run.id)


def cards(runs: Sequence[Run]) -> None:
    """A card per run: accuracy with its interval, seconds, what trained, the freeze audit."""
    grid = st.grid(min(4, max(2, len(runs))), min_column_width=230)
    for run in runs:
        with grid.cell(), st.container(border=True, height="stretch"):
            _card(run, record(run))


def _card(run: Run, result: RunRecord) -> None:
    total = len(result.test_pictures)
    interval = wilson(round(result.test_accuracy * total), total)
    st.metric(
        run_label(run),
        per_cent(result.test_accuracy),
        help=f"Accuracy on {total} test pictures, which nothing was chosen on. In brackets the 95 % Wilson interval.",
    )
    st.caption(f"({interval.low:.1%} to {interval.high:.1%}) of {total} test pictures")
    show_lacks([result])
    if result.settings.optim.class_weights == "balanced":
        mean = balanced_accuracy(np.array(result.confusion))
        said = "-" if mean is None else per_cent(mean)
        st.caption(f":material/balance: balanced accuracy {said}: the mean over classes of what was recognised")
    st.markdown(f":material/timer: **{seconds(training_seconds(result))}** to train and test")
    if result.work.get("features_from_cache"):
        st.caption(":material/cached: With features from the cache; a first run takes longer.")
    trained, share = result.parameters["trained"], result.parameters["trained_share"]
    st.caption(f"{trained:,} parameters trained ({share:.1%}) · weights: {md(result.weights['origin'])}")
    _audit_badge(result)


def show_lacks(results: Sequence[RunRecord]) -> None:
    """What classes without pictures in a part mean for an accuracy: each sentence once."""
    for sentence in dict.fromkeys(sentence for result in results for sentence in result.lacks):
        st.caption(f":material/warning: {md(sentence, LONGEST_MESSAGE)}")


def _audit_badge(result: RunRecord) -> None:
    """What became of the backbone, as its hashes say."""
    audit = result.freeze_audit
    if not audit["checked"]:
        st.badge("the whole backbone trained", icon=":material/water_drop:", color="orange", help=audit["sentence"])
        return
    what = "frozen stages" if result.settings.model.scenario == "last-stages" else "backbone"
    if audit["bit_identical"]:
        st.badge(f"{what} bit-identical", icon=":material/ac_unit:", color="blue", help=audit["sentence"])
    else:
        st.badge(f"{what} changed", icon=":material/warning:", color="red", help=audit["sentence"])


def by_scenario(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by their way of training, in the usual order of scenarios."""
    groups = {scenario: [run for run in runs if run.settings.model.scenario == scenario] for scenario in SCENARIOS}
    return {scenario: group for scenario, group in groups.items() if group}


def training_seconds(result: RunRecord) -> float:
    """All of a run but decoding, which is done once per data set and shared."""
    return result.duration_s - result.timings["decode"]


def charts(runs: Sequence[Run], key: str) -> None:
    """Curves over each other, by epoch and by second, and where the seconds went."""
    results = [record(run) for run in runs]
    by_second, by_epoch, phases = st.tabs(["Accuracy against seconds", "By epoch", "Where the seconds went"])
    with by_second:
        ways = [
            (SCENARIO_LABELS[scenario], scenario, [record(run).history for run in group])
            for scenario, group in by_scenario(runs).items()
        ]
        figure = accuracy_against_seconds(ways)
        st.plotly_chart(figure, key=f"{key}.by_second", alt="Accuracy on val by seconds since the start")
        if any(len(histories) > 1 for _, _, histories in ways):
            st.caption("Thin: each seed. Thick: the median over seeds. Time for features is counted.")
    with by_epoch:
        series = [(run_label(run), r.settings.model.scenario, r.history) for run, r in zip(runs, results, strict=True)]
        figure = curves(series, "epoch", "val_accuracy")
        st.plotly_chart(figure, key=f"{key}.by_epoch", alt="Accuracy on val by epoch")
    with phases:
        rows = [(run_label(run), r.timings) for run, r in zip(runs, results, strict=True)]
        st.plotly_chart(phase_bars(rows), key=f"{key}.phases", alt="Seconds by phase for each run")
        decode = max(r.timings["decode"] for r in results)
        shared = f"Decoding the pictures took {seconds(decode)}, once, and is shared." if decode else ""
        st.caption(shared or "The pictures had been decoded before.")


def sample_pictures(
    runs: Sequence[Run], count: int, key: str, only: Sequence[int] | None = None, sides: str = ""
) -> None:
    """Test pictures with their true class and what each run says, and how surely.

    Args:
        only: positions in the test part; else the ones on which the runs are most at odds, then a mix.
        sides: a letter for each run, in the place of its scenario's name; then the file's name is shown, too.
    """
    results = [record(run) for run in runs]
    predictions = [run_predictions(chosen.home(), run.id) for run in runs]
    predicted = np.stack([of.probabilities.argmax(1) for of in predictions])  # (runs, M)
    targets = predictions[0].targets
    first = results[0]
    names = first.dataset["class_names"]
    positions = list(only) if only is not None else _telling(predicted, targets, count)
    called_by = list(sides) or [SCENARIO_LABELS[r.settings.model.scenario] for r in results]
    items = []
    for position in positions[:count]:
        right = predicted[:, position] == targets[position]
        says = [
            f"{'✓' if correct else '✗'} {called}: {names[p[position]]} {of.probabilities[position, p[position]]:.0%}"
            for called, p, of, correct in zip(called_by, predicted, predictions, right, strict=True)
        ]
        if sides:
            says.append(first.test_names[position].rsplit("/", 1)[-1])
        items.append(
            GalleryItem(
                image=thumbnail_or_grey(chosen.home(), first.dataset["id"], first.test_pictures[position]),
                title=f"true: {names[targets[position]]}",
                captions=tuple(says),
                mark=("good" if right[0] else "bad") if len(runs) == 1 else None,
            )
        )
    gallery(items, 6, key)


def _telling(predicted: np.ndarray, targets: np.ndarray, count: int) -> list[int]:
    """Positions worth a look: up to half of them pictures that some run gets wrong, each kind spread over its kind."""
    wrong = (predicted != targets).any(0)
    odd = _spread(np.flatnonzero(wrong), count // 2)
    return [*odd, *_spread(np.flatnonzero(~wrong), count - len(odd))]


def _spread(positions: np.ndarray, count: int) -> list[int]:
    places = np.linspace(0, len(positions) - 1, min(len(positions), count)).astype(int)
    return [int(positions[place]) for place in places]
