"""Home: what this is, and one button that races training strategies against each other."""

import streamlit as st
from components import chosen
from components.cards import cards, strategy_cards
from components.gallery import GalleryItem, gallery
from components.help import with_term
from components.home.machine import machine_card
from components.home.race import estimate_race, on_these, race_to_show, recorded_example, start_race
from components.kept import keep
from components.messages import md, show_error
from components.planning import show_detectable_difference, start_again
from components.predictions import sample_pictures
from components.progress import explain_end, live
from components.resources import thumbnail
from components.results import result_charts
from components.verdicts import race_outcome, race_verdict_of, say_what_folds_answer
from components.wording import age, expected_time, how_long

from core.errors import ThawError
from core.settings.scenarios import HOME_RACE, SCENARIOS

SEED_CHOICES = (1, 3, 5)

st.title("Thaw")
st.markdown("A pretrained network is frozen knowledge. **How much of it should you thaw for your own pictures?**")
dataset = chosen.dataset()
settings = chosen.settings()

runs = race_to_show(dataset)
racing = any(run.is_active for run in runs)

with st.container(border=True):
    ready = chosen.can_train(dataset)
    setup, button = st.columns([3, 2], vertical_alignment="bottom", gap="large")
    with setup:
        scenarios = st.pills(
            "Training strategies",
            SCENARIOS,
            selection_mode="multi",
            wrap=True,
            format_func=lambda name: SCENARIOS[name].label,
            key=keep("home.scenarios", list(HOME_RACE), SCENARIOS),
            help=with_term(
                "  \n".join(f"**{row.label}**: {row.help}" for row in SCENARIOS.values()),
                "Training strategy",
            ),
        )
        picked = st.segmented_control(
            "Seeds",
            SEED_CHOICES,
            required=True,
            key=keep("home.seeds", SEED_CHOICES[0], SEED_CHOICES),
            help=with_term(
                "Every strategy is repeated with so many seeds. From 3 on the answer holds for new seeds, too.", "Seed"
            ),
        )
        seeds = picked or SEED_CHOICES[0]
        st.caption(
            f":material/photo_library: {md(dataset.title)}: {len(dataset.pictures)} pictures, "
            f"{len(dataset.class_names)} classes · {how_long(settings)} · from seed {settings.seed} on"
        )
        if ready:
            show_detectable_difference(settings, dataset, seeds, "home")
    raced = range(settings.seed, settings.seed + seeds)
    with button:
        if scenarios and ready:
            st.caption(expected_time(estimate_race(settings, dataset, scenarios, raced)))
        pressed = st.button(
            "Run the race",
            type="primary",
            icon=":material/flag:",
            key="home.race",
            width="stretch",
            disabled=racing or not scenarios or not ready,
        )
    machine_card(settings.model.backbone)

if pressed:
    try:
        st.query_params["race"] = start_race(settings, dataset, scenarios, raced)
    except ThawError as error:
        show_error(error)
        st.stop()
    st.rerun()

if not runs:
    st.subheader("The pictures")
    if dataset.kind == "builtin":
        st.caption("Thaw has drawn these itself, so that everything works at once and without a network. Can you tell?")
    names = dataset.class_names
    step = max(1, len(dataset.pictures) // 12)
    items = [
        GalleryItem(image=thumbnail(chosen.home(), dataset.id, index), title=names[dataset.pictures[index].target])
        for index in range(0, len(dataset.pictures), step)
    ]
    gallery(items[:12], 6, "home.samples")
    recorded_example()
    st.stop()

if racing:
    st.subheader("The race is on")
    st.caption("You can look at other pages, reload, or close this tab: the race goes on.")
    live([run.id for run in runs], "home.live")
    st.stop()

finished = [run for run in runs if run.state == "finished"]
st.subheader(f"Result on {md(runs[0].dataset_title)}")
elsewhere = "" if on_these(runs, dataset) else ", on other pictures than those chosen above"
st.caption(f"Raced {age(runs[0].created)}{elsewhere}.")
for run in runs:
    explain_end(run)
start_again([run for run in runs if run.state == "cancelled"])
if finished:
    several = len({(run.settings.seed, run.settings.data.fold) for run in finished}) > 1
    (strategy_cards if several else cards)(finished)
    if len(finished) > 1:
        st.markdown("#### Verdict")
        race_outcome(race_verdict_of([run.id for run in finished]), "home.race")
        say_what_folds_answer(finished)
    result_charts(finished, "home.charts")
    st.markdown("#### Test pictures, and what each network says")
    sample_pictures(finished, 12, "home.pictures")
    st.page_link("compare.py", label="Compare them in detail", icon=":material/balance:")
    st.page_link("classify.py", label="Classify your own pictures", icon=":material/image_search:")
