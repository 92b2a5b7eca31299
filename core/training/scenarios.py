"""From settings to a trained network: one function per way of training, and everything a run's record needs.

Legend: M test pictures, K classes.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.augment.pipelines import EvalPipeline, TrainPipeline, normalise, picture_seed
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset, Split
from core.data.loaders import EVAL_BATCH, EpochBatches, Loaders
from core.data.parts import check_trainable
from core.models.accel.shelf import Shelf
from core.models.accel.threads import one_thread
from core.models.build import TransferModel, build_model, count_parameters
from core.models.catalogue import check_model
from core.models.drift import Drift, measure_drift, snapshot
from core.models.freezing import apply_scenario, audit, parameter_groups, state_hashes
from core.models.records import FreezeAudit, ParameterCount
from core.models.splitting import BackHalf
from core.models.weights import preprocessing_of
from core.settings.schema import RunSettings
from core.training.head import FEW, ONE_THREAD, TOO_MANY, SolvedHead, fit_head_in_batches, solve_head
from core.training.history import Cancelled, EpochRecord, OnEpoch, OnProgress, Progress, ShouldStop, Stopwatch
from core.training.loop import Batches, Best, Evaluation, evaluate, fit
from core.training.losses import build_loss
from core.training.optimizers import build_optimizer, build_schedule
from core.training.plan import plan_run, views_of
from core.training.probe import Compute, choose_compute
from core.training.session import Session

PIECE = 16  # pictures that go forward and back at once; measured by benchmarks/process.py
MOST_EPOCHS = 10_000  # of a run that is given seconds
MANY_ROWS = 16384  # of features, judged at once


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run's result: the model in the state of its best epoch, and what is known about how it got there."""

    model: TransferModel
    preprocessing: Preprocessing
    split: Split
    history: tuple[EpochRecord, ...]
    best: Best
    test: Evaluation
    """Over the test pictures, in the order of `split.test`; looked at once, after training."""
    audit: FreezeAudit
    drift: Drift
    parameters: ParameterCount
    head_hash: str
    """Of the head's start."""
    head: SolvedHead | None
    """How the head was solved for, in scenarios that do."""
    compute: Compute
    watch: Stopwatch


def build_run_loaders(settings: RunSettings, dataset: Dataset) -> Loaders:
    """The data loaders of a run: cheap to build once the pictures are decoded."""
    preprocessing = preprocessing_of(settings.model.backbone)
    return Loaders(
        dataset=dataset,
        split=dataset.split(settings.seed, settings.data),
        train_pipeline=TrainPipeline(preprocessing.at_size(settings.optim.train_size), settings.augment),
        view_pipeline=TrainPipeline(preprocessing, settings.augment),
        eval_pipeline=EvalPipeline(preprocessing),
        picture_seed=picture_seed,
        batch_size=settings.optim.batch_size,
        seed=settings.seed,
    )


def train_run(
    settings: RunSettings,
    dataset: Dataset,
    *,
    on_progress: OnProgress = lambda progress: None,
    on_epoch: OnEpoch = lambda epoch: None,
    should_stop: ShouldStop = lambda: False,
    shelf: Shelf | None = None,
) -> Trained:
    """Train one scenario with one seed. Called in the worker process; leaves torch's global generator seeded.

    Args:
        shelf: where a wholly frozen backbone comes from, if it is there, and goes to, if it really stood still: the
            model that is given back must not be changed then.

    Raises:
        SettingsError: the backbone cannot be trained like that.
        DatasetError: the pictures cannot be divided, or only one class is in train.
        WeightsError: the backbone's weights cannot be had.
        TrainingError: the loss is no longer a number.
        Cancelled: `should_stop` said so.
    """
    watch = Stopwatch()
    torch.manual_seed(settings.seed)  # dropout and stochastic depth draw from the global generator
    on_progress(Progress(phase="build", done=0, total=1))
    check_model(settings)
    loaders = build_run_loaders(settings, dataset)
    check_trainable(dataset, loaders.split)
    compute = choose_compute(settings)
    torch.set_num_threads(compute.threads)

    def on_download(done: int, total: int) -> None:
        if should_stop():
            raise Cancelled
        on_progress(Progress(phase="download", done=done, total=total))

    kept = shelf.take(settings.model) if shelf else None
    if kept:
        model = kept.with_head(len(dataset.class_names), seed=settings.seed)
    else:
        model = build_model(
            settings.model.backbone,
            len(dataset.class_names),
            start=settings.model.start,
            seed=settings.seed,
            on_progress=on_download,
        )
    apply_scenario(model, settings.model)
    head_hash = _combined_hash(state_hashes(model.head))
    before, old = kept.hashes if kept else state_hashes(model.backbone), snapshot(model)
    sizes = [len(loaders.split.part(name)) for name in ("train", "val", "test")]
    session = Session(
        settings=settings,
        model=model,
        loaders=loaders,
        normalise=partial(normalise, preprocessing=preprocessing_of(settings.model.backbone)),
        compute=compute,
        plan=plan_run(settings, *sizes),
        watch=watch,
        on_progress=on_progress,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    best, test = _SCENARIOS[settings.model.scenario](session)
    freeze_audit = audit(before, state_hashes(model.backbone), model.frozen_prefixes)
    if shelf and freeze_audit.bit_identical:
        shelf.put(settings.model, model, before)
    return Trained(
        model=model,
        preprocessing=preprocessing_of(settings.model.backbone),
        split=loaders.split,
        history=tuple(session.history),
        best=best,
        test=test,
        audit=freeze_audit,
        drift=measure_drift(model, old),
        parameters=count_parameters(model),
        head_hash=head_hash,
        head=session.head,
        compute=compute,
        watch=watch,
    )


def _train_frozen(session: Session) -> tuple[Best, Evaluation]:
    """Only the head, on features that the backbone gives once."""
    best = _solve_head(session, "train")
    with session.watch.phase("features"):
        features = session.features("test")
    with session.watch.phase("test"):
        test = evaluate(session.model.head, [(features, session.targets("test"))])
    return best, test


def _solve_head(session: Session, stage: str) -> Best:
    """The head on cached features of all views: solved for, or trained in batches where there are too many numbers.

    The penalty is chosen inside train and the solution is the only one there is, so val chooses nothing here. The
    history of a run that is nothing but its head has every iteration, and the solution as its end.
    """
    head, best = session.model.head, Best()
    features, targets, groups = _head_data(session)
    train_weights, val_weights = session.class_weights("train"), session.class_weights("val")
    with session.watch.phase("features"):
        val = session.features("val").float(), session.targets("val")

    def record(weights: Tensor, biases: Tensor, moments: list[float]) -> None:
        on_train = _judge(weights, biases, features, targets, train_weights)
        on_val = _judge(weights, biases, *val, val_weights)
        for place, moment in enumerate(moments):
            session.record(
                EpochRecord(
                    epoch=len(session.history) + 1,
                    stage=stage,
                    train_loss=on_train[0][place],
                    train_accuracy=on_train[1][place],
                    val_loss=on_val[0][place],
                    val_accuracy=on_val[1][place],
                    lr=None,
                    elapsed_s=moment - session.watch.start,
                )
            )

    classes = len(session.loaders.dataset.class_names)
    with session.watch.phase("train"), one_thread(when=features.numel() * classes <= ONE_THREAD):
        solve = fit_head_in_batches if features.numel() > TOO_MANY else solve_head
        solved = solve(
            features,
            targets,
            groups,
            classes,
            l2=session.settings.optim.l2,
            class_weights=train_weights,
            label_smoothing=session.settings.optim.label_smoothing,
            on_iterations=record if stage == "train" else None,
            should_stop=session.should_stop,
        )
        record(solved.weight[None], solved.bias[None], [time.perf_counter()])
        _set_head(head, solved.weight, solved.bias)
        best.take(session.history[-1], evaluate(head, [val], loss_fn=build_loss(val_weights)), head)
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


@torch.no_grad()
def _set_head(head: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    head.weight.copy_(weight)
    head.bias.copy_(bias)


@torch.no_grad()
def _judge(
    weights: Tensor, biases: Tensor, features: Tensor, targets: Tensor, class_weights: tuple[float, ...] | None
) -> tuple[list[float], list[float]]:
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


def _train_network(session: Session) -> tuple[Best, Evaluation]:
    """Whatever the scenario lets train, picture by picture."""
    return _fit_network(session, Best())


def _train_last_stages(session: Session) -> tuple[Best, Evaluation]:
    """As every network, or, where the plan says that it pays, from what the frozen stages say once per view."""
    if not session.plan.caches_boundary:
        return _train_network(session)
    with session.watch.phase("features"):
        views = [session.activations("train", view) for view in views_of(session.settings)]
        val = session.activations("val").float()
    targets, val_targets = session.targets("train"), session.targets("val")

    def batches(epoch: int) -> Batches:
        activations = views[(epoch - 1) % len(views)]
        optim = session.settings.optim
        for positions in EpochBatches(len(targets), optim.batch_size, session.settings.seed, epoch):
            yield activations[positions].float(), targets[positions]
            session.watch.count("pictures_trained", len(positions))

    def val_batches() -> Batches:
        return zip(torch.split(val, EVAL_BATCH), torch.split(val_targets, EVAL_BATCH), strict=True)

    return _fit_network(session, Best(), network=BackHalf(session.model), batches=batches, val_batches=val_batches)


def _fit_network(
    session: Session,
    best: Best,
    *,
    network: nn.Module | None = None,
    batches: Callable[[int], Batches] | None = None,
    val_batches: Callable[[], Batches] | None = None,
) -> tuple[Best, Evaluation]:
    """Train the model, or the `network` that wraps its trained part, and test the model as a whole."""
    session.backbone_moves()
    network = network or session.model
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
    per_epoch = session.loaders.batches_per_epoch()
    before = len(session.history)

    def on_batch(epoch: int, done: int, loss: float) -> None:
        session.watch.count("optimizer_steps")
        epochs = before + optim.epochs if session.clock is None else 0
        progress = Progress(phase="train", done=done, total=per_epoch, epoch=epoch, epochs=epochs, loss=loss)
        session.meter.add_steps(len(session.loaders.split.train) / per_epoch, progress)

    average = None
    if optim.ema:
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(optim.ema))  # type: ignore[no-untyped-call]
    best = fit(
        network,
        batches or session.training_batches,
        val_batches or (lambda: session.evaluation_batches("val")),
        epochs=optim.epochs if session.clock is None else MOST_EPOCHS,
        first_epoch=before + 1,
        stage="train",
        loss_fn=build_loss(session.class_weights("train"), optim.label_smoothing),
        optimizer=optimizer,
        schedule=build_schedule(optim.schedule, optimizer, optim.epochs * per_epoch, session.clock),
        best=best,
        watch=session.watch,
        on_batch=on_batch,
        on_epoch=session.record,
        should_stop=session.should_stop,
        precision=session.compute.train,
        piece=PIECE if session.settings.model.statistics == "kept" else None,
        average=average,
        time_left=session.time_left,
        val_loss_fn=build_loss(session.class_weights("val")),
    )
    with session.watch.phase("test"):
        return best, session.evaluate_pictures("test")


def _train_probe_then_finetune(session: Session) -> tuple[Best, Evaluation]:
    """The head first, then everything from there (Kumar et al. 2022); the probe is kept if nothing beats it on val."""
    probe = _solve_head(session, "probe")
    probe.keep(session.model)
    return _fit_network(session, probe)


_SCENARIOS: dict[str, Callable[[Session], tuple[Best, Evaluation]]] = {
    "frozen": _train_frozen,
    "last-stages": _train_last_stages,
    "finetuned": _train_network,
    "probe-then-finetune": _train_probe_then_finetune,
    "scratch": _train_network,
    "looks-frozen": _train_network,
}


def _combined_hash(hashes: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()
