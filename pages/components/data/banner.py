"""The answer of the Data page: what was understood and used, what was skipped, and what needs attention."""

from collections.abc import Sequence

import streamlit as st

from core.data.dataset import Dataset
from core.data.health import Finding
from core.data.labels import open_suspects
from core.data.summary import empty_classes_sentence, skipped_sentence, used_sentence

from .. import chosen
from ..messages import LONGEST_MESSAGE, md
from .health import mends, pictures
from .upload_report import is_pressing, upload_report


def waiting(dataset: Dataset) -> None:
    """The banner while problems are looked for."""
    st.info(f"{md(_understood(dataset), LONGEST_MESSAGE)} Looking for problems…", icon=":material/hourglass_top:")


def banner(dataset: Dataset, found: Sequence[Finding], left: int) -> int:
    """What was understood, used and skipped; the first serious finding with its mends. How many findings it has shown.

    Args:
        left: how many findings were left as they are.
    """
    serious = found[0] if found and found[0].serious else None
    skipped, gone = skipped_sentence(dataset), empty_classes_sentence(dataset)
    said = [_understood(dataset), skipped, gone, serious.sentence if serious else ""]
    if not found and not open_suspects(dataset):
        said.append("No problems found." + (f" {left} left as they are." if left else ""))
    words = " ".join(md(sentence, LONGEST_MESSAGE) for sentence in said if sentence)
    if serious or dataset.skipped or gone:
        st.warning(
            words, title="Needs attention" if serious or gone else "Files were skipped", icon=":material/warning:"
        )
    else:
        st.success(words, icon=":material/check_circle:")
    if serious:
        mends(dataset, serious, 0)
        with st.expander("See these pictures", icon=":material/photo_library:", key=f"data.banner.{dataset.id}"):
            pictures(dataset, serious, 0)
    if is_pressing(dataset):
        upload_report(dataset)
    return 1 if serious else 0


def _understood(dataset: Dataset) -> str:
    """What is used, and as what it was read."""
    if dataset.kind == "builtin":
        return f"{used_sentence(dataset)} Drawn by Thaw, no photographs."
    if not dataset.read_as:
        return used_sentence(dataset)
    when = "Before it was changed: read as" if dataset.kind == "edited" else "Read as"
    return f"{used_sentence(dataset)} {when} {dataset.read_as}."


def parts_notice(dataset: Dataset) -> tuple[str, str] | None:
    """How parts came about, where that is not as they were brought: in a few words, and more of them."""
    given = {picture.given for picture in dataset.pictures} - {None}
    if given == {"train", "val"}:
        more = "It came with train and val only. A val part is drawn from train: nothing is chosen on test pictures."
        return "Its val is the test part here.", more
    if not given:
        return "Thaw draws the parts.", "Test by content alone, the same for all seeds; val by content and seed."
    return None


def small_print(dataset: Dataset, split_hash: str) -> None:
    """What names exactly these pictures and this division."""
    with st.expander("Small print", icon=":material/fingerprint:", key="data.print"):
        st.caption(
            f"Seed {chosen.settings().seed} · split {split_hash[:8]} · content {dataset.fingerprint[:8]} · "
            f"added {dataset.added[:10]}"
        )
