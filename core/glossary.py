"""The field's words as Thaw uses them, and what PyTorch's transfer-learning tutorial and cs231n's notes call them."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """A word and what it means: one `[[term]]` of the table."""

    name: str
    topic: str
    page: str
    """Where it is met: the page's last part in the address."""
    meaning: str
    elsewhere: str = ""
    """What the tutorial and the lecture call it."""
    also: str = ""
    """Other words that find it."""
    options: tuple[str, ...] = ()
    """Fields of `core.settings.schema` that it explains."""

    @property
    def anchor(self) -> str:
        """Its name in an address, as Streamlit makes it of a heading: words in small letters, BatchNorm being two."""
        words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", self.name)
        return "-".join(words).lower()

    def has(self, word: str) -> bool:
        """Whether a word, in whatever case, stands in the entry."""
        return word.casefold() in " ".join((self.name, self.meaning, self.elsewhere, self.also)).casefold()


@cache
def glossary() -> dict[str, Term]:
    """All entries by name, in the table's order: topic by topic."""
    rows = tomllib.loads(TABLE.read_text("utf-8"))["term"]
    terms = [Term(**{**row, "options": tuple(row.get("options", ()))}) for row in rows]
    return {term.name: term for term in terms}


def term_of_option(option: str) -> Term | None:
    """What explains a setting; None where no entry does."""
    return next((term for term in glossary().values() if option in term.options), None)


def find_terms(query: str) -> list[Term]:
    """The entries in which every word of the query stands; all of them for an empty query."""
    return [term for term in glossary().values() if all(map(term.has, query.split()))]
