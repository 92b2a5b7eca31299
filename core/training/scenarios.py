"""From settings to a trained network: one function per way of training, and everything a run's record needs.

Legend: M test pictures, K classes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from core.augment.pipelines import EvalPipeline, TrainPipeline, normalise, picture_seed
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset, Split
from core.data.loaders import EpochBatches, Loaders
from core.models.build import ParameterCount, TransferModel, build_model, count_parameters
from core.models.freezing import FreezeAudit, apply_scenario, audit, parameter_groups, state_hashes
from core.models.weights import preprocessing_of
from core.settings import DEFAULT_RATES, RunSettings
from core.training.history import Cancelled, EpochRecord, OnEpoch, OnProgress, Progress, ShouldStop, Stopwatch
from core.training.loop import Batches, Best, Evaluation, evaluate, fit
from core.training.optimizers import build_optimizer, build_schedule
from core.training.plan import plan_run, views_of
from core.training.session import Meter, Session


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
    parameters: ParameterCount
    head_hash: str
    watch: Stopwatch


def build_run_loaders(settings: RunSettings, dataset: Dataset) -> Loaders:
    """The data loaders of a run: cheap to build once the pictures are decoded."""
    preprocessing = preprocessing_of(settings.model.backbone)
    return Loaders(
        dataset=dataset,
        split=dataset.split(settings.seed, settings.data),
        train_pipeline=TrainPipeline(preprocessing, settings.augment),
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
) -> Trained:
    """Train one scenario with one seed. Called in the worker process; leaves torch's global generator seeded.

    Raises:
        WeightsError: the backbone's weights cannot be had.
        TrainingError: the loss is no longer a number.
        Cancelled: `should_stop` said so.
    """
    watch = Stopwatch()
    torch.manual_seed(settings.seed)  # dropout and stochastic depth draw from the global generator
    on_progress(Progress(phase="build", done=0, total=1))
    loaders = build_run_loaders(settings, dataset)

    def on_download(done: int, total: int) -> None:
        if should_stop():
            raise Cancelled
        on_progress(Progress(phase="download", done=done, total=total))

    model = build_model(
        settings.model.backbone,
        len(dataset.class_names),
        start=settings.model.start,
        seed=settings.seed,
        on_progress=on_download,
    )
    apply_scenario(model, settings.model)
    head_hash = _combined_hash(state_hashes(model.head))
    before = state_hashes(model.backbone)
    sizes = [len(loaders.split.part(name)) for name in ("train", "val", "test")]
    session = Session(
        settings=settings,
        model=model,
        loaders=loaders,
        normalise=partial(normalise, preprocessing=preprocessing_of(settings.model.backbone)),
        watch=watch,
        meter=Meter(plan_run(settings, *sizes), on_progress),
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    best, test = _SCENARIOS[settings.model.scenario](session)
    return Trained(
        model=model,
        preprocessing=preprocessing_of(settings.model.backbone),
        split=loaders.split,
        history=tuple(session.history),
        best=best,
        test=test,
        audit=audit(before, state_hashes(model.backbone), model.frozen_prefixes),
        parameters=count_parameters(model),
        head_hash=head_hash,
        watch=watch,
    )


def _train_frozen(session: Session) -> tuple[Best, Evaluation]:
    """Only the head, on features that the backbone gives once."""
    best = _fit_head(session, epochs=session.settings.optim.epochs, stage="train", lr=session.settings.rates[0])
    with session.watch.phase("test"):
        test = evaluate(session.model.head, [(session.features("test"), session.targets("test"))])
    return best, test


def _fit_head(session: Session, *, epochs: int, stage: str, lr: float) -> Best:
    """Train the head alone on cached features; epoch n sees view n - 1 of every picture, then the first again."""
    optim, head = session.settings.optim, session.model.head
    with session.watch.phase("features"):
        views = [session.features("train", view) for view in range(views_of(session.settings))]
        val = [(session.features("val"), session.targets("val"))]
    targets = session.targets("train")

    def batches(epoch: int) -> Batches:
        features = views[(epoch - 1) % len(views)]
        for positions in EpochBatches(len(targets), optim.batch_size, session.settings.seed, epoch):
            yield features[positions], targets[positions]
            session.watch.count("head_steps")

    optimizer = build_optimizer(
        optim.optimizer,
        head.parameters(),
        [],
        lr=lr,
        backbone_lr=0.0,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
    )
    return fit(
        head,
        batches,
        lambda: val,
        epochs=epochs,
        first_epoch=1,
        stage=stage,
        loss_fn=nn.CrossEntropyLoss(label_smoothing=optim.label_smoothing),
        optimizer=optimizer,
        schedule=build_schedule(optim.schedule, optimizer, epochs * session.loaders.batches_per_epoch()),
        best=Best(),
        watch=session.watch,
        on_batch=lambda epoch, done, loss: None,
        on_epoch=session.record,
        should_stop=session.should_stop,
    )


def _train_network(session: Session) -> tuple[Best, Evaluation]:
    """Whatever the scenario lets train, picture by picture."""
    return _fit_network(session, best=Best(), first_epoch=1)


def _fit_network(session: Session, *, best: Best, first_epoch: int) -> tuple[Best, Evaluation]:
    optim, (lr, backbone_lr) = session.settings.optim, session.settings.rates
    head, backbone = parameter_groups(session.model)
    optimizer = build_optimizer(
        optim.optimizer,
        head,
        backbone,
        lr=lr,
        backbone_lr=backbone_lr,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
    )
    per_epoch = session.loaders.batches_per_epoch()
    epochs = first_epoch - 1 + optim.epochs

    def on_batch(epoch: int, done: int, loss: float) -> None:
        session.watch.count("optimizer_steps")
        progress = Progress(phase="train", done=done, total=per_epoch, epoch=epoch, epochs=epochs, loss=loss)
        session.meter.add_steps(len(session.loaders.split.train) / per_epoch, progress)

    best = fit(
        session.model,
        session.training_batches,
        lambda: session.evaluation_batches("val"),
        epochs=optim.epochs,
        first_epoch=first_epoch,
        stage="train",
        loss_fn=nn.CrossEntropyLoss(label_smoothing=optim.label_smoothing),
        optimizer=optimizer,
        schedule=build_schedule(optim.schedule, optimizer, optim.epochs * per_epoch),
        best=best,
        watch=session.watch,
        on_batch=on_batch,
        on_epoch=session.record,
        should_stop=session.should_stop,
    )
    with session.watch.phase("test"):
        return best, session.evaluate_pictures("test")


def _train_probe_then_finetune(session: Session) -> tuple[Best, Evaluation]:
    """The head first, then everything from there (Kumar et al. 2022); the probe is kept if nothing beats it on val."""
    settings = session.settings
    probe_lr = settings.optim.lr or DEFAULT_RATES[settings.optim.optimizer]["frozen"][0]
    probe = _fit_head(session, epochs=settings.optim.probe_epochs, stage="probe", lr=probe_lr)
    probe.keep(session.model)
    return _fit_network(session, best=probe, first_epoch=settings.optim.probe_epochs + 1)


_SCENARIOS: dict[str, Callable[[Session], tuple[Best, Evaluation]]] = {
    "frozen": _train_frozen,
    "last-stages": _train_network,
    "finetuned": _train_network,
    "probe-then-finetune": _train_probe_then_finetune,
    "scratch": _train_network,
}


def _combined_hash(hashes: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()
