"""What a frozen backbone says about pictures, computed once and kept: neither epochs nor later runs pay for it again.

Legend: M pictures, F features of the backbone.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.data.loaders import Batch
from core.home import home_folder
from core.training.history import Cancelled, ShouldStop

BUDGET_BYTES = 2 * 1024**3
CACHE_VERSION = 1


@torch.no_grad()
def extract_features(
    backbone: nn.Module,
    batches: Iterable[Batch],
    normalise: Callable[[Tensor], Tensor],
    on_pictures: Callable[[int], None],
    should_stop: ShouldStop,
) -> Tensor:
    """Features (M, F) float32 of all pictures, in the order of the batches; switches the backbone to eval mode.

    Raises:
        Cancelled: `should_stop` said so, before a batch.
    """
    backbone.eval()
    parts = []
    for images, _, _ in batches:
        if should_stop():
            raise Cancelled
        parts.append(backbone(normalise(images)).float())
        on_pictures(len(images))
    return torch.cat(parts)


def cached_features(recipe: dict[str, Any], compute: Callable[[], Tensor]) -> tuple[Tensor, bool]:
    """The features this recipe stands for, from the disk if they are there.

    Args:
        recipe: everything the features depend on, as plain JSON values; equal recipes must mean equal features.

    Returns:
        Features (M, F), and whether they came from the disk.
    """
    text = json.dumps({"version": CACHE_VERSION, **recipe}, sort_keys=True)
    path = home_folder("cache", "features") / f"{hashlib.sha256(text.encode()).hexdigest()}.safetensors"
    try:
        features = load_file(path)["features"]
        os.utime(path)  # least recently used goes first
        return features, True
    except (OSError, SafetensorError, KeyError):
        pass  # not there, or half a file of a crash: computed anew
    features = compute()
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    save_file({"features": features.contiguous()}, temporary)
    os.replace(temporary, path)
    _keep_within_budget(path.parent)
    return features, False


def _keep_within_budget(folder: Path) -> None:
    """Drop the files that were not used for longest until the rest fits."""
    files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > BUDGET_BYTES:
            file.unlink(missing_ok=True)
