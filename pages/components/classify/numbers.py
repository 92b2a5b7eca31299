"""The answers as a table and as files, and what their numbers are worth."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import streamlit as st

from .answer_cards import Speaker
from .answers import Answer, as_csv, as_table
from .uncertainty import as_json, show_worth, uncertainty_cells

_MOST_LISTED: Final = 10  # classes of a picture in the JSON


def show_numbers(given: Sequence[Answer], speakers: Sequence[Speaker], detect: bool) -> None:
    """A table, folded, and its downloads: in sight where there are several pictures.

    Args:
        detect: whether unknown images were looked for.
    """
    rules = [speaker.rules for speaker in speakers]
    names = [speaker.class_names for speaker in speakers]
    table = as_table(given, [speaker.label for speaker in speakers], names, partial(uncertainty_cells, rules, names))
    downloads = st.container(horizontal=True) if len(given) > 1 else None
    with st.expander("Numbers", icon=":material/table_rows:", key="classify.numbers"):
        show_worth(rules)
        per_cents = [name for name in table if name == "probability" or name.startswith("p(")]
        columns = {name: st.column_config.NumberColumn(format="%.1f %%") for name in per_cents}
        shown = table.assign(**{name: 100 * table[name] for name in per_cents})
        st.dataframe(
            shown, hide_index=True, column_config=columns, key="classify.table", placeholder="", alt="All answers"
        )
        downloads = downloads or st.container(horizontal=True)
    records = [speaker.record for speaker in speakers]
    most = min(_MOST_LISTED, max(map(len, names)))
    for name, kind, content in (
        ("CSV", "text/csv", as_csv(table)),
        ("JSON", "application/json", as_json(given, records, rules, most, detect)),
    ):
        downloads.download_button(
            f"Download as {name}",
            content,
            f"thaw-classified.{name.lower()}",
            kind,
            icon=":material/download:",
            key=f"classify.{name.lower()}",
            on_click="ignore",
        )
