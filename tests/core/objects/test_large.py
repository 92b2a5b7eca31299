"""Large sets on two machines with one store: what one has made, the other finds."""

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from buckets import Bucket

from core.__main__ import main
from core.data.pixels import FILE_NAME
from core.data.reading.intake import take_in
from core.data.reading.layout import AUTO
from core.errors import StorageError, StoreError
from core.objects import cache
from core.objects.store import bucket_files, store_here
from core.settings.schema import OptimSettings, RunSettings
from core.shards.executor import Executor, Here
from core.shards.features import FILE, Recipe, compute_features, recipe_of
from core.shards.large_set import ABOUT, Added, LargeSet, add, load_set
from core.shards.objects import folder_of, names_of
from core.shards.train import LargeResult, load_predictions, load_result, train_large

SETTINGS = RunSettings(optim=OptimSettings(l2=0.1))


@pytest.fixture(autouse=True)
def _in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.shards.taking_in.take_in_contained", take_in)


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """From now on this is another machine, whose processes have just begun."""
    monkeypatch.setenv("THAW_STORE", str(tmp_path / "store"))

    def move(name: str) -> None:
        monkeypatch.setenv("THAW_HOME", str(tmp_path / name))
        cache._looked.clear()
        cache._listed.clear()

    return move


def taken_in(where: Path | str) -> Added:
    return add(str(where), Here(), size=8, layout=AUTO, on_progress=lambda done, total: None)


@lru_cache
def recipe() -> Recipe:
    return recipe_of(SETTINGS)


def computed(data: LargeSet, work: Executor | None = None) -> list[int]:
    """How many pictures of each shard went through the network."""
    return [one.pictures for one in compute_features(data, recipe(), work or Here())]


def learnt(data: LargeSet) -> LargeResult:
    return load_result(train_large(data, SETTINGS, Here()).id)


def features(data: LargeSet) -> list[bytes]:
    names = [recipe().name_of(shard, view) for shard in data.shards for view in recipe().views]
    return [(folder_of("features", name) / FILE).read_bytes() for name in names]


def predictions(result: LargeResult) -> list[bytes]:
    return [kept["probabilities"].numpy().tobytes() for kept in load_predictions(result)]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damage_in_store(tmp_path: Path, kind: str, name: str) -> None:
    """Of a thing's files the largest."""
    damage(max((tmp_path / "store/large" / kind / name).iterdir(), key=lambda path: path.stat().st_size))


@pytest.mark.parametrize("place", ["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def test_what_one_took_in_the_other_learns_from_as_if_it_were_alone(
    place: str,
    on: Callable[[str], None],
    tiny_folder: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
):
    if place == "bucket":
        monkeypatch.setenv("THAW_STORE", request.getfixturevalue("bucket").address)
    on("a")
    data = taken_in(tiny_folder).data

    on("b")
    assert load_set(data.id) == data and names_of("sets") == [data.id]
    assert all(one.done_before for one in taken_in(tiny_folder).taken)
    assert not (folder_of("shards", data.shards[0]) / FILE_NAME).exists(), "pixels come when they are looked at"
    assert computed(data) == [16, 16, 16, 12]

    on("a")
    assert computed(data) == [0] * 4
    result = learnt(data)

    on("b")
    assert learnt(data) == result
    shared = features(data), predictions(result)

    on("alone")
    monkeypatch.delenv("THAW_STORE")
    assert taken_in(tiny_folder).data == data
    alone = learnt(data)
    assert replace(alone, seconds={}) == replace(result, seconds={})
    assert (features(data), predictions(alone)) == shared, "bit for bit"


@pytest.mark.slow
def test_what_is_damaged_in_the_store_is_made_again(on: Callable[[str], None], tiny_folder: Path, tmp_path: Path):
    on("a")
    data = taken_in(tiny_folder).data
    damage_in_store(tmp_path, "shards", data.shards[2])

    on("b")
    with pytest.raises(StorageError, match="take the source in again"):
        computed(data)
    assert [one.done_before for one in taken_in(tiny_folder).taken] == [True, True, False, True]
    assert computed(data) == [0, 0, 16, 12]

    name = recipe().name_of(data.shards[1], 0)
    damage_in_store(tmp_path, "features", name)
    on("c")
    with pytest.raises(StorageError, match="train again"):
        learnt(data)
    assert computed(data) == [0, 8, 0, 0]
    result = learnt(data)

    damage_in_store(tmp_path, "results", result.id)
    on("d")
    assert replace(learnt(data), seconds={}) == replace(result, seconds={})


@pytest.mark.slow
def test_what_is_damaged_here_comes_from_the_store_unless_it_went_there_so(
    on: Callable[[str], None], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    on("a")
    with monkeypatch.context() as patch:
        patch.delenv("THAW_STORE")
        data = taken_in(tiny_folder).data
        broken = data.shards[1]
        damage(folder_of("shards", broken) / FILE_NAME)
    with pytest.raises(StorageError, match="take the source in again"):
        computed(data)
    assert [one.done_before for one in taken_in(tiny_folder).taken] == [True, False, True, True]

    damage(folder_of("shards", broken) / FILE_NAME)
    assert computed(data) == [0, 16, 16, 12]
    damage(folder_of("features", recipe().name_of(broken, 0)) / FILE)
    assert learnt(data).test.total
    damage(folder_of("sets", data.id) / ABOUT)
    assert load_set(data.id) == data


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_waited_for_and_then_said(
    on: Callable[[str], None], bucket: Bucket, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_STORE", bucket.address)
    on("a")
    bucket.faults += [500, 503]
    data = taken_in(tiny_folder).data

    on("b")
    monkeypatch.setattr(store_here(), "_patience_s", 0.1)
    bucket.silent.set()
    with pytest.raises(StoreError, match="does not answer"):
        computed(data)

    class Lost(Here):
        def map(self, task, items):  # type: ignore[no-untyped-def]
            for done, result in enumerate(map(task, items)):
                if done:
                    bucket.silent.set()
                yield result

    bucket.silent.clear()
    with pytest.raises(StoreError, match="does not answer"):
        computed(data, Lost())
    bucket.silent.clear()
    assert computed(data) == [0, 0, 16, 12]


@pytest.mark.slow
def test_a_machine_keeps_no_more_of_it_than_it_may(
    on: Callable[[str], None], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    on("a")
    data = taken_in(tiny_folder).data

    on("b")
    monkeypatch.setattr(cache, "JUST_USED_S", 0.0)
    monkeypatch.setenv("THAW_CACHE_GB", "0.00015")
    assert computed(data) == [16, 16, 16, 12]
    assert len(list(folder_of("shards", "x").parent.rglob(FILE_NAME))) < 4
    assert cache.cached_bytes() < 2 * 150_000
    assert learnt(data).test.total


@pytest.mark.slow
def test_what_was_there_before_the_store_goes_there(
    on: Callable[[str], None], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    on("a")
    with monkeypatch.context() as patch:
        patch.delenv("THAW_STORE")
        data = taken_in(tiny_folder).data
    capsys.readouterr()
    assert main(["store", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert main(["store", "--push", "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert (before["large_sets"], before["large_only_here"], before["only_here"]) == (0, 9, [])
    assert (after["large_sets"], after["large_only_here"]) == (1, 0)

    on("b")
    assert load_set(data.id) == data
    assert computed(data) == [16, 16, 16, 12]


@pytest.mark.slow
def test_a_large_tar_in_a_bucket_is_cut_as_one_that_is_here(
    bucket: Bucket, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with tarfile.open(tmp_path / "tiny.tar", "w") as tar:
        tar.add(tiny_folder, "tiny")
    bucket_files().put_file(str(tmp_path / "tiny.tar"), f"{bucket.address}/tiny.tar")
    monkeypatch.setattr("core.shards.listing.WHOLE_UP_TO", 0)

    here = taken_in(tmp_path / "tiny.tar").data
    assert here.pictures == (8, 8, 8, 6)
    assert taken_in(f"{bucket.address}/tiny.tar").data == here
    assert all(one.done_before for one in taken_in(bucket.address).taken), "by whichever address"
