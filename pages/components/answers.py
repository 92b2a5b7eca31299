"""What a browser has asked for reaches it, even where its page begins to be drawn anew at that moment.

Streamlit then drops what it has not sent yet, as of an earlier run; and with it, where a file is to be put: its upload
would stand still for good. One of its functions is replaced; a test holds it against the installed version.
"""

from typing import Final

from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

ANSWERS: Final = ("file_urls_response", "backend_operation_response")
_plain_clear = ForwardMsgQueue.clear


def keep_answers() -> None:
    """From now on, in every session."""
    ForwardMsgQueue.clear = _clear_but_answers  # type: ignore[method-assign]


def _clear_but_answers(
    self: ForwardMsgQueue, retain_lifecycle_msgs: bool = False, fragment_ids_this_run: list[str] | None = None
) -> None:
    before = self._queue if retain_lifecycle_msgs else []  # else they have been sent
    _plain_clear(self, retain_lifecycle_msgs, fragment_ids_this_run)
    there = {id(message) for message in self._queue}
    self._queue += [one for one in before if one.WhichOneof("type") in ANSWERS and id(one) not in there]
