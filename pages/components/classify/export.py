"""A run's network as a zip that needs nothing of Thaw; its training as a script; and a zip brought back."""

import shutil
import weakref
from contextlib import ExitStack

import streamlit as st

from core.errors import ThawError
from core.home import temporary_folder
from core.runs.store import Run
from core.storage import is_hosted

from .. import chosen
from ..brought import say_if_lost
from ..messages import md, show_error
from ..resources import run_record, run_store
from ..wording import run_label

MAX_ZIP_MEGABYTES = 1200  # the largest network of the catalogue, twice: as weights and as ONNX
MAX_HOSTED_MEGABYTES = 200  # strangers share that server's memory; most networks fit


def export_model(run: Run) -> None:
    """Packed or sent when it is asked for; the script is there at once."""
    parts = {"One zip": _zip, "The training as a script": _script, "Hugging Face Hub": _hub}
    tabs = st.tabs(list(parts), key="classify.home", on_change="rerun")
    for tab, part in zip(tabs, parts.values(), strict=True):
        if tab.open:  # a script takes torch and a network without numbers: not at every rerun of the page
            with tab:
                part(run)


def _zip(run: Run) -> None:
    st.markdown(
        "The weights, the preprocessing by value, an ONNX file, a model card, and `predict.py`, a short script that "
        "needs Pillow and the library the backbone comes from. It refuses to answer unless eight golden pictures get "
        "the answers they get here. `train.py` goes along where the pictures are still here. No picture of yours is in "
        "it; the names of their files are."
    )
    if st.button("Prepare export", icon=":material/package_2:", key="classify.pack"):
        try:
            with st.spinner("Packing: translating to ONNX takes some seconds"):
                st.session_state["classify.packed"] = Packed(run.id)
        except ThawError as error:
            show_error(error)
    packed: Packed | None = st.session_state.get("classify.packed")
    if packed and packed.run_id == run.id:
        st.download_button(
            f"Download, {packed.path.stat().st_size / 1e6:.0f} MB",
            packed.read,
            f"thaw-{run.settings.model.scenario}-seed-{run.settings.seed}.zip",
            "application/zip",
            icon=":material/download:",
            key="classify.package",
            on_click="ignore",
        )
        st.caption("Unpack it, then: `pip install -r requirements.txt`, `python predict.py photo.jpg`.")


class Packed:
    """A run's zip on the disk. It goes when nobody holds this any more: with the next one, or with the session."""

    def __init__(self, run_id: str) -> None:
        from core.takehome.export import export_run  # brings torch

        until_the_end = ExitStack()
        weakref.finalize(self, until_the_end.close)
        self.run_id = run_id
        self.path = until_the_end.enter_context(temporary_folder("export")) / "package.zip"
        export_run(run_id, self.path)

    def read(self) -> bytes:
        """Called when somebody clicks: only then, and for as long, it is in memory."""
        return self.path.read_bytes()


def _script(run: Run) -> None:
    from core.takehome.training_script import training_script

    st.markdown(
        "What this run did, in plain PyTorch, to read, run and change. It comes with the zip, which also says which "
        "pictures were in train, val and test; its accuracy comes close to the run's, to the bit it does not."
    )
    script = training_script(run_record(chosen.home(), run.id))
    st.code(script, language="python", line_numbers=True, height=420)


def _hub(run: Run) -> None:
    st.markdown(
        "The same files in a repository of yours, with the model card in front. Your pictures do not go along, but the "
        "names of their files and of the classes do."
    )
    with st.form("classify.hub", border=False, clear_on_submit=True):  # the token does not stay in the form
        repository = st.text_input("Repository", placeholder="owner/name", key="classify.hub.repository")
        token = st.text_input(
            "Token with the right to write",
            type="password",
            key="classify.hub.token",
            autocomplete="off",
            help="From Hugging Face: Settings, Access Tokens. It is sent there once and kept nowhere.",
        )
        public = st.checkbox("Everybody may see it", key="classify.hub.public")
        asked = st.form_submit_button("Send", icon=":material/cloud_upload:", key="classify.hub.send")
    if not asked:
        return
    from core.takehome.hub import publish_run

    try:
        with st.spinner("Packing and sending"):
            address = publish_run(run.id, repository.strip(), token, public=public)
    except ThawError as error:
        show_error(error)
    else:
        st.success(f"{md(repository)} is there.", icon=":material/cloud_done:")
        st.link_button("Open it on the Hub", address, icon=":material/open_in_new:")


def import_model() -> None:
    """A zip that was packed here or elsewhere becomes a run, and the chosen one."""
    with st.expander("Import model", icon=":material/unarchive:", key="classify.bringback"):
        st.markdown(
            "A zip that Thaw has packed, here or elsewhere. Every file, tensor and score in it is checked, and the "
            "golden pictures must get the answers they had. What it says about its training is not seen here, so "
            "its name says *imported*."
        )
        done = st.session_state.get("classify.imports", 0)  # with another key the file leaves the page, and memory
        size = MAX_HOSTED_MEGABYTES if is_hosted() else MAX_ZIP_MEGABYTES
        file = st.file_uploader("The zip", type="zip", max_upload_size=size, key=f"classify.zip.{done}")
        say_if_lost(f"classify.zip.{done}")
        if file is None or not st.button("Import", icon=":material/unarchive:", key="classify.import"):
            return
        from core.takehome.import_run import import_run

        try:
            with st.spinner("Checking"), temporary_folder("import") as folder:
                path = folder / "This file"  # as errors call it
                with path.open("wb") as copy:
                    shutil.copyfileobj(file, copy)
                run = import_run(run_store(), path)
        except ThawError as error:
            show_error(error)
            return
        st.query_params["run"] = st.session_state["classify.remembered"] = run.id
        st.session_state["classify.imports"] = done + 1
        st.toast(f"{run_label(run)} is here.", icon=":material/unarchive:")
        st.rerun()
