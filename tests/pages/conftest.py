"""Pages are started as the app starts them: from the router, with empty caches."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from helpers import REPOSITORY, made_up_record
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from core.comparison.metrics import confusion_matrix
from core.data.dataset import Dataset, load_stored
from core.home import ask_for_workspace
from core.models.build import LayerRow, describe_model
from core.models.records import ParameterCount
from core.runs.record import DataRecord, Predictions, RunRecord, SplitRecord, save_run, summary_of
from core.runs.store import Run, RunStore
from core.settings.schema import ModelSettings, RunSettings
from core.storage import home_path
from core.training.history import EpochRecord
from pages.components.media import everybodys_media


@cache
def described(settings: ModelSettings, num_classes: int) -> tuple[ParameterCount, list[LayerRow]]:
    """`describe_model`, which knows nothing but its arguments: once for all tests."""
    return describe_model(settings, num_classes)


@pytest.fixture(autouse=True, scope="session")
def _installed_once() -> Iterator[None]:
    """Which components of others are installed: else every AppTest reads what each package says of itself."""
    found = cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", found)
        yield


@pytest.fixture(autouse=True)
def fresh_caches(monkeypatch: pytest.MonkeyPatch):
    """What is cached outlives a test, even what belongs to a session: every AppTest has the same session id.

    So does whose files and pictures are meant, which pages of a shared server ask of a visitor.
    """
    st.cache_data.clear()
    st.cache_resource.clear()
    monkeypatch.setattr("core.models.build.describe_model", described)
    yield
    ask_for_workspace(str)
    everybodys_media()


@pytest.fixture(autouse=True)
def bugs() -> Iterator[list[logging.LogRecord]]:
    """Unexpected errors of pages. Their frame shows a sentence for each, so nothing else would fail of them."""
    found: list[logging.LogRecord] = []
    handler, log = logging.Handler(logging.ERROR), logging.getLogger("thaw.pages")
    handler.emit = found.append  # type: ignore[method-assign]
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)
    assert [record.exc_info for record in found] == []


@pytest.fixture
def start(thaw_home: Path, bring_drawn_set: Callable[[Path], str]) -> Callable[..., AppTest]:
    """Open a page, with the given values in the address. The built-in set is there, as it is after a first visit."""
    bring_drawn_set(thaw_home)
    visited = {thaw_home}

    def open_page(page: str, **address: str) -> AppTest:
        if (home := home_path()) not in visited:  # the one that a finished race lives in
            bring_drawn_set(home)
            visited.add(home)
        at = AppTest.from_file(str(REPOSITORY / "pages" / "main.py"), default_timeout=60)
        for name, value in address.items():
            at.query_params[name] = value
        at.switch_page(page)
        return at.run()

    return open_page


@pytest.fixture
def complete() -> Callable[..., Run]:
    """End a queued run well, with made-up answers: training is not what these tests are about.

    The run is `40 + index` per cent sure about the test picture at `index` of its data set.
    """

    def end(run_id: str, wrong: Sequence[int] = (), val_accuracy: float = 0.8) -> Run:
        store = RunStore()
        run = store.claim([run_id])
        dataset = load_stored(run.settings.data.dataset)
        record, predictions = _finished(run_id, run.settings, dataset, wrong, val_accuracy)
        save_run(record, predictions, lambda path: Path(path).write_bytes(b"no weights"))
        store.end(run, "finished", test_part=record.test_part, summary=summary_of(record))
        return store.get(run_id)

    return end


@pytest.fixture
def finish(complete) -> Callable[..., Run]:
    """Enter a run of a data set that has ended like that."""

    def enter(
        dataset: Dataset,
        scenario: str = "frozen",
        seed: int = 0,
        *,
        race: str | None = None,
        settings: RunSettings | None = None,
        **ended: Any,
    ) -> Run:
        base = settings or RunSettings()
        model = replace(base.model, scenario=scenario, weights="none" if scenario == "scratch" else base.model.weights)
        settings = replace(base, model=model, seed=seed, data=replace(base.data, dataset=dataset.id))
        (run_id,) = RunStore().submit([settings], dataset.title, race=race)
        return complete(run_id, **ended)

    return enter


def _finished(
    run_id: str, settings: RunSettings, dataset: Dataset, wrong: Sequence[int], val_accuracy: float
) -> tuple[RunRecord, Predictions]:
    split, classes = dataset.split(settings.seed, settings.data), len(dataset.class_names)
    targets = np.array([dataset.pictures[index].target for index in split.test])
    guesses = np.array([(t + (index in wrong)) % classes for t, index in zip(targets, split.test, strict=True)])
    sure = 0.40 + 0.01 * np.array(split.test)
    said = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, axis=1).astype(np.float32)
    said[np.arange(len(said)), guesses] = sure
    val_targets = np.array([dataset.pictures[index].target for index in split.val])
    names = ("id", "title", "kind", "fingerprint", "class_names")
    losses = {"train_loss": 0.5, "train_accuracy": 0.5, "val_loss": 0.5, "val_accuracy": val_accuracy}
    record = made_up_record(
        run_id,
        settings=settings,
        dataset=DataRecord(**{name: getattr(dataset, name) for name in names}),
        split=SplitRecord(hash=split.hash, **{name: len(split.part(name)) for name in ("train", "val", "test")}),
        test_pictures=split.test,
        test_contents=tuple(dataset.pictures[index].content for index in split.test),
        test_names=tuple(dataset.pictures[index].name for index in split.test),
        history=(EpochRecord(epoch=1, stage="train", lr=0.1, elapsed_s=1.0, **losses),),
        test_accuracy=float((guesses == targets).mean()),
        val_accuracy=val_accuracy,
        confusion=tuple(map(tuple, confusion_matrix(targets, said).tolist())),
    )
    predictions = Predictions(
        probabilities=said,
        targets=targets,
        val_probabilities=np.full((len(val_targets), classes), 1 / classes, np.float32),
        val_targets=val_targets,
    )
    return record, predictions
