"""The few looks that Streamlit's theme has no setting for, so that everybody can read them and see where the focus is.

All else is said in `.streamlit/config.toml`. Names that begin with `data-` or `st` are Streamlit's own.
"""

from typing import Final

import streamlit as st

# between it and every ground of both themes is a contrast of 3.6 at least; 3 are asked for (WCAG 2.2, 1.4.11)
_ACCENT: Final = "#4a7fe0"
_RING: Final = "#7d8794"

_STYLE: Final = f"""
<style>
/* in the theme's own colour what is chosen, or under the mouse, is too faint to read in the dark: a frame says it */
.stButtonGroup [data-selected]:not([data-disabled]), .stSlider [data-testid="stSliderThumbValue"] {{
  color: inherit !important;
}}
.stButtonGroup [data-selected]:not([data-disabled]) {{ box-shadow: inset 0 0 0 1px {_ACCENT}; }}
button[kind="tertiary"]:is(:hover, :active, :focus, [aria-expanded="true"]) {{ color: inherit !important; }}
/* the ring of what may be chosen is too faint to be found */
[data-testid="stRadioOption"]:not(:has(:checked)) > div > div:first-child {{ border-color: {_RING} !important; }}
/* ticks and titles of axes are too faint to be read from the back of a room */
.js-plotly-plot :is(.xtick, .ytick) text, .js-plotly-plot :is(.xtitle, .ytitle) {{ fill: currentColor !important; }}
/* the focus of the keyboard; what is typed into shows it with the frame around it */
:focus-visible:not(input, textarea, main),
[data-focus-visible="true"]:not(input),
:is([data-testid="stNumberInputContainer"], [data-testid="stTextInputRootElement"]):has(:focus-visible) {{
  outline: 3px solid {_ACCENT} !important;
  outline-offset: 1px;
}}
/* what a badge says is read to its end, on a phone too */
.stMarkdownBadge {{ white-space: normal !important; overflow-wrap: anywhere; }}
/* a question is long for a heading */
[class*="st-key-learn-"] h2 {{ font-size: 1.375rem !important; line-height: 1.3 !important; }}
/* what is told in passing covers none of the header's buttons */
[data-testid="stToastContainer"] {{ top: auto !important; bottom: 1rem !important; }}
/* which keys move what has the focus; told to those alone who have come by the keyboard */
.stSlider [data-focus-visible="true"] [data-testid="stSliderThumbValue"] p::after,
.stButtonGroup:has([data-focus-visible="true"]) [data-testid="stWidgetLabel"] p::after,
.stTabs [role="tab"][data-focus-visible="true"] p::after {{ content: "\\a0\\a0← →"; white-space: nowrap; }}
.stRadio:has([data-focus-visible="true"]) [data-testid="stWidgetLabel"] p::after {{ content: "\\a0\\a0↑ ↓"; }}
</style>
"""


def style() -> None:
    """Once per run of a page; takes no room on it."""
    st.html(_STYLE)
