"""What came out of finished runs: curves, seconds, and the small print."""

from collections.abc import Sequence
from dataclasses import asdict

import streamlit as st

from core.runs.experiments import experiments_of, names_of
from core.runs.store import Run
from core.settings.scenarios import place_of
from core.settings.versions import to_dict

from . import chosen
from .cards import record, why_not_pooled
from .charts import Curve, accuracy_against_seconds, accuracy_by_epoch, phase_bars
from .resources import run_record, run_store
from .wording import run_label, seconds


def result_charts(runs: Sequence[Run], key: str) -> None:
    """Curves over each other, by second and by epoch, and where the seconds went."""
    results = [record(run) for run in runs]
    pictures = min((result.split.val for result in results), default=0)
    by_second, by_epoch, phases = st.tabs(["Accuracy against seconds", "By epoch", "Where the seconds went"])
    with by_second:
        curves = _curves(runs)
        figure = accuracy_against_seconds(curves, pictures)
        st.plotly_chart(figure, key=f"{key}.by_second", alt="Validation accuracy by seconds since the start")
        if any(len(histories) > 1 for _, _, histories in curves):
            st.caption("Thin: each seed. Thick: the median over seeds. Time for features is counted.")
    with by_epoch:
        series = [(run_label(run), r.settings.model.scenario, r.history) for run, r in zip(runs, results, strict=True)]
        figure = accuracy_by_epoch(series, pictures)
        st.plotly_chart(figure, key=f"{key}.by_epoch", alt="Validation accuracy by epoch")
        if not all(r.settings.model.row.takes_steps for r in results):
            st.caption("Level: a head that is solved for at once, in no epochs.")
    with phases:
        rows = [(run_label(run), asdict(r.timings)) for run, r in zip(runs, results, strict=True)]
        st.plotly_chart(phase_bars(rows), key=f"{key}.phases", alt="Seconds by phase for each run")
        decode = max(r.timings.decode for r in results)
        shared = f"Decoding the pictures took {seconds(decode)}, once, and is shared." if decode else ""
        st.caption(shared or "The pictures had been decoded before.")


def _curves(runs: Sequence[Run]) -> list[Curve]:
    """A curve for each experiment, in the usual order of strategies; for each run where they cannot be pooled."""
    if why_not_pooled(runs):
        return [(run_label(run), run.settings.model.scenario, [record(run).history]) for run in runs]
    experiments = sorted(
        experiments_of(runs, run_store().labels()), key=lambda one: place_of(one.settings.model.scenario)
    )
    return [
        (name, one.settings.model.scenario, [record(run).history for run in one.finished])
        for one, name in zip(experiments, names_of(experiments), strict=True)
    ]


def small_print(run: Run) -> None:
    """Everything that decides a run's numbers: seconds by phase, settings, hashes, machine, versions."""
    record = run_record(chosen.home(), run.id)
    with st.expander("Small print: settings, seconds, hashes, machine", icon=":material/receipt_long:"):
        st.markdown(f"**Freeze audit.** {record.freeze_audit.sentence}")
        timings = asdict(record.timings)
        st.markdown("**Seconds.** " + ", ".join(f"{name} {seconds(value)}" for name, value in timings.items() if value))
        st.markdown(
            "**Work.** " + ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in record.work.items())
        )
        hashes = {
            "data": record.dataset.fingerprint,
            "split": record.split.hash,
            "head's start": record.head_hash,
            "weights": record.weights.sha256,
        }
        st.json(
            {
                "run": record.run,
                "hashes": hashes,
                "machine": {
                    **asdict(record.machine),
                    "threads": record.threads,
                    "precision": asdict(record.precision),
                    "engine": record.engine,
                },
                "head": record.head and asdict(record.head),
            },
            expanded=False,
        )
        st.json(to_dict(record.settings), expanded=False)
