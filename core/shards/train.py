"""From a large data set to a tested head: the frozen strategy, on shards. What comes out is kept, with its predictions.

Legend: N pictures of a shard, T test pictures of it, F features, K classes.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.comparison.metrics import Rate, balanced_accuracy, log_losses
from core.comparison.statistics import rate
from core.data.parts import find_lacks
from core.errors import DatasetError, shown
from core.home import sealed, unsealed, write_atomically
from core.machine.facts import this_machine
from core.machine.speeds import Engine
from core.models.accel import one_thread
from core.records import read_json
from core.settings.schema import RunSettings
from core.settings.versions import to_dict
from core.shards.executor import Executor
from core.shards.features import Recipe, compute_features, load_features, recipe_of
from core.shards.head import BATCH_ROWS, LargeHead, ShardRows, solve_large
from core.shards.large_set import TEST, TRAIN, VAL, Columns, LargeSet, columns_of, divide, test_part_of
from core.shards.objects import drop, find, is_done, making
from core.shards.taking_in import Codes
from core.training.plan import views_of
from core.training.weighting import class_weights

ABOUT: Final = "result.json"
HEAD: Final = "head.safetensors"
FILE: Final = "predictions.safetensors"
PARTS: Final = {"train": TRAIN, "val": VAL, "test": TEST}
Say = Callable[[str], None]
"""Shows one line of progress."""


@dataclass(frozen=True, kw_only=True)
class LargeResult:
    """A head that was trained on a large data set and tested. Accuracies are fractions, times seconds."""

    id: str
    data: str
    title: str
    classes: tuple[str, ...]
    backbone: str
    seed: int
    settings: dict[str, object]
    weights: str | None
    engine: Engine
    counts: dict[str, tuple[int, ...]]
    """Pictures of each class in train, val and test."""
    test_part: str
    """As a run's record has it: results that share it were tested on the same pictures."""
    test: Rate
    val_accuracy: float
    balanced_accuracy: float | None
    log_loss: float
    confusion: tuple[tuple[int, ...], ...]
    """Rows: true class; columns: predicted."""
    lacks: tuple[str, ...]
    """Which classes its parts lack, in sentences that belong beside its accuracy."""
    l2: float
    solved_on: int
    iterations: int
    passes: int
    gradient: float
    predictions: tuple[str, ...]
    """Names of the predictions of each shard."""
    near_copies: bool
    """Whether near copies were kept on one side of the split."""
    seconds: dict[str, float]
    machine: str
    version: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class TestTask:
    """What is judged of one shard."""

    features: str
    classes: np.ndarray
    """(N,) int16."""
    parts: np.ndarray
    """(N,) uint8."""
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What a head says about a shard's pictures, counted."""

    name: str
    """Of the predictions that are kept."""
    confusion: np.ndarray
    """(K, K) int64, over test."""
    test_loss: float
    """Summed."""
    val_right: int


def train_large(data: LargeSet, settings: RunSettings, work: Executor, say: Say = lambda text: None) -> LargeResult:
    """Features where they are missing, the head, its test; a result that is there already is found.

    Raises:
        SettingsError: the settings name a device that is not here.
        WeightsError: the backbone's weights cannot be had.
        DatasetError: the pictures cannot be divided.
        StorageError: a shard or its features are missing or damaged.
    """
    recipe = recipe_of(settings)
    name = _name_of(data, settings, recipe)
    if is_done("results", name):
        return load_result(name)
    watch: dict[str, float] = {}
    with _timed(watch, "features"):
        compute_features(data, recipe, work, lambda done, total: say(f"features: shard {done:,} of {total:,}"))
    with _timed(watch, "parts"):
        columns = columns_of(data, settings.seed)
        parts = divide(data, columns, settings.data)
    say("head")
    with _timed(watch, "head"):
        found = _solve(data, settings, recipe, columns, parts, work)
    say("test")
    with _timed(watch, "test"):
        judged = list(work.map(judge, _tests(data, recipe, columns, parts, found)))
    result = _result(name, data, settings, recipe, columns, parts, found, judged, watch)
    with making("results", name) as folder:
        save_file({"weight": found.head.weight.contiguous(), "bias": found.head.bias}, folder / HEAD)
        write_atomically(folder / ABOUT, sealed(json.dumps(asdict(result)).encode()))
    return result


@contextmanager
def _timed(watch: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    watch[phase] = round(time.perf_counter() - start, 3)


def _name_of(data: LargeSet, settings: RunSettings, recipe: Recipe) -> str:
    text = json.dumps([data.id, to_dict(settings), recipe.engine, recipe.weights], sort_keys=True)
    return hashlib.sha256(f"thaw-large-1\n{text}".encode()).hexdigest()[:16]


def _solve(
    data: LargeSet, settings: RunSettings, recipe: Recipe, columns: Columns, parts: Codes, work: Executor
) -> LargeHead:
    optim, train = settings.optim, parts == TRAIN
    counts = np.bincount(columns.classes[train], minlength=len(data.classes)).tolist()
    rows = [
        ShardRows(
            features=tuple(recipe.name_of(shard, view) for view in views_of(settings)),
            places=np.flatnonzero(mine).astype(np.int32),
            targets=classes[mine].astype(np.int16),
            sides=sides[mine],
        )
        for shard, mine, classes, sides in zip(
            data.shards, *map(data.of_shards, (train, columns.classes, columns.sides)), strict=True
        )
    ]
    return solve_large(
        rows,
        len(data.classes),
        work,
        l2=optim.l2,
        label_smoothing=optim.label_smoothing,
        counts=class_weights(optim.class_weights, counts),
    )


def _tests(data: LargeSet, recipe: Recipe, columns: Columns, parts: Codes, found: LargeHead) -> Iterator[TestTask]:
    for shard, classes, mine in zip(data.shards, *map(data.of_shards, (columns.classes, parts)), strict=True):
        yield TestTask(
            features=recipe.name_of(shard, 0),
            classes=classes.astype(np.int16),
            parts=mine,
            weight=found.head.weight,
            bias=found.head.bias,
        )


def judge(task: TestTask) -> Judged:
    """A task: what the head says about a shard's val and test pictures; about test it is kept, picture by picture."""
    with one_thread(), torch.no_grad():
        test, val = (_probabilities(task, part) for part in (TEST, VAL))
    targets = torch.from_numpy(task.classes.astype(np.int64))  # what Ray brings cannot be written to
    in_test, in_val = (targets[torch.from_numpy(task.parts == part)] for part in (TEST, VAL))
    classes = len(task.bias)
    cells = torch.bincount(in_test * classes + test.argmax(1), minlength=classes**2)
    digest = hashlib.sha256(task.features.encode() + task.parts.tobytes())
    digest.update(task.weight.numpy().tobytes() + task.bias.numpy().tobytes())
    name = digest.hexdigest()
    places = torch.from_numpy(np.flatnonzero(task.parts == TEST))
    with making("predictions", name) as folder:
        save_file({"probabilities": test, "targets": in_test, "places": places}, folder / FILE)
    return Judged(
        name=name,
        confusion=cells.view(classes, classes).numpy(),
        test_loss=float(log_losses(in_test.numpy(), test.numpy()).sum()),
        val_right=int((val.argmax(1) == in_val).sum()),
    )


def _probabilities(task: TestTask, part: int) -> Tensor:
    """(T, K) float32 of the pictures of a part."""
    features, places = (
        load_features(task.features, check=part == TEST),
        torch.from_numpy(np.flatnonzero(task.parts == part)),
    )
    pieces = [
        torch.addmm(task.bias, features[some].float(), task.weight.T).softmax(1)
        for some in torch.split(places, BATCH_ROWS)
    ]
    return torch.cat(pieces)


def _result(
    name: str,
    data: LargeSet,
    settings: RunSettings,
    recipe: Recipe,
    columns: Columns,
    parts: Codes,
    found: LargeHead,
    judged: Sequence[Judged],
    watch: dict[str, float],
) -> LargeResult:
    confusion: Codes = np.sum([one.confusion for one in judged], axis=0)
    total, right = int(confusion.sum()), int(np.trace(confusion))
    tested = rate(right, total)
    assert tested is not None
    counts = _counts(data, columns, parts)
    return LargeResult(
        id=name,
        data=data.id,
        title=data.title,
        classes=data.classes,
        backbone=settings.model.backbone,
        seed=settings.seed,
        settings=to_dict(settings),
        weights=recipe.weights,
        engine=recipe.engine,
        counts=counts,
        test_part=test_part_of(data, parts),
        test=tested,
        val_accuracy=sum(one.val_right for one in judged) / sum(counts["val"]),
        balanced_accuracy=balanced_accuracy(confusion),
        log_loss=sum(one.test_loss for one in judged) / total,
        confusion=tuple(map(tuple, confusion.tolist())),
        lacks=tuple(lack.sentence for lack in find_lacks(data.classes, counts)),
        l2=found.head.l2,
        solved_on=found.solved_on,
        iterations=found.head.iterations,
        passes=found.passes,
        gradient=found.gradient,
        predictions=tuple(one.name for one in judged),
        near_copies=data.near_copies,
        seconds=watch,
        machine=str(this_machine()),
    )


def _counts(data: LargeSet, columns: Columns, parts: Codes) -> dict[str, tuple[int, ...]]:
    """Pictures of each class in each part."""
    return {
        part: tuple(np.bincount(columns.classes[parts == code], minlength=len(data.classes)).tolist())
        for part, code in PARTS.items()
    }


def load_result(name: str) -> LargeResult:
    """A result that is kept.

    Raises:
        DatasetError: there is none, or it is damaged.
    """
    path = find("results", name, ABOUT)
    try:
        if path is None:
            raise ValueError("there is none")
        return read_json(unsealed(path.read_bytes())[0], LargeResult)
    except (OSError, ValueError) as error:
        if path and drop("results", name):
            return load_result(name)
        raise DatasetError(f"The result {shown(name)} is not here, or damaged; train again.") from error


def load_predictions(result: LargeResult) -> Iterator[dict[str, Tensor]]:
    """Shard by shard: `probabilities` (T, K) float32, `targets` (T,), and `places` (T,) of the pictures in the shard.

    Raises:
        DatasetError: some are not here any more.
    """
    for name in result.predictions:
        path = find("predictions", name, FILE)
        if path is None:
            raise DatasetError(f"Predictions of {shown(result.id)} are not here any more; train again.")
        yield load_file(path)
