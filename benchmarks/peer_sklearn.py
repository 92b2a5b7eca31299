"""scikit-learn on timm's features, as somebody would write it who knows both and wants it fast.

`python benchmarks/peer_sklearn.py FOLDER WEIGHTS`, where FOLDER holds `train/` and `val/` with a folder per class.
Pictures are decoded by as many threads as there are cores; frozen features are computed once, in small batches,
channels last, without gradients, in a process with Thaw's own settings for memory and threads; then comes a logistic
regression, its penalty chosen by cross-validation within train. TorchScript's optimisation for inference and mirror
images were tried: both cost seconds and neither brought a picture. Prints one JSON line. It knows nothing of Thaw and
runs in an environment without it, see `peers.py`.
"""

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

os.environ |= {"THP_MEM_ALLOC_ENABLE": "1", "GOMP_SPINCOUNT": "3000"}  # read when torch is loaded

import numpy as np
import sklearn
import timm
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BATCH, SIDE, SHORT = 8, 224, 256  # 8: as fast as 16 in fp32, faster than 4, 16 and 32 in bf16
PENALTIES = np.logspace(-5, 1, 7)
ENDINGS = {".jpg", ".jpeg", ".png"}


def listed(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Pictures of a part, and their classes."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    rows = [
        (path, target)
        for target, name in enumerate(classes)
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in ENDINGS
    ]
    return [path for path, _ in rows], np.array([target for _, target in rows])


def read(path: Path) -> torch.Tensor:
    """(H, W, 3) uint8: short side 256, the middle 224 x 224, as timm evaluates this network."""
    with Image.open(path) as image:
        image.draft("RGB", (2 * SHORT, 2 * SHORT))
        picture = image.convert("RGB")
    scale = SHORT / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    return torch.from_numpy(np.array(picture.crop((left, top, left + SIDE, top + SIDE))))


@torch.inference_mode()
def features(network: torch.nn.Module, paths: list[Path], threads: int, half: bool) -> np.ndarray:
    """(N, features)."""
    with ThreadPoolExecutor(threads) as pool:  # first all of them: beside the network each would halve the other
        pictures = torch.stack(list(pool.map(read, paths)))
    rows = []
    with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
        for part in torch.split(pictures, BATCH):
            images = part.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)  # (N, 3, H, W), channels last
            rows.append(network(images).float())
    return torch.cat(rows).numpy()


def run(folder: Path, weights: Path, half: bool) -> dict[str, Any]:
    """Accuracy on val, and seconds from the first line on."""
    start = time.perf_counter()
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    network = timm.create_model(
        "tf_efficientnet_lite0", pretrained=True, pretrained_cfg_overlay={"file": str(weights)}, num_classes=0
    )
    network = network.eval().to(memory_format=torch.channels_last)
    (train, targets), (val, truth) = (listed(folder / part) for part in ("train", "val"))
    known, asked = (features(network, paths, threads, half) for paths in (train, val))
    head = LogisticRegressionCV(
        Cs=PENALTIES, l1_ratios=(0.0,), cv=5, max_iter=1000, scoring="neg_log_loss", use_legacy_attributes=False
    )
    classifier = make_pipeline(StandardScaler(), head).fit(known, targets)
    return {
        "accuracy": float((classifier.predict(asked) == truth).mean()),
        "work_s": time.perf_counter() - start,
        "C": float(np.ravel(head.C_)[0]),
        "versions": {"scikit-learn": sklearn.__version__, "timm": timm.__version__, "torch": torch.__version__},
    }


def main() -> None:
    """Run as asked and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--half", action="store_true", help="bf16")
    given = parser.parse_args()
    print(json.dumps(run(given.folder, given.weights, given.half)))


if __name__ == "__main__":
    main()
