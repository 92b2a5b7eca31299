"""What a network will see of a picture: thin, bounded caches over `core.augment`, which bring torch in late."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.augment.catalogue import is_random
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset
from core.settings.schema import AugmentSettings, RunSettings
from core.training.plan import views_of

from ..gallery import GalleryItem
from ..resources import stored_dataset

if TYPE_CHECKING:
    from core.augment.preview import Sample


@st.cache_data(max_entries=50, show_spinner=False)
def preprocessing(backbone: str) -> Preprocessing:
    """What a backbone expects of a picture."""
    from core.models.weights import preprocessing_of

    return preprocessing_of(backbone)


@st.cache_data(max_entries=50, ttl=600, show_spinner="Drawing samples")  # of a deleted picture, too
def training_samples(
    home: str,
    dataset_id: str,
    index: int,
    augment: AugmentSettings,
    backbone: str,
    seed: int,
    count: int,
    stamp: tuple[int, ...],
) -> "list[Sample]":
    """What the epochs 1 to `count` of a run with this seed see of a picture; `stamp`: of the data set's files."""
    import torch

    from core.augment.preview import draw_samples

    dataset = stored_dataset(home, dataset_id)
    image = torch.from_numpy(np.array(dataset.pixels[index])).permute(2, 0, 1)
    content = dataset.pictures[index].content
    return draw_samples(image, augment, preprocessing(backbone), seed, count, content)


@st.cache_data(max_entries=200, ttl=600, show_spinner=False)
def evaluation_view(home: str, dataset_id: str, index: int, backbone: str, stamp: tuple[int, ...]) -> np.ndarray:
    """Pixels (S, S, 3) uint8 that evaluation sees of a picture, the same every time."""
    import torch

    from core.augment.pipelines import EvalPipeline

    pixels = np.array(stored_dataset(home, dataset_id).pixels[index])
    seen = EvalPipeline(preprocessing(backbone))(torch.from_numpy(pixels).permute(2, 0, 1))
    return np.ascontiguousarray(seen.permute(1, 2, 0).numpy())


def shown_pictures(
    dataset: Dataset, index: int, evaluated: np.ndarray, samples: "Sequence[Sample]", *, told: bool
) -> list[GalleryItem]:
    """The picture itself, what evaluation sees of it, and samples; `told` says under each where it comes from."""
    whole, picture = np.array(dataset.pixels[index]), dataset.pictures[index]
    (height, width), size = whole.shape[:2], evaluated.shape[0]
    class_name = dataset.class_names[picture.target]
    origin, always = (picture.name, f"stored with {width} x {height} px"), (f"always this, {size} x {size} px",)
    items = [
        GalleryItem(image=whole, title=f"Original, {class_name}", captions=origin if told else ()),
        GalleryItem(image=evaluated, title="Evaluation", captions=always if told else ()),
    ]
    for position, sample in enumerate(samples, 1):
        drawn = tuple(f"{label}: {words}" for label, words in sample.drawn)
        items.append(GalleryItem(image=sample.pixels, title=f"Sample {position}", captions=drawn if told else ()))
    return items


def use_of_samples(settings: RunSettings, seed: int) -> str:
    """Which of the samples a run with these settings and this seed sees, and when."""
    if not is_random(settings.augment):
        return "Nothing here is drawn at random: every epoch sees the same."
    label = settings.model.row.label
    if not settings.model.row.takes_steps:
        drawn = len(views_of(settings)) - 1
        views = f" and of {drawn} sample{'s' * (drawn > 1)} like these, the same for every seed" if drawn else ""
        return f"{label} computes its features once: of the evaluation view{views}."
    return f"{label} with seed {seed} trains on sample 1 in its first epoch, on sample 2 in its second, and so on."
