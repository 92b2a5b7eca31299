"""fastai as its documentation has it: `python benchmarks/peer_fastai.py FOLDER WEIGHTS --mode frozen|fine_tune`.

FOLDER holds `train/` and `val/` with a folder per class. Pictures are cropped to 224 pixels, the learner is built with
its defaults, and trained either with the network frozen (`fit_one_cycle`) or by `fine_tune`: an epoch frozen, the
others whole. Batches are smaller than by default, of which an epoch would have three. Prints one JSON line with the
last epoch's accuracy. It knows nothing of Thaw and runs in an environment without it, see `peers.py`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import fastai
import timm
import torch
from fastai.vision.all import ImageDataLoaders, Resize, accuracy, set_seed, vision_learner


def run(folder: Path, weights: Path, mode: str, epochs: int, batch: int, seed: int) -> dict[str, Any]:
    """Accuracy on val, and seconds from the first line on."""
    start = time.perf_counter()
    set_seed(seed, reproducible=True)
    loaders = ImageDataLoaders.from_folder(folder, train="train", valid="val", item_tfms=Resize(224), bs=batch)
    learner = vision_learner(
        loaders, "tf_efficientnet_lite0", metrics=accuracy, pretrained_cfg_overlay={"file": str(weights)}
    )
    with learner.no_bar(), learner.no_logging():
        if mode == "frozen":
            learner.fit_one_cycle(epochs)
        else:
            learner.fine_tune(epochs)
    return {
        "accuracy": float(learner.recorder.values[-1][-1]),
        "accuracies": [float(values[-1]) for values in learner.recorder.values],
        "work_s": time.perf_counter() - start,
        "versions": {"fastai": fastai.__version__, "timm": timm.__version__, "torch": torch.__version__},
    }


def main() -> None:
    """Run as asked and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--mode", default="frozen", choices=("frozen", "fine_tune"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(run(given.folder, given.weights, given.mode, given.epochs, given.batch, given.seed)))


if __name__ == "__main__":
    main()
