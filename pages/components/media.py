"""Pictures and downloads that belong to somebody: their addresses begin with the owner, and `doors.py` asks for a key.

Streamlit names what it serves by its content alone and gives it to whoever knows the name. Two of its functions are
replaced; a test holds them against the installed version.
"""

from collections.abc import Callable
from typing import Any

from streamlit.runtime import media_file_manager as manager
from streamlit.runtime import memory_media_file_storage as storage

_plain_id = storage._calculate_file_id
_plain_deferred = manager.MediaFileManager.add_deferred


def own_media(owner: Callable[[], str], for_session: Callable[[Callable[[], Any]], Callable[[], Any]]) -> None:
    """From now on `owner` says what the address of everything that is served begins with.

    Args:
        for_session: makes of what writes a download when it is clicked the same for the session that offered it.
    """

    def owned_id(data: bytes, mimetype: str, filename: str | None = None) -> str:
        return f"{owner()}-{_plain_id(data, mimetype, filename)}"

    def owned_deferred(
        self: manager.MediaFileManager, data_callable: Callable[[], Any], *rest: Any, **more: Any
    ) -> str:
        return _plain_deferred(self, for_session(data_callable), *rest, **more)

    storage._calculate_file_id = owned_id
    manager.MediaFileManager.add_deferred = owned_deferred  # type: ignore[method-assign]


def everybodys_media() -> None:
    """As Streamlit has it."""
    storage._calculate_file_id = _plain_id
    manager.MediaFileManager.add_deferred = _plain_deferred  # type: ignore[method-assign]
