"""Glossary: what the words mean, where they are met, and what the tutorial and the lecture call them."""

from itertools import groupby

import streamlit as st
from components.help import NOTHING_FOUND, entry

from core.glossary import find_terms

READABLE = 800  # pixels: of longer lines the eye loses the next

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
for topic, terms in groupby(found, key=lambda term: term.topic):
    st.header(topic, anchor=False)
    for term in terms:
        with st.container(gap="xxsmall", width=READABLE, key=f"entry-{term.anchor}"):
            entry(term, "### {name}")  # its anchor is made of its name
            st.page_link(f"{term.page}.py", label=term.page.capitalize(), icon=":material/arrow_forward:")
