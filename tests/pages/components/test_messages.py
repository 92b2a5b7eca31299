"""Other people's words: shown literally, whatever they contain."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from pages.components.messages import md, plain, whole_numbers


def read(markdown: str) -> str:
    """What a reader of the Markdown sees, if it holds nothing but escaped text."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown).replace("\u2060", "")


HOSTILE = {
    "picture": "![](http://tracker.example/x.png)",
    "link": "[x](javascript:alert(1)) <http://a.example>",
    "colour": ":red[red] :material/home: :smile:",
    "formula": "$x^2$ `code` **b** _i_ ~~s~~ | a |",
    "html": "<script>alert(1)</script> &amp; &copy;",
    "heading": "=== # h",
    "backslash": r"\[x\]\\(y)",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_keeps_its_words_and_loses_its_powers(text):
    escaped = md(text)

    assert read(escaped) == text
    assert not re.search(r"(?<!\\)(\\\\)*[*_\[\]()<>#$`~|=&!:]", escaped)


@pytest.mark.parametrize(
    "text", ["http://a.example", "WWW.a.example", "a@b.example", "x -> y", "x <= y", ":smile:", ":+1:", "mailto:a@b.c"]
)
def test_what_streamlit_replaces_after_escaping_is_broken_up(text):
    shown = re.sub(r"\\(?=[!-/:-@\[-`{-~])", "", md(text))

    assert shown.replace("\u2060", "") == text
    replaced = r"https?://|www\.|[-.\w+]@|(^|\s)(<->|->|<-|--|>=|<=|~=)(\s|$)|:[+\w-]+:|mailto:\w"
    assert not re.search(replaced, shown, re.IGNORECASE)


def test_a_number_is_not_parted_from_its_per_cent_sign():
    assert read(md("bees 100.0 %, ants 0.0 %; 3 of 4")) == "bees 100.0\u00a0%, ants 0.0\u00a0%; 3 of 4"
    assert whole_numbers("95.0 %") == "95.0\u00a0%"


def test_names_are_one_line_without_control_characters():
    assert plain(" a\n\n---\tb\x00\x1b[31m \u202ecod.exe \u2028z ") == "a --- b[31m cod.exe z"


@pytest.mark.parametrize("name", ["Ameisen-Bär", "蟻", "a\u200cb", "\U0001f469\u200d\U0001f52c"], ids=ascii)
def test_names_in_other_scripts_are_kept(name):
    assert plain(name) == name


def test_long_names_are_cut_before_they_are_escaped():
    assert md("a" * 500, longest=10) == "a" * 9 + "…"
    assert read(md("*" * 500, longest=10)) == "*" * 9 + "…"
    assert plain("a" * 10, longest=10) == "a" * 10


def test_an_error_is_shown_whole_and_literally():
    def script():
        from core.errors import ImageError
        from pages.components.messages import show_error

        show_error(ImageError("[evil](http://evil.example).png is not a picture. " + "The others were kept. " * 20))

    at = AppTest.from_function(script, default_timeout=30).run()

    (shown,) = at.error
    assert not at.exception
    assert read(shown.value).startswith("[evil](http://evil.example).png is not a picture. The others were kept.")
    assert "…" not in shown.value


def test_every_kind_of_error_has_a_title():
    from core.errors import ThawError
    from pages.components.messages import _TITLES

    assert set(_TITLES) == set(ThawError.__subclasses__())
