"""Whether what is taken home says what Thaw says: `python benchmarks/take_home.py ZIP [--fresh] [--flips N]`.

Trains Frozen and Fine-tuned on the pictures of the zip, packs both, and asks about every test picture: Thaw's own
predictor (what the Classify page calls), the command line, the packed script as a program of its own, the ONNX file
under onnxruntime, and the run after it was brought back into an empty home. With `--fresh` the script runs in a new
virtual environment that has what the packed requirements.txt names and nothing else. `--flips` turns single bits of the
packed weights, one at a time, and counts how many the script and the import refuse. Prints Markdown.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(Path(__file__).parent)]

import onnxruntime
import torch
from heat_maps import trained

from core.augment.pipelines import normalise
from core.data.reading.decode import decode_picture
from core.errors import PackageError
from core.inference.predictor import Predictor
from core.runs.record import load_record
from core.runs.store import RunStore
from core.takehome.export import export_run
from core.takehome.import_run import import_run
from core.takehome.package import open_package


def fresh_python(requirements: Path, folder: Path) -> str:
    """The interpreter of a new environment with these requirements."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
    return python


def by_script(python: str, unpacked: Path, paths: list[Path]) -> tuple[np.ndarray, float]:
    """Probabilities (M, K), and how far the golden pictures were off."""
    command = [python, "-I", str(unpacked / "predict.py"), *map(str, paths), "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return np.array([list(row["probabilities"].values()) for row in told["pictures"]]), told["golden_difference"]


def by_onnx(unpacked: Path, predictor: Predictor, pictures: list[np.ndarray], temperature: float) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(unpacked / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = torch.stack([predictor.input_of(pixels) for pixels in pictures])
    images = normalise(inputs, predictor.record.preprocessing).contiguous().numpy()
    (logits,) = session.run(None, {"images": images})
    return torch.from_numpy(logits / temperature).softmax(1).numpy()


def by_command(run: str, paths: list[Path]) -> np.ndarray:
    command = [sys.executable, "-m", "core", "classify", run, *map(str, paths), "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT).stdout)
    names = told["class_names"]
    return np.array([[row["probabilities"][name] for name in names] for row in told["pictures"]])


def caught_flips(package: Path, unpacked: Path, count: int) -> tuple[int, int]:
    """Of so many single bits of the weights: how many the import refuses, and how many the packed script."""
    spec = importlib.util.spec_from_file_location("packed_predict", unpacked / "predict.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    model = json.loads((unpacked / "model.json").read_text("utf-8"))
    with zipfile.ZipFile(package) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "model.onnx"}  # it is half of it
    members["SHA256SUMS"] = b"".join(
        line for line in members["SHA256SUMS"].splitlines(keepends=True) if b"model.onnx" not in line
    )
    dice, weights = random.Random(0), unpacked / "weights.safetensors"
    data, imports, scripts = bytearray(members[weights.name]), 0, 0
    path = package.with_name("flipped.zip")
    for _ in range(count):
        place, bit = dice.randrange(len(data)), 1 << dice.randrange(8)
        data[place] ^= bit
        with zipfile.ZipFile(path, "w") as archive:  # with a checksum that fits: only the hash can tell
            for name, content in members.items():
                archive.writestr(name, bytes(data) if name == weights.name else content)
        try:
            with open_package(path):
                pass
        except PackageError:
            imports += 1
        weights.write_bytes(data)
        try:
            script.check_files(model)
        except SystemExit:
            scripts += 1
        data[place] ^= bit
    return imports, scripts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="a zip of pictures")
    parser.add_argument("--fresh", action="store_true", help="run the script in a new virtual environment")
    parser.add_argument("--flips", type=int, default=0, help="bits of the weights to turn, one at a time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with zipfile.ZipFile(arguments.data) as archive:
            archive.extractall(folder / "pictures")
        files = {hashlib.sha256(p.read_bytes()).hexdigest(): p for p in (folder / "pictures").rglob("*") if p.is_file()}
        os.environ["THAW_HOME"] = str(folder / "home")
        python = sys.executable
        print("| run | answered by | same class | largest difference of a probability |\n|---|---|---|---|")
        for run in trained(arguments.data, [0]):
            os.environ["THAW_HOME"] = str(folder / "home")
            record, predictor = load_record(run), Predictor.load(run)
            paths = [files[content] for content in record.test_contents]
            pictures = [decode_picture(path.read_bytes()) for path in paths]
            ours = predictor.predict(pictures, calibrated=True)
            package, unpacked = folder / f"{run}.zip", folder / run
            export_run(run, package)
            with zipfile.ZipFile(package) as archive:
                archive.extractall(unpacked)
            if arguments.fresh and python == sys.executable:
                python = fresh_python(unpacked / "requirements.txt", folder / "venv")
            scripted, golden = by_script(python, unpacked, paths)
            answers = {
                f"predict.py{' in a fresh environment' * arguments.fresh}": scripted,
                "ONNX file, onnxruntime": by_onnx(unpacked, predictor, pictures, record.temperature or 1.0),
                "python -m core classify": by_command(run, paths),
            }
            os.environ["THAW_HOME"] = str(folder / "elsewhere")
            import_run(RunStore(), package)
            answers["packed, brought back elsewhere"] = Predictor.load(run).predict(pictures, calibrated=True)
            label = record.settings.model.row.label
            for who, found in answers.items():
                same = int((found.argmax(1) == ours.argmax(1)).sum())
                print(f"| {label} | {who} | {same} of {len(ours)} | {np.abs(found - ours).max():.1e} |", flush=True)
            print(f"\nGolden pictures off by {golden:.1e} of the largest logit.\n", flush=True)
            if arguments.flips:
                imports, scripts = caught_flips(package, unpacked, arguments.flips)
                print(f"Bits turned: {arguments.flips}; refused by the import {imports}, by the script {scripts}.")


if __name__ == "__main__":
    main()
