"""How well near copies are told from different pictures: `python benchmarks/near_copies.py D [D ...]`.

D is `builtin`, a zip or a folder. Each picture is changed in ways that happen to pictures (smaller, recompressed,
brighter, slightly cropped) and should be found again; different pictures should not be taken for copies. Prints the
shares found by correlation threshold, pairs called copies among the originals, and the time it takes.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.data.copies import (
    MOST_BITS_APART,
    correlations,
    near_pairs,
    perceptual_hashes,
    small_square,
)
from core.data.ingest import ingest

THRESHOLDS = (0.8, 0.85, 0.9, 0.95, 0.98)


def _recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


def _cropped(image: Image.Image, share: float) -> Image.Image:
    across, down = round(image.width * share), round(image.height * share)
    return image.crop((across, down, image.width - across, image.height - down))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half as large": lambda image: image.resize((max(1, image.width // 2), max(1, image.height // 2))),
    "JPEG, quality 30": _recompressed,
    "a third brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.33),
    "a fifth less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
    "1 % cropped on each side": lambda image: _cropped(image, 0.01),
    "3 % cropped on each side": lambda image: _cropped(image, 0.03),
}


def main() -> None:
    """Print a table per data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    for where in parser.parse_args().data:
        dataset = ingest(where).dataset
        pictures = [np.array(dataset.pixels[index]) for index in range(len(dataset.pictures))]
        start = time.perf_counter()
        here = np.stack([small_square(pixels) for pixels in pictures])
        pairs = near_pairs(here)
        print(f"\n{dataset.title}: {len(pictures)} pictures in {time.perf_counter() - start:.2f} s")
        print(f"called copies among the originals: {len(pairs)}")
        for first, second in pairs[:20]:
            print(f"  {dataset.pictures[first].name} = {dataset.pictures[second].name}")
        print("| changed | hash near | " + " | ".join(f"and correlation >= {t}" for t in THRESHOLDS) + " |")
        print("|---|---|" + "---|" * len(THRESHOLDS))
        for name, change in CHANGES.items():
            changed = [small_square(np.array(change(Image.fromarray(pixels)).convert("RGB"))) for pixels in pictures]
            print(f"| {name} | {_found(here, np.stack(changed))} |")
        left, right = np.triu_indices(len(pictures), 1)
        near = _near(here)[left, right]
        alike = np.zeros(len(left))
        alike[near] = correlations(here[left[near]], here[right[near]])
        counts = (f"{(near & (alike >= t)).sum():,}" for t in THRESHOLDS)
        print(f"| pairs of {len(left):,} different ones | {near.sum():,} | {' | '.join(counts)} |")


def _near(squares: np.ndarray) -> np.ndarray:
    hashes = perceptual_hashes(squares)
    return np.asarray(np.bitwise_count(hashes[:, None] ^ hashes[None]) <= MOST_BITS_APART)


def _found(here: np.ndarray, changed: np.ndarray) -> str:
    near = np.bitwise_count(perceptual_hashes(here) ^ perceptual_hashes(changed)) <= MOST_BITS_APART
    alike = correlations(here, changed)
    return " | ".join([f"{near.mean():.1%}", *(f"{(near & (alike >= t)).mean():.1%}" for t in THRESHOLDS)])


if __name__ == "__main__":
    main()
