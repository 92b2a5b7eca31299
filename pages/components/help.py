"""Help texts that lead to the glossary, and the glossary beside the page that needs it."""

import streamlit as st

from core.glossary import Term, find_terms, glossary, term_of_option

NOTHING_FOUND = "No entry has these words. Try one of them alone, or a shorter one."


def with_term(help: str, *names: str) -> str:
    """A help text with links to these entries of the glossary; they open beside the page, which stays as it is."""
    links = [f"[{name}](glossary#{glossary()[name].anchor})" for name in names]
    return f"{help}  \n:material/menu_book: {', '.join(links)}"


def option_help(option: str, help: str) -> str:
    """The help text of a setting, with a link to what explains it."""
    term = term_of_option(option)
    return with_term(help, term.name) if term else help


def glossary_popover(page: str, key: str) -> None:
    """The words of this page, and a search in all of them; the page stays as it is."""
    shown = st.popover("Glossary", icon=":material/menu_book:", type="tertiary", key=key, on_change="rerun")
    if not shown.open:
        return
    with shown:
        query = st.text_input("Search the glossary", key=f"{key}.query", icon=":material/search:", live=True)
        here = [term for term in find_terms(query) if query or term.page == page]
        for term in here or find_terms(query):
            entry(term)
        if query and not here:
            st.caption(NOTHING_FOUND)
        st.page_link("glossary.py", label="All words", icon=":material/arrow_forward:")


def entry(term: Term, heading: str = "**{name}**") -> None:
    """A word, what it means, and what others call it."""
    st.markdown(f"{heading.format(name=term.name)}  \n{term.meaning}")
    if term.elsewhere:
        st.caption(f":material/school: {term.elsewhere}")
