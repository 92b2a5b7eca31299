"""Pages are started as the app starts them: from the router, with empty caches."""

from collections.abc import Callable

import pytest
import streamlit as st
from helpers import REPOSITORY
from streamlit.testing.v1 import AppTest


@pytest.fixture(autouse=True)
def fresh_caches():
    """What is cached outlives a test, even what belongs to a session: every AppTest has the same session id."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def start(thaw_home) -> Callable[..., AppTest]:
    """Open a page, with the given values in the address."""

    def open_page(page: str, **address: str) -> AppTest:
        at = AppTest.from_file(str(REPOSITORY / "pages" / "main.py"), default_timeout=60)
        for name, value in address.items():
            at.query_params[name] = value
        at.switch_page(page)
        return at.run()

    return open_page
