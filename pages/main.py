"""Router and frame around every page: navigation, the chosen data, running work. No page ends in an exception."""

from functools import partial
from pathlib import Path

import streamlit as st
from components import chosen
from components.brought import let_go_of_what_is_gone
from components.frame import draw_each
from components.header import header
from components.kept import mirror_kept
from components.style import style

ICON = Path(__file__).parent / "components" / "icon.png"

st.set_page_config(page_title="Thaw", page_icon=str(ICON), layout="wide")
page = st.navigation(
    [
        st.Page("home.py", title="Home", icon=":material/home:", default=True),
        st.Page("data.py", title="Data", icon=":material/photo_library:"),
        st.Page("augment.py", title="Augment", icon=":material/tune:"),
        st.Page("train.py", title="Train", icon=":material/model_training:"),
        st.Page("compare.py", title="Compare", icon=":material/balance:"),
        st.Page("classify.py", title="Classify", icon=":material/image_search:"),
        st.Page("learn.py", title="Learn", icon=":material/school:"),
        st.Page("glossary.py", title="Glossary", icon=":material/menu_book:"),
    ],
    position="top",
)
# the address first: a page may end anywhere
parts = (style, chosen.mirror_to_address, mirror_kept, partial(header, page.url_path), page.run)
draw_each(let_go_of_what_is_gone, *parts)
