"""Classify pictures with the network beside this file: `python predict.py photo.jpg another.png [--json] [--top 3]`.

First `pip install -r requirements.txt`. Before it answers, it asks the network about the eight golden pictures and
refuses to go on unless the answers are those that were given when the network was exported. A picture that cannot be
read is named, the others are answered, and the exit code is 1.

Legend: S the side of the square the network takes, K classes.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode, functional

sys.path.append(str(Path(__file__).resolve().parent))  # "python -I" does not look beside the script

from core.data.reading.kinds import Unreadable
from core.data.reading.picture import Policy, read_picture

HERE = Path(__file__).resolve().parent


def decode(data: bytes, policy: dict[str, Any]) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of a picture file: upright, sRGB, on white, short side at most as the policy says.

    Raises Unreadable, with the reason.
    """
    return read_picture(data, Policy(**policy)).pixels


def prepare(pixels: np.ndarray, preprocessing: dict[str, Any]) -> Tensor:
    """What the network takes: (1, 3, S, S) float32. Scaling is done on 8-bit pixels, as in training."""
    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
    filter_ = InterpolationMode(preprocessing["interpolation"])
    image = functional.resize(image, [preprocessing["resize_size"]], filter_, antialias=True)
    image = functional.center_crop(image, [preprocessing["image_size"]])
    inputs: Tensor = functional.normalize(image[None] / 255, preprocessing["mean"], preprocessing["std"])
    return inputs


def build_network(model: dict[str, Any]) -> nn.Module:
    """The library's own network, filled with the weights beside this file."""
    num_classes = len(model["class_names"])
    if model["library"] == "timm":
        import timm

        network: nn.Module = timm.create_model(model["network"], num_classes=num_classes, **model.get("options", {}))
    else:
        from torchvision import models

        network = models.get_model(model["network"], weights=None, num_classes=num_classes)
    network.load_state_dict(load_file(HERE / "weights.safetensors"))
    return network.eval()


def check_files(model: dict[str, Any]) -> None:
    """Stop unless the files read here are those that were exported."""
    lines = (HERE / "SHA256SUMS").read_text("ascii").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    for name in ("model.json", "weights.safetensors", "goldens.safetensors", *model["goldens"]["pictures"]):
        with (HERE / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sums[name]:
                sys.exit(f"{name} has changed since it was exported; unpack the zip again.")


@torch.inference_mode()
def logits_of(network: nn.Module, data: bytes, model: dict[str, Any]) -> Tensor:
    """(K,) float32 for the bytes of one picture file."""
    logits: Tensor = network(prepare(decode(data, model["decoding"]), model["preprocessing"]))[0]
    return logits


def check_goldens(network: nn.Module, model: dict[str, Any]) -> float:
    """Stop unless the golden pictures get the answers they had; the largest difference by the largest logit, or 1."""
    expected = load_file(HERE / "goldens.safetensors")["logits"]
    found = [logits_of(network, (HERE / name).read_bytes(), model) for name in model["goldens"]["pictures"]]
    scale = max(1.0, expected.abs().max().item())
    difference = (torch.stack(found) - expected).abs().max().item() / scale
    if not difference <= model["goldens"]["tolerance"]:
        sys.exit(
            f"The golden pictures do not reproduce: they differ by {difference:.2g} of the largest logit, allowed is "
            f"{model['goldens']['tolerance']:.2g}. This computer's libraries read pictures or compute differently; "
            "install requirements.txt."
        )
    return difference


def answer(network: nn.Module, name: str, model: dict[str, Any], top: int) -> dict[str, Any]:
    """What the network says about a picture file, or why it says nothing."""
    try:
        logits = logits_of(network, Path(name).read_bytes(), model)
    except Unreadable as error:
        return {"file": name, "error": f"cannot be read: it {error}"}
    except OSError as error:
        return {"file": name, "error": f"cannot be read: {error.strerror}"}
    probabilities = (logits / (model["temperature"] or 1.0)).softmax(0).tolist()
    named = dict(zip(model["class_names"], probabilities, strict=True))
    best = sorted(named.items(), key=lambda row: -row[1])[:top]
    guesses = [{"class": label, "probability": p} for label, p in best]
    return {"file": name, "predicted": best[0][0], "top": guesses, "probabilities": named, "logits": logits.tolist()}


def in_words(probability: float) -> str:
    """Rounding makes nothing certain, nor impossible."""
    if probability >= 0.9995:
        return ">99.9 %"
    return f"{100 * probability:.1f} %" if probability >= 0.0005 else "<0.1 %"


def line_of(row: dict[str, Any]) -> str:
    """An answer for a person."""
    said = ", ".join(f"{guess['class']} {in_words(guess['probability'])}" for guess in row.get("top", []))
    return f"{row['file']}: {row.get('error', said)}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Classify pictures.")
    parser.add_argument("pictures", nargs="+", help="picture files")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--top", type=int, default=3, help="classes to name per picture")
    arguments = parser.parse_args()
    model = json.loads((HERE / "model.json").read_text("utf-8"))
    check_files(model)
    network = build_network(model)
    difference, allowed = check_goldens(network, model), model["goldens"]["tolerance"]
    answers = [answer(network, name, model, max(1, arguments.top)) for name in arguments.pictures]
    if arguments.json:
        print(json.dumps({"golden_difference": difference, "tolerance": allowed, "pictures": answers}, indent=1))
    else:
        said = f"The golden pictures reproduce: largest difference {difference:.1g}, allowed {allowed:.1g}."
        print(said, file=sys.stderr)
        print("\n".join(map(line_of, answers)))
    if any("error" in row for row in answers):
        sys.exit(1)


if __name__ == "__main__":
    main()
