"""The devices that training can compute on: this processor, and a graphics card where there is one.

Torch takes seconds to load. It is asked only where the system shows signs of another device; and by whoever computes.
"""

import platform
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from core.errors import SettingsError
from core.machine.facts import this_machine, usable_memory

if TYPE_CHECKING:
    import torch

DeviceKind = Literal["cuda", "mps", "cpu"]
"""As torch calls them: NVIDIA's cards (and AMD's, where torch was built for them), Apple's, and the processor."""
_SIGNS: Final = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # of a driver: NVIDIA's, Windows' within Linux, AMD's
_KEPT_SHARE: Final = 0.25  # of the device's free memory that decoded pictures may take


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """Something that torch can compute on here."""

    kind: DeviceKind
    name: str
    """As its maker calls it: "NVIDIA H100 80GB HBM3"."""
    memory_bytes: int
    """That it has, or may use."""

    def __str__(self) -> str:
        return f"{self.name}, {self.memory_bytes / 1024**3:.0f} GB"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceUse:
    """The device that a run was computed on, and what it took of it."""

    kind: DeviceKind = "cpu"
    name: str = ""
    """As its maker calls it; empty in older runs."""
    memory_bytes: int | None = None
    """That it has, or may use."""
    peak_bytes: int | None = None
    """Most that torch held there; None on a processor, where the process's memory is what counts."""

    def __str__(self) -> str:
        return "the processor" if self.kind == "cpu" else self.name


def devices() -> tuple[Device, ...]:
    """What is here, the one that is usually fastest first; the processor always is, and comes last."""
    here = this_machine()
    cpu = Device(kind="cpu", name=here.processor, memory_bytes=usable_memory())
    return (*_accelerators(), cpu) if _may_have_more() else (cpu,)


def find_device(kind: DeviceKind) -> Device:
    """The device of a kind.

    Raises:
        SettingsError: there is none here.
    """
    here = devices()
    for device in here:
        if device.kind == kind:
            return device
    names = ", ".join(device.kind for device in here)
    what = "no graphics card that torch can use" if kind == "cuda" else "no Apple GPU that torch can use"
    raise SettingsError(f"device is {kind}; this machine has {what}. What is here: {names}.")


def _may_have_more() -> bool:
    """Whether there are signs of another device than the processor, and torch was built for one."""
    system = platform.system()
    if system == "Darwin":
        return platform.machine() == "arm64"
    return not this_machine().torch.endswith("+cpu") and (system == "Windows" or any(map(_is_there, _SIGNS)))


def _is_there(path: str) -> bool:
    return Path(path).exists()


@cache
def _accelerators() -> tuple[Device, ...]:
    """The first card of each kind, as torch finds it."""
    import torch

    found = []
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        found.append(Device(kind="cuda", name=card.name, memory_bytes=card.total_memory))
    if torch.backends.mps.is_available():
        memory = torch.mps.recommended_max_memory()
        found.append(Device(kind="mps", name=f"{this_machine().processor} GPU", memory_bytes=memory))
    return tuple(found)


def prepare_device(kind: DeviceKind) -> None:
    """Before a run computes on a device: fp32 means fp32, and its memory is counted anew.

    NVIDIA's cards would round what is multiplied in a convolution to 10 bits, unasked (TF32).
    """
    if kind != "cuda":
        return
    import torch

    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def wait_for(kind: DeviceKind) -> None:
    """Until a device has done all that it was told to; the processor has."""
    import torch

    if kind == "cuda":
        torch.cuda.synchronize()
    elif kind == "mps":
        torch.mps.synchronize()


def device_use(kind: DeviceKind) -> DeviceUse:
    """A device, and the most that torch has held there since `prepare_device`, where it counts that."""
    import torch

    device, peak = find_device(kind), torch.cuda.max_memory_allocated() if kind == "cuda" else None
    return DeviceUse(kind=kind, name=device.name, memory_bytes=device.memory_bytes, peak_bytes=peak)


def room_for_pictures(kind: DeviceKind) -> int:
    """Bytes of decoded pictures that may stay on a device: none on a processor, which reads them from a file."""
    import torch

    return int(_KEPT_SHARE * torch.cuda.mem_get_info()[0]) if kind == "cuda" else 0


def brought_back(outputs: Iterable["torch.Tensor"]) -> Iterator["torch.Tensor"]:
    """The same tensors on the processor; from a card each comes over while the next is computed."""
    import torch

    waiting: deque[tuple[torch.Tensor, torch.cuda.Event]] = deque()
    for output in outputs:
        if output.device.type != "cuda":
            yield output.cpu()
            continue
        copy = output.to("cpu", non_blocking=True)
        arrived = torch.cuda.current_stream().record_event()
        waiting.append((copy, arrived))
        if len(waiting) > 1:
            yield _awaited(*waiting.popleft())
    for copy, arrived in waiting:
        yield _awaited(copy, arrived)


def _awaited(copy: "torch.Tensor", arrived: "torch.cuda.Event") -> "torch.Tensor":
    arrived.synchronize()
    return copy


def to_device(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """A tensor on a device, without waiting for what that has to do before."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
