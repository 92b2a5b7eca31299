"""The head that is solved for: the best one there is, whatever the way to it."""

import pytest
import torch
from torch import Tensor, nn

from core.training import head as module
from core.training.head import FOLDS, L2_PATH, OnIterations, SolvedHead, fit_head_in_batches, solve_head
from core.training.history import Cancelled
from core.training.lockstep import Problems, minimise

CLASSES = 3
Problem = tuple[Tensor, Tensor, Tensor]
"""(features (M, F), targets (M,), groups (M,))."""


def problem(count: int = 60, width: int = 6, noise: float = 1.0, seed: int = 0) -> Problem:
    """Classes that overlap, on features of very different sizes; each row is a picture of its own."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % CLASSES
    centres = torch.randn(CLASSES, width, generator=generator)
    features = centres[targets] + noise * torch.randn(count, width, generator=generator)
    return features * torch.logspace(-1, 1, width) + 3, targets, torch.arange(count)


def predict(head: SolvedHead, features: Tensor) -> Tensor:
    return (features.float() @ head.weight.T + head.bias).softmax(1)


def standardised(features: Tensor) -> tuple[Tensor, Tensor]:
    """Rows float64 with mean 0 and deviation 1, and the deviation they had."""
    rows = features.double()
    deviation = rows.std(0, unbiased=False)
    return (rows - rows.mean(0)) / deviation, deviation


def objective(head: SolvedHead, features: Tensor, targets: Tensor, l2: float, smoothing: float = 0.0) -> float:
    """What is to be minimised, from its definition."""
    logits = features.double() @ head.weight.double().T + head.bias.double()
    weight = head.weight.double() * features.double().std(0, unbiased=False)
    loss = nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    return (loss + l2 / 2 * weight.square().sum()).item()


def reference(features: Tensor, targets: Tensor, l2: float, smoothing: float = 0.0) -> Tensor:
    """Probabilities of the best head, by torch's L-BFGS, in float64 and in all coordinates."""
    rows, _ = standardised(features)
    weight = torch.zeros(CLASSES, rows.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(CLASSES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(rows @ weight.T + bias, targets, label_smoothing=smoothing)
        loss = loss + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return (rows @ weight.T + bias).softmax(1).detach().float()


def assert_same_predictions(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=2e-3, rtol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("l2", [1.0, 0.01])
@pytest.mark.parametrize(("count", "width"), [(60, 6), (24, 40)], ids=["more rows", "more features"])
def test_the_solution_is_that_of_another_solver(count: int, width: int, l2: float, smoothing: float):
    features, targets, groups = problem(count, width)

    solved = solve_head(features, targets, groups, CLASSES, l2=l2, label_smoothing=smoothing)

    assert_same_predictions(predict(solved, features), reference(features, targets, l2, smoothing))


@pytest.mark.parametrize("l2", [1.0, 0.1, 0.001])
@pytest.mark.parametrize("count", [60, 5], ids=["more rows", "more features"])
def test_at_the_solution_the_gradient_is_nothing(count: int, l2: float):
    features, targets, groups = problem(count)
    rows, deviation = standardised(features)
    solved = solve_head(features, targets, groups, CLASSES, l2=l2)

    weight = (solved.weight.double() * deviation).requires_grad_()
    bias = (solved.bias.double() + solved.weight.double() @ features.double().mean(0)).requires_grad_()
    loss = nn.functional.cross_entropy(rows @ weight.T + bias, targets) + l2 / 2 * weight.square().sum()
    loss.backward()

    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 2e-4
    assert solved.weight.abs().max() > 0.01


@pytest.mark.parametrize("change", ["order", "rows twice"])
def test_the_solution_depends_on_what_the_rows_are_only(change: str):
    features, targets, groups = problem()
    rows = torch.randperm(60) if change == "order" else torch.arange(60).repeat(2)

    one = solve_head(features, targets, groups, CLASSES, l2=0.1)
    other = solve_head(features[rows], targets[rows], groups[rows], CLASSES, l2=0.1)

    assert_same_predictions(predict(one, features), predict(other, features))


def test_units_of_a_feature_do_not_matter():
    features, targets, groups = problem()
    stretched = features * torch.tensor([100.0, 0.01, 1, -1, 7, 1]) + torch.tensor([0.0, 5, -300, 0, 1, 2])

    one = solve_head(features, targets, groups, CLASSES)
    other = solve_head(stretched, targets, groups, CLASSES)

    assert one.l2 == other.l2
    assert_same_predictions(predict(one, features), predict(other, stretched))


def test_fewer_rows_than_features_are_still_weighed_in_all_features():
    features, targets, groups = problem(count=12, width=30)

    solved = solve_head(features, targets, groups, CLASSES, l2=0.1)

    assert solved.weight.shape == (CLASSES, 30)
    assert (solved.weight.abs() > 1e-5).any(0).all()


@pytest.mark.parametrize("solve", [solve_head, fit_head_in_batches])
@pytest.mark.parametrize("count", [60, 4], ids=["more rows", "more features"])
def test_a_feature_that_never_varies_gets_no_weight(count: int, solve: type):
    features, targets, groups = problem(count)
    features[:, 2] = 0.1

    solved = solve(features, targets, groups, CLASSES, l2=0.1)

    assert solved.weight.isfinite().all() and solved.bias.isfinite().all()
    assert not solved.weight[:, 2].any() and solved.weight[:, 1].any()


def test_a_strong_penalty_leaves_only_how_frequent_classes_are():
    features, _, groups = problem()
    targets = torch.tensor([0] * 30 + [1] * 20 + [2] * 10)
    sizes = [solve_head(features, targets, groups, CLASSES, l2=l2).weight.norm() for l2 in (1e-3, 0.1, 10.0, 1e6)]

    frequent = predict(solve_head(features, targets, groups, CLASSES, l2=1e6), features)

    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 1e-4
    torch.testing.assert_close(frequent, torch.tensor([[3.0, 2, 1]]).expand(60, 3) / 6, atol=1e-3, rtol=0)


def test_smoothed_labels_make_a_head_less_certain():
    features, targets, groups = problem(noise=0.2)
    plain, smooth = (
        predict(solve_head(features, targets, groups, CLASSES, l2=1e-4, label_smoothing=share), features).amax(1).mean()
        for share in (0.0, 0.3)
    )

    assert plain > 0.98
    assert smooth.item() == pytest.approx(0.8, abs=0.03)  # what is left, and the class's own part of what is given away


def test_a_given_penalty_is_taken_without_trying_others():
    solved = solve_head(*problem(), CLASSES, l2=0.123)

    assert (solved.l2, solved.path) == (0.123, ())


def test_the_chosen_penalty_is_the_best_on_held_out_rows_of_those_tried_from_strong_to_weak():
    solved = solve_head(*problem(noise=3.0), CLASSES)
    strengths, losses = zip(*solved.path, strict=True)

    assert strengths == L2_PATH[: len(strengths)]
    assert losses[strengths.index(solved.l2)] == min(losses)
    assert len(losses) - 1 - losses.index(min(losses)) == module.PATIENCE, "the path ends where it only becomes worse"


def test_a_held_out_loss_is_what_a_head_without_those_rows_makes_of_them():
    features, targets, groups = problem(noise=2.0)
    features, _ = standardised(features)
    folds, solved = module._folds(targets, groups), solve_head(features, targets, groups, CLASSES)
    strength, expected = solved.path[2][0], 0.0

    for fold in range(FOLDS):
        rows, wanted = features[folds != fold], nn.functional.one_hot(targets[folds != fold], CLASSES).T.double()
        problem_ = Problems(rows=rows, wanted=wanted, inside=rows.new_ones(1, len(rows)), l2=strength)
        found, _ = minimise(problem_, problem_.start(), 1e-9)
        logits = features[folds == fold] @ found[0, :, :-1].T + found[0, :, -1]
        expected += nn.functional.cross_entropy(logits, targets[folds == fold]).item() / FOLDS

    assert solved.path[2][1] == pytest.approx(expected, abs=1e-3)


def test_noise_asks_for_a_stronger_penalty_than_clear_classes():
    clear, noisy = (solve_head(*problem(noise=noise), CLASSES) for noise in (0.1, 10.0))

    assert noisy.l2 > clear.l2


def test_views_of_a_picture_are_held_out_together():
    """Were they not, a head that knows its pictures by heart would look good on their other views."""
    features, targets, groups = (part.repeat(4, *[1] * (part.ndim - 1)) for part in problem(count=30, width=20))
    targets = (targets + groups // 7) % CLASSES  # has nothing to do with the features

    together = solve_head(features, targets, groups, CLASSES)
    apart = solve_head(features, targets, torch.arange(120), CLASSES)

    assert together.l2 > apart.l2


def test_folds_keep_groups_whole_and_classes_spread():
    targets, groups = (torch.arange(40) % 4).repeat(3), torch.arange(40).repeat(3)

    folds = module._folds(targets, groups)

    assert torch.equal(folds[:40].repeat(3), folds)
    for fold in range(FOLDS):
        assert torch.equal(targets[folds == fold].bincount(), torch.full((4,), 6))


def test_folds_follow_the_groups_of_every_class():
    targets = torch.tensor([0, 0, 0, 1, 1, 1])

    assert module._folds(targets, torch.tensor([7, 7, 9, 3, 5, 3])).tolist() == [0, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("each", [1, 2, 3, 4, 5])
def test_a_penalty_is_chosen_for_few_pictures_too(each: int):
    solved = solve_head(*problem(count=each * CLASSES), CLASSES)

    assert min(L2_PATH) <= solved.l2 <= max(L2_PATH)
    assert solved.weight.isfinite().all() and solved.bias.isfinite().all()
    assert all(0 <= loss < float("inf") for _, loss in solved.path)


def keep_each(seen: list[tuple[Tensor, Tensor]]) -> OnIterations:
    """Every iteration's weight and bias."""

    def keep(weights: Tensor, biases: Tensor, moments: list[float]) -> None:
        assert moments == sorted(moments) and len(moments) == len(weights) == len(biases)
        seen.extend(zip(weights, biases, strict=True))

    return keep


@pytest.mark.parametrize(
    ("columns", "seconds", "together"),
    [(2 * CLASSES, 1e3, 2), (1, 1e3, 1), (10_000, 1e3, 10_000), (10_000, -1.0, 1)],
    ids=["two", "one", "all", "each, as it takes long"],
)
def test_iterations_are_reported_a_few_at_a_time_and_all_the_while(
    columns: int, seconds: float, together: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "REPORT_COLUMNS", columns)
    monkeypatch.setattr(module, "REPORT_S", seconds)
    sizes: list[int] = []

    solved = solve_head(*problem(), CLASSES, on_iterations=lambda weights, biases, moments: sizes.append(len(weights)))

    assert sum(sizes) == solved.iterations and sizes[0] == min(together, solved.iterations)
    assert set(sizes[:-1]) <= {together}


def test_every_iteration_is_reported_and_the_last_one_is_the_solution():
    features, targets, groups = problem()
    seen: list[tuple[Tensor, Tensor]] = []

    solved = solve_head(features, targets, groups, CLASSES, on_iterations=keep_each(seen))
    losses = [nn.functional.cross_entropy(features @ weight.T + bias, targets).item() for weight, bias in seen]

    assert len(seen) == solved.iterations > 3
    assert torch.equal(seen[-1][0], solved.weight) and torch.equal(seen[-1][1], solved.bias)
    assert losses[-1] < losses[0] < torch.log(torch.tensor(3.0))


@pytest.mark.parametrize("allowed", [0, 1, 7])
@pytest.mark.parametrize("solve", [solve_head, fit_head_in_batches])
def test_a_stop_ends_it(solve: type, allowed: int):
    asked: list[None] = []

    def should_stop() -> bool:
        asked.append(None)
        return len(asked) > allowed

    with pytest.raises(Cancelled):
        solve(*problem(), CLASSES, should_stop=should_stop)
    assert len(asked) == allowed + 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("solve", [solve_head, fit_head_in_batches])
def test_what_is_given_is_of_any_float_type_and_stays_as_it_is(solve: type, dtype: torch.dtype):
    features, targets, groups = problem()
    features = features.to(dtype)
    before = features.clone()

    solved = solve(features, targets, groups, CLASSES, l2=0.1)

    assert torch.equal(features, before)
    assert (solved.weight.dtype, solved.bias.dtype) == (torch.float32, torch.float32)
    same = solve(features.float(), targets, groups, CLASSES, l2=0.1)
    assert_same_predictions(predict(solved, features), predict(same, features))


@pytest.mark.parametrize("together", [1, 2 * CLASSES * 60, 10**9], ids=["one by one", "two by two", "all at once"])
def test_folds_are_solved_together_or_apart_with_the_same_answer(together: int, monkeypatch: pytest.MonkeyPatch):
    expected = solve_head(*problem(width=1), CLASSES)
    monkeypatch.setattr(module, "TOGETHER", together)

    solved = solve_head(*problem(width=1), CLASSES)

    assert [loss for _, loss in solved.path] == pytest.approx([loss for _, loss in expected.path], abs=1e-3)
    assert solved.l2 == expected.l2


def test_of_many_numbers_a_single_fold_is_held_out(monkeypatch: pytest.MonkeyPatch):
    held_out: list[int] = []

    def spy(problems: Problems, *args: object, **more: object) -> tuple[Tensor, int]:
        held_out.append(int((problems.inside == 0).any(1).sum()))
        return minimise(problems, *args, **more)

    monkeypatch.setattr(module, "minimise", spy)
    solve_head(*problem(), CLASSES)
    assert set(held_out[:-1]) == {FOLDS} and held_out[-1] == 0, "the last one is the solution for all rows"

    held_out.clear()
    monkeypatch.setattr(module, "FEW", 1)
    solve_head(*problem(), CLASSES)
    assert set(held_out[:-1]) == {1} and held_out[-1] == 0


@pytest.mark.parametrize("l2", [1.0, 0.03])
@pytest.mark.parametrize(("count", "width"), [(60, 200), (200, 200), (600, 200)])
def test_single_precision_gives_the_answer_of_double(count: int, width: int, l2: float):
    features, targets, groups = problem(count, width, noise=5.0)

    solved = solve_head(features, targets, groups, CLASSES, l2=l2)

    exact = reference(features, targets, l2)
    torch.testing.assert_close(predict(solved, features), exact, atol=1e-4, rtol=0)


@pytest.fixture
def few_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minibatches at sizes that the solver can still take, too."""
    for name, value in {"TOO_MANY": 4 * 6 * 1500, "FEWEST_GROUPS": 50, "BATCH_ROWS": 64}.items():
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("few_are_too_many")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_minibatches_come_close_to_the_solution(smoothing: float):
    features, targets, groups = problem(count=6000)
    options = {"l2": 0.01, "label_smoothing": smoothing}

    def distance(head: SolvedHead) -> float:
        return objective(head, features, targets, 0.01, smoothing) / best - 1

    solved = solve_head(features, targets, groups, CLASSES, **options)
    best = objective(solved, features, targets, 0.01, smoothing)
    start = solve_head(features[::4], targets[::4], groups[::4], CLASSES, **options)
    found = fit_head_in_batches(features.half(), targets, groups, CLASSES, **options)

    assert -1e-6 < distance(found) < min(0.005, distance(start) / 2)


@pytest.mark.usefixtures("few_are_too_many")
def test_minibatches_start_from_a_solution_for_some_groups(monkeypatch: pytest.MonkeyPatch):
    taken: list[Tensor] = []
    features, targets, groups = problem(count=6000)
    groups = groups // 2  # two views of each

    def watched(some: Tensor, targets: Tensor, groups: Tensor, *rest: object, **options: object) -> SolvedHead:
        taken.append(groups)
        return solve_head(some, targets, groups, *rest, **options)

    monkeypatch.setattr(module, "solve_head", watched)
    found = fit_head_in_batches(features, targets, groups, CLASSES)

    assert 0 < len(taken[0]) <= 1500 and set(taken[0].bincount().tolist()) == {0, 2}
    assert found.path and found.l2 == min(found.path, key=lambda step: step[1])[0]


@pytest.mark.usefixtures("few_are_too_many")
def test_minibatches_report_each_pass_and_give_the_same_answer_again():
    seen: list[tuple[Tensor, Tensor]] = []
    once = fit_head_in_batches(*problem(300), CLASSES, l2=0.1, on_iterations=keep_each(seen))
    again = fit_head_in_batches(*problem(300), CLASSES, l2=0.1)

    assert len(seen) == once.iterations == module.BATCH_PASSES
    assert torch.equal(seen[-1][0], once.weight) and not torch.equal(seen[0][0], once.weight)
    assert torch.equal(once.weight, again.weight) and torch.equal(once.bias, again.bias)


def twice_as_many(features: Tensor, targets: Tensor, groups: Tensor, of: int, times: int) -> Problem:
    """The same, with the rows of one class several times."""
    rows = torch.cat([torch.arange(len(targets)), *[(targets == of).nonzero().flatten()] * (times - 1)])
    return features[rows], targets[rows], groups[rows]


@pytest.mark.parametrize("l2", [0.1, 0.001])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("count", "width"), [(60, 6), (24, 40)], ids=["more rows", "more features"])
def test_a_class_that_counts_three_times_is_as_if_its_rows_were_there_three_times(
    count: int, width: int, smoothing: float, l2: float
):
    features, targets, groups = problem(count, width)
    options = {"l2": l2, "label_smoothing": smoothing}

    weighted = solve_head(features, targets, groups, CLASSES, class_weights=(1.0, 3.0, 1.0), **options)
    repeated = solve_head(*twice_as_many(features, targets, groups, of=1, times=3), CLASSES, **options)
    plain = solve_head(features, targets, groups, CLASSES, **options)

    assert_same_predictions(predict(weighted, features), predict(repeated, features))
    assert (weighted.bias - plain.bias).abs().max() > 0.01


def test_the_penalty_is_chosen_by_a_held_out_loss_that_weighs_classes_alike():
    features, targets, groups = problem()

    weighted = solve_head(features, targets, groups, CLASSES, class_weights=(1.0, 3.0, 1.0))
    repeated = solve_head(*twice_as_many(features, targets, groups, of=1, times=3), CLASSES)
    plain = solve_head(features, targets, groups, CLASSES)

    assert weighted.l2 == repeated.l2
    losses = [[loss for _, loss in head.path] for head in (weighted, repeated, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0][0] != pytest.approx(losses[2][0], rel=0.02)


@pytest.mark.usefixtures("few_are_too_many")
def test_minibatches_weigh_classes_as_the_solver_does():
    features, targets, groups = problem(count=6000)
    options = {"l2": 0.01, "class_weights": (1.0, 3.0, 1.0)}

    solved = solve_head(features, targets, groups, CLASSES, **options)
    found = fit_head_in_batches(features.half(), targets, groups, CLASSES, **options)

    plain = solve_head(features, targets, groups, CLASSES, l2=0.01)
    there = predict(solved, features)
    assert (
        (predict(found, features) - there).abs().mean() < 0.01 < 0.05 < (predict(plain, features) - there).abs().mean()
    )


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (5.0, 5.0, 5.0)])
def test_equal_weights_change_nothing(weights: tuple[float, ...]):
    one = solve_head(*problem(), CLASSES, l2=0.1)
    other = solve_head(*problem(), CLASSES, l2=0.1, class_weights=weights)

    assert_same_predictions(predict(one, problem()[0]), predict(other, problem()[0]))
