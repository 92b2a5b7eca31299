"""What was brought is let go of when no page holds it any more, and not before."""

from types import SimpleNamespace

import pytest
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile, UploadedFileRec

from pages.components import brought


class State(dict):
    def to_dict(self) -> dict[str, object]:
        return dict(self)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A visitor's session: its state and the uploads that the server holds for it."""
    one = SimpleNamespace(session_id="somebody", uploaded_file_mgr=MemoryUploadedFileManager("/"), state=State())
    monkeypatch.setattr(brought, "get_script_run_ctx", lambda: one)
    monkeypatch.setattr(brought, "st", SimpleNamespace(session_state=one.state))
    return one


def bring(session: SimpleNamespace, name: str) -> UploadedFile:
    record = UploadedFileRec(file_id=name, name=name, type="image/png", data=b"many bytes")
    session.uploaded_file_mgr.add_file(session.session_id, record)
    return UploadedFile(record, FileURLs())


def held(session: SimpleNamespace) -> set[str]:
    return set(session.uploaded_file_mgr.file_storage[session.session_id])


def test_what_no_widget_holds_any_more_is_let_go_and_what_just_arrived_is_kept(session):
    session.state["classify.files"] = [bring(session, "a"), bring(session, "b")]
    session.state["data.zip"] = bring(session, "zip")
    brought.let_go_of_what_is_gone()
    assert held(session) == {"a", "b", "zip"}

    session.state["classify.files"].pop()
    session.state["data.zip"] = None
    bring(session, "on its way")  # it is here before the run that tells of it
    brought.let_go_of_what_is_gone()

    assert held(session) == {"a", "on its way"}


def test_what_the_browser_lists_and_the_server_lost_has_to_be_brought_again(session, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(brought.st, "warning", lambda text, icon: said.append(text), raising=False)

    session.state |= {"whole": bring(session, "a"), "several": [bring(session, "b")], "empty": None}
    for key in ("whole", "several", "empty", "never drawn"):
        brought.say_if_lost(key)
    assert said == []

    session.state |= {"whole": DeletedFile("a"), "several": [bring(session, "b"), DeletedFile("c")]}
    for key in ("whole", "several"):
        brought.say_if_lost(key)
    assert len(said) == 2 and "bring it again" in said[0]


def test_a_zip_that_was_taken_in_is_let_go_at_once(session):
    session.state["data.zip"] = bring(session, "zip")

    brought.let_go([session.state["data.zip"].file_id])

    assert held(session) == set()
