"""A comparison or a race as files to download."""

import json
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from core.comparison.race_report import race_as_csv, race_as_markdown
from core.comparison.race_verdict import RaceVerdict
from core.comparison.verdict import Comparison
from core.runs.store import Run
from core.takehome.report import as_csv, as_markdown

from .. import chosen
from ..cards import record
from ..resources import run_outcome, run_store


def race_files(verdict: RaceVerdict) -> None:
    """The race as files: a page of Markdown, a row per pair, and everything as JSON."""
    files: list[tuple[str, str, str, Callable[[], str]]] = [
        ("Race report", "md", "text/markdown", lambda: race_as_markdown(verdict)),
        ("Pairs", "csv", "text/csv", lambda: race_as_csv(verdict)),
        ("Race numbers", "json", "application/json", lambda: json.dumps(verdict.to_dict(), indent=1)),
    ]
    with st.popover("Download", icon=":material/download:"):
        downloads(files, "thaw-race", "compare.race")


def downloads(files: Sequence[tuple[str, str, str, Callable[[], str]]], name: str, key: str) -> None:
    """Buttons for (label, ending, kind, how to write it); written when they are asked for."""
    with st.container(horizontal=True):
        for label, ending, kind, write in files:
            st.download_button(
                label,
                partial(_encoded, write),
                f"{name}.{ending}",
                kind,
                icon=":material/download:",
                key=f"{key}.{ending}",
                on_click="ignore",
            )


def _encoded(write: Callable[[], str]) -> bytes:
    return write().encode("utf-8", "replace")


def comparison_files(result: Comparison, a: Run, b: Run) -> None:
    """The comparison as files: a page of Markdown with its small print, a row per picture, and everything as JSON."""
    records, name = (record(a), record(b)), f"thaw-{a.id}-against-{b.id}"

    def report() -> str:
        return as_markdown(result, records, [run_store().evaluations(one.test_part) for one in records])

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
