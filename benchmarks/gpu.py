"""Thaw on a graphics card against the same machine's processor: `python benchmarks/gpu.py ZIP [--device D] [--quick]`.

Frozen, fine-tuned and probe-then-fine-tune on the photos in ZIP (ants and bees), each after a run that warms up, with
nothing in the cache; how long the card waits; then steps of ResNet-50 on random pictures in fp32 and in the precision
that was measured to be faster, with pictures from our loader and with one batch that lies there already. A card is
busy from the moment a pass or step begins on it until it ends, as its own clock says, so within a step nothing is seen.
Prints Markdown. Needs no database, and of Thaw's requirements only those that train.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.process import keep_freed_memory, prepare_process

prepare_process()
keep_freed_memory()

import numpy as np
import torch
from torch import Tensor

from core.augment.pipelines import normalise
from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.data.loaders import Loaders
from core.machine.devices import DeviceKind, find_device, prepare_device, wait_for
from core.machine.facts import this_machine
from core.machine.speeds import WORKS, Precision
from core.models.build import build_model
from core.models.freezing import apply_scenario, parameter_groups
from core.models.network import TransferModel
from core.models.weights import preprocessing_of
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training import scenarios
from core.training.loop import Batches, Stepper, train_one_epoch
from core.training.losses import build_loss
from core.training.optimizers import build_optimizer, build_schedule
from core.training.probe import known_speeds
from core.training.scenarios import Trained, build_run_loaders, train_run

LITE0 = ModelSettings().backbone
Moment = tuple[torch.cuda.Event, torch.cuda.Event]


@dataclass
class Clock:
    """When the card was at work, by its own clock; of what a processor computes nothing is noted."""

    moments: list[Moment] = field(default_factory=list)
    inside: bool = False

    @contextmanager
    def at_work(self, inputs: Tensor) -> Iterator[None]:
        if self.inside or not inputs.is_cuda:
            yield
            return
        start, end = (cast(Any, torch.cuda.Event)(enable_timing=True) for _ in range(2))
        self.inside = True
        start.record()
        yield
        end.record()
        self.inside = False
        self.moments.append((start, end))

    def busy_s(self) -> float:
        """Seconds since this was last asked."""
        if not self.moments:
            return 0.0
        torch.cuda.synchronize()
        busy = sum(float(start.elapsed_time(end)) for start, end in self.moments) / 1000
        self.moments.clear()
        return busy


CLOCK = Clock()


def watch_the_card() -> None:
    """Note every step, and every pass through a backbone."""
    run: Any = scenarios
    step, build = Stepper.step, run.build_model

    def noted_step(self: Stepper, inputs: Tensor, targets: Tensor) -> Any:
        with CLOCK.at_work(inputs):
            return step(self, inputs, targets)

    def noted_build(*given: Any, **named: Any) -> TransferModel:
        model: TransferModel = build(*given, **named)
        forward = model.backbone.forward

        def noted_forward(images: Tensor) -> Tensor:
            with CLOCK.at_work(images):
                output: Tensor = forward(images)
                return output

        model.backbone.forward = noted_forward
        return model

    Stepper.step = noted_step  # type: ignore[method-assign]
    run.build_model = noted_build


def trained(dataset: Dataset, scenario: str, device: DeviceKind, epochs: int) -> tuple[Trained, float]:
    """A run with nothing in the cache, and the seconds it took."""
    shutil.rmtree(Path(os.environ["THAW_HOME"]) / "cache" / "features", ignore_errors=True)
    settings = RunSettings(
        model=ModelSettings(scenario=scenario), optim=OptimSettings(epochs=epochs, device=cast(Any, device))
    )
    CLOCK.busy_s()
    start = time.perf_counter()
    run = train_run(settings, dataset)
    return run, time.perf_counter() - start


def run_row(dataset: Dataset, scenario: str, device: DeviceKind, epochs: int, warm: bool) -> str:
    if warm:
        trained(dataset, scenario, device, 1)
    run, seconds = trained(dataset, scenario, device, epochs)
    busy, phases = CLOCK.busy_s(), run.watch.seconds
    waits = f"{1 - busy / seconds:.0%}, {1 - busy / sum(phases.values()):.0%}" if busy else ""
    parts = ", ".join(f"{name} {phases[name]:.2f}" for name in ("features", "train", "val", "test") if name in phases)
    peak = f"{run.device.peak_bytes / 2**30:.2f}" if run.device.peak_bytes else ""
    passes = f"{run.compute.features} / {run.compute.train}"
    taken = f"{epochs if scenario != 'frozen' else ''} | {passes} | {seconds:.2f} | {parts}"
    audit = "yes" if run.audit.bit_identical else "" if not run.audit.checked else "NO"
    return f"| {scenario} | {device} | {taken} | {run.test.accuracy:.1%} | {waits} | {peak} | {audit} |"


def runs(dataset: Dataset, device: DeviceKind, quick: bool) -> Iterator[str]:
    """Each scenario on the device, and on the processor if that is another."""
    yield (
        "| scenario | device | epochs | features / train in | seconds | of them | test accuracy | card waits "
        "(of all, of the phases) | peak GiB | frozen part bit-identical |"
    )
    yield "|" + "---|" * 10
    epochs = 1 if quick else 5
    for scenario in ("frozen", "finetuned", "probe-then-finetune"):
        yield run_row(dataset, scenario, device, epochs, warm=not quick)
    if device != "cpu":
        yield run_row(dataset, "frozen", "cpu", 1, warm=True)
        yield run_row(dataset, "finetuned", "cpu", 1, warm=False)


def random_loaders(backbone: str, device: DeviceKind, count: int, batch: int) -> Loaders:
    """Our loaders over random pictures of the size in which photos are kept."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 256, 341, 3), dtype=np.uint8)
    rows = [SimpleNamespace(content=str(n), group=str(n), side=str(n), target=n % 2) for n in range(count)]
    wanted = tuple(range(count))
    split = SimpleNamespace(train=wanted, val=(), test=(), part=lambda name: wanted)
    dataset: Any = SimpleNamespace(pictures=rows, pixels=[pixels[n % 64] for n in wanted], split=lambda *_: split)
    settings = RunSettings(model=ModelSettings(backbone=backbone), optim=OptimSettings(batch_size=batch))
    return build_run_loaders(settings, dataset, device)


def stepper(backbone: str, device: DeviceKind, precision: Precision, steps: int) -> Stepper:
    """What fine-tuning from random weights does with a batch."""
    model = build_model(backbone, 2, start="none", seed=0, device=device)
    apply_scenario(model, ModelSettings(backbone=backbone, scenario="finetuned", weights="none"))
    head, stages = parameter_groups(model)
    optimizer = build_optimizer(
        "adamw", head, stages, lr=1e-4, backbone_lr=1e-4, stage_decay=1.0, momentum=0.9, weight_decay=0.01
    )
    schedule, loss = build_schedule("constant", optimizer, steps), build_loss(None)
    return Stepper(model=model, loss_fn=loss, optimizer=optimizer, schedule=schedule, precision=precision)


def pictures_per_s(take: Callable[[int], object], pictures: int, device: DeviceKind, epochs: int) -> tuple[float, str]:
    """After one epoch that warms up; and the share of the time that the card waits."""
    take(1)
    wait_for(device)
    CLOCK.busy_s()
    start = time.perf_counter()
    for epoch in range(2, epochs + 2):
        take(epoch)
    wait_for(device)
    seconds = time.perf_counter() - start
    busy = CLOCK.busy_s()
    return pictures * epochs / seconds, f"{1 - busy / seconds:.0%}" if busy else ""


def steps(backbone: str, device: DeviceKind, chosen: Precision, count: int, batch: int, epochs: int) -> Iterator[str]:
    """Pictures per second of training steps, by precision and by where the pictures come from."""
    yield f"| {backbone}, batches of {batch} | in | pictures/s | card waits |"
    yield "|---|---|---|---|"
    loaders, preprocessing = random_loaders(backbone, device, count, batch), preprocessing_of(backbone)
    kind = torch.device(device)
    images = torch.rand(batch, 3, 224, 224, device=kind).contiguous(memory_format=torch.channels_last)
    targets = torch.arange(batch, device=kind) % 2

    def ours(epoch: int) -> Batches:
        for some, wanted, _ in loaders.train(epoch):
            yield normalise(some.to(kind), preprocessing), wanted

    def lying_there(epoch: int) -> Batches:
        return [(images, targets)] * (count // batch)

    def only_ours(epoch: int) -> None:
        for _ in ours(epoch):
            pass

    for precision in dict.fromkeys(("fp32", chosen)):
        for name, batches in (("our loader", ours), ("one batch, again and again", lying_there)):
            how = stepper(backbone, device, precision, 10**6)

            def take(epoch: int, how: Stepper = how, batches: Callable[[int], Batches] = batches) -> object:
                return train_one_epoch(how, batches(epoch), lambda number, loss: None)

            rate, waits = pictures_per_s(take, count // batch * batch, device, epochs)
            yield f"| {name} | {precision} | {rate:,.0f} | {waits} |"
    rate, _ = pictures_per_s(only_ours, count, device, epochs)
    yield f"| our loader alone: crops, mirroring, normalising | | {rate:,.0f} | |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("zip")
    parser.add_argument("--device", default="cuda", choices=("cuda", "mps", "cpu"))
    parser.add_argument("--quick", action="store_true", help="few pictures, small networks: to see that it goes")
    arguments = parser.parse_args()
    device: DeviceKind = arguments.device
    say: Callable[[str], None] = partial(print, flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        os.environ["THAW_HOME"] = home
        prepare_device(device)
        say(f"{find_device(device)}; {this_machine()}; torch {torch.__version__}\n")
        network = "resnet18" if arguments.quick else "resnet50"
        chosen = {}
        for name in (LITE0, network):
            speeds = known_speeds(name, device=device)
            chosen[name] = speeds.precision("train-adapted")
            rates = "; ".join(f"{work} {speeds.by_precision(work)}" for work in WORKS)
            say(f"{name}, pictures/s of the network alone: {rates}\n")
        if device != "cpu":
            known_speeds(LITE0)
        watch_the_card()
        dataset = ingest(arguments.zip).dataset
        for row in runs(dataset, device, arguments.quick):
            say(row)
        say("")
        count, batch, epochs = (16, 8, 1) if arguments.quick else (2048, 128, 2)
        for row in steps(network, device, chosen[network], count, batch, epochs):
            say(row)
    say(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
