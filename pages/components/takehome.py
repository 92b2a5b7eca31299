"""A run's network as a zip that needs nothing of Thaw."""

import streamlit as st

from core.home import temporary_folder
from core.runs.store import Run

from .wording import run_label


def take_home_model(run: Run) -> None:
    """Packed when it is asked for; then it can be downloaded."""
    with st.expander("Take this network home", icon=":material/home_storage:", key="classify.takehome"):
        st.markdown(
            "One zip: the weights, the preprocessing by value, an ONNX file, a model card, and `predict.py`, a short "
            "script that needs Pillow and the library the backbone comes from. It refuses to answer unless eight "
            "golden pictures get the answers they get here."
        )
        key = f"classify.package.{run.id}"
        if st.button("Pack it", icon=":material/package_2:", key="classify.pack"):
            st.session_state[key] = _packed(run.id)
        if key in st.session_state:
            data: bytes = st.session_state[key]
            st.download_button(
                f"Download, {len(data) / 1e6:.0f} MB",
                data,
                f"thaw-{run.id}.zip",
                "application/zip",
                icon=":material/download:",
                key="classify.package",
                on_click="ignore",
            )
            st.caption(
                f"{run_label(run)}. Unpack it, then: `pip install -r requirements.txt`, `python predict.py photo.jpg`."
            )


def _packed(run_id: str) -> bytes:
    from core.takehome.export import export_run  # brings torch

    with st.spinner("Packing: translating to ONNX takes some seconds"), temporary_folder("export") as folder:
        path = folder / "package.zip"
        export_run(run_id, path)
        return path.read_bytes()
