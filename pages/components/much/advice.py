"""The advice: in words, with the button that checks it by training, and what it rests on."""

from typing import Final

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.advice.evidence import Evidence, load_evidence, save_evidence
from core.advice.plans import can_thaw, plan_check, stages_of
from core.advice.rule import OUR_CHECKS, Advice, advise, depth_words, similarity_words
from core.comparison.wording import counted
from core.data.dataset import Dataset
from core.data.labels import check_settings
from core.errors import ThawError
from core.runs.studies import Study, check_of, checks_here, studies
from core.settings.schema import RunSettings
from core.training.history import Progress
from core.training.plan import estimate_look

from .. import chosen
from ..help import with_term
from ..messages import LONGEST_MESSAGE, md, show_error
from ..planning import say_what_is_fetched
from ..resources import run_store, split_sizes
from ..wording import PHASES, BadgeColor, per_cent, rough_time
from .charts import by_depth
from .studying import latest, link_to_runs, offer, show_progress

SEEDS: Final = 3
_VERDICTS: Final[dict[str, tuple[str, BadgeColor]]] = {
    "right": (":material/check_circle:", "green"),
    "more than needed": (":material/expand:", "orange"),
    "too little": (":material/cancel:", "red"),
}


def show_advice(dataset: Dataset, settings: RunSettings) -> None:
    """The advice for these pictures; or the look at them that it takes."""
    evidence = load_evidence(dataset, settings)
    if evidence is None:
        st.markdown(
            "**How much of the network should you thaw?** A look at the training pictures tells, before training."
        )
        _offer_look(dataset, settings)
        return
    advice = advise(evidence)
    with st.container(border=True, key="much.advice"):
        with st.container(horizontal=True, gap="xsmall"):
            st.badge("advice", icon=":material/lightbulb:", color="blue")
            if similar := similarity_words(evidence.sure):
                st.badge(similar, icon=":material/compare:", color="gray")
        st.header(advice.headline, anchor=False)
        st.markdown(md(advice.numbers, LONGEST_MESSAGE))
        st.caption(md(advice.because, LONGEST_MESSAGE))
        if can_thaw(settings):
            _checked(dataset, settings, advice, evidence)
    _evidence(evidence)


def _offer_look(dataset: Dataset, settings: RunSettings) -> None:
    pictures = split_sizes(chosen.home(), dataset.id, settings.seed, settings.data)[0]
    expected = estimate_look(check_settings(dataset, settings.model.backbone), pictures)
    say_what_is_fetched(settings.model)
    about = f" ({rough_time(expected.seconds)})" if expected else ""
    if not st.button(
        f"Look at the pictures{about}",
        type="primary",
        icon=":material/visibility:",
        key="much.look",
        help=with_term("Nothing is trained but small heads; the test part is not looked at.", "Linear probe"),
    ):
        return
    bar = st.progress(0.0, text="Starting PyTorch")
    st.button("Stop", icon=":material/stop_circle:", key="much.look.stop")  # any click ends what the script does
    try:
        _look(dataset, settings, bar)
    except ThawError as error:
        bar.empty()
        show_error(error)
        return
    st.rerun()


def _look(dataset: Dataset, settings: RunSettings, bar: DeltaGenerator) -> None:
    from core.advice.depths import look  # torch, which takes a moment

    def show(progress: Progress) -> None:
        if progress.phase == "features":
            text = f"Looking at the pictures: {progress.done:,} of {progress.total:,}"
            bar.progress(0.9 * progress.done / max(1, progress.total), text=text)
        else:
            done = 0.9 if progress.phase == "head" else 0.0
            bar.progress(done, text=PHASES.get(progress.phase, progress.phase).capitalize())

    run_store().check_share(0)  # features are kept, too
    save_evidence(dataset, look(settings, dataset, on_progress=show))


def _checked(dataset: Dataset, settings: RunSettings, advice: Advice, evidence: Evidence) -> None:
    """What training said about it, and the button that asks."""
    known = latest("check", dataset, settings)
    if known and known.is_active:
        show_progress(known, "much.check")
        return
    check = check_of(known) if known else None
    if check:
        icon, colour = _VERDICTS[check.outcome]
        st.markdown(f":{colour}[{icon}] {md(check.sentence, LONGEST_MESSAGE)} {counted(check.seeds, 'seed')}.")
        total = stages_of(settings)
        rows = [f"{depth_words(depth, total)} {per_cent(accuracy)}" for depth, accuracy in check.accuracies]
        st.caption(f"Mean test accuracy: {md(' · '.join(rows), LONGEST_MESSAGE)}")
    elif known and show_progress(known, "much.check"):
        st.caption(_record())
        return
    _offer_check(dataset, settings, advice, evidence, known if check else None)
    st.caption(_record())


def _offer_check(
    dataset: Dataset, settings: RunSettings, advice: Advice, evidence: Evidence, checked: Study | None
) -> None:
    first = settings.seed + SEEDS * len(studies(run_store(), "check", dataset.id, settings.model.backbone))
    plans = plan_check(settings, advice.stages, range(first, first + SEEDS), evidence.pictures)
    label = "Check it with three other seeds" if checked else "Check it by training"
    with st.container(horizontal=True, vertical_alignment="center"):
        offer("check", label, plans, dataset, advice.stages, primary=checked is None)
        if checked:
            link_to_runs(checked)


def _record() -> str:
    """How often it has been right: here, and in our own checks."""
    here = checks_here(run_store())
    ours = (
        f"In our own checks it was right in {OUR_CHECKS.right} of {OUR_CHECKS.checks}; less would have done in "
        f"{OUR_CHECKS.more_than_needed}, more was needed in {OUR_CHECKS.too_little}."
    )
    return f"Right in {here.right} of {counted(here.checks, 'check')} here. {ours}" if here.checks else ours


def _evidence(evidence: Evidence) -> None:
    shown = st.expander("Evidence", icon=":material/bar_chart:", key="much.evidence", on_change="rerun")
    if not shown.open:
        return
    with shown:
        st.subheader("How well each stage tells your classes apart", anchor=False)
        st.plotly_chart(by_depth(evidence.depths), key="much.depths", alt="Accuracy by depth, of three simple methods")
        st.caption(
            f"{evidence.pictures:,} training pictures, each judged by what was learnt from the others; the band is the "
            "95 % interval of the linear probe. Validation and test pictures were not looked at."
        )
        if evidence.called:
            _names(evidence)


def _names(evidence: Evidence) -> None:
    st.subheader("What a network that only knows ImageNet calls them", anchor=False)
    rows = [
        {
            "class": row.name,
            "called": ", ".join(f"{name} {100 * share:.0f} %" for name, share in row.names),
            "how sure": 100 * row.sure,
        }
        for row in evidence.called
    ]
    column = st.column_config.NumberColumn(format="%.0f %%", help="Mean probability of the name.")
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config={"how sure": column}, alt="ImageNet names by class")
    if evidence.names_alone is not None:
        st.caption(f"These names alone tell your classes apart in {per_cent(evidence.names_alone)} of the pictures.")
