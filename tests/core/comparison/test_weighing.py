"""What pictures in groups count for: python -m pytest tests/core/comparison/test_weighing.py"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.comparison.weighing import design_effect, of_groups

# Weil, Food and Cosmetics Toxicology 8 (1970) 177-182: pups that lived to day 21 of those alive on day 4, by litter, as
# Rao and Scott, Biometrics 48 (1992) 577-585, analyse them: design effects of 1.232 and 3.953.
UNTREATED = "13/13 12/12 9/9 9/9 8/8 8/8 12/13 11/12 9/10 9/10 8/9 11/13 4/5 5/7 7/10 7/10"
TREATED = "12/12 11/11 10/10 9/9 10/11 9/10 9/10 8/9 8/9 4/5 7/9 4/7 5/10 3/6 3/10 0/7"


def by_litter(written: str) -> tuple[np.ndarray, list[str]]:
    """Who lived, (1, N), and the litter of each."""
    litters = [tuple(map(int, litter.split("/"))) for litter in written.split()]
    lived = np.concatenate([np.arange(size) < living for living, size in litters])
    return lived[None], [str(litter) for litter, (_, size) in enumerate(litters) for _ in range(size)]


@pytest.mark.parametrize(("written", "published"), [(UNTREATED, 1.232), (TREATED, 3.953)], ids=["untreated", "treated"])
def test_design_effects_as_published(written, published):
    lived, litters = by_litter(written)
    variance = of_groups(lived, litters)[0].var(ddof=1) / len(set(litters))
    share = lived.mean()

    assert variance / (share * (1 - share) / lived.size) == pytest.approx(published, abs=5e-4)
    # ours is the larger of two estimates, and what is little known is taken for alike: 16 of 158 died untreated
    assert published < design_effect(lived, litters) < published + 0.26
    # with so many litters nothing is little known
    many = np.tile(lived, 200), [f"{copy}/{litter}" for copy in range(200) for litter in litters]
    assert design_effect(*many) == pytest.approx(published, rel=0.04)


def test_a_design_effect_worked_by_hand():
    # with half a picture right and half a one wrong the mean is 5.5 / 8 = 11 / 16; in sixteenths the distances
    # are 5 5 -11, 5 5 5, -11; squares of their sums over sizes 1 / 3 + 75 + 121, of pictures 5 * 25 + 2 * 121 = 367
    right, groups = np.array([[1, 1, 0, 1, 1, 1, 0]]), list("aaabbbc")
    within = (367 - 196 - 1 / 3) / 4
    between = (196 + 1 / 3 + (121 + 25) / 2) / 3
    each = (8 - (9 + 9 + 1 + 0.5) / 8) / 3
    correlation = (between - within) / (between + (each - 1) * within)

    assert correlation == pytest.approx(0.3732, abs=1e-4)
    assert design_effect(right, groups) == pytest.approx(1 + correlation * (19 / 7 - 1))


def test_where_large_groups_are_harder_what_the_groups_show_decides():
    # within groups wrong ones are spread as by chance, but of the large one more are wrong
    right = np.array([[1, 0] * 10 + [1] * 20])
    groups = ["large"] * 20 + [str(place // 2) for place in range(20)]
    off = right[0] - 30.5 / 41

    assert design_effect(right, groups) == pytest.approx((off[:20].sum() ** 2 + 10 * (2 * off[-1]) ** 2) / (off @ off))


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(2, 30))), st.integers(1, 5))
def test_copies_count_as_one_and_pictures_of_their_own_in_full(right, copies):
    groups = [str(place) for place in range(right.shape[1]) for _ in range(copies)]

    assert design_effect(np.repeat(right, copies, axis=1), groups) == pytest.approx(copies)


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 30))), st.data())
def test_a_design_effect_lies_between_no_groups_and_one(right, data):
    groups = data.draw(st.lists(st.sampled_from("abcde"), min_size=right.shape[1], max_size=right.shape[1]))
    found = design_effect(right, groups)

    assert 1 <= found <= right.shape[1] + 1e-9
    assert found == pytest.approx(design_effect(~right, groups))
    assert design_effect(right, ["one"] * right.shape[1]) == right.shape[1] and design_effect(right, ()) == 1
