"""Addresses of pictures and downloads begin with their owner: what is replaced in Streamlit is there, and is asked."""

from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileKind
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from pages.components.media import everybodys_media, own_media


def test_what_is_served_begins_with_its_owner_and_a_download_is_written_for_who_offered_it():
    def served() -> str:
        return MemoryMediaFileStorage("/media").load_and_get_id(b"picture", "image/png", MediaFileKind.MEDIA)

    plain, written = served(), list[str]()
    own_media(lambda: "me", lambda work: lambda: written.append("mine") or work())
    owned, manager = served(), MediaFileManager(MemoryMediaFileStorage("/media"))
    manager.execute_deferred(manager.add_deferred(lambda: b"zip", "application/zip", "1", "all.zip"))
    everybodys_media()

    assert owned == f"me-{plain}" and written == ["mine"]
    assert served() == plain
