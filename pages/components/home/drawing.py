"""The two rows that the question is about, drawn: which part of a network stays frozen, and which trains."""

from typing import Final

import streamlit as st

from core.settings.scenarios import SCENARIOS

_FLAME: Final = "M12 1c1 5 7 7 7 13a7 7 0 1 1-14 0c0-3 2-5 3-7 1 2 1 4 3 4 1-4-1-7 1-10z"
_SNOWFLAKE: Final = (
    "M12 1v22M2.5 6.5l19 11M21.5 6.5l-19 11M9 2.5l3 3 3-3M9 21.5l3-3 3 3"
    "M2 10.5l4-1-1-4M22 13.5l-4 1 1 4M22 10.5l-4-1 1-4M2 13.5l4 1-1 4"
)
_STAGES: Final = ((92, 84), (142, 72), (192, 60), (242, 48), (292, 40))
"""Left edge and height of each stage that is drawn."""
_MIDDLE: Final = 62
_ALTS: Final = {
    "frozen": "A pretrained backbone with a snowflake on every stage, and behind it a new head with a flame",
    "finetuned": "The same backbone with a small flame on every stage, and behind it a new head with a large flame",
}


def draw_rows() -> None:
    """Both rows, each with what trains in a sentence; one below the other where the window is narrow."""
    grid = st.grid(2, min_column_width=280, key="home.rows")
    for name, alt in _ALTS.items():
        row = SCENARIOS[name]
        with grid.cell(), st.container(gap="xxsmall"):
            st.html(_svg(name == "frozen", alt))
            st.markdown(f"**{row.label}**: {row.help}")


def _svg(frozen: bool, alt: str) -> str:
    stages = "".join(_block(x, height, 40, frozen, 0.8) for x, height in _STAGES)
    head = _block(368, 56, 64, False, 1.5)
    words = "".join(
        f'<text x="{x}" y="124" text-anchor="middle" font-size="17" fill="currentColor">{word}</text>'
        for x, word in ((212, "backbone"), (400, "head"))
    )
    return (
        f'<svg viewBox="0 0 480 130" role="img" aria-label="{alt}" style="width:100%;max-width:30rem;display:block">'
        f"{_picture()}{stages}{head}{_arrow(70, 84)}{_arrow(340, 360)}{words}</svg>"
    )


def _block(x: int, height: int, width: int, frozen: bool, scale: float) -> str:
    """A stage with its sign; frozen ones are outlined solid, those that train dashed, so colour is not all."""
    style = SCENARIOS["frozen" if frozen else "finetuned"].style
    colour, dash = style["color"], "" if frozen else ' stroke-dasharray="6 3"'
    top, side = _MIDDLE - height / 2, 24 * scale
    sign = (
        f'<path d="{_SNOWFLAKE}" fill="none" stroke="{colour}" stroke-width="2" stroke-linecap="round"/>'
        if frozen
        else f'<path d="{_FLAME}" fill="{colour}"/>'
    )
    return (
        f'<rect x="{x}" y="{top}" width="{width}" height="{height}" rx="6" fill="{colour}" fill-opacity="0.12" '
        f'stroke="{colour}" stroke-width="2"{dash}/>'
        f'<g transform="translate({x + width / 2 - side / 2} {_MIDDLE - side / 2}) scale({scale})">{sign}</g>'
    )


def _picture() -> str:
    """What goes in."""
    return (
        '<g fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round">'
        f'<rect x="8" y="{_MIDDLE - 26}" width="52" height="52" rx="5"/>'
        f'<path d="M10 {_MIDDLE + 18}l14-18 10 11 9-9 15 17"/><circle cx="44" cy="{_MIDDLE - 12}" r="5"/></g>'
    )


def _arrow(x: int, end: int) -> str:
    return (
        f'<path d="M{x} {_MIDDLE}H{end}m-6-5l6 5-6 5" fill="none" stroke="currentColor" stroke-width="2" '
        'stroke-linecap="round"/>'
    )
