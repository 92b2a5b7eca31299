"""The recipe of PyTorch's transfer-learning tutorial, written by us, as the peer to beat.

`python benchmarks/tutorial.py FOLDER`, where FOLDER holds `train/` and `val/` with a folder per class. What is done
follows the tutorial: batches of 4 drawn by 4 loader processes, random resized crop and flip, SGD at 0.001 with momentum
0.9, a tenth of the rate every 7 epochs, 25 epochs, val after each, the best one kept on disk; frozen means
`requires_grad = False` and nothing more. Only the network differs: the one asked for, with its own weights and their
mean and deviation, so that both sides start from the same. Prints one JSON line. It uses nothing of Thaw but the
network's weights, and none of its process settings.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import timm  # noqa: F401  # imports are counted on neither side
import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.models.catalogue import get_backbone
from core.models.network import build_network, without_classifier
from core.models.weights import load_weights, preprocessing_of

BATCH, WORKERS, LR, MOMENTUM, STEP, GAMMA = 4, 4, 0.001, 0.9, 7, 0.1


def pictures_of(folder: Path, backbone: str) -> dict[str, datasets.ImageFolder]:
    """Train and val as the tutorial reads them: every picture decoded anew in every epoch."""
    given = preprocessing_of(backbone)
    common = [transforms.ToTensor(), transforms.Normalize(given.mean, given.std)]
    train = transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *common])
    val = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), *common])
    return {name: datasets.ImageFolder(str(folder / name), how) for name, how in (("train", train), ("val", val))}


def train(folder: Path, backbone: str, weights: str, frozen: bool, epochs: int, seed: int) -> dict[str, Any]:
    """One training; accuracies on val by epoch, seconds by epoch, and the whole from the first line on."""
    start = time.perf_counter()
    torch.manual_seed(seed)
    pictures = pictures_of(folder, backbone)
    loaders = {
        name: DataLoader(part, batch_size=BATCH, shuffle=True, num_workers=WORKERS) for name, part in pictures.items()
    }
    classes = len(pictures["train"].classes)
    network = build_network(backbone)
    if weights == "imagenet":
        network.load_state_dict(load_weights(backbone).state)
    spec = get_backbone(backbone)
    network = without_classifier(network, spec)
    if frozen:
        for parameter in network.parameters():
            parameter.requires_grad = False
    head = nn.Linear(spec.features, classes)
    model = nn.Sequential(network, head)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD((head if frozen else model).parameters(), lr=LR, momentum=MOMENTUM)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=STEP, gamma=GAMMA)
    accuracies: list[float] = []
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder_of_best:
        best_path, best = Path(folder_of_best) / "best.pt", -1.0
        torch.save(model.state_dict(), best_path)
        for _ in range(epochs):
            begin = time.perf_counter()
            for phase in ("train", "val"):
                model.train(phase == "train")
                correct = 0
                for inputs, labels in loaders[phase]:
                    optimizer.zero_grad()
                    with torch.set_grad_enabled(phase == "train"):
                        outputs = model(inputs)
                        loss = criterion(outputs, labels)
                        if phase == "train":
                            loss.backward()
                            optimizer.step()
                    correct += int((outputs.argmax(1) == labels).sum())
                if phase == "train":
                    scheduler.step()
            accuracies.append(correct / len(pictures["val"]))
            if accuracies[-1] > best:
                best = accuracies[-1]
                torch.save(model.state_dict(), best_path)
            seconds.append(time.perf_counter() - begin)
        model.load_state_dict(torch.load(best_path))
    return {
        "mode": "frozen" if frozen else "finetuned",
        "seed": seed,
        "accuracies": accuracies,
        "epoch_s": seconds,
        "total_s": time.perf_counter() - start,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Train as asked and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet", choices=("imagenet", "none"))
    parser.add_argument("--mode", default="frozen", choices=("frozen", "finetuned"))
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    frozen = given.mode == "frozen"
    print(json.dumps(train(given.folder, given.backbone, given.weights, frozen, given.epochs, given.seed)))


if __name__ == "__main__":
    main()
