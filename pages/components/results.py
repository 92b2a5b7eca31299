"""What came out: numbers, curves, seconds and pictures of finished runs."""

from collections.abc import Sequence, Set
from dataclasses import asdict

import numpy as np
import streamlit as st

from core.comparison.arms import ArmSummary
from core.comparison.metrics import balanced_accuracy
from core.comparison.pictures import PictureKey, common, right_table
from core.comparison.race_wording import accuracy_interval
from core.data.reading.folder_names import listed
from core.runs.record import RunRecord
from core.runs.store import Run
from core.settings.scenarios import SCENARIO_LABELS, SCENARIOS

from . import chosen
from .charts import curves, phase_bars
from .comparison_charts import accuracy_against_seconds
from .gallery import GalleryItem, gallery
from .messages import LONGEST_MESSAGE, md
from .race import race_verdict_of
from .resources import run_outcome, run_record, thumbnail_or_grey
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
    arm = race_verdict_of([run.id]).arms[0]
    st.metric(
        run_label(run),
        per_cent(arm.mean),
        help=f"Accuracy on {arm.pictures} test pictures, which nothing was chosen on. Wilson's 95 % interval.",
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
    trained, share = result.parameters.trained, result.parameters.trained_share
    st.caption(f"{trained:,} parameters trained ({share:.1%}) · weights: {md(result.weights.origin)}")
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
    what = "frozen stages" if result.settings.model.scenario == "last-stages" else "backbone"
    if audit.bit_identical:
        st.badge(f"{what} bit-identical", icon=":material/ac_unit:", color="blue", help=audit.sentence)
    else:
        st.badge(f"{what} changed", icon=":material/warning:", color="red", help=audit.sentence)


def by_scenario(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by their way of training, in the usual order of scenarios."""
    groups = {scenario: [run for run in runs if run.settings.model.scenario == scenario] for scenario in SCENARIOS}
    return {scenario: group for scenario, group in groups.items() if group}


def why_not_pooled(runs: Sequence[Run]) -> str:
    """Why no mean over the seeds of these runs says anything, and what to do; empty where it does."""
    titles = {run.settings.data.dataset: run.dataset_title for run in runs}
    if len(titles) > 1:
        return (
            f"These runs learnt from different data sets ({listed(titles.values(), 3)}), so each stands by itself. To "
            "compare training strategies over seeds, keep the runs of one data set above."
        )
    first: dict[tuple[str, int, int | None], Run] = {}
    for run in runs:
        other = first.setdefault((run.settings.model.scenario, run.settings.seed, run.settings.data.fold), run)
        if other is not run:
            return (
                f"{run_label(other)} and {run_label(run)} share strategy and seed, so each run stands by itself. "
                "To compare training strategies over seeds, take one of the two out above."
            )
    return ""


def training_seconds(result: RunRecord) -> float:
    """All of a run but decoding, which is done once per data set and shared."""
    return result.duration_s - result.timings.decode


def charts(runs: Sequence[Run], key: str) -> None:
    """Curves over each other, by epoch and by second, and where the seconds went."""
    results = [record(run) for run in runs]
    by_second, by_epoch, phases = st.tabs(["Accuracy against seconds", "By epoch", "Where the seconds went"])
    with by_second:
        ways = [
            (SCENARIO_LABELS[scenario], scenario, [record(run).history for run in group])
            for scenario, group in by_scenario(runs).items()
        ]
        if why_not_pooled(runs):
            ways = [(run_label(run), run.settings.model.scenario, [record(run).history]) for run in runs]
        figure = accuracy_against_seconds(ways)
        st.plotly_chart(figure, key=f"{key}.by_second", alt="Accuracy on val by seconds since the start")
        if any(len(histories) > 1 for _, _, histories in ways):
            st.caption("Thin: each seed. Thick: the median over seeds. Time for features is counted.")
    with by_epoch:
        series = [(run_label(run), r.settings.model.scenario, r.history) for run, r in zip(runs, results, strict=True)]
        figure = curves(series, "epoch", "val_accuracy")
        st.plotly_chart(figure, key=f"{key}.by_epoch", alt="Accuracy on val by epoch")
    with phases:
        rows = [(run_label(run), asdict(r.timings)) for run, r in zip(runs, results, strict=True)]
        st.plotly_chart(phase_bars(rows), key=f"{key}.phases", alt="Seconds by phase for each run")
        decode = max(r.timings.decode for r in results)
        shared = f"Decoding the pictures took {seconds(decode)}, once, and is shared." if decode else ""
        st.caption(shared or "The pictures had been decoded before.")


def sample_pictures(
    runs: Sequence[Run], count: int, key: str, only: Sequence[PictureKey] | None = None, sides: str = ""
) -> None:
    """Test pictures with their true class and what each run says, and how surely.

    Args:
        only: pictures that all runs were tested on; else the ones on which runs are most at odds, then a mix, each
            with the answers of runs that were tested on it.
        sides: a letter for each run, in the place of its scenario's name; then the file's name is shown, too.
    """
    groups = [list(runs)] if only is not None else tested_together(runs)[:count]
    if only is None:
        _say_who_answers(runs, groups)
    share = count // len(groups)
    items: list[GalleryItem] = []
    seen: set[PictureKey] = set()  # test parts overlap
    for group in groups:
        shown = list(only[:count]) if only is not None else _telling(group, share, seen)
        seen.update(shown)
        items += _judged(group, shown, sides, [_tested_by(group[0])] if len(groups) > 1 else [])
    gallery(items, 6, key)


def _tested_by(run: Run) -> str:
    """What tells the test part of a run from those of other runs."""
    fold = run.settings.data.fold
    return f"seed {run.settings.seed}" if fold is None else f"fold {fold}"


def tested_together(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs in groups that were tested on the same pictures; of each way of training the one with the lowest seed."""
    groups: dict[str, dict[str, Run]] = {}
    for run in sorted(runs, key=lambda run: run.settings.seed):
        groups.setdefault(record(run).test_part, {}).setdefault(run.settings.model.scenario, run)
    return [[group[name] for name in SCENARIOS if name in group] for group in groups.values()]


def _say_who_answers(runs: Sequence[Run], groups: Sequence[Sequence[Run]]) -> None:
    """Which runs the answers are of, where that is not plain."""
    if len(groups) > 1 and groups[0][0].settings.data.fold is not None:
        st.caption("Each fold was tested on its own pictures: every picture has the answers of the fold named below.")
    elif len(groups) > 1:
        st.caption("Each seed was tested on other pictures: every picture has the answers of the seed named below it.")
    elif len(groups[0]) < len(runs):
        seeds = ", ".join(sorted({f"seed {run.settings.seed}" for run in groups[0]}))
        st.caption(f"All seeds were tested on the same pictures; these are the answers of {seeds}.")


def _judged(runs: Sequence[Run], keys: Sequence[PictureKey], sides: str, below: Sequence[str]) -> list[GalleryItem]:
    """Pictures that all of these runs were tested on, with what each run says about each."""
    first = record(runs[0])
    tested = [run_outcome(chosen.home(), run.id).tested for run in runs]
    known = dict(zip(tested[0], zip(first.test_pictures, first.test_names, strict=True), strict=True))
    called_by = list(sides) or _called(runs)
    items = []
    for key in keys:
        index, name = known[key]
        answers = [of[key] for of in tested]
        says = [
            f"{'✓' if said.right else '✗'} {called}: {said.guess} {said.probability:.0%}"
            for called, said in zip(called_by, answers, strict=True)
        ]
        items.append(
            GalleryItem(
                image=thumbnail_or_grey(chosen.home(), first.dataset.id, index, key.content),
                title=f"true: {key.truth}",
                captions=(*says, *([name.rsplit("/", 1)[-1]] if sides else []), *below),
                mark=("good" if answers[0].right else "bad") if len(runs) == 1 else None,
            )
        )
    return items


def _called(runs: Sequence[Run]) -> list[str]:
    """Runs by their way of training, and by their seed where they differ in it."""
    seeds = len({run.settings.seed for run in runs}) > 1
    return [
        SCENARIO_LABELS[run.settings.model.scenario] + (f", seed {run.settings.seed}" if seeds else "") for run in runs
    ]


def _telling(runs: Sequence[Run], count: int, seen: Set[PictureKey]) -> list[PictureKey]:
    """Pictures worth a look: up to half of them such that some run gets wrong, each kind spread over its kind."""
    tested = [run_outcome(chosen.home(), run.id).tested for run in runs]
    keys = [key for key in common(tested) if key not in seen]
    wrong = ~right_table(tested, keys).all(axis=1)
    odd = _spread(np.flatnonzero(wrong), count // 2)
    return [keys[place] for place in [*odd, *_spread(np.flatnonzero(~wrong), count - len(odd))]]


def _spread(positions: np.ndarray, count: int) -> list[int]:
    places = np.linspace(0, len(positions) - 1, min(len(positions), count)).astype(int)
    return [int(positions[place]) for place in places]
