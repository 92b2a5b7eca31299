"""Two machines, each with a home of its own, one database and one store: what one has, the other can use."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from buckets import Bucket
from helpers import FinishedRace, drawn_classes, home_at, know_speeds, write_files

from core.__main__ import main
from core.data.dataset import FILE_NAME, Dataset, dataset_folder, delete_stored, load_stored, stored_ids
from core.data.edit import rename
from core.data.ingest import Ingested, ingest
from core.data.labels import keep_labels
from core.errors import DatasetError, RunError, StorageError, StoreError
from core.objects import cache
from core.objects.store import store_here
from core.runs.deletion import delete_run, sweep_runs
from core.runs.elsewhere import KeptElsewhere
from core.runs.engine import run_next
from core.runs.race import submit
from core.runs.record import Predictions, checkpoint_path, delete_files, load_predictions, load_record, run_folder
from core.runs.store import Run, RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training.features import FeatureStore

Machine = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database and a folder that both machines have."""
    monkeypatch.setenv("THAW_DATABASE", f"sqlite:///{tmp_path / 'thaw.db'}")
    monkeypatch.setenv("THAW_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(cache, "LOOK_AGAIN_S", 0.0)


@pytest.fixture
def a(tmp_path: Path) -> Machine:
    return machine(tmp_path / "a")


@pytest.fixture
def b(tmp_path: Path) -> Machine:
    return machine(tmp_path / "b")


def machine(home: Path) -> Machine:
    know_speeds(home)
    return lambda: home_at(home)


def queue(dataset: Dataset, scenario: str = "finetuned") -> str:
    model, optim = ModelSettings(scenario=scenario), OptimSettings(epochs=1, batch_size=8)
    return submit(
        RunStore(), [RunSettings(model=model, optim=optim)], Ingested(dataset=dataset, decode_s=0.0), as_race=False
    )[0]


def trained(run_id: str) -> Predictions:
    """What the next worker makes of the queue; the run must have finished."""
    assert run_next(RunStore(), lambda: False)
    assert RunStore().get(run_id).cause is None
    assert RunStore().get(run_id).state == "finished"
    return load_predictions(run_id)


def same(one: Predictions, other: Predictions) -> bool:
    return np.array_equal(one.probabilities, other.probabilities) and np.array_equal(one.targets, other.targets)


@pytest.mark.slow
def test_one_machine_trains_on_what_the_other_took_in(
    few_folder: Path, bucket: Bucket, shared: None, a: Machine, b: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_STORE", bucket.address)
    with a():
        dataset = ingest(few_folder).dataset
        run = queue(dataset)
    with b():
        assert stored_ids() == [dataset.id]
        there = trained(run)
    with a():
        assert not run_folder(run).exists()
        assert same(load_predictions(run), there)
        assert load_record(run).run == run
        monkeypatch.delenv("THAW_STORE")
        assert same(trained(queue(dataset)), there), "as on one machine, bit for bit"


def test_a_machine_knows_of_what_another_has_and_fetches_what_it_reads(
    tiny_folder: Path, bucket: Bucket, shared: None, a: Machine, b: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_STORE", bucket.address)
    with a():
        here = ingest(tiny_folder, title="tiny").dataset
    with b():
        there = load_stored(here.id)
        assert there == here
        assert not (there.folder / FILE_NAME).exists(), "pixels come when they are looked at"
        assert all(np.array_equal(there.pixels[i], here.pixels[i]) for i in range(len(here.pictures)))
        assert ingest(tiny_folder).decode_s == 0, "what the store has is not decoded again"
        rename(there, "another title")
    with a():
        assert load_stored(here.id).title == "another title"
        delete_stored(here.id)
    with b():
        assert stored_ids() == []
        with pytest.raises(DatasetError, match="not here any more"):
            load_stored(here.id)
        assert not there.folder.exists()


@pytest.mark.parametrize("share", [queue, lambda dataset: keep_labels(dataset, [0])], ids=["queued", "noted"])
def test_what_a_machine_has_alone_is_shared_as_a_whole(
    share: Callable[[Dataset], object],
    few_folder: Path,
    shared: None,
    a: Machine,
    b: Machine,
    monkeypatch: pytest.MonkeyPatch,
):
    with a(), pytest.MonkeyPatch.context() as patch:
        patch.delenv("THAW_STORE")
        dataset = ingest(few_folder).dataset
    with b():
        assert stored_ids() == []
    with a():
        assert stored_ids() == [dataset.id]
        share(dataset)
    with b():
        assert load_stored(dataset.id).pixels[0].any()


@pytest.mark.parametrize("name", [FILE_NAME, "manifest.json"])
def test_what_is_damaged_here_is_fetched_again(tiny_folder: Path, shared: None, a: Machine, name: str):
    with a():
        dataset = ingest(tiny_folder).dataset
        path = dataset.folder / name
        content = path.read_bytes()
        path.write_bytes(content[:100] + b"?" + content[101:])
        os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**10))

        assert load_stored(dataset.id) == dataset
        assert load_stored(dataset.id).pixels[0].any()
        assert path.read_bytes() == content


def test_what_is_damaged_in_the_store_is_never_used(
    tiny_folder: Path, tmp_path: Path, shared: None, a: Machine, b: Machine
):
    with a():
        dataset = ingest(tiny_folder).dataset
    largest = max((tmp_path / "store/datasets" / dataset.id).iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"?")
    with b():
        with pytest.raises(StorageError, match=r"is damaged in the store.*add the same pictures again"):
            load_stored(dataset.id).pixels  # noqa: B018
        assert not (dataset.folder / FILE_NAME).exists()
        delete_stored(dataset.id)
        assert ingest(tiny_folder).dataset.pixels[0].any()


def test_a_store_that_is_gone_takes_nothing_along(tiny_folder: Path, tmp_path: Path, shared: None, a: Machine):
    with a():
        dataset = ingest(tiny_folder).dataset
        assert len(dataset.pixels) == 30
        (tmp_path / "store").rename(tmp_path / "not mounted")

        with pytest.raises(StorageError, match="is the folder mounted"):
            load_stored(dataset.id)
        assert dataset.pixels[0].any()

        (tmp_path / "not mounted").rename(tmp_path / "store")
        assert load_stored(dataset.id) == dataset


def test_the_cache_keeps_to_its_bound_and_to_what_is_in_use(
    tmp_path: Path, shared: None, a: Machine, b: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cache, "JUST_USED_S", 0.0)
    with a():
        folders = [write_files(tmp_path / f"set {n}", drawn_classes(5, first=10 * n)) for n in range(4)]
        ids = [ingest(folder).dataset.id for folder in folders]
        each = cache.cached_bytes() / 4
    with b():
        monkeypatch.setenv("THAW_CACHE_GB", f"{2.5 * each / 1e9:.9f}")
        for dataset_id in ids[:3]:
            assert load_stored(dataset_id).pixels[0].any()
        assert cache.cached_bytes() < 2.5 * each
        assert not (dataset_folder(ids[0]) / FILE_NAME).exists()

        with cache.in_use(dataset_folder(ids[1])):
            load_stored(ids[3]).pixels[0]
            assert (dataset_folder(ids[1]) / FILE_NAME).exists()
            assert not (dataset_folder(ids[2]) / FILE_NAME).exists()
        load_stored(ids[2]).pixels[0]
        assert not (dataset_folder(ids[1]) / FILE_NAME).exists()
        assert sorted(ids) == stored_ids(), "all are there all the same"


@pytest.mark.parametrize("size", ["many", "inf", "nan", "-1"])
def test_a_bound_that_is_no_size_is_told(size: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_CACHE_GB", size)

    with pytest.raises(StorageError, match=r"^THAW_CACHE_GB is .*: give gigabytes, such as 20"):
        cache.budget_bytes()


def test_nothing_goes_that_is_not_in_the_store(
    tiny_folder: Path, few_folder: Path, bucket: Bucket, shared: None, a: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_STORE", bucket.address)
    monkeypatch.setattr(cache, "JUST_USED_S", 0.0)
    monkeypatch.setenv("THAW_CACHE_GB", "0")
    with a():
        dataset = ingest(tiny_folder).dataset
        monkeypatch.setattr(store_here(), "_patience_s", 0.1)
        bucket.silent.set()
        for work in (lambda: rename(dataset, "new"), lambda: ingest(few_folder), lambda: delete_stored(dataset.id)):
            with pytest.raises(StoreError, match="does not answer"):
                work()
        assert stored_ids() == [dataset.id]

        bucket.silent.clear()
        assert load_stored(dataset.id).title == "new"
        assert [folder.name for folder in cache.only_here()] == [dataset.id]
        cache.share_unless_there(dataset.folder)
        assert cache.only_here() == []
        assert load_stored(dataset.id).title == "new"


def test_runs_are_read_where_they_were_not_made(finished_race: FinishedRace, tmp_path: Path, shared: None, b: Machine):
    home, run = tmp_path / "a", finished_race.run("frozen")
    shutil.copytree(finished_race.home, home)
    with home_at(home):
        before = load_predictions(run)
        cache.share(run_folder(run), generation=1)
    with b():
        assert same(load_predictions(run), before)
        assert {path.name for path in run_folder(run).iterdir()} == {"record.json", "predictions.safetensors"}
        (run_folder(run) / "predictions.safetensors").write_bytes(b"damaged")
        assert same(load_predictions(run), before)
        delete_files(run)
    with home_at(home), pytest.raises(RunError):
        cache._looked.clear()  # as another process would
        load_record(run)


def test_features_are_computed_on_one_machine(shared: None, a: Machine, b: Machine):
    features, keys, asked = torch.randn(3, 4), [f"{n:064x}" for n in range(3)], []

    def compute(positions: list[int]) -> list[torch.Tensor]:
        asked.append(positions)
        return [features[positions]]

    with a():
        FeatureStore({"recipe": 1}).get(keys, compute, torch.float32)
    with b():
        found, hits = FeatureStore({"recipe": 1}).get(keys[1:], compute, torch.float32)
        FeatureStore({"recipe": 2}).get(keys, compute, torch.float32)

    assert hits == 2
    assert torch.equal(found, features[1:])
    assert asked == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.slow
def test_a_run_that_cannot_be_stored_waits_and_is_stored_in_the_end(
    few_folder: Path, bucket: Bucket, shared: None, a: Machine, b: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_STORE", bucket.address)
    with a():
        run = queue(ingest(few_folder).dataset, "frozen")
    bucket.faults += [500, 503] * 3
    with b():
        monkeypatch.setattr(store_here(), "_patience_s", 0.1)
        later = threading.Timer(4, bucket.silent.clear)
        monkeypatch.setattr("core.runs.execute.shift_after", lambda *_: (bucket.silent.set(), later.start()))
        there = trained(run)
    with a():
        assert same(load_predictions(run), there)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_run_that_can_never_be_stored_ends_in_words(
    few_folder: Path, bucket: Bucket, shared: None, a: Machine, monkeypatch: pytest.MonkeyPatch, ending: str
):
    monkeypatch.setenv("THAW_STORE", bucket.address)
    monkeypatch.setattr("core.runs.execute.STORE_S", 1.0 if ending == "failed" else 900.0)
    with a():
        run = queue(ingest(few_folder).dataset, "frozen")
        monkeypatch.setattr(store_here(), "_patience_s", 0.1)

        def trained(*_: object) -> None:
            bucket.silent.set()
            if ending == "cancelled":
                RunStore().cancel(run)

        monkeypatch.setattr("core.runs.execute.shift_after", trained)
        run_next(RunStore(), lambda: False)

        ended = RunStore().get(run)
        assert ended.state == ending
        if ending == "failed":
            assert "The store that THAW_STORE names does not answer" in (ended.cause or "")
        bucket.silent.clear()
        delete_run(RunStore(), run)


def test_another_machine_goes_on_from_a_checkpoint(shared: None, a: Machine, b: Machine):
    run = Run(
        number=1,
        id="abc",
        race=None,
        state="running",
        attempt=1,
        crashes=0,
        settings=RunSettings(),
        dataset_title="",
        decode_s=0,
        created=0,
        started=0,
        ended=None,
        summary=None,
    )
    with a():
        checkpoint_path("abc").write_bytes(b"epoch 3")
        KeptElsewhere(run).put(checkpoint_path("abc"))
    with b():
        again = KeptElsewhere(replace(run, attempt=2))
        again.bring()
        assert checkpoint_path("abc").read_bytes() == b"epoch 3"
        again.put(checkpoint_path("abc"))
        assert store_here().keys("checkpoints") == ["abc"]
        sweep_runs(RunStore())
        assert store_here().keys("checkpoints") == []


def test_the_command_says_what_is_where_and_puts_there_what_is_not(
    few_folder: Path, shared: None, a: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def said(*words: str) -> dict[str, object]:
        capsys.readouterr()
        assert main(["store", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    with a():
        with monkeypatch.context() as patch:
            patch.delenv("THAW_STORE")
            dataset = ingest(few_folder).dataset
            assert said() == {"store": None}
        before, after = said(), said("--push")

    assert (before["datasets"], before["cached_bytes"], before["only_here"]) == (0, 0, [f"datasets/{dataset.id}"])
    assert (after["datasets"], after["only_here"]) == (1, [])
    assert 0 < after["cached_bytes"] < after["budget_bytes"] == 20 * 10**9
