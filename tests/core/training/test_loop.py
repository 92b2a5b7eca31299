"""The training loop, on models of a few numbers."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.errors import TrainingError
from core.models.accel.folding import fold_batchnorm
from core.training.history import Cancelled, EpochRecord, Stopwatch
from core.training.loop import Best, Evaluation, Stepper, cast, evaluate, fit, train_one_epoch, until_stopped
from core.training.losses import build_loss
from core.training.optimizers import build_optimizer, build_schedule

Batch = tuple[Tensor, Tensor]


def data(count: int = 23, seed: int = 0) -> Batch:
    """Points of three classes that a linear model can tell apart."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 3
    return torch.randn(count, 4, generator=generator) * 0.3 + nn.functional.one_hot(targets, 4) * 2.0, targets


def in_batches(whole: Batch, size: int) -> list[Batch]:
    return list(zip(whole[0].split(size), whole[1].split(size), strict=True))


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


def optimizer_of(model: nn.Module, name: str, lr: float) -> torch.optim.Optimizer:
    """Without anything that would change weights beside the gradient."""
    return build_optimizer(
        name, list(model.parameters()), [], lr=lr, backbone_lr=0, stage_decay=1, momentum=0, weight_decay=0
    )


def train(model: nn.Module, batches: list[Batch], epochs: int = 1, lr: float = 0.05, **changes: Any) -> Best:
    """Fit with everything that most tests do not care about."""
    optimizer = changes.pop("optimizer", None) or optimizer_of(model, "adamw", lr)
    stepper = stepper_of(model, optimizer, epochs * len(batches), **{n: changes.pop(n) for n in HOW if n in changes})
    val_loss_fn = changes.pop("val_loss_fn", nn.functional.cross_entropy)
    val = changes.pop("val_batches", lambda: batches)
    train_batches = changes.pop("train_batches", lambda epoch: batches)
    return fit_quietly(stepper, train_batches, lambda judged: evaluate(judged, val(), val_loss_fn), epochs, **changes)


HOW = ("loss_fn", "precision", "piece", "average")


def stepper_of(model: nn.Module, optimizer: Optimizer, steps: int, schedule: str = "constant", **how: Any) -> Stepper:
    values = {"loss_fn": nn.CrossEntropyLoss(), **how}
    return Stepper(model=model, optimizer=optimizer, schedule=build_schedule(schedule, optimizer, steps), **values)


def fit_quietly(stepper: Stepper, train_batches: Any, evaluate_val: Any, epochs: int, **changes: Any) -> Best:
    values: dict[str, Any] = {
        "epochs": range(1, epochs + 1),
        "best": Best(),
        "watch": Stopwatch(),
        "on_batch": lambda epoch, done, loss: None,
        "on_epoch": lambda record: None,
    }
    return fit(stepper, train_batches, evaluate_val, **{**values, **changes})


@pytest.mark.parametrize("size", [1, 4, 7, 22, 23])
def test_numbers_over_batches_are_those_of_the_whole_set(size: int):
    model, whole = linear(), data(23)

    split, together = evaluate(model, in_batches(whole, size)), evaluate(model, [whole])

    assert split.loss == pytest.approx(together.loss, rel=1e-6)
    assert split.accuracy == together.accuracy
    assert torch.allclose(split.probabilities, together.probabilities, atol=1e-7)


def test_evaluation_gives_what_the_definitions_give_as_plain_numbers():
    model, (inputs, targets) = linear(), data(23)
    logits = model(inputs).detach()

    found = evaluate(model, in_batches((inputs, targets), 5))

    assert found.loss == pytest.approx(float(nn.functional.cross_entropy(logits, targets)))
    assert found.accuracy == pytest.approx((logits.argmax(1) == targets).sum().item() / 23)
    assert torch.allclose(found.probabilities.sum(1), torch.ones(23))
    assert isinstance(found.loss, float) and isinstance(found.accuracy, float)
    assert found.probabilities.dtype == torch.float32 and not found.probabilities.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_changes_nothing_and_ignores_dropout(training: bool):
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), linear()).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = in_batches(data(), 5)

    assert torch.equal(evaluate(model, batches).probabilities, evaluate(model, batches).probabilities)
    assert model.training is training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_losses_of_an_epoch_are_means_over_pictures_not_batches():
    model, batches = linear(), in_batches(data(23), 10)  # 10, 10, 3
    optimizer = optimizer_of(model, "sgd", 1e-30)
    seen: list[tuple[int, float]] = []

    stepper = stepper_of(model, optimizer, 3)
    loss, accuracy = train_one_epoch(stepper, batches, lambda done, mean: seen.append((done, mean)))

    whole = evaluate(model, batches)
    assert (loss, accuracy) == (pytest.approx(whole.loss, rel=1e-5), pytest.approx(whole.accuracy))
    assert [done for done, _ in seen] == [1, 2, 3] and seen[-1][1] == loss


def test_one_batch_can_be_learned_by_heart():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    batch = (torch.randn(16, 4), torch.randint(0, 3, (16,)))

    train(model, [batch], epochs=300, lr=0.02)

    found = evaluate(model, [batch])
    assert found.accuracy == 1.0 and found.loss < 0.01


def test_equal_starts_give_equal_histories():
    histories = []
    for _ in range(2):
        records: list[EpochRecord] = []
        train(linear(3), in_batches(data(), 5), epochs=3, on_epoch=records.append)
        histories.append([(r.epoch, r.train_loss, r.train_accuracy, r.val_loss, r.val_accuracy, r.lr) for r in records])

    assert histories[0] == histories[1]
    assert [row[0] for row in histories[0]] == [1, 2, 3]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_with_advice_and_before_the_step(bad: float):
    model, (inputs, targets) = linear(), data()
    before = model.weight.detach().clone()
    inputs[3] = bad

    with pytest.raises(TrainingError, match=r"loss became (nan|inf) at learning rate 0\.05.*Try a tenth"):
        train(model, [(inputs, targets)])
    assert torch.equal(model.weight, before)


def test_a_val_loss_that_is_never_a_number_stops_with_advice():
    inputs, targets = data()
    model = linear()

    with pytest.raises(TrainingError, match="val loss was never a finite number"):
        fit_with_val(model, lambda: [(inputs * math.nan, targets)])


def fit_with_val(model: nn.Module, val: Callable[[], list[Batch]], epochs: int = 1, **changes: Any) -> Best:
    optimizer = optimizer_of(model, "sgd", 0.1)
    return train(model, [data()], epochs, optimizer=optimizer, val_batches=val, **changes)


def record(epoch: int, val_loss: float, val_accuracy: float = 0.5) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        stage="train",
        train_loss=1.0,
        train_accuracy=0.5,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        lr=0.1,
        elapsed_s=1.0,
    )


def said(epoch: int) -> Evaluation:
    """What was said on val in an epoch."""
    return Evaluation(loss=0.0, accuracy=0.0, probabilities=torch.tensor([[float(epoch)]]))


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([3, 1, 2], 2), ([2, 1, 1], 2), ([1, 1, 1], 1), ([math.nan, 2, 3], 2), ([3, 2, math.nan], 2), ([math.inf, 5], 2)],
)
def test_the_best_epoch_has_the_lowest_val_loss_and_a_tie_keeps_the_earlier(losses: list[float], expected: int):
    best = Best()
    for epoch, loss in enumerate(losses, start=1):
        best.offer(record(epoch, loss, val_accuracy=epoch / 10), said(epoch), linear(epoch))

    assert (best.epoch, best.val_loss, best.val_accuracy) == (expected, losses[expected - 1], expected / 10)
    assert best.state is not None and torch.equal(best.state["weight"], linear(expected).weight)
    assert best.val_probabilities is not None and best.val_probabilities.item() == expected


def test_the_kept_state_does_not_go_on_changing():
    model, best = linear(), Best()
    best.offer(record(1, 1.0), said(1), model)
    with torch.no_grad():
        model.weight.zero_()

    assert best.state is not None and best.state["weight"].abs().sum() > 0


def test_the_model_ends_in_the_state_of_its_best_epoch():
    """The targets for val turn round after the first epoch, so that training on makes it worse."""
    model, (inputs, targets) = linear(), data()
    records: list[EpochRecord] = []
    vals = [targets, (targets + 1) % 3, (targets + 1) % 3]

    best = fit_with_val(model, lambda: [(inputs, vals[len(records)])], epochs=3, on_epoch=records.append)

    assert best.epoch == 1
    assert evaluate(model, [(inputs, targets)]).loss == pytest.approx(records[0].val_loss)


def test_an_earlier_stage_must_be_beaten():
    model, earlier = linear(), Best(epoch=7, val_loss=-1.0, val_accuracy=0.9)
    earlier.keep(linear(5))

    best = fit_with_val(model, lambda: [data()], epochs=2, best=earlier)

    assert best.epoch == 7
    assert torch.equal(model.weight, linear(5).weight)


def test_a_stop_comes_between_two_batches():
    model, steps = linear(), []

    with pytest.raises(Cancelled):
        train(
            model,
            [],
            epochs=3,
            train_batches=lambda epoch: until_stopped(in_batches(data(), 5), lambda: len(steps) == 3),
            on_batch=lambda epoch, done, loss: steps.append((epoch, done)),
        )

    assert steps == [(1, 1), (1, 2), (1, 3)]


def test_a_stop_also_comes_while_evaluating():
    asked: list[int] = []

    def second_time() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(Cancelled):
        evaluate(linear(), until_stopped(in_batches(data(), 5), second_time))
    assert len(asked) == 2


def test_seconds_go_to_training_and_val():
    watch = Stopwatch()
    train(linear(), in_batches(data(), 5), watch=watch)

    assert set(watch.seconds) == {"train", "val"}


def one_epoch(
    model: nn.Module, batches: list[Batch], lr: float = 0.1, **options: Any
) -> tuple[float, float, list[int]]:
    """(loss, accuracy, batches as they were reported) of one epoch of SGD."""
    optimizer, reported = optimizer_of(model, "sgd", lr), []
    stepper = stepper_of(model, optimizer, len(batches), schedule="cosine", **options)
    loss, accuracy = train_one_epoch(stepper, batches, lambda done, mean: reported.append(done))
    return loss, accuracy, reported


LOSSES = {
    "plain": nn.CrossEntropyLoss(),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.2),
    "weighted": build_loss((0.5, 4.0, 1.0), 0.1),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("piece", [1, 3, 4, 10, 99])
def test_a_batch_in_pieces_has_the_gradient_of_the_whole_one(piece: int, loss: str):
    whole, in_pieces, batch = linear(), linear(), data(23)

    one_epoch(whole, [batch], loss_fn=LOSSES[loss])
    one_epoch(in_pieces, [batch], loss_fn=LOSSES[loss], piece=piece)

    for name, parameter in whole.named_parameters():
        torch.testing.assert_close(in_pieces.get_parameter(name).grad, parameter.grad, atol=1e-6, rtol=1e-5)
    assert whole.weight.grad.abs().max() > 0.01


def test_the_best_epoch_is_the_one_with_the_smallest_val_loss_as_it_is_weighted():
    model, val = linear(), data(30, seed=1)
    model.load_state_dict({"weight": torch.zeros(3, 4), "bias": torch.tensor([3.0, 0.0, 0.0])})
    inputs, targets = data(30)
    rare = targets == 1  # what training makes worse with every epoch, for the sake of the others
    batches = [(inputs[~rare], targets[~rare])]
    records: list[EpochRecord] = []

    def best_by(weights: tuple[float, ...] | None) -> Best:
        records.clear()
        changes = {"val_batches": lambda: [val], "val_loss_fn": build_loss(weights), "on_epoch": records.append}
        return train(copy.deepcopy(model), batches, epochs=8, **changes)

    plain, weighted = best_by(None), best_by((0.0, 1.0, 0.0))

    assert weighted.epoch < plain.epoch
    assert weighted.val_loss == pytest.approx(min(record.val_loss for record in records))


@pytest.mark.parametrize("piece", [1, 4, 7])
def test_an_epoch_in_pieces_takes_the_same_steps_and_reports_the_same_numbers(piece: int):
    whole, in_pieces, batches = linear(), linear(), in_batches(data(23), 10)  # 10, 10, 3

    expected = one_epoch(whole, batches)
    found = one_epoch(in_pieces, batches, piece=piece)

    assert found == (pytest.approx(expected[0], rel=1e-5), expected[1], [1, 2, 3])
    torch.testing.assert_close(in_pieces.state_dict(), whole.state_dict(), atol=1e-6, rtol=1e-5)


def test_pieces_go_forward_one_after_the_other():
    model, sizes = linear(), []
    model.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))

    one_epoch(model, in_batches(data(23), 10), piece=4)

    assert sizes == [4, 4, 2, 4, 4, 2, 3]


def test_a_loss_that_is_no_number_in_one_piece_stops_before_the_step():
    model, (inputs, targets) = linear(), data()
    before = model.weight.detach().clone()
    inputs[20] = math.nan

    with pytest.raises(TrainingError, match="loss became nan"):
        one_epoch(model, [(inputs, targets)], piece=4)
    assert torch.equal(model.weight, before)


class Folded(nn.Module):
    """A convolution and a BatchNorm whose statistics are kept, as one where `fold` says so."""

    def __init__(self, fold: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        if fold:
            fold_batchnorm(self)

    def train(self, mode: bool = True) -> "Folded":
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images)).mean((2, 3))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_val_looks_at_the_weights_of_its_own_epoch_in_a_folded_network_too(name: str):
    batch, losses = (torch.randn(6, 3, 4, 4), torch.arange(6) % 3), []
    for fold in (False, True):
        model, records = Folded(fold), []
        optimizer = optimizer_of(model, name, 0.1)
        train(model, [batch], epochs=3, on_epoch=records.append, optimizer=optimizer)
        losses.append([record.val_loss for record in records])

    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[0] == sorted(set(losses[0]), reverse=True)


def averaged(model: nn.Module, kept: float = 0.5) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(kept))


def test_an_average_follows_the_weights_step_by_step():
    model, batches, seen = linear(), in_batches(data(23), 10), []
    average = averaged(model)
    model.register_forward_pre_hook(lambda module, inputs: seen.append(module.weight.detach().clone()))

    one_epoch(model, batches, average=average)

    after = [*seen[1:], model.weight.detach()]  # each step
    expected = after[0]  # the first one starts the average
    for weight in after[1:]:
        expected = (expected + weight) / 2
    assert torch.allclose(average.module.weight, expected)
    assert not torch.allclose(average.module.weight, model.weight)


def test_what_is_judged_and_kept_is_the_average():
    model, batches = linear(), in_batches(data(23), 10)
    average, records = averaged(model, 0.9), []
    states = []

    best = train(
        model,
        batches,
        epochs=3,
        average=average,
        on_epoch=lambda record: (records.append(record), states.append(average.module.weight.detach().clone())),
    )

    assert torch.equal(model.weight, states[best.epoch - 1])
    assert evaluate(model, batches).loss == pytest.approx(records[best.epoch - 1].val_loss) == best.val_loss


def watched(model: nn.Module, seen: list[tuple[bool, torch.dtype]]) -> nn.Module:
    """Keeps (training, type of its output) of every pass."""
    model.register_forward_hook(lambda module, inputs, output: seen.append((module.training, output.dtype)))
    return model


def test_half_the_digits_are_for_training_steps_only_and_weights_keep_all():
    seen: list[tuple[bool, torch.dtype]] = []
    model = watched(linear(), seen)

    train(model, [data()], precision="bf16")

    assert seen == [(True, torch.bfloat16), (False, torch.float32)]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}


def test_training_with_half_the_digits_is_close_to_training_with_all():
    exact, rough, batches = linear(), linear(), in_batches(data(23), 10)

    expected, found = one_epoch(exact, batches), one_epoch(rough, batches, precision="bf16")

    assert found[0] == pytest.approx(expected[0], rel=0.01) and found[0] != expected[0]
    torch.testing.assert_close(rough.state_dict(), exact.state_dict(), atol=0.01, rtol=0.01)


def test_a_cast_ends_with_its_block():
    model, (inputs, _) = linear(), data()
    types = []
    for precision in ("bf16", "fp32"):
        with cast(precision):
            types.append(model(inputs).dtype)

    assert [*types, model(inputs).dtype] == [torch.bfloat16, torch.float32, torch.float32]
