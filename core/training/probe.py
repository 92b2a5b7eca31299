"""A few seconds of real work that tell how fast this machine is.

Processor flags do not tell: bf16 is emulated on some machines that claim it, and slower than fp32 for some layers on
those that have it. So both are timed, on the backbone that is to be used. Nobody waits for that: as long as nothing was
measured, runs start with choices that are safe everywhere, and what measures ends when it is asked to.
"""

import io
import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from core.data.reading.decode import decode_picture
from core.machine.devices import DeviceKind, wait_for
from core.machine.facts import usable_cores
from core.machine.process import tricks_wanted
from core.machine.speeds import (
    PRECISIONS,
    WORTH_IT,
    Engine,
    Peaks,
    Precision,
    Speeds,
    Work,
    load_peaks,
    load_speeds,
    save_peaks,
    save_speeds,
)
from core.machine.streams import in_streams
from core.models.accel import LAYOUTS, Forward, engines_of, standing_still
from core.models.build import build_model
from core.models.network import TransferModel
from core.models.weights import preprocessing_of
from core.settings.schema import RunSettings
from core.training.history import Cancelled, ShouldStop
from core.training.loop import cast
from core.training.plan import device_for, training_work

DTYPES: Final[dict[Precision, torch.dtype]] = {"fp32": torch.float32, "bf16": torch.bfloat16}
STEPS: Final[tuple[Work, ...]] = ("train-kept", "train-adapted")
ROUNDS: Final = 3  # the fastest counts, since other programs only ever slow a round down
FORWARD_S: Final = 0.8  # as long as this many seconds have not passed, forward passes take another turn,
STEPS_S: Final = 1.0  # and training steps
TRAIN_BATCH: Final = 4  # a run sends more through at once; but the probe is to be short
LARGER: Final = 1.2  # times as fast are a run's steps; without this runs took 0.6 to 0.9 times as long as was said
MOST_PICTURES: Final = 16  # of a forward pass that is timed, and fewer
FORWARD_GFLOP: Final = 120.0  # where they take more arithmetic than this
SETTLE_S: Final = 1.2
CARD_BATCH: Final = 128  # pictures at once on a graphics card, and fewer
CARD_GFLOP: Final = 500.0  # where they take more arithmetic than this, since activations have to fit, too
CARD_TURNS: Final = 3
HOPELESS: Final = 1.5  # times as long as its rival after one round; where bf16 is emulated it takes 2 to 4 times
EMULATED_FROM: Final = 5.0
"""Times as long as in fp32 from which a small product in bf16 says that larger ones are not worth trying: without the
instructions for it it takes 50 to 100 times, and a network half a minute."""
SMALL: Final = 192  # side of that product: 14 MFLOP, 10 ms at the slowest
Step = tuple[Work, Precision]
Arm = TypeVar("Arm", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """How a run computes: chosen by measurement unless the settings say which precision."""

    threads: int
    features: Precision
    """Of forward passes through what is frozen, over train and val. The test part is always in fp32."""
    train: Precision
    """Of training steps."""
    engine: Engine = "torch"
    """Of forward passes in fp32 through a backbone that stands still."""
    device: DeviceKind = "cpu"
    """Where all of it is done, but for a head that is solved for: that is the processor's work."""


def choose_compute(settings: RunSettings) -> Compute:
    """Device, threads, precision and engine for a run on this machine, as measured, or as is safe where nothing was.

    Raises:
        SettingsError: the settings name a device that is not here.
    """
    device = device_for(settings).kind
    speeds = load_speeds(settings.model.backbone, device)
    compute = _safe(settings.model.backbone) if speeds is None else _fastest_of(speeds, settings)
    if device != "cpu":
        compute = replace(compute, device=device, engine="torch")
    if settings.optim.precision != "auto":
        return replace(compute, features=settings.optim.precision, train=settings.optim.precision)
    return compute


def _fastest_of(speeds: Speeds, settings: RunSettings) -> Compute:
    features, train = speeds.precision("forward"), speeds.precision(training_work(settings))
    return Compute(threads=speeds.threads, features=features, train=train, engine=speeds.engine)


def _safe(backbone: str) -> Compute:
    """Never far from the fastest: bf16 wins at most a factor of two, and loses one of fifty where it is emulated."""
    return Compute(threads=usable_cores(), features="fp32", train="fp32", engine=engines_of(backbone)[-1])


def known_speeds(
    backbone: str, again: bool = False, should_stop: ShouldStop = lambda: False, device: DeviceKind = "cpu"
) -> Speeds:
    """The speeds of a backbone on a device of this machine, measured now if they never were, or `again`.

    Raises:
        Cancelled: `should_stop` said so, while it was measured.
    """
    speeds = None if again else load_speeds(backbone, device)
    if speeds is None:
        speeds = measure_speeds(backbone, should_stop, device)
        save_speeds(backbone, speeds, device)
    return speeds


def known_peaks(again: bool = False, should_stop: ShouldStop = lambda: False) -> Peaks:
    """The machine's peaks, measured now if they never were, or `again`.

    Raises:
        Cancelled: `should_stop` said so, while they were measured.
    """
    peaks = None if again else load_peaks()
    if peaks is None:
        peaks = measure_peaks(should_stop)
        save_peaks(peaks)
    return peaks


def measure_speeds(backbone: str, should_stop: ShouldStop = lambda: False, device: DeviceKind = "cpu") -> Speeds:
    """Time forward passes and training steps on random pictures, from a random start; leaves the best thread number.

    Raises:
        Cancelled: `should_stop` said so, before one of them.
    """
    if device != "cpu":
        return measure_card(backbone, device, should_stop)
    model = build_model(backbone, 2, start="none", seed=0)
    side = preprocessing_of(backbone).image_size
    pictures = max(TRAIN_BATCH, min(MOST_PICTURES, int(FORWARD_GFLOP / model.spec.forward_gflop)))
    images = torch.rand(pictures, 3, side, side).contiguous(memory_format=torch.channels_last)
    threads = _best_threads(model.eval(), images, should_stop)
    torch.set_num_threads(threads)

    precisions = worthwhile() if tricks_wanted() else ("fp32",)
    passes: dict[str, Callable[[], object]]
    passes = {precision: _task(model, images, "forward", precision) for precision in precisions}
    if "onnxruntime" in engines_of(backbone):
        compiled = standing_still(model.backbone, backbone, "onnxruntime", side=side)
        laid_out = images.contiguous(memory_format=LAYOUTS["onnxruntime"])
        passes["onnxruntime"] = partial(_forward_compiled, compiled, laid_out, threads)
    forward = _race(passes, {"bf16": "fp32"}, within_s=FORWARD_S, should_stop=should_stop)

    # what does not help forward passes helps training even less: nothing is to be chosen then, only estimated
    helps = "bf16" in precisions and forward["bf16"] <= HOPELESS * forward["fp32"]
    steps = {(work, precision): _task(model, images, work, precision) for work in STEPS for precision in precisions}
    seconds = _time_steps(steps, helps, should_stop)

    engines: dict[Engine, float] = {"torch": round(pictures / forward["fp32"], 3)}
    if "onnxruntime" in forward:
        engines["onnxruntime"] = round(threads * pictures / forward["onnxruntime"], 3)
    probed = {f"forward/{precision}": round(pictures / forward[precision], 3) for precision in precisions}
    probed |= {"/".join(arm): round(LARGER * TRAIN_BATCH / step, 3) for arm, step in seconds.items()}
    speeds = Speeds(threads=threads, probed=probed, engines=engines)
    speeds.probed["forward/fp32"] = engines[speeds.engine]
    return speeds


def measure_card(backbone: str, device: DeviceKind, should_stop: ShouldStop = lambda: False) -> Speeds:
    """The same on a graphics card, with as many pictures at once as keep it busy.

    Raises:
        Cancelled: `should_stop` said so, before a pass or step.
    """
    model = build_model(backbone, 2, start="none", seed=0, device=device)
    side = preprocessing_of(backbone).image_size
    pictures = max(CARD_BATCH // 8, min(CARD_BATCH, int(CARD_GFLOP / model.spec.forward_gflop)))
    images = torch.rand(pictures, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
    works: tuple[Work, ...] = ("forward", *STEPS)
    precisions = PRECISIONS if device != "cuda" or torch.cuda.is_bf16_supported(False) else ("fp32",)
    arms = {
        (work, precision): _awaited(_task(model, images, work, precision, pictures), device)
        for work in works
        for precision in precisions
    }
    _race(arms, {}, rounds=0, should_stop=should_stop)  # what each is computed with is loaded, which takes seconds
    seconds = _race(arms, {}, within_s=FORWARD_S + STEPS_S, should_stop=should_stop)
    probed = {"/".join(arm): round(CARD_TURNS * pictures / taken, 3) for arm, taken in seconds.items()}
    return Speeds(threads=usable_cores(), probed=probed, engines={"torch": probed["forward/fp32"]})


def _awaited(work: Callable[[], object], device: DeviceKind) -> Callable[[], object]:
    def done() -> None:
        for _ in range(CARD_TURNS):  # several in a row, as in a run: the next is told while one is computed
            work()
        wait_for(device)

    return done


def _time_steps(steps: Mapping[Step, Callable[[], object]], helps: bool, should_stop: ShouldStop) -> dict[Step, float]:
    """Seconds of every kind of training step; those in bf16 run once if it does not help."""
    halves = {step: work for step, work in steps.items() if step[1] == "bf16"}
    if not helps:
        rest = {step: work for step, work in steps.items() if step not in halves}
        seconds = _race(rest, {}, within_s=STEPS_S, should_stop=should_stop)
        return seconds | _race(halves, {}, rounds=0, should_stop=should_stop)
    rivals: dict[Step, Step] = {step: (step[0], "fp32") for step in halves}
    seconds = _race(steps, rivals, within_s=STEPS_S, should_stop=should_stop)
    won = [(half, rival) for half, rival in rivals.items() if WORTH_IT * seconds[half] < seconds[rival]]
    again = {step: steps[step] for pair in won for step in pair}
    for step, taken in _race(again, {}, rounds=1, should_stop=should_stop).items():
        seconds[step] = min(seconds[step], taken)  # one round may have been disturbed, and this chooses for all runs
    return seconds


def _race(
    arms: Mapping[Arm, Callable[[], object]],
    rivals: Mapping[Arm, Arm],
    *,
    rounds: int = ROUNDS,
    within_s: float = math.inf,
    should_stop: ShouldStop = lambda: False,
) -> dict[Arm, float]:
    """Seconds of every arm's fastest round; they take turns, so that no disturbance falls on one of them alone.

    Args:
        rivals: arms that only matter if they are faster than another one; hopeless ones run once after the warm-up.
        rounds: at most, after one to warm up; that one counts where there is no other.
        within_s: once so much time has passed no round begins, beyond the warm-up.

    Raises:
        Cancelled: `should_stop` said so, before a turn.
    """
    fastest, start = dict.fromkeys(arms, math.inf), time.perf_counter()
    warm_up: dict[Arm, float] = {}
    for number in range(rounds + 1):
        if number and time.perf_counter() - start > within_s:
            break
        for arm, work in arms.items():
            if number > 1 and arm in rivals and fastest[arm] > HOPELESS * fastest[rivals[arm]]:
                continue
            if should_stop():
                raise Cancelled
            seconds = _seconds(work)
            if number > 0:
                fastest[arm] = min(fastest[arm], seconds)
            else:
                warm_up[arm] = seconds
    return {arm: warm_up[arm] if seconds == math.inf else seconds for arm, seconds in fastest.items()}


def _task(
    model: TransferModel, images: Tensor, work: Work, precision: Precision, pictures: int = TRAIN_BATCH
) -> Callable[[], object]:
    """A forward pass of all images, or a training step of so many pictures."""
    if work == "forward":
        return lambda: _forward(model.eval(), images, precision)

    targets = torch.arange(pictures, device=images.device) % 2

    def step() -> None:
        model.statistics_kept = work == "train-kept"
        model.train()
        model.zero_grad(set_to_none=True)
        with cast(precision, images.device.type):
            loss = nn.functional.cross_entropy(model(images[:pictures]).float(), targets)
        torch.autograd.backward(loss)

    return step


def _forward_compiled(compiled: Forward, images: Tensor, threads: int) -> None:
    """As many batches as threads, at once."""
    for _ in in_streams(compiled, [images] * threads, threads):
        pass


@torch.no_grad()
def _forward(model: nn.Module, images: Tensor, precision: Precision) -> None:
    with cast(precision, images.device.type):
        model(images)


def _best_threads(model: nn.Module, images: Tensor, should_stop: ShouldStop = lambda: False) -> int:
    """All usable cores, or, from four on, half of them where two share one arithmetic unit.

    Threads that were just made take up to a second until each has a core to itself, so all are kept busy for longer.
    """
    cores, seconds = usable_cores(), {}
    if cores < 4:
        return cores
    for threads in (cores, cores // 2):
        torch.set_num_threads(threads)
        start = time.perf_counter()
        while time.perf_counter() - start < SETTLE_S:
            if should_stop():
                raise Cancelled
            _forward(model, images, "fp32")
        seconds[threads] = _fastest(lambda: _forward(model, images, "fp32"))
    most, fewer = max(seconds), min(seconds)
    return fewer if seconds[fewer] * WORTH_IT < seconds[most] else most


def measure_peaks(should_stop: ShouldStop = lambda: False) -> Peaks:
    """Time large matrix products, convolutions, sums and decoding; about a second.

    Raises:
        Cancelled: `should_stop` said so, before one of them.
    """
    torch.set_num_threads(usable_cores())
    precisions = worthwhile()
    matmul = _gflops(*_products(precisions), should_stop)
    conv = _gflops(*_convolutions(precisions), should_stop)
    return Peaks(
        matmul_fp32=matmul["fp32"],
        matmul_bf16=matmul.get("bf16"),
        conv_fp32=conv["fp32"],
        conv_bf16=conv.get("bf16"),
        memory=_memory(),
        decode=_decode(),
    )


def _gflops(
    arms: Mapping[Precision, Callable[[], object]], flop: int, should_stop: ShouldStop
) -> dict[Precision, float]:
    rivals: dict[Precision, Precision] = {"bf16": "fp32"}
    seconds = _race(arms, rivals, should_stop=should_stop)
    return {precision: round(flop / taken / 1e9, 1) for precision, taken in seconds.items()}


def worthwhile() -> tuple[Precision, ...]:
    """The precisions that are worth timing on a network: bf16 is not where a small product says that it is emulated."""
    products, _ = _products(PRECISIONS, side=SMALL)
    rivals: dict[Precision, Precision] = {"bf16": "fp32"}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # what is small fits between the turns of other programs
    seconds = _race(products, rivals, rounds=10)
    torch.set_num_threads(threads)
    return ("fp32",) if seconds["bf16"] > EMULATED_FROM * seconds["fp32"] else PRECISIONS


def _products(precisions: Sequence[Precision], side: int = 1024) -> tuple[dict[Precision, Callable[[], object]], int]:
    """A large matrix product in each precision, and its operations."""

    def product(dtype: torch.dtype) -> Callable[[], object]:
        a, b = torch.rand(2, side, side).to(dtype)
        return lambda: a @ b

    return {precision: product(DTYPES[precision]) for precision in precisions}, 2 * side**3


def _convolutions(
    precisions: Sequence[Precision], batch: int = 8, channels: int = 256, side: int = 28
) -> tuple[dict[Precision, Callable[[], object]], int]:
    """A large convolution in each precision, and its operations."""

    def convolution(dtype: torch.dtype) -> Callable[[], object]:
        conv = nn.Conv2d(channels, channels, 3, padding=1, dtype=dtype).to(memory_format=torch.channels_last)
        images = torch.rand(batch, channels, side, side).to(dtype=dtype, memory_format=torch.channels_last)
        return torch.no_grad()(lambda: conv(images))

    flop = 2 * batch * side**2 * channels**2 * 9
    return {precision: convolution(DTYPES[precision]) for precision in precisions}, flop


def _memory(numbers: int = 2**24) -> float:
    a, b, c = torch.ones(3, numbers)
    return round(3 * 4 * numbers / _fastest(lambda: torch.add(a, b, out=c)) / 1e9, 1)


def _decode(photos: int = 32) -> float:
    noise = np.random.default_rng(0).integers(0, 256, (47, 63, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    with ThreadPoolExecutor(usable_cores()) as pool:
        return round(photos / _fastest(lambda: list(pool.map(decode_picture, [file.getvalue()] * photos))), 1)


def _fastest(work: Callable[[], object]) -> float:
    work()
    return min(_seconds(work) for _ in range(ROUNDS))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
