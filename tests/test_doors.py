"""Who may come in where strangers share a server: keys in cookies, and pictures for their owner alone."""

import pytest

from core.workspaces.workspace import new_workspace
from doors import is_owned, keys_for, keys_in, may_have


@pytest.fixture(autouse=True)
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_HOSTED", "1")


def test_only_whole_keys_are_read_from_cookies():
    key = "A" * 22

    assert keys_in(f"_xsrf=1; thaw={key}; thaw-12ab={key}; thaw-x=short; other={key}") == {
        "thaw": key,
        "thaw-12ab": key,
    }


def test_fonts_are_everybody_s_and_pictures_their_owner_s():
    (mine, key), (_, other) = new_workspace(), new_workspace()

    assert is_owned(f"/media/{mine.id}-ab.jpg") and not is_owned("/static/media/font.woff2") and not is_owned("/data")
    assert may_have(f"/media/{mine.id}-ab.jpg", {"thaw": key})
    assert may_have(f"/media/{mine.id}-ab.jpg", {"thaw": other, "thaw-link": key})
    for keys in ({}, {"thaw": other}, {"thaw": "A" * 22}):
        assert not may_have(f"/media/{mine.id}-ab.jpg", keys)
        assert not may_have("/media/ab.jpg", keys), "what has no owner is nobody's"
    assert may_have("/media/sessionab-cd.jpg", {}) and not may_have("/media/sessionab-cd.jpg", {"thaw": other})


def test_a_link_takes_a_browser_s_own_key_s_place_only_where_that_opens_nothing():
    (_, own), (workspace, linked) = new_workspace(), new_workspace()

    (fresh,) = keys_for({}, "").values()
    assert len(fresh) == 22 and keys_for({}, "no key") != {"thaw": "no key"}
    assert keys_for({}, linked) == keys_for({"thaw": "A" * 22}, linked) == {"thaw": linked}
    both = keys_for({"thaw": own}, linked)
    assert both["thaw"] == own and linked in both.values() and len(both) == 2
    workspace.delete()
    assert linked not in keys_for({"thaw": linked}, "").values(), "a spent key is not kept"
