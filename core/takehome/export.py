"""A finished run as one zip that needs nothing of Thaw: weights, preprocessing, ONNX, a card, and a readable script.

The script that goes along, `predict.py`, reads pictures exactly as Thaw does, for which the modules that do so go along
as well, and refuses to answer unless the eight golden pictures get the logits they get here.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch
from PIL import Image
from safetensors.torch import save, save_file
from torch import Tensor

from core.data.dataset import load_stored
from core.data.drawn.drawings import pictures as drawings
from core.data.reading import picture
from core.data.reading.decode import POLICY, decode_picture
from core.errors import DatasetError, RunError
from core.home import temporary_folder
from core.inference.predictor import Predictor
from core.models.catalogue import get_backbone
from core.models.network import TransferModel
from core.models.weights import PACKAGES
from core.runs.record import PREDICTIONS, RunRecord, checked_file, is_recorded, record_text
from core.storage import explained
from core.takehome import package
from core.takehome.card import card
from core.takehome.plain import build_plain, library_of, to_plain
from core.takehome.training_script import pictures_csv, training_script

TOLERANCE: Final = 1e-3
"""Largest difference of a logit, as a share of the largest one or of 1, at which golden pictures count as reproduced:
float32 sums in another order differ by about 1e-5, another decoder or filter by 1e-2 and more."""
OPSET: Final = 18
SCRIPT: Final = Path(__file__).with_name("predict.py")
_READERS: Final = Path(picture.__file__).parent

OnProgress = Callable[[str], None]


@explained()
def export_run(run_id: str, target: Path | BinaryIO, on_progress: OnProgress = lambda step: None) -> None:
    """Write a run's zip, to a path all or nothing.

    Raises:
        RunError: the run's files are missing or damaged.
    """
    if is_recorded(run_id):
        raise RunError("A recorded run has no weights to take home; train one of your own.")
    on_progress("reading the run")
    predictor = Predictor.load(run_id)
    record, name = predictor.record, predictor.record.settings.model.backbone
    goldens = _golden_pictures()
    logits = golden_logits(predictor, goldens)
    state = to_plain(predictor.ask_model([decode_picture(goldens[0])], _state), name)
    with temporary_folder("export") as folder:
        weights, onnx = folder / package.WEIGHTS, folder / package.ONNX
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, weights)
        on_progress("translating to ONNX")
        _save_onnx(name, len(predictor.class_names), state, record.preprocessing.image_size, onnx)
        on_progress("packing")
        training = _training(record)
        members: dict[str, bytes | Path] = {
            package.WEIGHTS: weights,
            package.ONNX: onnx,
            package.MODEL: _json(model_values(record)),
            package.RECORD: record_text(record),
            package.PREDICTIONS: checked_file(record, PREDICTIONS),
            package.GOLDENS: save({"logits": logits}),
            **reading_scripts(),
            package.REQUIREMENTS: _requirements(record, bool(training)).encode(),
            **dict(zip(package.GOLDEN_PICTURES, goldens, strict=True)),
            **training,
            package.CARD: card(record, bool(training)).encode("utf-8", "replace"),
        }
        package.write_package(target, members)


def golden_logits(predictor: Predictor, pictures: Sequence[bytes]) -> Tensor:
    """Logits (N, K) float32 of picture files, one by one: in batches, rounding differs.

    Raises:
        ImageError: one cannot be read.
    """
    with torch.inference_mode():
        return torch.cat([predictor.ask_model([decode_picture(data)], _logits) for data in pictures])


def _logits(model: TransferModel, inputs: Tensor) -> Tensor:
    logits: Tensor = model(inputs).float()
    return logits


def _state(model: TransferModel, inputs: Tensor) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _golden_pictures() -> list[bytes]:
    """Eight of the pictures Thaw draws, as PNG: no data of anyone's goes along."""
    found = []
    for _, (_, data) in zip(package.GOLDEN_PICTURES, drawings(), strict=False):
        file = io.BytesIO()
        Image.fromarray(decode_picture(data)).save(file, "PNG")
        found.append(file.getvalue())
    return found


def _save_onnx(backbone: str, num_classes: int, state: dict[str, Tensor], side: int, path: Path) -> None:
    """Normalised images (N, 3, S, S) to logits (N, K), any N."""
    network = build_plain(backbone, num_classes, state)
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.onnx.export(
        network,
        (torch.zeros(2, 3, side, side),),
        dynamo=True,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: batch},),
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    program.save(str(path), external_data=False)


def model_values(record: RunRecord) -> dict[str, Any]:
    """What a script needs to know about the network, by value."""
    library, network = library_of(record.settings.model.backbone)
    return {
        "library": library,
        "network": network,
        "options": get_backbone(record.settings.model.backbone).timm_options,
        "class_names": list(record.dataset.class_names),
        "preprocessing": record.preprocessing.to_dict(),
        "decoding": asdict(POLICY),
        "temperature": record.temperature,
        "goldens": {"pictures": list(package.GOLDEN_PICTURES), "tolerance": TOLERANCE},
        "onnx": {"opset": OPSET, "input": "images", "output": "logits"},
        "run": record.run,
    }


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")


def reading_scripts() -> dict[str, bytes]:
    """`predict.py`, and Thaw's own modules that read pictures: word for word, but for where they import from."""
    sources = {package.PREDICT: SCRIPT, **{f"reading/{name}.py": _READERS / f"{name}.py" for name in package.READING}}
    scripts = {name: path.read_text("utf-8") for name, path in sources.items()}
    scripts["reading/__init__.py"] = '"""How Thaw reads pictures: its own modules, word for word."""\n'
    return {name: text.replace("core.data.reading.", "reading.").encode() for name, text in scripts.items()}


def _training(record: RunRecord) -> dict[str, bytes]:
    """The script that trains it again, where its pictures are still here to say which they were."""
    try:
        dataset = load_stored(record.dataset.id)
        split = dataset.split(record.settings.seed, record.settings.data)
    except DatasetError:
        return {}
    if dataset.fingerprint != record.dataset.fingerprint or split.hash != record.split.hash:
        return {}
    return {
        package.TRAIN: training_script(record).encode(),
        package.PICTURES: pictures_csv(dataset, split).encode("utf-8", "surrogatepass"),
    }


def _requirements(record: RunRecord, with_training: bool) -> str:
    """Floors, not pins; torch and torchvision must be of one time; pillow-heif is for photos as iPhones take them."""
    spec = get_backbone(record.settings.model.backbone)
    lines = ["pillow>=12", "pillow-heif>=1", "numpy>=2", "safetensors>=0.5", "torch>=2.15", "torchvision>=0.29"]
    if library_of(spec.name)[0] == "timm":
        lines.append("timm>=1.0.20")
    if with_training and spec.source == "package" and record.settings.model.start == "imagenet":
        lines.append(f"{PACKAGES[spec.name].package}>=0.1  # what train.py starts from")
    return "\n".join(lines) + "\n"
