"""Router and frame around every page: navigation, the chosen data, running work. No page ends in an exception."""

from functools import partial
from pathlib import Path

import streamlit as st
from components import chosen
from components.brought import let_go_of_what_is_gone
from components.classroom import invitation
from components.frame import draw_each
from components.header import header
from components.kept import mirror_kept
from components.style import style
from components.visitor import mirror_key, tell_visitors_apart

from core.storage import is_hosted

hosted = is_hosted()
if hosted:
    tell_visitors_apart()
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
        st.Page("inside.py", title="Inside", icon=":material/schema:"),
        st.Page("much.py", title="How much?", icon=":material/thermostat:"),
        st.Page("learn.py", title="Learn", icon=":material/school:"),
        st.Page("glossary.py", title="Glossary", icon=":material/menu_book:"),
        *([st.Page("workspace.py", title="Workspace", icon=":material/key:")] if hosted else []),
    ],
    position="top",
)
# the address first: a page may end anywhere
first = [mirror_key] if hosted else []
above = [invitation] if hosted else []
about = (style, chosen.mirror_to_address, mirror_kept)
draw_each(let_go_of_what_is_gone, *first, *about, *above, partial(header, page.url_path), page.run)
