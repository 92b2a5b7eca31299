"""Several problems over the same rows: each gets the answer it would get alone."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from core.training.history import Cancelled
from core.training.lockstep import Problems, minimise

ROWS, WIDTH, CLASSES, TOGETHER = 80, 12, 4, 3


def problems(l2: float = 0.1, noise: float = 2.0, dtype: torch.dtype = torch.float64) -> Problems:
    """Three problems that leave out different rows; classes count differently."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(ROWS) % CLASSES
    centres = torch.randn(CLASSES, WIDTH, generator=generator)
    rows = centres[targets] + noise * torch.randn(ROWS, WIDTH, generator=generator)
    inside = (torch.arange(ROWS) % TOGETHER != torch.arange(TOGETHER)[:, None]).to(dtype)
    wanted = torch.nn.functional.one_hot(targets, CLASSES).T * torch.linspace(0.5, 2.0, ROWS)
    return Problems(rows=rows.to(dtype), wanted=wanted.to(dtype), inside=inside, l2=l2)


def only(several: Problems, place: int) -> Problems:
    """One of the problems, its rows alone."""
    mine = several.inside[place] > 0
    ones = several.inside.new_ones(1, int(mine.sum()))
    return Problems(rows=several.rows[mine], wanted=several.wanted[:, mine], inside=ones, l2=several.l2)


def loss(problem: Problems, head: Tensor) -> Tensor:
    """What is to be minimised for a single problem, from its definition; head (K, D + 1)."""
    logs = (problem.rows @ head[:, :-1].T + head[:, -1]).log_softmax(1).T  # (K, M)
    counted = problem.wanted * problem.inside
    return -(logs * counted).sum() / counted.sum() + problem.l2 / 2 * head[:, :-1].square().sum()


def probabilities(several: Problems, heads: Tensor) -> Tensor:
    """(P, K, M): heads that differ by the same number in all biases are the same head."""
    return several.scores(heads).softmax(1)


@pytest.mark.parametrize("l2", [10.0, 0.1, 1e-4])
def test_each_problem_gets_the_answer_it_gets_alone(l2: float):
    several = problems(l2)

    together, _ = minimise(several, several.start(), 1e-8)

    for place in range(TOGETHER):
        alone, _ = minimise(only(several, place), several.start()[:1], 1e-8)
        assert loss(only(several, place), together[place]).item() == pytest.approx(
            loss(only(several, place), alone[0]).item(), abs=1e-8
        )
        torch.testing.assert_close(together[place], alone[0], atol=1e-2 * float(alone.abs().max()), rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_at_the_answer_nothing_pulls(dtype: torch.dtype):
    several = problems(dtype=dtype)

    heads, iterations = minimise(several, several.start(), 1e-5)

    assert 3 < iterations < 100
    for place in range(TOGETHER):
        head = heads[place].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(only(several, place), head), head)
        assert gradient.abs().max() < 2e-5


def test_rows_that_are_left_out_do_not_matter():
    several = problems()
    rows = several.rows.clone()
    rows[several.inside[0] == 0] = 1e3  # only the others see these

    changed = Problems(rows=rows, wanted=several.wanted, inside=several.inside[:1], l2=several.l2)

    expected, _ = minimise(several, several.start(), 1e-8)
    found, _ = minimise(changed, several.start()[:1], 1e-8)
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1e-3, 30.0, 1e3])
def test_from_a_bad_start_it_arrives_all_the_same(size: float):
    several = problems()
    generator = torch.Generator().manual_seed(1)
    start = size * torch.randn(several.start().shape, generator=generator, dtype=torch.float64)

    heads, _ = minimise(several, start, 1e-6)

    expected, _ = minimise(several, several.start(), 1e-6)
    torch.testing.assert_close(probabilities(several, heads), probabilities(several, expected), atol=1e-4, rtol=0)


def test_no_iteration_makes_any_loss_larger():
    several = problems(l2=1e-3)
    seen = [several.start()]

    minimise(several, several.start(), 1e-6, on_iteration=seen.append)

    for place in range(TOGETHER):
        losses = [loss(only(several, place), heads[place]).item() for heads in seen]
        assert all(after <= before for before, after in pairwise(losses))


def test_a_problem_that_has_arrived_stays_where_it_is():
    several = problems()
    arrived, _ = minimise(only(several, 0), several.start()[:1], 1e-7)
    start = several.start()
    start[0] = arrived[0]

    heads, iterations = minimise(several, start, 1e-6)

    assert iterations > 3
    assert torch.equal(heads[0], arrived[0])


def test_held_out_losses_are_those_of_the_rows_that_are_left_out():
    several = problems(l2=1.0)
    heads, _ = minimise(several, several.start(), 1e-6)

    losses = several.losses(heads, 1 - several.inside)

    for place in range(TOGETHER):
        out = Problems(rows=several.rows, wanted=several.wanted, inside=1 - several.inside[place][None], l2=0.0)
        assert losses[place].item() == pytest.approx(loss(out, heads[place]).item())


@pytest.mark.parametrize("allowed", [0, 3])
def test_a_stop_ends_it_before_an_iteration(allowed: int):
    done: list[Tensor] = []

    with pytest.raises(Cancelled):
        minimise(
            problems(), problems().start(), 0.0, on_iteration=done.append, should_stop=lambda: len(done) >= allowed
        )

    assert len(done) == allowed
