"""Router and frame around every page: navigation, the chosen data, running work. No page ends in an exception."""

from copy import copy
from functools import partial
from pathlib import Path

import streamlit as st
from components import chosen
from components.answers import keep_answers
from components.brought import let_go_of_what_is_gone
from components.classroom import invitation
from components.frame import draw_each
from components.header import header
from components.kept import mirror_kept
from components.style import style
from components.visitor import mirror_key, tell_visitors_apart
from streamlit.navigation.page import Page

from core.storage import is_hosted

hosted = is_hosted()
keep_answers()
if hosted:
    tell_visitors_apart()
ICON = Path(__file__).parent / "components" / "icon.png"


@st.cache_resource(show_spinner=False)
def pages(hosted: bool) -> list[Page]:
    """Each is looked for on the disk when it is made: once, for all visitors."""
    return [
        st.Page("home.py", title="Home", icon=":material/home:", default=True),
        st.Page("data.py", title="Data", icon=":material/photo_library:"),
        st.Page("augment.py", title="Augment", icon=":material/tune:"),
        st.Page("train.py", title="Train", icon=":material/model_training:"),
        st.Page("compare.py", title="Compare", icon=":material/balance:"),
        st.Page("classify.py", title="Classify", icon=":material/image_search:"),
        st.Page("inside.py", title="Inside", icon=":material/schema:"),
        st.Page("much.py", title="How much?", icon=":material/thermostat:"),
        st.Page("learn.py", title="Learn", icon=":material/school:"),
        st.Page("glossary.py", title="Glossary", icon=":material/menu_book:"),
        *([st.Page("workspace.py", title="Workspace", icon=":material/key:")] if hosted else []),
    ]


st.set_page_config(page_title="Thaw", page_icon=str(ICON), layout="wide")
page = st.navigation([copy(page) for page in pages(hosted)], position="top")
# the address first: a page may end anywhere
first = [mirror_key] if hosted else []
above = [invitation] if hosted else []
about = (style, chosen.mirror_to_address, mirror_kept)
draw_each(let_go_of_what_is_gone, *first, *about, *above, partial(header, page.url_path), page.run)
