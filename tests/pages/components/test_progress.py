"""Parts of pages that are drawn anew by themselves."""

from types import SimpleNamespace

import pytest
from streamlit.runtime import Runtime

from pages.components import progress


@pytest.mark.parametrize(("pages", "seconds"), [(1, 1.0), (10, 1.0), (50, 5.0)])
def test_with_more_pages_open_each_is_drawn_anew_less_often(
    pages: int, seconds: float, monkeypatch: pytest.MonkeyPatch
):
    server = SimpleNamespace(_session_mgr=SimpleNamespace(list_active_sessions=lambda: [None] * pages))
    monkeypatch.setattr(progress, "Runtime", SimpleNamespace(exists=lambda: True, instance=lambda: server))

    assert progress.tick_s() == seconds and progress.tick_s(2.0) == max(2.0, seconds)


def test_the_installed_streamlit_tells_how_many_pages_are_open():
    assert "_session_mgr" in Runtime.__init__.__code__.co_names
