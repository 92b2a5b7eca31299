"""Where a forward pass spends its time, by kind of layer, against the machine's limit: `python benchmarks/layers.py`.

ONNX Runtime's own profile of a backbone as features are computed with it: one picture per core at a time. Each kind's
arithmetic is held against the convolution peak of all cores, which the probe measures, and what it reads and writes
against the memory's. Prints Markdown.
"""

import argparse
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine, usable_cores
from core.machine.process import keep_freed_memory, prepare_process

prepare_process()
keep_freed_memory()

import onnxruntime
import torch

from core.data.loaders import EVAL_BATCH
from core.machine.streams import in_streams
from core.models.accel.compiled import CompiledBackbone
from core.models.build import build_model
from core.models.weights import preprocessing_of
from core.training.probe import measure_peaks

BATCHES = 60
WARM_UP = 0.25  # of the passes, left out


def profile(name: str, folder: Path) -> list[dict[str, Any]]:
    """Every layer that was computed, as ONNX Runtime tells it."""
    plain = onnxruntime.SessionOptions

    def told() -> onnxruntime.SessionOptions:
        options = plain()
        options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
        return options

    onnxruntime.SessionOptions = told  # what features are computed with, but for this
    side = preprocessing_of(name).image_size
    compiled = CompiledBackbone(build_model(name, 2, start="none", seed=0).backbone, name, side, threads=1)
    images = torch.rand(EVAL_BATCH, 3, side, side)
    for _ in in_streams(compiled, [images] * BATCHES, usable_cores()):
        pass
    events = json.loads(Path(compiled._session.end_profiling()).read_text())
    layers = [event for event in events if event.get("cat") == "Node"]
    return layers[int(WARM_UP * len(layers)) :]


def shapes(layer: dict[str, Any], what: str) -> list[list[int]]:
    """Of a layer's inputs or outputs."""
    return [next(iter(shape.values())) for shape in layer["args"][f"{what}_type_shape"]]


def kind_of(layer: dict[str, Any]) -> str:
    """What a person would call the layer."""
    if layer["args"]["op_name"] != "Conv":
        return "everything else"
    (image, kernel, *_), (output, *_) = shapes(layer, "input"), shapes(layer, "output")
    if image[1] == 3:
        return "first convolution"
    if kernel[1] == 1:
        return "depthwise"
    size = f"{kernel[2]} x {kernel[3]}"
    return f"{size}, {'56 pixels and more' if output[2] >= 56 else '28 pixels and fewer'}"


def gflop_of(layer: dict[str, Any]) -> float:
    """2 per multiply-add; of convolutions."""
    if layer["args"]["op_name"] != "Conv":
        return 0.0
    return 2 * math.prod(shapes(layer, "output")[0]) * math.prod(shapes(layer, "input")[1][1:]) / 1e9


def rows(layers: list[dict[str, Any]], pictures: float) -> Iterator[tuple[str, float, float, float]]:
    """(kind, ms of one core, GFLOP, MB read and written) for each picture, in the order of the network."""
    table: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for layer in sorted(layers, key=lambda layer: int(layer["args"]["node_index"])):
        row, values = table[kind_of(layer)], layer["args"]
        row[0] += layer["dur"] / 1000
        row[1] += gflop_of(layer)
        row[2] += sum(int(values[f"{name}_size"]) for name in ("activation", "parameter", "output")) / 1e6
    for kind, (ms, gflop, megabytes) in table.items():
        yield kind, ms / pictures, gflop / pictures, megabytes / pictures


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbone", nargs="?", default="efficientnet_lite0")
    name, cores = parser.parse_args().backbone, usable_cores()
    peaks = measure_peaks()
    with tempfile.TemporaryDirectory() as folder:
        layers = profile(name, Path(folder))
    per_picture = len({layer["args"]["node_index"] for layer in layers})
    table = list(rows(layers, len(layers) / per_picture))
    ms, gflop, megabytes = (sum(row[1:][place] for row in table) for place in range(3))
    table.append(("the whole network", ms, gflop, megabytes))
    print(f"{name}, {date.today()}, {this_machine()}, torch {this_machine().torch}.")
    print(f"Peaks: {peaks.conv_fp32:.0f} GFLOP/s in convolutions, {peaks.memory:.0f} GB/s from and to memory.\n")
    print("| layers | ms a picture | at the peak | distance | GFLOP/s | GB/s read and written |")
    print("|---|---|---|---|---|---|")
    for kind, core_ms, gflop, megabytes in table:
        ms, limit = core_ms / cores, 1000 * gflop / peaks.conv_fp32
        distance = f"{ms / limit:.1f}" if limit else ""
        print(f"| {kind} | {ms:.2f} | {limit:.2f} | {distance} | {1000 * gflop / ms:.0f} | {megabytes / ms:.0f} |")


if __name__ == "__main__":
    main()
