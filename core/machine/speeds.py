"""How fast this machine is, as measured on it: what picks precision and threads, and what every estimate is made of.

Kept in `THAW_HOME/speeds.json`, for each machine on its own. `core.training.probe` measures; no torch here.
"""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

from core.errors import StorageError
from core.home import one_at_a_time, ordinary, server_home, write_atomically
from core.machine.cluster import cores_of_a_run
from core.machine.devices import DeviceKind, find_device
from core.machine.facts import this_machine
from core.machine.process import tricks_wanted
from core.records import Rate, Size, fits

Precision = Literal["fp32", "bf16"]
Engine = Literal["torch", "onnxruntime"]
"""What computes forward passes in fp32 through a backbone that stands still."""
Work = Literal["forward", "train-kept", "train-adapted"]
"""A forward pass; a training step with BatchNorm's statistics kept, or adapted."""

PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "bf16")
WORKS: Final[tuple[Work, ...]] = ("forward", "train-kept", "train-adapted")
WORTH_IT: Final = 1.02  # bf16 has to be so much faster: below that the exacter numbers win
WORTH_A_COPY: Final = 1.1  # another engine has to be so much faster: it holds a copy of the weights
EMULATED: Final = 0.04  # of the speed of fp32: what bf16 is taken for where it was not worth measuring
SLOWEST: Final = 0.4  # what a run saw is believed down to this share of what the probe saw: others may have slowed it
_FILE: Final = "speeds.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Peaks:
    """What the machine can do at best, over large inputs: the yardstick for everything else."""

    matmul_fp32: Rate
    """GFLOP/s, 2 per multiply-add."""
    matmul_bf16: Rate | None
    """None: not measured, since a small product already took many times as long as in fp32."""
    conv_fp32: Rate
    """GFLOP/s of a 3 x 3 convolution over 256 channels."""
    conv_bf16: Rate | None
    memory: Rate
    """GB/s, read and written, by adding two large arrays."""
    decode: Rate
    """Photos of 500 x 375 pixels decoded per second, all cores."""

    def rows(self) -> list[tuple[str, str]]:
        """(what, how much), as shown to a person."""
        measured = (
            ("matrix fp32", self.matmul_fp32, "GFLOP/s"),
            ("matrix bf16", self.matmul_bf16, "GFLOP/s"),
            ("conv fp32", self.conv_fp32, "GFLOP/s"),
            ("conv bf16", self.conv_bf16, "GFLOP/s"),
            ("memory", self.memory, "GB/s"),
            ("decoding", self.decode, "photos/s"),
        )
        return [(what, "not worth it here" if x is None else f"{x:,.0f} {unit}") for what, x, unit in measured]


@dataclass(frozen=True, kw_only=True, slots=True)
class Speeds:
    """Pictures per second of one backbone."""

    threads: Size
    """What was fastest."""
    probed: dict[str, Rate]
    """`work/precision` -> network alone, on random pictures; `forward/fp32` with the engine that is chosen. Without
    bf16 where that is emulated, and so slow that measuring it would take half a minute."""
    engines: dict[Engine, Rate] = field(default_factory=dict)
    """`forward/fp32` with each engine that can be had for this backbone."""
    seen: dict[str, Rate] = field(default_factory=dict)
    """The same in real runs, everything included."""

    @property
    def engine(self) -> Engine:
        """The faster one, by measurement; torch where nothing is gained."""
        torch, other = self.engines.get("torch", 0.0), self.engines.get("onnxruntime", 0.0)
        return "onnxruntime" if other > WORTH_A_COPY * torch else "torch"

    def precision(self, work: Work) -> Precision:
        """The faster one, by measurement."""
        return "bf16" if self.probed.get(f"{work}/bf16", 0.0) > WORTH_IT * self.probed[f"{work}/fp32"] else "fp32"

    def by_precision(self, work: Work) -> dict[Precision, float]:
        """What was measured of this work, in each precision that was worth measuring."""
        return {p: self.probed[f"{work}/{p}"] for p in PRECISIONS if f"{work}/{p}" in self.probed}

    def torch_forward(self, precision: Precision) -> float:
        """Forward passes that torch computes whatever is faster: through part of a backbone, or while it trains."""
        return (
            self.engines["torch"] if precision == "fp32" and self.engine != "torch" else self.rate("forward", precision)
        )

    def rate(self, work: Work, precision: Precision) -> float:
        """What the next run can expect: as in the last one, unless that was disturbed."""
        name = f"{work}/{precision}"
        probed = self.probed.get(name, EMULATED * self.probed[f"{work}/fp32"])
        return max(self.seen.get(name, probed), SLOWEST * probed)


def load_speeds(backbone: str, device: DeviceKind = "cpu") -> Speeds | None:
    """What is known about a backbone on a device of this machine, or None if it was never measured on it."""
    values = _load().get(_machine_key(device), {}).get(backbone)
    return Speeds(**values) if values else None


def save_speeds(backbone: str, speeds: Speeds, device: DeviceKind = "cpu") -> None:
    """Keep what a probe found."""
    _change(backbone, lambda old: asdict(speeds), device)


def remember_seen(
    backbone: str, work: Work, precision: Precision, pictures_per_s: float, device: DeviceKind = "cpu"
) -> None:
    """Keep what a run saw; without a probe there is nothing to hold it against, and it is forgotten."""
    seen = {f"{work}/{precision}": round(pictures_per_s, 2)}
    _change(backbone, lambda old: {**old, "seen": {**old["seen"], **seen}} if old else None, device)


def load_peaks() -> Peaks | None:
    """The machine's peaks, or None if they were never measured."""
    values = _load().get(_machine_key(), {}).get("peaks")
    return Peaks(**values) if values else None


def save_peaks(peaks: Peaks) -> None:
    """Keep what a probe found."""
    _change("peaks", lambda old: asdict(peaks))


def _change(
    name: str, change: Callable[[dict[str, Any] | None], dict[str, Any] | None], device: DeviceKind = "cpu"
) -> None:
    """Put what `change` makes of a row in its place, one process after the other; None leaves all as it is.

    As well as it can be done: what is not kept is measured anew, and nobody's work ends for it.
    """
    try:
        with one_at_a_time("speeds", lambda: None):
            table = _load()
            rows = table.setdefault(_machine_key(device), {})
            values = change(rows.get(name))
            if values is not None:
                rows[name] = values
                write_atomically(server_home() / _FILE, json.dumps(table, indent=1).encode())
    except (StorageError, OSError) as error:
        _log.warning("speeds were not kept: %s", error)


def _load() -> dict[str, dict[str, Any]]:
    path = server_home() / _FILE
    try:
        table = json.loads(ordinary(path).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: rows for key, rows in table.items() if _readable(rows)} if isinstance(table, dict) else {}


def _readable(rows: Any) -> bool:
    """Whether every entry has the fields of today, as they should be: another file is measured anew."""
    return isinstance(rows, dict) and all(
        _are_peaks(values) if name == "peaks" else _are_speeds(values) for name, values in rows.items()
    )


def _are_peaks(values: Any) -> bool:
    return fits(values, Peaks) and set(values) == {spec.name for spec in fields(Peaks)}


def _are_speeds(values: Any) -> bool:
    """Complete as today's files are: with nothing left to a default."""
    if not fits(values, Speeds) or set(values) != {spec.name for spec in fields(Speeds)}:
        return False
    names, engines = {f"{work}/{precision}" for work in WORKS for precision in PRECISIONS}, values["engines"]
    halves = {f"{work}/bf16" for work in WORKS}
    return (
        set(values["probed"]) in (names, names - halves)
        and set(values["seen"]) <= names
        and (not engines or "torch" in engines)
    )


def _machine_key(device: DeviceKind = "cpu") -> str:
    """All that a speed depends on beside the backbone; the variable caps what oneDNN may use of the processor."""
    machine, card = this_machine(), "" if device == "cpu" else find_device(device).name
    allowed, plain = os.environ.get("ONEDNN_MAX_CPU_ISA", ""), "" if tricks_wanted() else "plain"
    cores = min(machine.cores, cores_of_a_run() or machine.cores)
    return " | ".join(
        filter(None, (machine.processor, f"{cores} cores", f"torch {machine.torch}", allowed, plain, card))
    )
