"""The two rows that the question is about, drawn: which part of a network stays frozen, and which trains."""

from typing import Final

import streamlit as st

from core.settings.scenarios import SCENARIOS, USUAL_RACE

_FLAME: Final = "M12 1c1 5 7 7 7 13a7 7 0 1 1-14 0c0-3 2-5 3-7 1 2 1 4 3 4 1-4-1-7 1-10z"
_SNOWFLAKE: Final = (
    "M12 1v22M2.5 6.5l19 11M21.5 6.5l-19 11M9 2.5l3 3 3-3M9 21.5l3-3 3 3"
    "M2 10.5l4-1-1-4M22 13.5l-4 1 1 4M22 10.5l-4-1 1-4M2 13.5l4 1-1 4"
)
_STAGES: Final = ((92, 84), (142, 72), (192, 60), (242, 48), (292, 40))
"""Left edge and height of each stage that is drawn."""
_MIDDLE: Final = 44
_GREY: Final = "#7d8794"  # seen on white and on near-black
_ALTS: Final = (
    "A pretrained backbone with a snowflake on every stage, and behind it a new head with a flame",
    "The same backbone with a small flame on every stage, and behind it a new head with a large flame",
)


def draw_rows() -> None:
    """Both rows, each with what trains in a sentence; one below the other where the window is narrow."""
    grid = st.grid(2, min_column_width=280, key="home.rows")
    for name, alt in zip(USUAL_RACE, _ALTS, strict=True):
        row = SCENARIOS[name]
        with grid.cell(), st.container(gap="xxsmall"):
            st.image(_svg(row.leaves_backbone), width=440, alt=alt)
            st.markdown(f"**{row.label}**: {row.help}")


def _svg(frozen: bool) -> str:
    stages = "".join(_block(x, height, 40, frozen, 0.8) for x, height in _STAGES)
    head = _block(368, 56, 64, False, 1.5)
    names = _name(92, 240, "backbone", frozen) + _name(368, 64, "head", False)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 440 116" width="440" height="116">'
        f"{_picture()}{stages}{head}{_arrow(66, 84)}{_arrow(340, 360)}{names}</svg>"
    )


def _name(x: int, width: int, name: str, frozen: bool) -> str:
    """White on a plate of its own: read on light and on dark pages alike."""
    return (
        f'<rect x="{x}" y="92" width="{width}" height="22" rx="5" fill="{"#2456b4" if frozen else "#b3470f"}"/>'
        f'<text x="{x + width / 2}" y="108" text-anchor="middle" font-family="sans-serif" font-size="15" '
        f'fill="#ffffff">{name}</text>'
    )


def _block(x: int, height: int, width: int, frozen: bool, scale: float) -> str:
    """A stage with its sign; frozen ones are outlined solid, those that train dashed, so colour is not all."""
    style = SCENARIOS[USUAL_RACE[0 if frozen else 1]].style
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
        f'<g fill="none" stroke="{_GREY}" stroke-width="2" stroke-linejoin="round">'
        f'<rect x="8" y="{_MIDDLE - 26}" width="52" height="52" rx="5"/>'
        f'<path d="M10 {_MIDDLE + 18}l14-18 10 11 9-9 15 17"/><circle cx="44" cy="{_MIDDLE - 12}" r="5"/></g>'
    )


def _arrow(x: int, end: int) -> str:
    return (
        f'<path d="M{x} {_MIDDLE}H{end}m-6-5l6 5-6 5" fill="none" stroke="{_GREY}" stroke-width="2" '
        'stroke-linecap="round"/>'
    )
