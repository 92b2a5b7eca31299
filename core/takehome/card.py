"""The model card of a network that is taken home."""

from core.comparison.wording import per_cent
from core.runs.record import RunRecord
from core.takehome.scores import Score, scores_of
from core.takehome.training_script import TEMPLATES


def card(record: RunRecord, with_training: bool) -> str:
    """How to use it, data, split, scores with intervals, limits, the freeze audit.

    Markdown, with the front matter that the Hugging Face Hub reads.

    Args:
        with_training: whether the zip holds `train.py`.
    """
    whole, each = scores_of(record)
    return TEMPLATES.get_template("card.md.jinja").render(
        record=record,
        settings=record.settings,
        data=record.dataset,
        split=record.split,
        with_training=with_training,
        units="groups of pictures" if record.test_groups else "pictures",
        scores=list(zip(("all", *record.dataset.class_names), (whole, *each), strict=True)),
        notice=_notice(record),
        share=_share,
        cell=_cell,
    )


def _share(score: Score) -> str:
    return f"{per_cent(score.right / score.total)} ({score.ends})" if score.total else score.ends


def _notice(record: RunRecord) -> str:
    if record.dataset.kind == "builtin":
        return "These pictures are drawn by Thaw; the scores say nothing about photos."
    if set(record.dataset.class_names) == {"ants", "bees"} and record.settings.model.start == "imagenet":
        return "If these are the tutorial's ants and bees: they are a small subset of ImageNet, which the weights know."
    return ""


def _cell(text: str) -> str:
    """Text that people chose, as Markdown shows it and does nothing else with it."""
    for sign in "\\`*_{}[]<>#|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
