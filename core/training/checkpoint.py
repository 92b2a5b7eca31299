"""Training that goes on where it stood: after an epoch, everything that the next one depends on, in one file.

Order, augmentation and the schedule are functions of seed, epoch and picture, so that a run that is taken up again
gives the same numbers, bit by bit, as one that was never interrupted.
A file that another machine, number of threads or version of torch wrote is not used: the run then begins anew.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load, save
from torch import Tensor

from core.errors import StorageError
from core.home import ordinary, write_atomically
from core.records import typed
from core.training.history import EpochRecord, Stopwatch
from core.training.loop import Best, Stepper

SAVE_EVERY_S: Final = 20.0
"""So often at most: a file is several times as large as the network, and writing it costs a fraction of a second."""
_DIGEST_BYTES: Final = 32
_log = logging.getLogger(__name__)


class Checkpoint:
    """The file of one run; without a path nothing is kept."""

    def __init__(
        self,
        path: Path | None = None,
        while_ours: Callable[[], AbstractContextManager[object]] = nullcontext,
        kept: Callable[[Path], object] = lambda path: None,
    ) -> None:
        """`while_ours`: entered to put a file in its place; raises where the run is another worker's by now.

        `kept`: told of each file that is in its place.
        """
        self._path, self._while_ours, self._kept, self._saved = path, while_ours, kept, time.monotonic()

    def save(
        self, sign: str, stepper: Stepper, best: Best, history: Sequence[EpochRecord], watch: Stopwatch, done: float
    ) -> None:
        """Write what the next epoch depends on, if that was not done lately; the old file stays until the new is whole.

        Args:
            sign: names everything that must be the same for the same numbers to come out.
            done: of the plan's units.
        """
        if self._path is None or time.monotonic() - self._saved < SAVE_EVERY_S:
            return
        values = {
            "sign": sign,
            "done": done,
            "history": [asdict(record) for record in history],
            "best": {name: getattr(best, name) for name in ("epoch", "val_loss", "val_accuracy")},
            "rates": [group["lr"] for group in stepper.optimizer.param_groups],
            "schedule": stepper.schedule.state_dict(),
            "watch": {"seconds": watch.seconds, "work": watch.work, "elapsed": watch.elapsed()},
            "paces": [[*key, *value] for key, value in watch.paces.items()],
        }
        tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in _tensors(stepper, best)}
        content = save(tensors, metadata={"values": json.dumps(values)})
        try:
            write_atomically(self._path, content + hashlib.sha256(content).digest(), self._while_ours)
            self._kept(self._path)
        except StorageError as error:  # training goes on, and the next time there may be room
            _log.warning("no checkpoint was written: %s", error)
        self._saved = time.monotonic()

    def load(self, sign: str, stepper: Stepper, best: Best, watch: Stopwatch) -> tuple[list[EpochRecord], float] | None:
        """Put everything back as it was after the last epoch that was kept.

        Returns:
            All epochs until then, and the plan's units that were done; None where there is nothing to go on from.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            values, tensors = _read(self._path)
        except (OSError, ValueError, LookupError, TypeError) as error:
            _log.warning("a checkpoint could not be read, so the run begins anew: %s", error)
            return None
        if values["sign"] != sign:
            _log.warning("a checkpoint was made in other circumstances, so the run begins anew")
            return None
        _restore(values, tensors, stepper, best)
        _go_on(watch, values)
        self._saved = time.monotonic()
        return typed(values["history"], list[EpochRecord]), float(values["done"])

    def remove(self) -> None:
        """The run has ended. What cannot be removed now is swept when the next worker starts."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


def _tensors(stepper: Stepper, best: Best) -> Iterator[tuple[str, Tensor]]:
    for kind, state in _states(stepper, best):
        yield from ((f"{kind}.{name}", tensor) for name, tensor in state.items())
    for place, parameter in enumerate(_parameters(stepper)):
        for name, value in stepper.optimizer.state[parameter].items():
            if value is not None:
                yield f"optimizer.{place}.{name}", value
    yield "random", torch.get_rng_state()
    if best.val_probabilities is not None:
        yield "probabilities", best.val_probabilities


def _states(stepper: Stepper, best: Best) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
    yield "model", stepper.model.state_dict()
    if stepper.average is not None:
        yield "average", stepper.average.state_dict()
    if best.state is not None:
        yield "best", best.state


def _parameters(stepper: Stepper) -> list[Tensor]:
    return [parameter for group in stepper.optimizer.param_groups for parameter in group["params"]]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Raises ValueError and its like where it is not what was written."""
    content = ordinary(path).read_bytes()
    if hashlib.sha256(content[:-_DIGEST_BYTES]).digest() != content[-_DIGEST_BYTES:]:
        raise ValueError("it has changed since it was written")
    header = int.from_bytes(content[:8], "little")
    values = json.loads(json.loads(content[8 : 8 + header])["__metadata__"]["values"])
    return dict(values), load(content[:-_DIGEST_BYTES])


def _restore(values: Mapping[str, Any], tensors: Mapping[str, Tensor], stepper: Stepper, best: Best) -> None:
    def of(kind: str) -> dict[str, Tensor]:
        prefix = f"{kind}."
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    state = stepper.model.state_dict()
    stepper.model.load_state_dict(of("model"))
    if stepper.average is not None:
        stepper.average.load_state_dict(of("average"))
    kept = of("best")
    judged = stepper.judged.state_dict() if set(kept) == set(stepper.judged.state_dict()) else state
    best.state = {name: _like(judged.get(name), tensor) for name, tensor in kept.items()} or None
    best.val_probabilities = tensors.get("probabilities")
    for name, value in values["best"].items():
        setattr(best, name, value)
    for place, parameter in enumerate(_parameters(stepper)):
        found = of(f"optimizer.{place}")
        if found:
            stepper.optimizer.state[parameter] = {name: _like(parameter, value) for name, value in found.items()}
    for group, rate in zip(stepper.optimizer.param_groups, values["rates"], strict=True):
        group["lr"] = rate
    stepper.schedule.load_state_dict(values["schedule"])
    torch.set_rng_state(tensors["random"])


def _like(model: Tensor | None, value: Tensor) -> Tensor:
    """The same numbers, laid out in memory as they were: sums depend on the order in which they are made."""
    if model is None or model.shape != value.shape:
        return value
    return torch.empty_like(model, dtype=value.dtype, requires_grad=False).copy_(value)


def _go_on(watch: Stopwatch, values: Mapping[str, Any]) -> None:
    """The clock as it stood; what has been done again since then is not counted."""
    watch.seconds, watch.work = dict(values["watch"]["seconds"]), dict(values["watch"]["work"])
    watch.paces = {(work, precision): (number, s) for work, precision, number, s in values["paces"]}
    watch.go_on_from(values["watch"]["elapsed"])
