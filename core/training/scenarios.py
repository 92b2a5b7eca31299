"""From settings to a trained network, and everything a run's record needs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from core.augment.pipelines import EvalPipeline, TrainPipeline, picture_seed
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset, Split
from core.data.loaders import EVAL_BATCH, Loaders
from core.data.parts import check_trainable
from core.errors import TrainingError
from core.machine.devices import DeviceKind, DeviceUse, device_use, prepare_device, room_for_pictures
from core.models.accel import Shelf
from core.models.build import build_model, count_parameters
from core.models.catalogue import check_model
from core.models.drift import Drift, measure_drift, snapshot
from core.models.freezing import apply_scenario, audit, frozen_names, state_hashes
from core.models.network import TransferModel
from core.models.records import FreezeAudit, ParameterCount
from core.models.weights import preprocessing_of
from core.settings.schema import RunSettings
from core.training.checkpoint import Checkpoint
from core.training.head import SolvedHead
from core.training.history import Cancelled, EpochRecord, OnEpoch, OnProgress, Progress, ShouldStop, Stopwatch
from core.training.loop import Best, Evaluation
from core.training.plan import device_for, out_of_memory
from core.training.probe import Compute, choose_compute
from core.training.session import Session
from core.training.watched import OnWatched
from core.training.ways import WAYS

CARD_BATCH = 128  # pictures that go through a card at once, where nothing is trained with them


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
    device: DeviceUse


def build_run_loaders(settings: RunSettings, dataset: Dataset, device: DeviceKind = "cpu") -> Loaders:
    """The data loaders of a run: cheap to build once the pictures are decoded.

    Args:
        device: that computes. Pictures are prepared on CUDA cards; for others, which lack what that takes in some
            versions of torch, on the processor.
    """
    preprocessing = preprocessing_of(settings.model.backbone)
    prepares = device == "cuda"
    return Loaders(
        dataset=dataset,
        split=dataset.split(settings.seed, settings.data),
        train_pipeline=TrainPipeline(preprocessing.at_size(settings.optim.train_size), settings.augment),
        view_pipeline=TrainPipeline(preprocessing, settings.augment),
        eval_pipeline=EvalPipeline(preprocessing),
        picture_seed=picture_seed,
        batch_size=settings.optim.batch_size,
        seed=settings.seed,
        device=torch.device(device if prepares else "cpu"),
        room=room_for_pictures(device),
        pass_size=EVAL_BATCH if device == "cpu" else CARD_BATCH,
        together=prepares,
    )


def train_run(
    settings: RunSettings,
    dataset: Dataset,
    *,
    on_progress: OnProgress = lambda progress: None,
    on_epoch: OnEpoch = lambda epoch: None,
    on_watched: OnWatched = lambda watched: None,
    should_stop: ShouldStop = lambda: False,
    shelf: Shelf | None = None,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train one scenario with one seed. Called in the worker process; leaves torch's global generator seeded.

    Args:
        shelf: where a wholly frozen backbone comes from, if it is there, and goes to, if it really stood still: the
            model that is given back must not be changed then.
        checkpoint: where training goes on that was interrupted, and what is kept for the case that it is.

    Raises:
        SettingsError: the backbone cannot be trained like that, or the device is not here.
        DatasetError: the pictures cannot be divided, or only one class is in train.
        WeightsError: the backbone's weights cannot be had.
        TrainingError: the loss is no longer a number, or the device's memory is not enough.
        Cancelled: `should_stop` said so.
    """
    try:
        session, hashes = begin_session(
            settings,
            dataset,
            on_progress=on_progress,
            on_epoch=on_epoch,
            on_watched=on_watched,
            should_stop=should_stop,
            shelf=shelf,
            checkpoint=checkpoint,
        )
        return _trained(session, hashes, shelf if session.compute.device == "cpu" else None)
    except (MemoryError, RuntimeError) as error:
        if not _wants_memory(error):
            raise
        raise TrainingError(_too_large(settings)) from error


def begin_session(
    settings: RunSettings,
    dataset: Dataset,
    *,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    shelf: Shelf | None,
    on_epoch: OnEpoch = lambda epoch: None,
    on_watched: OnWatched = lambda watched: None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Session, Mapping[str, str]]:
    """All that a run needs before it trains, and the hashes of its backbone; raises what `train_run` does."""
    watch = Stopwatch()
    torch.manual_seed(settings.seed)  # dropout and stochastic depth draw from the global generator
    on_progress(Progress(phase="build", done=0, total=1))
    check_model(settings)
    compute = choose_compute(settings)
    prepare_device(compute.device)
    loaders = build_run_loaders(settings, dataset, compute.device)
    check_trainable(dataset, loaders.split)
    torch.set_num_threads(compute.threads)
    kept = shelf if compute.device == "cpu" else None
    model, hashes = _build(settings, len(dataset.class_names), compute.device, kept, on_progress, should_stop)
    session = Session(
        settings=settings,
        model=model,
        loaders=loaders,
        compute=compute,
        watch=watch,
        on_progress=on_progress,
        on_epoch=on_epoch,
        on_watched=on_watched,
        should_stop=should_stop,
        checkpoint=checkpoint or Checkpoint(),
    )
    return session, hashes


def _wants_memory(error: BaseException) -> bool:
    """Whether it is for want of memory; on the processor torch and ONNX Runtime say so in words only."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(words in str(error) for words in ("allocate memory", "bad_alloc"))


def _too_large(settings: RunSettings) -> str:
    """That the device's memory is not enough, and what to try."""
    device = device_for(settings)
    if device.kind == "cpu":
        return out_of_memory(settings)
    return out_of_memory(settings, str(device), "a smaller backbone, or the device cpu")


def _build(
    settings: RunSettings,
    num_classes: int,
    device: DeviceKind,
    shelf: Shelf | None,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> tuple[TransferModel, Mapping[str, str]]:
    """The network as it starts, and the hashes of its backbone."""

    def on_download(done: int, total: int) -> None:
        if should_stop():
            raise Cancelled
        on_progress(Progress(phase="download", done=done, total=total))

    kept = shelf.take(settings.model) if shelf else None
    if kept:
        model = kept.with_head(num_classes, seed=settings.seed)
    else:
        start, backbone = settings.model.start, settings.model.backbone
        model = build_model(
            backbone, num_classes, start=start, seed=settings.seed, on_progress=on_download, device=device
        )
    apply_scenario(model, settings.model)
    return model, kept.hashes if kept else state_hashes(model.backbone)


def _trained(session: Session, hashes: Mapping[str, str], shelf: Shelf | None) -> Trained:
    """Train the way the scenario says; `hashes` are the backbone's from before. The model comes to the processor."""
    settings, model, device = session.settings, session.model, session.compute.device
    head_hash, old = _combined_hash(state_hashes(model.head)), snapshot(model)
    best, test = WAYS[settings.model.row.way](session)
    model.to("cpu")
    freeze_audit = audit(hashes, state_hashes(model.backbone), frozen_names(model))
    if shelf and freeze_audit.bit_identical:
        shelf.put(settings.model, model, hashes)
    return Trained(
        model=model,
        preprocessing=preprocessing_of(settings.model.backbone),
        split=session.loaders.split,
        history=tuple(session.history),
        best=best,
        test=test,
        audit=freeze_audit,
        drift=measure_drift(model, old),
        parameters=count_parameters(model),
        head_hash=head_hash,
        head=session.head,
        compute=session.compute,
        watch=session.watch,
        device=device_use(device),
    )


def _combined_hash(hashes: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()
