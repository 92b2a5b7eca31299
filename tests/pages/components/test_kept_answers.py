"""Answers to what a browser has asked for: what is replaced in Streamlit is there, and keeps them."""

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

from pages.components.answers import keep_answers


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ForwardMsgQueue, "clear", ForwardMsgQueue.clear)  # and afterwards as it was
    keep_answers()


@pytest.mark.parametrize("parts", [None, ["part"]], ids=["a page", "a part of it"])
def test_where_a_file_is_to_be_put_is_told_once_though_the_page_begins_to_be_drawn_anew(parts: list[str] | None):
    queue = _queue()
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=parts)

    assert [message.WhichOneof("type") for message in queue.flush()] == ["file_urls_response"]


def test_what_was_sent_is_not_sent_again():
    queue = _queue()
    queue.flush()

    assert queue.is_empty()


def _queue() -> ForwardMsgQueue:
    drawn, answer = ForwardMsg(), ForwardMsg()
    drawn.delta.new_element.text.body, drawn.delta.fragment_id = "of the run before", "part"
    answer.file_urls_response.response_id = "1"
    queue = ForwardMsgQueue()
    queue.enqueue(drawn)
    queue.enqueue(answer)
    return queue
