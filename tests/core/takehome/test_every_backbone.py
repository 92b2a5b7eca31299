"""Whatever the backbone: the script, the ONNX file and Thaw give one answer, and the zip comes back."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import FinishedRace, drawn, home_at, write_files
from safetensors.torch import save_model
from torch import nn

from core.augment.pipelines import normalise
from core.data.reading.decode import decode_picture
from core.inference.predictor import Predictor
from core.models.catalogue import BACKBONES, get_backbone
from core.models.network import TransferModel, build_network, without_classifier
from core.models.weights import preprocessing_of
from core.runs.record import load_predictions, load_record, save_run
from core.runs.store import RunStore
from core.takehome.export import export_run
from core.takehome.import_run import import_run

RUN = "0123456789"
FIRST = ("resnet18", "dinov2_vits14")
"""Of each library one, beside the default backbone in test_export.py; the others are for `make test-long`."""
OF_EACH_KIND = [
    pytest.param(name, marks=() if name in FIRST else pytest.mark.long)
    for name in BACKBONES
    if name not in ("resnet50", "vgg19")  # built of the same layers as resnet18 and vgg16, and more of them
]


def random_model(name: str) -> TransferModel:
    """As its library starts it, with three classes, and statistics of noise: else pictures make no difference in it."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        spec = get_backbone(name)
        backbone = without_classifier(build_network(name), spec)
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the statistics of what it sees, whole
        backbone.train()(torch.randn(8, 3, 224, 224))
        return TransferModel(backbone, nn.Linear(spec.features, 3), spec).eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_script_onnx_and_thaw_agree_and_the_zip_comes_back(finished_race: FinishedRace, tmp_path: Path, name: str):
    model = random_model(name)
    run = finished_race.run("frozen" if get_backbone(name).frozen_only else "finetuned")
    record, predictions = load_record(run), load_predictions(run)
    settings = replace(record.settings, model=replace(record.settings.model, backbone=name))
    settings = replace(settings, optim=replace(settings.optim, train_size=None))
    preprocessing = preprocessing_of(name)
    made = replace(record, run=RUN, settings=settings, preprocessing=preprocessing)
    pictures = write_files(tmp_path / "pictures", {f"{kind}.png": drawn(kind, 1) for kind in ("discs", "stripes")})
    paths = sorted(pictures.iterdir())
    with home_at(tmp_path / "there"):
        save_run(made, predictions, lambda path: save_model(model, str(path)))
        predictor = Predictor.load(RUN)
        decoded = [decode_picture(path.read_bytes()) for path in paths]
        ours = predictor.predict(decoded)
        export_run(RUN, tmp_path / "run.zip")
    shutil.rmtree(tmp_path / "there")  # a network is half a gigabyte, and here four times
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        archive.extractall(tmp_path / "run")

    command = [sys.executable, "-I", str(tmp_path / "run" / "predict.py"), *map(str, paths), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["pictures"]
    logits = np.array([row["logits"] for row in told])
    session = onnxruntime.InferenceSession(str(tmp_path / "run" / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = torch.stack([predictor.input_of(pixels) for pixels in decoded])
    images = normalise(inputs, made.preprocessing).contiguous().numpy()
    (by_onnx,) = session.run(None, {"images": images})
    shutil.rmtree(tmp_path / "run")
    with home_at(tmp_path / "here"):
        assert import_run(RunStore(), tmp_path / "run.zip").id == RUN
        again = Predictor.load(RUN).predict(decoded)

    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    assert np.abs(exponentials / exponentials.sum(1, keepdims=True) - ours).max() < 1e-4
    assert np.abs(by_onnx - logits).max() < 1e-3 * max(1.0, np.abs(logits).max())
    assert (again == ours).all() and np.ptp(logits, axis=0).max() > 0
