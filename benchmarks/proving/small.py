"""A world so small that a run takes a moment: a network of two convolutions, 24 drawn pictures, a plan for each way.

Nothing of Thaw is replaced: the network is registered where timm's are, and a row of the catalogue names it. Only the
clock of checkpoints is: they are written after every epoch, since all of a run takes less than the usual 20 s.
"""

import io
import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import timm
import torch
from PIL import Image
from timm.models import register_model
from torch import Tensor, nn

from core.data.ingest import ingest_files
from core.machine import speeds
from core.machine.process import tricks_wanted
from core.models.catalogue import BACKBONES, Architecture, BackboneSpec
from core.models.weights import PACKAGES
from core.runs.record import RECORD, run_folder
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training import checkpoint

NAME: Final = "proof_tiny"
EPOCHS: Final = 4
WAYS: Final = ("frozen", "last-stages", "probe-then-finetune", "finetuned", "scratch", "averaged")
RATES: Final = {f"{work}/fp32": 50.0 for work in speeds.WORKS} | {f"{work}/bf16": 40.0 for work in speeds.WORKS}
"""Pictures per second, as if they had been measured."""
_TINY: Final = Architecture(
    stages=(("conv1", "bn1"), ("conv2", "bn2")),
    steps=("conv1", "bn1", "relu", "conv2", "bn2", "relu", "pool", "flatten"),
    classifier="fc",
    places_end="pool",
)


class Tiny(nn.Module):
    """Pictures (N, 3, H, W) to logits, as every network of the catalogue."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, stride=4, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, stride=4, bias=False), nn.BatchNorm2d(16)
        self.relu, self.pool, self.flatten = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.fc = nn.Linear(16, outputs)

    def forward(self, images: Tensor) -> Tensor:
        inner = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(images))))))
        logits: Tensor = self.fc(self.flatten(self.pool(inner)))
        return logits


def proof_tiny(pretrained: bool = False, num_classes: int = 1000, **options: Any) -> nn.Module:
    """What timm calls."""
    return Tiny(num_classes)


def install() -> None:
    """Make the network known to this process and those that are forked from it."""
    if NAME not in BACKBONES:
        register_model(proof_tiny)
        assert timm.is_model(NAME)
        BACKBONES[NAME] = BackboneSpec(NAME, "Tiny", "Tiny", _TINY, 16, 0.001, NAME)
        PACKAGES[NAME] = PACKAGES["efficientnet_lite0"]  # for its preprocessing
    checkpoint.SAVE_EVERY_S = 0.0  # type: ignore[misc]
    torch.set_num_threads(1)


def plan(way: str, seed: int, dataset: str) -> RunSettings:
    """What a run does that goes one of the `WAYS`."""
    optim = OptimSettings(epochs=EPOCHS, batch_size=8, train_size=None if way == "last-stages" else 96)
    if way == "averaged":
        optim = replace(optim, ema=0.5, optimizer="sgd", schedule="cosine")
    scenario = "finetuned" if way == "averaged" else way
    model = ModelSettings(backbone=NAME, scenario=scenario, weights="none", last_stages=1)
    settings = RunSettings(model=model, optim=optim, seed=seed)
    return replace(settings, data=replace(settings.data, dataset=dataset))


def pictures(seed: int = 0) -> dict[str, list[tuple[str, bytes | Path]]]:
    """Three classes of eight pictures of noise with a colour of their own, as PNG."""
    dice = np.random.default_rng(seed)
    found: dict[str, list[tuple[str, bytes | Path]]] = {}
    for number, kind in enumerate(("reds", "greens", "blues")):
        for place in range(8):
            pixels = dice.integers(0, 160, (6, 6, 3), dtype=np.uint8)
            pixels[..., number] += 60
            file = io.BytesIO()
            Image.fromarray(pixels).resize((48, 48)).save(file, "PNG")
            found.setdefault(kind, []).append((f"{place}.png", file.getvalue()))
    return found


def furnish(home: Path) -> str:
    """A home with one data set and known speeds, so that no worker measures first; the data set's id."""
    home.mkdir(parents=True)
    os.environ["THAW_HOME"] = str(home)
    known = asdict(speeds.Speeds(threads=1, probed=RATES))
    everything = {NAME: known, "efficientnet_lite0": known}
    (home / "speeds.json").write_text(json.dumps({speeds._machine_key(): everything}))
    speeds.save_peaks(
        speeds.Peaks(matmul_fp32=1.0, matmul_bf16=1.0, conv_fp32=1.0, conv_bf16=1.0, memory=1.0, decode=1.0)
    )
    assert speeds.load_speeds(NAME) and tricks_wanted() is not None
    return ingest_files(pictures(), "Proof").dataset.id


def copied(home: Path, to: Path) -> Path:
    """A home of its own that begins as a copy; it becomes this process's."""
    shutil.copytree(home, to)
    os.environ["THAW_HOME"] = str(to)
    return to


def essence(run_id: str) -> dict[str, Any]:
    """All that a finished run says but for times and its own name: equal where two runs are the same, bit by bit."""
    text = (run_folder(run_id) / RECORD).read_bytes()
    values = json.loads(text)
    for name in ("sha256", "run", "duration_s", "timings", "costs", "work"):
        values.pop(name)
    for epoch in values["history"]:
        del epoch["elapsed_s"]
    return dict(values)


def here() -> Path:
    """The home of this process."""
    return Path(os.environ["THAW_HOME"])
