"""What trains, drawn from input to output: the head, often the only part, is always in sight."""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from core.settings.schema import ModelSettings

if TYPE_CHECKING:
    from core.models.build import LayerRow
    from core.models.records import ParameterCount

# see-through, so that the theme's text stays readable on them: frozen hatched, training plain
_FROZEN: Final = "background:repeating-linear-gradient(45deg,rgb(59 125 216/.34) 0 4px,rgb(59 125 216/.10) 4px 9px)"
_TRAINS: Final = "background:rgb(224 104 31/.36)"
_BOX: Final = "min-width:0;padding:.45rem .1rem;text-align:center;border-radius:.35rem;border:1px solid"


def what_trains(model: ModelSettings, parameters: "ParameterCount", layers: "Sequence[LayerRow]") -> None:
    """The stages and the head as a strip, in words below it; each one's parameters are a click away."""
    groups = [
        (trained, _span(list(group))) for trained, group in groupby(layers, key=lambda layer: bool(layer.trained))
    ]
    frozen = "gradients off, BatchNorm updating" if model.row.only_looks_frozen else "kept frozen"
    words = {span: _trains(span) if trained else f"{span}: {frozen}" for trained, span in groups}
    said = "; ".join(words.values())
    st.html(
        f'<div role="img" aria-label="{escape(said, quote=True)}" style="display:flex;gap:3px">'
        + "".join(map(_box, layers))
        + "</div>"
    )
    with st.container(horizontal=True, gap="small"):
        for trained, span in groups:
            if trained:
                st.badge(words[span], icon=":material/local_fire_department:", color="orange")
            else:
                st.badge(words[span], icon=":material/ac_unit:", color="blue")
    shares = f"{parameters.trained:,} of {parameters.total:,} parameters train ({parameters.trained_words})"
    with st.expander(shares, icon=":material/table_rows:", key="train.stages"):
        _table(layers, model.row.parameters)


def _trains(span: str) -> str:
    return f"{span} train" if " " in span.removeprefix("Stage ") else f"{span} trains"


def _box(layer: "LayerRow") -> str:
    look = _TRAINS if layer.trained else _FROZEN
    wide, name = (3, "head") if layer.stage is None else (1, str(layer.stage + 1))
    return f'<div style="flex:{wide} 1 0;{_BOX} {"#e0681f" if layer.trained else "#3b7dd8"};{look}">{name}</div>'


def _span(layers: "Sequence[LayerRow]") -> str:
    """Neighbours in words: "Stages 1 to 8", "Stage 9 and head"."""
    numbers = [layer.stage + 1 for layer in layers if layer.stage is not None]
    stages = f"stages {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"stage {numbers[0]}" if numbers else ""
    head = "head" if layers[-1].stage is None else ""
    return " and ".join(filter(None, (stages, head))).capitalize()


def _table(layers: "Sequence[LayerRow]", only: str) -> None:
    """Every stage, without scrolling.

    Args:
        only: how the names of those parameters of a stage end that train; empty: all of them do.
    """
    rows = [
        {
            "stage": "head" if layer.stage is None else str(layer.stage + 1),
            "made of": layer.kind,
            "parameters": layer.parameters,
            "requires_grad": f"True ({only})"
            if only and layer.trained and layer.stage is not None
            else str(layer.trained),
        }
        for layer in layers
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=40 + 35 * len(rows),
        column_config={"parameters": st.column_config.NumberColumn(format="localized")},
        alt="Stages of the network, their parameters and whether they train",
    )
