"""Parts of the Compare page: ways of training as cards, runs in a table, outcomes, what differs, files to take home."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison.arms import ArmSummary
from core.comparison.calibration import seconds_to
from core.comparison.fairness import has_effect
from core.comparison.metrics import balanced_accuracy
from core.comparison.report import as_csv, as_markdown
from core.comparison.selection import best_of
from core.comparison.statistics import rate
from core.comparison.verdict import Comparison
from core.comparison.wording import points
from core.runs.example import example_runs
from core.runs.record import is_recorded
from core.runs.store import Run
from core.settings.schema import differences

from . import chosen
from .messages import md, plain
from .race import race_verdict_of
from .resources import run_outcome, run_store
from .results import accuracy_caption, by_scenario, record, show_lacks, training_seconds
from .verdicts import badge, downloads, race_outcome
from .wording import counted, interval, per_cent, percentage, run_label, seconds


def way_cards(runs: Sequence[Run]) -> None:
    """A card per way of training: its accuracy with its interval, seconds, and in bold the settings that differ."""
    ways = by_scenario(runs)
    arms = {arm.scenario: arm for arm in race_verdict_of([run.id for run in runs]).arms}
    first = [group[0].settings for group in ways.values()]
    differing = [row[0] for other in first[1:] for row in differences(first[0], other)]
    fields = [name for name in dict.fromkeys(differing) if name not in ("model.scenario", "seed", "data.dataset")]
    grid = st.grid(min(4, len(ways)), min_column_width=230)
    for scenario, group in ways.items():
        with grid.cell(), st.container(border=True, height="stretch"):
            _way(arms[scenario], group, fields)


def _way(arm: ArmSummary, group: Sequence[Run], fields: Sequence[str]) -> None:
    results = [record(run) for run in group]
    st.metric(arm.label, per_cent(arm.mean), help="Mean accuracy on the test pictures.")
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
    here = run_outcome(chosen.home(), group[0].id)
    fields = [name for name in fields if has_effect(name, here, here)]
    values = [f"{name.rpartition('.')[2].replace('_', ' ')} **{_value(settings, name)}**" for name in fields]
    if values:
        st.caption(" · ".join(values))
    with st.container(horizontal=True, gap="xsmall"):
        st.badge(f"weights: {plain(results[0].weights.origin, 30)}", color="gray")
        st.badge(f"BatchNorm {settings.model.statistics}", color="gray")
        st.badge(f"{results[0].parameters.trained_share:.1%} trains", color="gray")


def _value(settings: object, name: str) -> str:
    """A setting as `part.field` names it, as it is really used."""
    part, _, field = name.partition(".")
    resolved = {"model.weights": "start", "model.batchnorm": "statistics"}.get(name, field)
    if field in ("lr", "backbone_lr"):
        return f"{getattr(settings, 'rates')[field == 'backbone_lr']:g}"  # noqa: B009
    value = getattr(getattr(settings, part), resolved)
    return md(str(value if value is not None else "default"), 40)


def side_by_side(runs: Sequence[Run]) -> None:
    """Run times and accuracy of all chosen runs in one table."""
    rows = []
    for run in runs:
        result = record(run)
        correct = sum(row[place] for place, row in enumerate(result.confusion))
        rows.append(
            {
                "run": run_label(run),
                "test accuracy": 100 * result.test_accuracy,
                "95 % interval": interval(rate(correct, len(result.test_pictures))),
                "balanced accuracy": percentage(balanced_accuracy(np.array(result.confusion))),
                "train and test, s": training_seconds(result),
                "from cache": bool(result.work.get("features_from_cache")),
                "features, s": result.timings.features,
                "training, s": result.timings.train,
                "val, s": result.timings.val,
                "test, s": result.timings.test,
                "to 90 % of its best, s": seconds_to(result.history, 0.9),
                "to 95 % of its best, s": seconds_to(result.history, 0.95),
                "epochs": len(result.history),
            }
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "test accuracy": st.column_config.ProgressColumn(format="%.1f %%", min_value=0.0, max_value=100.0),
            "balanced accuracy": number(format="%.1f %%"),
            "from cache": st.column_config.CheckboxColumn(help="Features came from the cache: a warm time."),
            **{name: number(format="%.1f") for name in rows[0] if name.endswith(", s")},
        },
        placeholder="-",
        alt="Accuracy and run times of the chosen runs",
    )
    machines = {f"{record(run).machine.processor}, {record(run).threads} threads" for run in runs}
    st.caption(f":material/memory: Measured on {md('; '.join(sorted(machines)))}. Decoding, done once, is left out.")


def cautions(runs: Sequence[Run]) -> None:
    """What a reader must know before believing: picked on the test part, looked at often, in ImageNet, recorded."""
    best = best_of([run_outcome(chosen.home(), run.id) for run in runs])
    if best is not None:
        place, optimism = best
        st.caption(
            f":material/warning: **Optimistic:** {md(run_label(runs[place]))} is the highest of {len(runs)} runs on "
            "the very pictures it is reported on. Being picked for it makes its accuracy look about "
            f"{points(optimism)} too high. Choose by val, or by the verdict."
        )
    looks = max(run_store().looks(record(run).test_part) for run in runs)
    if looks > 1:
        st.caption(
            f":material/visibility: {counted(looks, 'run')} tested on these test pictures so far, each once. The more "
            "one looks and chooses, the less they are unseen."
        )
    imagenet_notice(runs)
    if any(is_recorded(run.id) for run in runs):
        st.caption(
            ":material/inventory_2: Recorded runs ship with Thaw: we trained them on the tutorial's photos. Settings "
            "and numbers are here, pictures and weights are not."
        )


def outcome_badge(result: Comparison) -> None:
    """One of the five outcomes, by word, icon and colour, and a red chip for each uncontrolled difference."""
    with st.container(horizontal=True):
        badge(result.outcome, "A", "B")
        for chip in result.fairness.chips:
            st.badge(
                plain(chip.text), icon=":material/warning:", color="red" if chip.affects == "accuracy" else "orange"
            )


def differences_table(result: Comparison) -> None:
    """The settings in which the two runs differ, and whether that follows from what is compared."""
    rows = [
        {"setting": row.field, "A": str(row.a), "B": str(row.b), "part of the comparison": row.expected}
        for row in result.fairness.differences
    ]
    with st.expander(f"Settings in which they differ ({len(rows)})", icon=":material/difference:"):
        if rows:
            st.dataframe(pd.DataFrame(rows), hide_index=True)
        else:
            st.caption("None: the two runs have the same settings.")


def take_home(result: Comparison, a: Run, b: Run) -> None:
    """The comparison as files: a page of Markdown with its small print, a row per picture, and everything as JSON."""
    records, name = (record(a), record(b)), f"thaw-{a.id}-against-{b.id}"

    def report() -> str:
        return as_markdown(result, records, [run_store().looks(one.test_part) for one in records])

    def pictures() -> str:
        outcomes = (run_outcome(chosen.home(), a.id), run_outcome(chosen.home(), b.id))
        return as_csv(result, outcomes, records[0].test_names)

    files: list[tuple[str, str, str, Callable[[], str]]] = [
        ("Report", "md", "text/markdown", report),
        ("Numbers", "json", "application/json", lambda: json.dumps(result.to_dict(), indent=1)),
    ]
    if result.agreement is not None:
        files.insert(1, ("Pictures", "csv", "text/csv", pictures))
    downloads(files, name, "compare")


def recorded_example() -> None:
    """What a race of our own has shown, for a page that has nothing to show yet."""
    runs = example_runs()
    if not runs:
        return
    st.subheader("What a race looks like")
    st.caption(f"A recorded one, on the photos of PyTorch's tutorial: {len(runs)} runs, trained with Thaw by us.")
    way_cards(runs)
    race_outcome(race_verdict_of([run.id for run in runs]), "home.example")
    st.page_link("compare.py", label="Look into it", icon=":material/balance:")


def imagenet_notice(runs: Sequence[Run]) -> None:
    """The tutorial's ants and bees are pictures that an ImageNet network has seen: said wherever it may be so."""
    results = [record(run) for run in runs]
    photos = any({"ants", "bees"} == set(r.dataset.class_names) and r.dataset.kind != "builtin" for r in results)
    if photos and any(r.settings.model.start == "imagenet" for r in results):
        st.caption(
            ":material/info: The ants and bees of PyTorch's tutorial are a small subset of ImageNet: networks with "
            "ImageNet weights may have seen these very pictures. On your own pictures expect less."
        )
