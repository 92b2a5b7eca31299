"""What is advised follows from what was measured, and a check says honestly how it went."""

import pytest

from core.advice.evidence import Called, Depth, Ends, Evidence
from core.advice.rule import advise, judge, track_record


def evidence(
    probes: tuple[float, ...] = (0.5, 0.7, 0.8),
    per_class: int = 100,
    sure: float = 0.7,
    lead: tuple[float, float] | None = None,
) -> Evidence:
    ends = Ends(low=0.0, high=1.0)
    depths = tuple(
        Depth(stage=n, name=f"s{n}", numbers=8, nearest_mean=0.5, neighbours=0.5, probe=probe, interval=ends)
        for n, probe in enumerate(probes, start=1)
    )
    called = tuple(Called(name=name, pictures=per_class, names=(("ant", 1.0),), sure=sure) for name in "ab")
    return Evidence(
        dataset="d",
        backbone="efficientnet_lite0",
        weights=None,
        split="s",
        pictures=2 * per_class,
        per_class=(per_class, per_class),
        depths=depths,
        lead=sum(lead) / 2 if lead else 0.0,
        lead_interval=lead,
        called=called,
        names_alone=0.9,
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("found", "stages"),
    [
        (evidence((0.6, 0.9, 0.97)), 0),
        (evidence((0.6, 0.7, 0.85), per_class=8), 0),
        (evidence((0.6, 0.7, 0.85), sure=0.3), 3),
        (evidence((0.6, 0.97, 0.95), sure=0.04, lead=(0.01, 0.03)), 3),
        (evidence((0.6, 0.7, 0.78), per_class=10, sure=0.04), 3),
    ],
    ids=[
        "little left to gain",
        "too few pictures",
        "much left and enough pictures",
        "earlier stages know more",
        "few and unlike",
    ],
)
def test_the_advice_follows_from_size_similarity_and_depth(found: Evidence, stages: int):
    assert advise(found).stages == stages


def test_a_head_that_makes_no_mistake_is_not_said_to_make_few():
    assert "is right about every picture" in advise(evidence((0.9, 1.0))).because
    assert "wrong about only 1.0" in advise(evidence((0.9, 0.99))).because


def test_the_best_of_several_equal_depths_is_the_last():
    found = evidence((0.9, 0.9, 0.8))

    assert (found.best.stage, found.last.stage, found.fewest) == (2, 3, 100)


@pytest.mark.parametrize(
    ("advised", "accuracies", "outcome"),
    [
        (0, {0: 0.95, 2: 0.96, 9: 0.965}, "right"),
        (9, {0: 0.95, 2: 0.96, 9: 0.965}, "more than needed"),
        (0, {0: 0.88, 2: 0.89, 9: 0.92}, "too little"),
        (9, {0: 0.95, 2: 0.90, 9: 0.80}, "more than needed"),
        (9, {0: 0.88, 2: 0.89, 9: 0.92}, "right"),
        (2, {0: 0.80, 2: 0.92, 9: 0.93}, "right"),
    ],
)
def test_an_advice_is_right_if_nothing_is_better_and_nothing_smaller_is_as_good(advised, accuracies, outcome):
    check = judge(advised, accuracies, seeds=3, total=9)

    assert check.outcome == outcome
    assert check.sentence.startswith(
        {"right": "The advice was right", "too little": "The advice was too little"}.get(
            outcome, "The advice was more than needed"
        )
    )


def test_a_track_record_counts_every_outcome():
    found = track_record(["right", "too little", "right", "more than needed"])

    assert (found.checks, found.right, found.more_than_needed, found.too_little) == (4, 2, 1, 1)
