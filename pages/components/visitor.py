"""Whose workspace a session works in, on a server that strangers share. Locally there is nothing to tell apart.

The one place where it is decided: `core.home` asks here for every file that is opened, in a page, a fragment or what a
click calls. The key comes with the link or with the browser's cookie, which `app.py` gives; where neither is, as in a
frame whose cookies are blocked, a new workspace is made and its key stays in the address.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import WorkspaceError
from core.home import ask_for_workspace
from core.runs.line import Line, Waiting, everybody_waiting, line_of
from core.storage import is_hosted
from core.visitors.registry import COOKIE, FRAMED, KEY, SECRET
from core.visitors.signin import SIGNING_IN, can_sign_in
from core.workspaces.workspace import (
    Workspace,
    find_workspace,
    is_spent,
    new_workspace,
    open_workspace,
    workspace_of_account,
)

from .media import own_media

NAME: Final = "w"
"""Of the key in the address."""
_MINE: Final = "workspace.mine"
_NOT_FOUND: Final = "workspace.not_found"
_VISITED: Final = "workspace.visited"
VISIT_S: Final = 600.0
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mine:
    """A session's workspace, and how it came to it."""

    workspace: Workspace
    key: str
    in_address: bool
    """The browser does not bring this key by itself: it has to stay in the address."""
    media: str
    """What the addresses of its pictures and downloads begin with."""


_working_for: ContextVar[Mine | None] = ContextVar("working_for", default=None)


def tell_visitors_apart() -> None:
    """From now on it is asked whose every file is that a page opens, and every picture that it shows."""
    ask_for_workspace(_whose)
    own_media(_media, within_session)


def mine() -> Workspace:
    """The workspace of this session."""
    return _mine().workspace


def key() -> str:
    """Its key, as it came."""
    return _mine().key


def key_is_in_address() -> bool:
    """Whether nothing but the address leads back: the browser does not bring the key by itself."""
    return _mine().in_address


def mirror_key() -> None:
    """Keep the key in the address where the browser does not keep it, and out of it where it does; once per run."""
    own, now = _mine(), time.monotonic()
    if now - st.session_state.get(_VISITED, -VISIT_S) >= VISIT_S:
        st.session_state[_VISITED] = now
        own.workspace.visit()
    if st.session_state.pop(_NOT_FOUND, False):
        st.warning("The link opens no workspace any more: it was deleted, or has a new link. This one is yours.")
    if own.in_address:
        st.query_params[NAME] = own.key
    else:
        st.query_params.pop(NAME, None)


def change_key() -> None:
    """Give this workspace a new key, and this session, too."""
    own = _mine()
    st.session_state[_MINE] = Mine(
        workspace=own.workspace, key=own.workspace.change_key(), in_address=True, media=_media_of(own.workspace, False)
    )


def begin_with(address: Mapping[str, str]) -> None:
    """Choose anew what an address says, as if it had just been opened; the workspace stays."""
    stays = {name: st.session_state[name] for name in (_MINE, _VISITED) if name in st.session_state}
    st.session_state.clear()
    st.session_state.update(stays)
    st.query_params.from_dict(address)


def line() -> Line | None:
    """What of others comes before this visitor's runs; None where nothing waits, or nobody else is here."""
    return line_of(mine().id, _everybody_waiting()) if is_hosted() else None


@st.cache_data(ttl=2.0, show_spinner=False)
def _everybody_waiting() -> tuple[Waiting, ...]:
    """Looked at once for all sessions; it has numbers only."""
    return everybody_waiting()


def forget() -> None:
    """Begin with a new workspace at the next look; the session has nothing of the old one."""
    st.session_state.clear()
    st.query_params.clear()


def _media() -> str:
    return _mine().media


def within_session(work: Callable[[], T]) -> Callable[[], T]:
    """The same work for this session, to be done in a thread that is no page's."""
    own = _mine()

    def done() -> T:
        _working_for.set(own)  # the thread is this work's alone
        return work()

    return done


def _mine() -> Mine:
    working_for = _working_for.get()
    if working_for is not None:
        return working_for
    if _MINE not in st.session_state:
        st.session_state[_MINE] = _found()
    found: Mine = st.session_state[_MINE]
    return found


def _found() -> Mine:
    """By the address, by the cookie, or a new one."""
    asked, kept = str(st.query_params.get(NAME, "")), st.context.cookies
    linked = find_workspace(asked)
    if linked is not None:
        proven = asked in kept.values()
        return Mine(workspace=linked, key=asked, in_address=kept.get(COOKIE) != asked, media=_media_of(linked, proven))
    st.session_state[_NOT_FOUND] = bool(asked)
    account = signed_in()
    if account:
        return _found_by(account)
    own = str(kept.get(COOKIE, ""))
    if KEY.fullmatch(own) and not is_spent(own):
        workspace = open_workspace(own)
        return Mine(workspace=workspace, key=own, in_address=False, media=_media_of(workspace, True))
    workspace, fresh = new_workspace()
    return Mine(workspace=workspace, key=fresh, in_address=True, media=_media_of(workspace, False))


def signed_in() -> str | None:
    """The account of whoever is signed in, as its provider names it."""
    return str(st.user["sub"]) if can_sign_in() and st.user.is_logged_in else None


def _found_by(account: str) -> Mine:
    """What was given to the account, else what this browser had when it went to sign in, which is then given to it."""
    kept = {name: str(value) for name, value in st.context.cookies.items() if name.partition("-")[0] == COOKIE}
    opened = {key: find_workspace(key) for key in [kept.get(SIGNING_IN, ""), kept.get(COOKIE, ""), *kept.values()]}
    own = next((workspace for workspace in opened.values() if workspace), None)
    workspace = workspace_of_account(account) or own or new_workspace()[0]
    workspace.give_to(account)
    known = next((key for key, opens in opened.items() if opens == workspace), None)
    key = known or workspace.add_key()
    return Mine(
        workspace=workspace,
        key=key,
        in_address=kept.get(COOKIE) != key,
        media=_media_of(workspace, proven=known is not None),
    )


def _media_of(workspace: Workspace, proven: bool) -> str:
    """The workspace, of which a request must bring the key; where it may not, behind a secret of the session's own.

    Without cookies no request brings it, and in a frame downloads do not.
    """
    if proven and FRAMED not in st.context.cookies:
        return workspace.id
    return f"{SECRET}{secrets.token_hex(16)}_{workspace.id}"


def _whose() -> str:
    """The workspace of whoever this thread works for.

    Raises:
        WorkspaceError: for nobody: it is no page's.
    """
    if _working_for.get() is None and get_script_run_ctx(suppress_warning=True) is None:
        raise WorkspaceError("Nobody's files are meant here.")
    return mine().id
