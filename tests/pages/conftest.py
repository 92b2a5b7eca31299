"""Pages are started as the app starts them: from the router, with empty caches."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from helpers import REPOSITORY, home_at
from streamlit.testing.v1 import AppTest

from core.comparison.metrics import confusion_matrix
from core.data.dataset import Dataset, load_stored
from core.machine.devices import DeviceUse
from core.machine.facts import this_machine
from core.runs.record import Predictions, RunRecord, save_run, summary_of
from core.runs.store import Run, RunStore
from core.settings.scenarios import Scenario
from core.settings.schema import RunSettings


@pytest.fixture(autouse=True)
def fresh_caches():
    """What is cached outlives a test, even what belongs to a session: every AppTest has the same session id."""
    st.cache_data.clear()
    st.cache_resource.clear()


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


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built-in set, drawn once for all tests."""
    from core.data.ingest import ingest

    with home_at(tmp_path_factory.mktemp("drawn") / "home"):
        return ingest("builtin").dataset.folder


@pytest.fixture
def start(thaw_home, _drawn: Path) -> Callable[..., AppTest]:
    """Open a page, with the given values in the address. The built-in set is there, as it is after a first visit."""
    with suppress(OSError):  # a home that cannot be is what the test is about
        (there := thaw_home / "datasets" / _drawn.name).mkdir(parents=True)
        for file in _drawn.iterdir():
            os.link(file, there / file.name)

    def open_page(page: str, **address: str) -> AppTest:
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
        scenario: Scenario = "frozen",
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
    named = {field.name: {} for field in fields(RunRecord)}
    values = {
        **named,
        "run": run_id,
        "settings": settings,
        "dataset": {name: getattr(dataset, name) for name in ("id", "title", "kind", "fingerprint", "class_names")},
        "split": {"hash": split.hash, **{name: len(split.part(name)) for name in ("train", "val", "test")}},
        "test_pictures": split.test,
        "test_contents": tuple(dataset.pictures[index].content for index in split.test),
        "test_names": tuple(dataset.pictures[index].name for index in split.test),
        "history": ({"epoch": 1, "elapsed_s": 1.0, "val_accuracy": val_accuracy, "val_loss": 0.5, "lr": 0.1},),
        "best_epoch": 1,
        "test_accuracy": float((guesses == targets).mean()),
        "val_accuracy": val_accuracy,
        "confusion": confusion_matrix(targets, said).tolist(),
        "duration_s": 3.0,
        "timings": {"decode": 0.0, "features": 1.0, "train": 1.0, "val": 0.5, "test": 0.5, "other": 0.0},
        "freeze_audit": {"checked": True, "bit_identical": True, "sentence": "It stood still."},
        "parameters": {"trained": 10, "total": 100, "trained_share": 0.1},
        "weights": {"origin": "ImageNet", "sha256": "a" * 64},
        "head_hash": "b" * 64,
        "machine": asdict(this_machine()),
        "threads": 1,
        "precision": {"features": "fp32", "train": "fp32"},
        "engine": "torch",
        "device": DeviceUse(),
        "head": None,
        "layers": (),
        "test_groups": (),
        "temperature": None,
        "imported": False,
    }
    predictions = Predictions(
        probabilities=said,
        targets=targets,
        val_probabilities=np.full((len(val_targets), classes), 1 / classes, np.float32),
        val_targets=val_targets,
    )
    return RunRecord(**values), predictions
