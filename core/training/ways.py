"""The ways of training: one function each, from a session to what trained best and how it does on the test pictures.

Legend: M training pictures or views of them, F features, K classes, T heads.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.data.loaders import EpochBatches
from core.machine.devices import to_device
from core.models.accel import one_thread
from core.models.freezing import parameter_groups
from core.models.splitting import BackHalf
from core.settings.scenarios import Way
from core.training.head import FEW, ONE_THREAD, TOO_MANY, fit_head_in_batches, solve_head
from core.training.history import EpochRecord
from core.training.loop import Batches, Best, Evaluation, Stepper, evaluate, fit, until_stopped
from core.training.losses import build_loss
from core.training.optimizers import build_optimizer, build_schedule
from core.training.plan import views_of
from core.training.session import Session

PIECE = 16  # pictures that go forward and back at once; measured by benchmarks/process.py
MANY_ROWS = 16384  # of features, judged at once


def _train_head(session: Session) -> tuple[Best, Evaluation]:
    """Only the head, on features that the backbone gives once."""
    best = _solve_head(session, "train")
    with session.watch.phase("features"):
        features = session.features("test")
    with session.watch.phase("test"):
        test = evaluate(session.model.head, [(features, session.targets("test"))])
    return best, test


def _train_network(session: Session) -> tuple[Best, Evaluation]:
    """Whatever the scenario lets train, picture by picture."""
    return _fit_pictures(session, Best())


def _train_from_boundary(session: Session) -> tuple[Best, Evaluation]:
    """As every network, or, where the plan says that it pays, from what the frozen stages say once per view."""
    if not session.plan.caches_boundary:
        return _train_network(session)
    with session.watch.phase("features"):
        views = [to_device(session.activations("train", view), session.device) for view in views_of(session.settings)]
        val = session.activations("val").float()
    targets, val_targets = session.targets("train"), session.targets("val")
    batch_size, seed = session.settings.optim.batch_size, session.settings.seed

    def batches(epoch: int) -> Batches:
        activations = views[(epoch - 1) % len(views)]
        for positions in EpochBatches(len(targets), batch_size, seed, epoch):
            yield activations[positions].float(), targets[positions]
            session.watch.count("pictures_trained", len(positions))

    def val_batches() -> Batches:
        size = session.loaders.pass_size
        return zip(torch.split(val, size), torch.split(val_targets, size), strict=True)

    return _fit(session, Best(), BackHalf(session.model), batches, val_batches)


def _train_head_then_network(session: Session) -> tuple[Best, Evaluation]:
    """The head first, then everything from there (Kumar et al. 2022); the probe is kept if nothing beats it on val."""
    probe = _solve_head(session, "probe")
    probe.keep(session.model)
    return _fit_pictures(session, probe)


WAYS: Final[dict[Way, Callable[[Session], tuple[Best, Evaluation]]]] = {
    "head": _train_head,
    "network": _train_network,
    "boundary": _train_from_boundary,
    "head-then-network": _train_head_then_network,
}


def _solve_head(session: Session, stage: str) -> Best:
    """The head on cached features of all views: solved for, or trained in batches where there are too many numbers.

    The penalty is chosen inside train and the solution is the only one there is, so val chooses nothing here. The
    history of a run that is nothing but its head has every iteration, and the solution as its end.
    """
    head, best, optim = session.model.head, Best(), session.settings.optim
    features, targets, groups = _head_data(session)
    train_weights, val_weights = session.class_weights("train"), session.class_weights("val")
    with session.watch.phase("features"):
        val = session.features("val").float(), session.targets("val")

    def record(weights: Tensor, biases: Tensor, moments: list[float]) -> None:
        on_train = _judge(weights, biases, features, targets, train_weights)
        on_val = _judge(weights, biases, *val, val_weights)
        logits = torch.addmm(biases[-1], val[0][session.watched_places], weights[-1].T)
        session.say_watched(logits.softmax(1), len(session.history) + len(moments))
        _record_heads(session, stage, on_train, on_val, moments)

    classes = len(session.loaders.dataset.class_names)
    session.begin("head")
    with session.watch.phase("train"), one_thread(when=features.numel() * classes <= ONE_THREAD):
        solve = fit_head_in_batches if features.numel() > TOO_MANY else solve_head
        solved = solve(
            features,
            targets,
            groups,
            classes,
            l2=optim.l2,
            class_weights=train_weights,
            label_smoothing=optim.label_smoothing,
            on_iterations=record if stage == "train" else None,
            should_stop=session.should_stop,
        )
        record(solved.weight[None], solved.bias[None], [time.perf_counter()])
        head.load_state_dict({"weight": solved.weight, "bias": solved.bias})
        best.take(session.history[-1], evaluate(head, [val], build_loss(val_weights).to(session.device)), head)
    session.watch.count("head_iterations", solved.iterations)
    session.head = solved
    return best


def _head_data(session: Session) -> tuple[Tensor, Tensor, Tensor]:
    """Features (M, F) of all views of the training pictures, targets (M,) and the picture each row is of (M,)."""
    views = views_of(session.settings)
    with session.watch.phase("features"):
        features = torch.cat([session.features("train", view) for view in views])
    if features.numel() <= FEW:
        features = features.float()  # once, not at every iteration
    return features, session.targets("train").repeat(len(views)), session.groups("train").repeat(len(views))


Judged = tuple[list[float], list[float]]
"""Mean loss and accuracy of several heads."""


@torch.no_grad()
def _judge(
    weights: Tensor, biases: Tensor, features: Tensor, targets: Tensor, class_weights: tuple[float, ...] | None
) -> Judged:
    """Mean loss and accuracy over features (M, F) of each of the heads, weights (T, K, F) and biases (T, K).

    Piece by piece: features may be many and in half precision.
    """
    counts = torch.tensor(class_weights or (1.0,) * weights.shape[1])  # what a picture of each class counts
    count = len(biases)
    loss, correct = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)
    for rows, wanted in zip(torch.split(features, MANY_ROWS), torch.split(targets, MANY_ROWS), strict=True):
        logits = torch.addmm(biases.flatten(), rows.float(), weights.flatten(0, 1).T).view(-1, *biases.shape)
        truth = wanted[:, None].expand(-1, count)  # (M, T)
        losses = nn.functional.cross_entropy(logits.transpose(1, 2), truth, reduction="none")  # (M, T)
        loss += (losses * counts[truth]).double().sum(0)
        correct += (logits.argmax(2) == truth).sum(0)
    return (loss / len(targets)).tolist(), (correct / len(targets)).tolist()


def _record_heads(session: Session, stage: str, train: Judged, val: Judged, moments: list[float]) -> None:
    for train_loss, train_accuracy, val_loss, val_accuracy, moment in zip(*train, *val, moments, strict=True):
        session.record(
            EpochRecord(
                epoch=len(session.history) + 1,
                stage=stage,
                train_loss=train_loss,
                train_accuracy=train_accuracy,
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                lr=None,
                elapsed_s=moment - session.watch.start,
            )
        )


def _fit_pictures(session: Session, best: Best) -> tuple[Best, Evaluation]:
    """Train the whole model as it stands, from pictures."""
    return _fit(session, best, session.model, session.training_batches, partial(session.evaluation_batches, "val"))


def _fit(
    session: Session,
    best: Best,
    network: nn.Module,
    batches: Callable[[int], Batches],
    val_batches: Callable[[], Batches],
) -> tuple[Best, Evaluation]:
    """Train `network`, the model or what wraps its trained part, and test the model as a whole."""
    session.backbone_moves()
    stepper, last = _build_stepper(session, network), len(session.history) + session.settings.optim.epochs
    session.take_up(stepper, best)
    epochs = range(len(session.history) + 1, last + 1)

    def on_epoch(record: EpochRecord) -> None:
        session.record(record)
        session.keep(stepper, best)

    val_loss = build_loss(session.class_weights("val")).to(session.device)

    def evaluate_val(judged: nn.Module) -> Evaluation:
        val = evaluate(judged, until_stopped(val_batches(), session.should_stop), val_loss)
        session.say_watched(val.probabilities[session.watched_places], len(session.history) + 1)
        return val

    best = fit(
        stepper,
        lambda epoch: until_stopped(batches(epoch), session.should_stop),
        evaluate_val,
        epochs=epochs,
        best=best,
        watch=session.watch,
        on_batch=partial(session.count_step, last_epoch=last),
        on_epoch=on_epoch,
    )
    with session.watch.phase("test"):
        return best, session.evaluate_pictures("test")


def _build_stepper(session: Session, network: nn.Module) -> Stepper:
    """What a batch does to the network, as the settings say."""
    optim, (lr, backbone_lr) = session.settings.optim, session.settings.rates
    head, stages = parameter_groups(session.model)
    optimizer = build_optimizer(
        optim.optimizer,
        head,
        stages,
        lr=lr,
        backbone_lr=backbone_lr,
        stage_decay=optim.stage_decay,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
    )
    average = None
    if optim.ema:
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(optim.ema))  # type: ignore[no-untyped-call]
    return Stepper(
        model=network,
        loss_fn=build_loss(session.class_weights("train"), optim.label_smoothing).to(session.device),
        optimizer=optimizer,
        schedule=build_schedule(optim.schedule, optimizer, optim.epochs * session.loaders.batches_per_epoch()),
        precision=session.compute.train,
        piece=PIECE if session.compute.device == "cpu" and session.settings.model.statistics == "kept" else None,
        average=average,
    )
