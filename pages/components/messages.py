"""Words on the screen: other people's text shown literally, and errors as sentences."""

import re
import unicodedata
from typing import Final

import streamlit as st

from core.errors import (
    DatasetError,
    ImageError,
    PackageError,
    RunError,
    SettingsError,
    StorageError,
    ThawError,
    TrainingError,
    WeightsError,
    WorkspaceError,
)

LONGEST: Final = 120  # characters of a name; what is longer is cut with an ellipsis
LONGEST_MESSAGE: Final = 2000

_PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")
# Streamlit also replaces in text that was escaped: links without brackets, :shortcodes:, and arrows made of signs.
# An invisible joiner in between leaves what is seen as it is.
_REPLACED: Final = re.compile(r"(?<=:)(?=\S)|(?<=www)(?=\.)|(?=@)|(?<=[-<>~])(?=[-=>])", re.IGNORECASE)
_JOINER: Final = "\u2060"
_PERCENT: Final = re.compile(r"(?<=\d) (?=%)")
_NO_BREAK: Final = "\u00a0"
_KEPT: Final = "\u200c\u200d"  # joiners that some scripts and emoji are spelt with

_TITLES: Final[dict[type[ThawError], str]] = {
    SettingsError: "This choice is not possible",
    DatasetError: "These pictures cannot be used",
    ImageError: "This picture cannot be read",
    WeightsError: "The pretrained weights cannot be had",
    TrainingError: "Training has ended early",
    PackageError: "This did not go through",
    RunError: "This run cannot be shown",
    WorkspaceError: "This workspace cannot do that",
    StorageError: "Thaw cannot read or write its files",
}


def plain(text: str, longest: int = LONGEST) -> str:
    """One line without control or direction characters, at most `longest` characters: fit for alt texts and labels."""
    line = "".join(c for c in " ".join(text.split()) if c in _KEPT or unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def md(text: str, longest: int = LONGEST) -> str:
    """The text as Markdown that shows it literally: no link, picture, formula, icon or colour in it has any effect.

    A number stays on one line with its per cent sign: below a picture on a telephone there is no room for both.
    """
    return _PUNCTUATION.sub(r"\\\1", _REPLACED.sub(_JOINER, whole_numbers(plain(text, longest))))


def whole_numbers(text: str) -> str:
    """The text without a line's end between a number and its per cent sign."""
    return _PERCENT.sub(_NO_BREAK, text)


def show_error(error: ThawError) -> None:
    """An error's message, whole and literal: it says what is wrong and what to do."""
    title = next((title for kind, title in _TITLES.items() if isinstance(error, kind)), "This did not work")
    st.error(md(str(error), LONGEST_MESSAGE), title=title, icon=":material/error:")
