"""Single steps, against plain torch, and whether precision is picked right: `python benchmarks/steps.py [ZIP]`.

A and B take turns in one process; ratios are medians over the turns with a 95 % bootstrap interval. Plain torch is the
network as its library builds it, in float32, NCHW, with the process settings Thaw sets. ZIP holds the photo that is
classified, the built-in set otherwise. For the precision, a fresh process probes the machine and then times both, also
with the processor's abilities capped; what the choice loses against the better one is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from paired import interval, ratios, spoken, take_turns

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import keep_freed_memory, prepare_process

prepare_process()
keep_freed_memory()

import numpy as np
import torch
from torch import nn

from core.augment.pipelines import EvalPipeline, normalise
from core.data.reading.decode import decode_picture
from core.data.sources import open_source
from core.inference.predictor import Predictor
from core.machine.speeds import Precision, Work
from core.models.accel.compiled import CompiledBackbone
from core.models.build import build_model
from core.models.freezing import apply_scenario
from core.models.network import build_network
from core.models.weights import load_weights, preprocessing_of
from core.settings.schema import BatchNorm, ModelSettings
from core.training.loop import Stepper, cast, train_one_epoch
from core.training.optimizers import build_optimizer, build_schedule
from core.training.probe import known_speeds
from core.training.ways import PIECE

CAPS = ("", "AVX512_CORE", "AVX2")
BATCH = 16


def steps(name: str, statistics: BatchNorm) -> tuple[list[float], list[float]]:
    """Seconds of a training step: plain torch, and as a run takes it."""
    images, targets = torch.rand(BATCH, 3, 224, 224), torch.arange(BATCH) % 2
    plain = build_network(name).train()
    optimizer = torch.optim.SGD(plain.parameters(), lr=1e-4, momentum=0.9)

    def plain_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(nn.functional.cross_entropy(plain(images), targets))
        optimizer.step()

    settings = ModelSettings(backbone=name, scenario="finetuned", weights="none", batchnorm=statistics)
    ours = build_model(name, 2, start="none", seed=0)
    apply_scenario(ours, settings)
    own = build_optimizer(
        "sgd",
        list(ours.head.parameters()),
        [list(ours.backbone.parameters())],
        lr=1e-4,
        backbone_lr=1e-4,
        stage_decay=1.0,
        momentum=0.9,
        weight_decay=0.0,
    )
    schedule = build_schedule("constant", own, 1)
    work: Work = "train-kept" if statistics == "kept" else "train-adapted"
    precision = known_speeds(name).precision(work)
    batch = [(images.contiguous(memory_format=torch.channels_last), targets)]
    piece = PIECE if statistics == "kept" else None
    loss = nn.CrossEntropyLoss()
    stepper = Stepper(model=ours, loss_fn=loss, optimizer=own, schedule=schedule, precision=precision, piece=piece)

    def our_step() -> None:
        train_one_epoch(stepper, batch, lambda done, mean: None)

    return take_turns(plain_step, our_step, rounds=9)


def one_photo(data: bytes, name: str) -> tuple[list[float], list[float]]:
    """Seconds from a file's bytes to probabilities: plain torch, and as the Classify page does it."""
    preprocessing = preprocessing_of(name)
    pipeline = EvalPipeline(preprocessing)
    plain = build_network(name)
    plain.load_state_dict(load_weights(name).state)
    plain.eval()

    @torch.inference_mode()
    def classify() -> None:
        pixels = torch.from_numpy(np.array(decode_picture(data))).permute(2, 0, 1)
        batch = normalise(pipeline(pixels)[None], preprocessing, torch.contiguous_format)
        plain(batch).softmax(1)

    record: Any = SimpleNamespace(  # what the predictor reads of one
        dataset={"class_names": ["a", "b"]}, preprocessing=preprocessing.to_dict(), temperature=None
    )
    predictor = Predictor(record, build_model(name, 2, start="imagenet", seed=0))
    return take_turns(classify, lambda: predictor.predict_file(data), rounds=61)


def precision_arm(name: str) -> dict[str, Any]:
    """Probe, then time both precisions in turns: what the choice loses against the better one."""
    speeds = known_speeds(name)
    torch.set_num_threads(speeds.threads)
    model = build_model(name, 2, start="none", seed=0)
    images = torch.rand(PIECE, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    found: dict[str, Any] = {}
    works: tuple[Work, ...] = ("forward", "train-kept")
    for work in works:
        apply_scenario(model, ModelSettings(backbone=name, scenario="finetuned", weights="none", batchnorm="kept"))
        model.train(work != "forward")

        def once(precision: Precision, trains: bool = work != "forward") -> None:
            with torch.set_grad_enabled(trains), cast(precision):
                output = model(images).float()
            if trains:
                output.square().mean().backward()

        whole: Callable[[], object] = lambda: once("fp32")  # noqa: E731
        if work == "forward" and speeds.engine == "onnxruntime":
            compiled = CompiledBackbone(model.backbone, name, images.shape[-1], threads=speeds.threads)
            whole = partial(compiled, images)
        full, half = take_turns(whole, lambda: once("bf16"), rounds=5, warm_up=1)
        gain, low, high = interval(ratios(full, half))
        chosen = speeds.precision(work)
        loss = max(0.0, (gain if chosen == "fp32" else 1 / gain) - 1)
        found[work] = {"chosen": chosen, "gain": gain, "low": low, "high": high, "loss": loss}
    return found


def precision_choices() -> list[dict[str, Any]]:
    """The choice for two backbones under every cap, each in a fresh process with an empty home."""
    rows = []
    for cap in CAPS:
        for name in ("efficientnet_lite0", "resnet18"):
            with tempfile.TemporaryDirectory() as home:
                env = {**os.environ, "THAW_HOME": home} | ({"ONEDNN_MAX_CPU_ISA": cap} if cap else {})
                command = [sys.executable, __file__, "--arm", name]
                done = subprocess.run(command, env=env, capture_output=True, check=True)
            rows.append({"cap": cap or "none", "backbone": name, **json.loads(done.stdout)})
    return rows


def main() -> None:
    """Time everything and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="?", default="builtin")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps-only", action="store_true", help="not the precision, which takes minutes")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        print(json.dumps(precision_arm(arguments.arm)))
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ["THAW_HOME"] = home
        source = open_source(arguments.photos)
        data = source.read(next(name for name in sorted(source.names) if name.endswith((".jpg", ".jpeg"))))
        torch.set_num_threads(known_speeds("efficientnet_lite0").threads)
        rows = [
            ("ResNet-18, training step of 16, statistics adapted", *steps("resnet18", "adapted")),
            ("EfficientNet-Lite0, training step of 16, statistics kept", *steps("efficientnet_lite0", "kept")),
            ("EfficientNet-Lite0, one photo, bytes to probabilities", *one_photo(data, "efficientnet_lite0")),
        ]
    print(f"{date.today()}, {this_machine()}, torch {this_machine().torch}.\n")
    print("| what | plain torch, ms | Thaw, ms | ratio |\n|---|---|---|---|")
    for what, plain, ours in rows:
        a, b = (1000 * interval(seconds)[0] for seconds in (plain, ours))
        print(f"| {what} | {a:.0f} | {b:.0f} | {spoken(ratios(plain, ours))} |", flush=True)
    choices = [] if arguments.steps_only else precision_choices()
    if choices:
        print("\n| cap | backbone | work | bf16 is faster by | chosen | lost |\n|---|---|---|---|---|---|")
    for row in choices:
        for work in ("forward", "train-kept"):
            here = row[work]
            gain = f"{here['gain']:.2f}x ({here['low']:.2f} to {here['high']:.2f})"
            print(f"| {row['cap']} | {row['backbone']} | {work} | {gain} | {here['chosen']} | {here['loss']:.1%} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"steps": rows, "precision": choices}, indent=1))


if __name__ == "__main__":
    main()
