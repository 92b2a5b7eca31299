"""The stages drawn as large as their pictures, and the tree of layers by name, with what trains in both."""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from math import log2
from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

if TYPE_CHECKING:
    from core.models.anatomy.layers import Anatomy, Layer, StageShape

# see-through, so that the theme's text stays readable: frozen hatched with a solid edge, training plain and dashed
_LOOKS: Final = {
    "stays frozen": "background:repeating-linear-gradient(45deg,rgb(59 125 216/.34) 0 4px,rgb(59 125 216/.10) 4px 9px);"
    "border:1px solid #3b7dd8",
    "trains": "background:rgb(224 104 31/.36);border:1px dashed #e0681f",
    "partly trains": "background:linear-gradient(90deg,rgb(224 104 31/.36) 50%,rgb(59 125 216/.2) 50%);"
    "border:1px dashed #e0681f",
}
_STYLE: Final = """<style>
.thaw-tree { font-size: .875rem; }
.thaw-tree .row { display: flex; flex-wrap: wrap; gap: 0 .75rem; padding: .15rem .25rem; align-items: baseline; }
.thaw-tree .name { flex: 1 1 16rem; overflow-wrap: anywhere; }
.thaw-tree .n { flex: 0 0 6.5rem; text-align: right; font-variant-numeric: tabular-nums; }
.thaw-tree .wide { flex-basis: 8rem; }
.thaw-tree .state { flex: 0 0 7rem; text-align: center; border-radius: .35rem; }
.thaw-tree summary { cursor: pointer; }
.thaw-tree summary .name::before { content: "▸ "; }
.thaw-tree details[open] > summary .name::before { content: "▾ "; }
.thaw-tree summary { list-style: none; }
.thaw-tree details > div { margin-left: 1.1rem; border-left: 1px solid rgb(125 135 148/.5); }
.thaw-tree code { font-size: .8125rem; }
@media (max-width: 640px) {
  .thaw-tree .head { display: none; }
  .thaw-tree .n { flex: 0 1 auto; text-align: left; }
  .thaw-tree .name { flex-basis: 100%; }
  .thaw-tree .n::after { content: "\\a0" attr(data-unit); }
  .thaw-tree .none { display: none; }
}
</style>"""
_COLUMNS: Final = ("Output", "Parameters", "GFLOP", "Activations")


def draw_stages(found: "Anatomy") -> None:
    """From the picture to the classes: a block per stage, as high as its picture and as wide as it has channels."""
    said = ", ".join(
        f"stage {number}: {stage.side} x {stage.side} places, {stage.channels} channels, {_state(stage)}"
        for number, stage in enumerate(found.stages, 1)
    )
    blocks = [_block("picture", f"{found.image_size} x {found.image_size}", "3 colours", found.image_size, 3, "")]
    first = 1
    # a transformer's stages are all alike: names for each would not fit
    for (side, channels, state), alike in groupby(found.stages, lambda one: (one.side, one.channels, _state(one))):
        count = len([*alike])
        name = f"stage {first}" if count == 1 else f"stages {first} to {first + count - 1}"
        depth = f"{channels}{' each' * (count > 1)}"
        blocks.append(_block(name, f"{side} x {side}", depth, side, channels, state, count))
        first += count
    blocks.append(_block("head", f"{found.classes}", "classes", 1, found.classes, "trains"))
    st.html(
        f'<div role="img" aria-label="{escape(said, quote=True)}" style="display:flex;flex-wrap:wrap;gap:.75rem .35rem;'
        f'align-items:flex-end">{"".join(blocks)}</div>'
    )
    st.caption("As high as the picture is there, as wide as there are channels (logarithmic). " + _LEGEND)


_LEGEND: Final = "Hatched: stays frozen. Plain with a dashed edge: trains."


def _state(stage: "StageShape") -> str:
    return "trains" if stage.trains else "stays frozen"


def _block(name: str, size: str, depth: str, side: int, channels: int, state: str, count: int = 1) -> str:
    """One stage, or several that are alike side by side, with what is written below."""
    height, width = 8 + round(5.2 * side**0.5), 6 + round(4 * log2(1 + channels))
    look = _LOOKS.get(state, "border:1px solid #7d8794")
    least, most = (4, 7) if count == 1 else (9, 3.2 * count)
    return (
        f'<div style="flex:{count} 1 {least}rem;max-width:{most}rem;text-align:center;font-size:.8125rem;'
        'line-height:1.25"><div style="display:flex;justify-content:center;gap:3px;margin-bottom:.25rem">'
        + f'<div style="height:{height}px;flex:0 1 {width}px;border-radius:3px;{look}"></div>' * count
        + f"</div><b>{name}</b><br>{size}<br>{depth}</div>"
    )


def layer_tree(found: "Anatomy", unfolded: bool) -> None:
    """All layers by name, what is made of parts folded."""
    head = "".join(f'<span class="n{" wide" * (name == "Output")}">{name}</span>' for name in _COLUMNS)
    rows = _rows([*found.layers], "", unfolded)
    st.html(
        f'{_STYLE}<div class="thaw-tree"><div class="row head"><b class="name">{found.kind}</b>{head}'
        f'<span class="state">Training</span></div>{rows}</div>'
    )


def _rows(layers: "Sequence[Layer]", above: str, unfolded: bool) -> str:
    """The parts of one module, each with its own parts inside it."""
    html = []
    for layer in layers:
        if layer.name.rpartition(".")[0] != above:
            continue
        parts = [one for one in layers if one.name.startswith(f"{layer.name}.")]
        if parts and not layer.is_leaf:
            inner = _rows(parts, layer.name, unfolded)
            opened = " open" if unfolded else ""
            html.append(f'<details{opened}><summary class="row">{_row(layer)}</summary><div>{inner}</div></details>')
        else:
            html.append(f'<div class="row">{_row(layer)}</div>')
    return "".join(html)


def _row(layer: "Layer") -> str:
    name = f"<code>({escape(layer.name.rpartition('.')[2])})</code> {escape(layer.kind)}"
    if layer.detail:
        name += f"<code>({escape(layer.detail)})</code>"
    output = " x ".join(map(str, layer.output)) if layer.output else "-"
    cells = [(output, "", " wide"), (f"{layer.parameters:,}" if layer.parameters else "-", "parameters", "")]
    cells += [(_gflop(layer.gflop), "GFLOP", "")]
    cells += [(megabytes(layer.activation_bytes) if layer.activation_bytes else "-", "", "")]
    numbers = "".join(
        f'<span class="n{kind}{" none" * (text == "-")}" data-unit="{unit}">{text}</span>' for text, unit, kind in cells
    )
    return f'<span class="name">{name}</span>{numbers}{_chip(layer)}'


def _gflop(number: float) -> str:
    return "-" if not number else f"{number:.3f}" if number >= 0.0005 else "&lt; 0.001"


def _chip(layer: "Layer") -> str:
    words: str = layer.state
    if layer.statistics == "moving" and layer.state == "stays frozen":
        words = "statistics move"
    if layer.state == "no parameters":
        return '<span class="state none">-</span>'
    return f'<span class="state" style="{_LOOKS[layer.state]}">{words}</span>'


def megabytes(size: int) -> str:
    """A size in memory."""
    return f"{size / 1e6:.1f} MB" if size >= 5e4 else f"{size / 1e3:.1f} kB" if size >= 500 else f"{size} B"


def layer_table(found: "Anatomy") -> None:
    """The same in rows, to sort and to search."""
    rows = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "output": " x ".join(map(str, layer.output or ())),
            "parameters": layer.parameters,
            "GFLOP": layer.gflop,
            "activations, MB": layer.activation_bytes / 1e6,
            "training": layer.state,
            "BatchNorm statistics": layer.statistics or "",
        }
        for layer in found.layers
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "parameters": st.column_config.NumberColumn(format="localized"),
            "GFLOP": st.column_config.NumberColumn(format="%.4f"),
            "activations, MB": st.column_config.NumberColumn(format="%.2f"),
        },
        alt="Every layer with its output, parameters, arithmetic, memory and whether it trains",
        key="inside.layers",
    )
