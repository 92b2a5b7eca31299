"""Code that runs on the network, with what it really printed: the head replaced, the mistake, what a module is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pandas as pd
import streamlit as st

from core.inference.subject import Subject
from core.settings.schema import ModelSettings

from .subjects import anatomy_of

# In the dark, Streamlit's colours of keywords and names are too faint to read; weight and slant tell as much.
_STYLE: Final = """<style>
[class*=st-key-inside-code] .token { color: inherit !important; }
[class*=st-key-inside-code] .token.keyword { font-weight: 700; }
[class*=st-key-inside-code] .token.comment { font-style: italic; }
</style>"""

if TYPE_CHECKING:
    from core.models.anatomy.snippets import Ran


def show_head(subject: Subject, classes: int) -> None:
    """The last layer before and after it is replaced, and what setting an attribute does instead."""
    name = subject.spec.architecture.classifier
    settings = ModelSettings(backbone=subject.spec.name, scenario=subject.settings.scenario)
    before, after = anatomy_of(settings, None), anatomy_of(settings, classes)
    rows = [
        {
            "last layer": label,
            f"({name})": f"Linear({subject.spec.features}, {found.classes})",
            "its parameters": next(layer.parameters for layer in found.layers if layer.name == name),
            "of all": found.parameters.total,
        }
        for label, found in (("as published", before), ("replaced", after))
    ]
    if subject.spec.frozen_only:  # it learnt without labels
        own = next(layer.parameters for layer in before.layers if layer.name == name)
        rows[0] |= {f"({name})": "Identity()", "its parameters": 0, "of all": before.parameters.total - own}
    number = st.column_config.NumberColumn(format="localized")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"its parameters": number, "of all": number},
        alt="The last layer as published and replaced",
    )
    st.header("The classic mistake", anchor=False)
    st.markdown(
        "`out_features` is a note on the layer, not its size: set it, and the layer prints a lie while the network "
        "still gives as many outputs as before."
    )
    _show(_mistake(subject.spec.name, classes))


def show_lesson(subject: Subject, classes: int) -> None:
    """What `nn.Module` is, in ten lines."""
    st.markdown(
        "A module holds parameters, buffers and other modules as attributes. Calling it runs `forward` and the hooks "
        "around it; `state_dict` names every tensor in it."
    )
    _show(_lesson(subject.spec.name, classes))


def _show(pieces: "Sequence[Ran]") -> None:
    """Each piece of code above what it printed."""
    st.html(_STYLE)
    for number, piece in enumerate(pieces):
        with st.container(gap="xxsmall", key=f"inside-code-{number}"):
            st.code(piece.code, language="python", wrap_lines=True)
            st.code(piece.printed, language=None, wrap_lines=True)
    with st.expander("All lines, to copy", icon=":material/content_copy:", key="inside-code-all"):
        st.code("\n".join(piece.code for piece in pieces), language="python", wrap_lines=True)


@st.cache_data(max_entries=50, show_spinner="Running the code")
def _lesson(backbone: str, classes: int) -> "list[Ran]":
    from core.models.anatomy.snippets import network_lesson

    return network_lesson(backbone, classes)


@st.cache_data(max_entries=50, show_spinner="Running the code")
def _mistake(backbone: str, classes: int) -> "list[Ran]":
    from core.models.anatomy.snippets import out_features_mistake

    return out_features_mistake(backbone, classes)
