"""What pages share across reruns and sessions: thin, bounded caches over `core`. What they return is read-only."""

import io
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from PIL import Image

from core.comparison.fairness import Outcome
from core.data.dataset import Dataset, load_stored, stamp_of, stored_ids
from core.data.ingest import ingest
from core.data.parts import check_trainable
from core.errors import DatasetError, StorageError, ThawError
from core.home import thaw_home
from core.models.catalogue import BACKBONES
from core.runs.race import every_fold
from core.runs.record import Predictions, RunRecord, load_predictions, load_record
from core.runs.results import load_outcome
from core.runs.store import RunStore
from core.settings.schema import DataSettings, ModelSettings, RunSettings
from core.training.watched import watched_pictures

from .taking_in import watched

if TYPE_CHECKING:  # torch comes late: a page draws its frame first
    from core.data.loaders import Loaders
    from core.inference.known import Known, KnownJob
    from core.inference.predictor import Predictor
    from core.models.build import LayerRow
    from core.models.records import ParameterCount


def run_store() -> RunStore:
    """The database of runs of this home folder."""
    return _run_store(str(thaw_home()))


@st.cache_resource(max_entries=256)
def _run_store(home: str) -> RunStore:
    return RunStore()


def heal() -> None:
    """Look after the runs of this home folder: once a second, however many pages ask."""
    _heal(str(thaw_home()))


@st.cache_data(max_entries=256, ttl=1.0, show_spinner=False)
def _heal(home: str) -> None:
    run_store().heal()


class _Shelf:
    """A data set, and all that is kept of its pictures: it goes with them, and nothing of another's does."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.loaders = lru_cache(4)(partial(_build_loaders, dataset))
        self.thumbnail = lru_cache(300)(partial(_draw_thumbnail, dataset))
        self.watched = lru_cache(50)(partial(_watched, dataset))


def _is_untouched(shelf: _Shelf) -> bool:
    """Whether the files of a data set are still those that were read: another session may have replaced them."""
    return shelf.dataset.stamp == stamp_of(shelf.dataset.id)


@st.cache_resource(max_entries=32, show_spinner=False, validate=_is_untouched)
def _shelf(home: str, dataset_id: str) -> _Shelf:
    return _Shelf(load_stored(dataset_id))


@st.cache_resource
def _drawn() -> tuple[dict[str, str], Lock]:
    """The built-in set's id by home folder, and what one session at a time holds that draws it."""
    return {}, Lock()


def builtin_dataset(home: str) -> Dataset:
    """The drawn set of this home folder; drawn now, with a bar, if it never was.

    Raises:
        ThawError: it cannot be drawn, on a full disk, say.
    """
    known, drawing = _drawn()
    if home in known:
        with suppress(DatasetError):  # deleted, or damaged: it is drawn anew
            return stored_dataset(home, known[home])
    with drawing:
        known[home] = watched(lambda show: ingest("builtin", show)).dataset.id
    return stored_dataset(home, known[home])


def stored_dataset(home: str, dataset_id: str) -> Dataset:
    """A data set of this home folder, by id; read anew when its files were written anew."""
    return _shelf(home, dataset_id).dataset


def forget_dataset(home: str, dataset_id: str) -> None:
    """Drop all that is cached of the pictures of one data set: nothing of others', be they this visitor's or not."""
    _shelf.clear(home, dataset_id)
    with suppress(StorageError):  # without a database nothing is known of any run
        for run in run_store().runs():
            if run.settings.data.dataset == dataset_id:
                known_job.clear(home, run.id)


def forgetter(home: str) -> Callable[[], None]:
    """What drops all that is cached of one home folder's pictures and runs, and nothing of another's.

    Made before the folder goes, called afterwards. Numbers without pictures stay until newer ones take their place.
    """
    datasets, runs = stored_ids(), [run.id for run in run_store().runs()]

    def forget() -> None:
        for dataset_id in datasets:
            _shelf.clear(home, dataset_id)
        for run in runs:
            for cached in (predictor, known_job, run_record, run_predictions, run_outcome):
                cached.clear(home, run)
        _drawn()[0].pop(home, None)
        _run_store.clear(home)

    return forget


def readable_datasets(home: str) -> dict[str, Dataset]:
    """All data sets by id, oldest first. Listed anew each time, read once."""
    found = []
    for dataset_id in stored_ids():
        try:
            found.append(stored_dataset(home, dataset_id))
        except DatasetError:
            continue
    return {dataset.id: dataset for dataset in sorted(found, key=lambda dataset: dataset.added)}


@st.cache_data(max_entries=500, show_spinner=False)
def split_sizes(home: str, dataset_id: str, seed: int, settings: DataSettings) -> tuple[int, int, int]:
    """Pictures in train, val and test: dividing hashes every picture, and an estimate needs only the numbers.

    Raises:
        DatasetError: there is nothing that a run could be trained on.
    """
    dataset = stored_dataset(home, dataset_id)
    split = dataset.split(seed, settings)
    check_trainable(dataset, split)
    return len(split.train), len(split.val), len(split.test)


@st.cache_data(max_entries=500, show_spinner=False)
def tested_units(home: str, dataset_id: str, seed: int, settings: DataSettings) -> int:
    """What is tested, over all folds where there are some: test pictures, or groups of them where they have any."""
    dataset = stored_dataset(home, dataset_id)
    parts = [dataset.split(seed, data).test for data in every_fold(settings)]
    tested = [dataset.pictures[index] for part in parts for index in part]
    return len({picture.side for picture in tested}) if dataset.grouped_by else len(tested)


def watched_places(home: str, dataset_id: str, seed: int, settings: DataSettings) -> tuple[int, ...]:
    """The validation pictures that are watched while a run with these settings trains: indices into the data set."""
    return _shelf(home, dataset_id).watched(seed, settings)


def _watched(dataset: Dataset, seed: int, settings: DataSettings) -> tuple[int, ...]:
    return watched_pictures(dataset, dataset.split(seed, settings), seed)


@st.cache_data(max_entries=500, show_spinner=False)
def part_counts(home: str, dataset_id: str, seed: int, settings: DataSettings) -> dict[str, dict[str, int]]:
    """Pictures by part and class name."""
    dataset = stored_dataset(home, dataset_id)
    return dataset.counts(dataset.split(seed, settings))


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedLoaders:
    """Loaders and what they cost when they were built."""

    loaders: "Loaders"
    built_s: float
    built_at: float


def _build_loaders(dataset: Dataset, settings: RunSettings) -> CachedLoaders:
    from core.training.scenarios import build_run_loaders

    start = time.perf_counter()
    loaders = build_run_loaders(settings, dataset)
    next(iter(loaders.train(1)))  # the first batch maps the pixels and warms the transforms
    return CachedLoaders(loaders=loaders, built_s=time.perf_counter() - start, built_at=time.time())


def cached_loaders(home: str, settings: RunSettings, dataset_id: str) -> tuple[CachedLoaders, bool]:
    """The loaders these settings stand for, and whether they came from the cache.

    The key holds what loaders depend on: the data set's fingerprint, split, augmentation, backbone (for its
    preprocessing), training size, batch size and seed. Epochs and rates change nothing and are left out.
    """
    plain = RunSettings()
    key = replace(
        plain,
        data=replace(settings.data, dataset=dataset_id),
        augment=settings.augment,
        model=replace(plain.model, backbone=settings.model.backbone),
        optim=replace(plain.optim, batch_size=settings.optim.batch_size, train_size=settings.optim.train_size),
        seed=settings.seed,
    )
    asked = time.time()
    with st.spinner("Building the data loaders"):
        found = _shelf(home, dataset_id).loaders(key)
    return found, found.built_at < asked


@st.cache_resource(max_entries=3, show_spinner="Loading the model")
def predictor(home: str, run_id: str) -> "Predictor":
    """The model of a finished run; shared by all sessions, so it is in memory once."""
    from core.inference.predictor import Predictor

    return Predictor.load(run_id)


@st.cache_resource(max_entries=4, show_spinner=False)
def known_job(home: str, run_id: str) -> "KnownJob":
    """What a run learnt from, looked at in a thread of its own; at most 66 MB each, shared by all sessions."""
    from core.inference.known import KnownJob

    dataset = stored_dataset(home, run_record(home, run_id).dataset.id)
    return KnownJob(predictor(home, run_id), dataset)


def known(home: str, run_id: str) -> "Known":
    """What a run learnt from, as its backbone sees it; waits for it.

    Raises:
        ThawError: its pictures are not here any more.
    """
    try:
        return known_job(home, run_id).result()
    except ThawError:  # they may come back
        known_job.clear(home, run_id)
        raise


@st.cache_data(max_entries=200, show_spinner=False)
def run_record(home: str, run_id: str) -> RunRecord:
    """The record of a finished run: it never changes."""
    return load_record(run_id)


@st.cache_resource(max_entries=200, show_spinner=False)
def run_predictions(home: str, run_id: str) -> Predictions:
    """What a finished run says about its test and val pictures."""
    return load_predictions(run_id)


@st.cache_resource(max_entries=200, show_spinner=False)
def run_outcome(home: str, run_id: str) -> Outcome:
    """A finished run as the comparison wants it."""
    return load_outcome(run_id)


def thumbnail(home: str, dataset_id: str, index: int, side: int = 224) -> bytes:
    """A square JPEG of one picture's middle."""
    return _shelf(home, dataset_id).thumbnail(index, side)


def _draw_thumbnail(dataset: Dataset, index: int, side: int) -> bytes:
    return square_jpeg(Image.fromarray(np.asarray(dataset.pixels[index])), side)


def thumbnail_or_grey(home: str, dataset_id: str, index: int, content: str) -> bytes:
    """A run's test picture; a grey square where its data set is not here, as with recorded and imported runs."""
    try:
        return thumbnail(home, dataset_id, place_of(stored_dataset(home, dataset_id), index, content))
    except DatasetError:
        return square_jpeg(Image.new("RGB", (8, 8), (150, 158, 170)), 64)


def place_of(dataset: Dataset, index: int, content: str) -> int:
    """Where a data set has the picture that a run knew at `index`.

    A data set is named by its content: brought again under other file names, it has the same id and another order.

    Raises:
        DatasetError: it is not in this data set.
    """
    pictures = dataset.pictures
    if index < len(pictures) and pictures[index].content == content:
        return index
    found = next((place for place, picture in enumerate(pictures) if picture.content == content), None)
    if found is None:
        raise DatasetError(f"A test picture of this run is not in {dataset.title!r} any more.")
    return found


def square_jpeg(image: Image.Image, side: int) -> bytes:
    """The middle of a picture as a square JPEG; nothing of the original file is left in it."""
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    middle = image.crop((left, top, left + short, top + short)).resize((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    middle.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


@st.cache_data(max_entries=4, ttl=60, show_spinner="Looking for pretrained weights")
def backbone_badges(home: str) -> dict[str, str]:
    """Where each backbone's weights are, in a few words."""
    from core.models.weights import weights_status

    return {name: weights_status(name).badge for name in BACKBONES}


@st.cache_data(max_entries=50, show_spinner="Building the network")
def model_description(settings: ModelSettings, num_classes: int) -> "tuple[ParameterCount, list[LayerRow]]":
    """What a run with these settings would train, stage by stage."""
    from core.models.build import describe_model

    return describe_model(settings, num_classes)
