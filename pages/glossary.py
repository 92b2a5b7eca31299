"""Glossary: what the words mean, where they are met, and what the tutorial and the lecture call them."""

from itertools import groupby

import streamlit as st
from components.help import NOTHING_FOUND, entry

from core.glossary import find_terms

READABLE = 800  # pixels: of longer lines the eye loses the next
A_WINDOW = 2_000  # pixels, more than most windows are high

st.title("Glossary")
st.caption("What do the words mean? As Thaw uses them, and as PyTorch's tutorial and the cs231n lecture do.")
query = st.text_input(
    "Search",
    key="glossary.query",
    placeholder="learning rate",
    icon=":material/search:",
    live=True,
    bind="query-params",
)
found = find_terms(query)
if not found:
    st.caption(NOTHING_FOUND)
entries = st.container()
below = st.empty()
below.space(A_WINDOW)  # a browser scrolls to an address once, as far as the page reaches then
for topic, terms in groupby(found, key=lambda term: term.topic):
    entries.header(topic, anchor=False)
    for term in terms:
        with entries.container(gap="xxsmall", width=READABLE, key=f"entry-{term.anchor}"):
            entry(term, "### {name}")  # its anchor is made of its name
            st.page_link(f"{term.page}.py", label=term.page.capitalize(), icon=":material/arrow_forward:")
below.empty()
