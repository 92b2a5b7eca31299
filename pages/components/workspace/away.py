"""Taking everything along, and deleting everything."""

import weakref
from contextlib import ExitStack

import streamlit as st

from core.comparison.wording import counted
from core.errors import ThawError
from core.home import temporary_folder
from core.workspaces.room import rooms_of
from core.workspaces.workspace import Workspace

from .. import chosen, visitor
from ..confirm import delete_button
from ..messages import md, show_error
from ..resources import forgetter

_PACKED = "workspace.packed"


def everything() -> None:
    """One zip of all there is; and a button that deletes all there is."""
    workspace = visitor.mine()
    st.header("Everything in it", anchor=False)
    with st.container(horizontal=True):
        if st.button("Export everything", icon=":material/package_2:", key="workspace.export"):
            try:
                with st.spinner("Packing"):
                    st.session_state[_PACKED] = Packed(workspace)
            except ThawError as error:
                show_error(error)
        _download(st.session_state.get(_PACKED))
        delete_button(
            "Delete everything", "workspace.delete", workspace.id, lambda: _goes(workspace), lambda: _delete(workspace)
        )
    st.markdown("The zip holds data sets, runs and their networks: `python -m core restore FILE` opens it at home.")


def _download(packed: "Packed | None") -> None:
    if packed is not None:
        st.download_button(
            f"Download, {packed.path.stat().st_size / 1e6:.0f} MB",
            packed.path.read_bytes,
            "thaw-workspace.zip",
            "application/zip",
            icon=":material/download:",
            key="workspace.download",
            on_click="ignore",
        )


class Packed:
    """The zip on the disk. It goes when nobody holds this any more: with the next one, or with the session."""

    def __init__(self, workspace: Workspace) -> None:
        until_the_end = ExitStack()
        weakref.finalize(self, until_the_end.close)
        self.path = until_the_end.enter_context(temporary_folder("everything")) / "workspace.zip"
        workspace.export(self.path)


def _goes(workspace: Workspace) -> bool:
    used = {share.what: round(share.used) for share in workspace.shares()}
    for room in rooms_of(workspace):
        st.markdown(f":material/school: **{md(room.title)}** ends, with its link and its board.")
    runs, pictures = counted(used["runs"], "run"), counted(used["pictures"], "picture")
    st.markdown(
        f"**{runs}** and **{pictures}** go now, on this server, for good; what trains is stopped. The private link "
        "opens nothing any more."
    )
    return True


def _delete(workspace: Workspace) -> None:
    forget = forgetter(chosen.home())
    with st.spinner("Stopping what trains, and deleting"):
        workspace.delete()
    forget()  # no picture of it stays in memory, either
    visitor.forget()
