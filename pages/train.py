"""Train: what do I want to try? Settings, an estimate, live progress, and sample predictions at the end."""

import streamlit as st
from components import chosen
from components.cards import cards, record
from components.charts import confusion
from components.help import with_term
from components.kept import keep
from components.messages import md, show_error
from components.planning import estimate_run, show_detectable_difference, start_again
from components.predictions import sample_pictures
from components.progress import explain_end, live
from components.resources import backbone_badges, cached_loaders, run_store
from components.results import result_charts, small_print
from components.train.forms import run_form
from components.train.runs import delete_run, run_table, start_runs
from components.wording import age, expected_time, how_chosen, run_label, seconds

from core.errors import RunError, ThawError

st.title("Train")
st.caption("What do I want to try? A run is one training strategy, trained once with one seed.")
dataset = chosen.dataset()
try:
    badges = backbone_badges(chosen.home())
    settings = run_form(chosen.settings(), badges, dataset)
    chosen.choose(settings)
    ready = chosen.can_train(dataset)
    expected = estimate_run(settings, dataset) if ready else None
except ThawError as error:
    show_error(error)
    st.stop()

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    pressed = st.button(
        "Start training", type="primary", icon=":material/play_arrow:", key="train.start", disabled=not ready
    )
    repeats = st.number_input(
        "Seeds to run",
        1,
        10,
        key=keep("train.repeats", 1, range(1, 11)),
        width=160,
        help=with_term("The same with so many seeds shows what is luck.", "Seed"),
    )
    about = f":material/photo_library: {md(dataset.title)}"
    about += f" · {expected_time(expected, int(repeats) * (settings.data.folds or 1))}" if ready else ""
    st.caption(about, width="content")
if ready:
    show_detectable_difference(settings, dataset, int(repeats), "train")
badge = badges[settings.model.backbone]
if settings.model.start == "imagenet" and not badge.startswith("ImageNet"):
    st.caption(
        f":material/download: The weights are {md(badge)}: the run downloads them first, or says that it cannot."
    )
if pressed:
    try:
        st.query_params["run"] = start_runs(settings, dataset, int(repeats))
    except ThawError as error:
        show_error(error)
        st.stop()
    st.rerun()

with st.expander("The data loaders", icon=":material/dataset:", key="train.loaders", on_change="rerun") as loaders:
    if loaders.open and not ready:
        st.caption("There is nothing to load: see above.")
    elif loaders.open:
        cached, hit = cached_loaders(chosen.home(), settings, dataset.id)
        split = cached.loaders.split
        saved = cached.built_s + (dataset.decode_s if hit else 0.0)
        st.markdown(
            f":material/bolt: **From the cache**, which saved {seconds(saved)}."
            if hit
            else f":material/build: **Built just now** in {seconds(cached.built_s)}."
        )
        st.caption(
            f"{len(split.train)} train, {len(split.val)} val, {len(split.test)} test pictures · "
            f"{cached.loaders.batches_per_epoch()} batches of {settings.optim.batch_size} per epoch · all "
            f"decoded once, in {seconds(dataset.decode_s)}, when they were added. Shared by all sessions; "
            f"the key is content, split, augmentation, input size, batch size and seed."
        )

store = run_store()
runs = store.runs(limit=100)
if not runs:
    st.caption("No run yet. The defaults are a good start: on the built-in pictures they take seconds.")
    st.stop()

st.subheader("Runs")
run_table(runs, "train.runs")
try:
    run = store.get(st.query_params.get("run") or runs[0].id)
except RunError:  # deleted, here or in another window
    run = runs[0]
    st.query_params.pop("run", None)

st.markdown(f"#### {run_label(run)}")
st.caption(f"{run.settings.model.row.label} on {md(run.dataset_title)}, started {age(run.created)}.")
if run.is_active:
    st.caption("You can look at other pages, reload, or close this tab: the run goes on.")
    live([run.id], "train.live")
    st.stop()
explain_end(run)
start_again([run] if run.state == "cancelled" else [])
if run.state == "finished":
    result = record(run)
    numbers, matrix = st.columns([2, 3], gap="large")
    with numbers:
        cards([run])
        st.caption(how_chosen(result))
    with matrix:
        figure = confusion(result.confusion, result.dataset.class_names)
        st.plotly_chart(figure, key="train.confusion", alt="Confusion matrix over the test pictures")
    result_charts([run], "train.charts")
    st.markdown("#### Test pictures, predicted and true")
    sample_pictures([run], 12, "train.pictures")
    small_print(run)
delete_run(run)
