"""Drawn strangers: the same seed draws the same picture, and no two are alike."""

import numpy as np
import pytest

from core.data.drawn.strangers import SIDE, STRANGERS, draw_stranger


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_seed_draws_one_picture_and_another_seed_another(kind: str):
    first, again, other = (np.asarray(draw_stranger(kind, seed)) for seed in (1, 1, 2))

    assert first.shape == (SIDE, SIDE, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 2


def test_what_is_not_drawn_is_refused():
    with pytest.raises(ValueError):
        draw_stranger("ant", 0)
