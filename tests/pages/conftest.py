"""Pages are started as the app starts them: from the router, with empty caches."""

import logging
from collections.abc import Callable, Iterator

import pytest
import streamlit as st
from helpers import REPOSITORY
from streamlit.testing.v1 import AppTest


@pytest.fixture(autouse=True)
def fresh_caches():
    """What is cached outlives a test, even what belongs to a session: every AppTest has the same session id."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(autouse=True)
def bugs() -> Iterator[list[logging.LogRecord]]:
    """Unexpected errors of pages. Their frame shows a sentence for each, so nothing else would fail of them."""
    found: list[logging.LogRecord] = []
    handler, log = logging.Handler(logging.ERROR), logging.getLogger("thaw.pages")
    handler.emit = found.append  # type: ignore[method-assign]
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)
    assert [record.exc_info for record in found] == []


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
