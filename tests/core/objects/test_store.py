"""Objects in a shared store: whole or not there, compared when they are read, asked for again where it is silent."""

from pathlib import Path

import pytest
from buckets import Bucket
from helpers import write_files

from core.errors import StorageError, StoreError
from core.objects.store import Store, bucket_files, store_here


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path / "store"))
    return Store(request.getfixturevalue("bucket").address)


def content(store: Store, folder: Path, key: str = "datasets/abc") -> dict[str, bytes]:
    index = store.index(key)
    return {name: store.read(key, index, name, folder) for name in index.files} if index else {}


def written(folder: Path, **files: bytes) -> dict[str, Path]:
    write_files(folder / "files", files)
    return {name: folder / "files" / name for name in files}


def test_what_is_put_comes_back_and_goes_with_its_object(store: Store, tmp_path: Path):
    store.put("datasets/abc", written(tmp_path, one=b"1", two=b""))
    store.put("datasets/abcd", written(tmp_path, one=b"2"))

    assert content(store, tmp_path) == {"one": b"1", "two": b""}
    assert store.keys("datasets") == ["abc", "abcd"]

    store.delete("datasets/abc")
    store.delete("datasets/never")

    assert store.keys("datasets") == ["abcd"]
    assert store.index("datasets/abc") is None
    assert store.is_there()


def test_an_object_is_replaced_whole_or_in_parts(store: Store, tmp_path: Path):
    store.put("datasets/abc", written(tmp_path, one=b"1", two=b"2", three=b"3"))
    store.put("datasets/abc", written(tmp_path, one=b"new"), gone=("three",), rest=True)
    assert content(store, tmp_path) == {"one": b"new", "two": b"2"}

    store.put("datasets/abc", written(tmp_path, other=b"4"))
    assert content(store, tmp_path) == {"other": b"4"}


def test_an_attempt_that_was_given_up_replaces_no_later_one(store: Store, tmp_path: Path):
    for attempt, text in ((1, b"first"), (2, b"second"), (1, b"first, late")):
        store.put("runs/abc", written(tmp_path, one=text), attempt)

    assert content(store, tmp_path, "runs/abc") == {"one": b"second"}


@pytest.mark.parametrize("damaged", ["index-000000.json", "000000-*"])
def test_damage_in_the_store_is_noticed_and_said(tmp_path: Path, damaged: str):
    store = Store(str(tmp_path / "store"))
    store.put("datasets/abc", written(tmp_path, one=b"content"))
    (path,) = (tmp_path / "store/datasets/abc").glob(damaged)
    path.write_bytes(path.read_bytes().replace(b"on", b"no"))

    with pytest.raises(StorageError, match=r"data set 'abc' is damaged in the store.*add the same pictures again"):
        content(store, tmp_path)


def test_a_store_that_fails_now_and_then_is_asked_again(bucket: Bucket, tmp_path: Path):
    store = Store(bucket.address)

    bucket.faults += [500, 503, 500]
    store.put("runs/abc", written(tmp_path, one=b"1"))
    bucket.faults += [500, 503, 500]

    assert content(store, tmp_path, "runs/abc") == {"one": b"1"}
    assert bucket.faults == []


def test_a_store_that_stays_silent_is_said(bucket: Bucket, tmp_path: Path):
    store = Store(bucket.address, patience_s=0.5)
    store.put("runs/abc", written(tmp_path, one=b"1"))

    bucket.silent.set()
    with pytest.raises(StoreError, match="does not answer"):
        store.put("runs/abc", written(tmp_path, one=b"2"))

    bucket.silent.clear()
    assert content(store, tmp_path, "runs/abc") == {"one": b"1"}


def test_a_store_that_refuses_is_not_asked_again(bucket: Bucket):
    bucket.faults += [403]

    with pytest.raises(StorageError, match="refuses access"):
        Store(bucket.address).index("runs/abc")


def test_a_put_that_was_cut_off_shows_nothing(bucket: Bucket, tmp_path: Path):
    store = Store(bucket.address, patience_s=0)
    store.put("datasets/other", written(tmp_path, one=b"1"))
    files = bucket_files()
    files.pipe_file(f"{bucket.address}/datasets/abc/000000-{'0' * 64}", b"begun")

    assert store.keys("datasets") == ["other"]
    assert store.index("datasets/abc") is None


@pytest.mark.parametrize(
    "chosen, said",
    [
        ("s3://", "names no bucket"),
        ("gs://bucket/x", "neither a folder nor s3://"),
        ("{home}/store", "lies in THAW_HOME"),
        ("~nobody-of-this-name/store", "begins with a user that does not exist"),
    ],
)
def test_a_store_that_cannot_be_is_said(chosen: str, said: str, thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_STORE", chosen.format(home=thaw_home))

    with pytest.raises(StorageError, match=said):
        store_here()


def test_a_bucket_that_is_not_there_is_said(bucket: Bucket, tmp_path: Path):
    with pytest.raises(StorageError, match="make it first"):
        Store(f"{bucket.address.replace('thaw-', 'other-')}").put("runs/abc", written(tmp_path, one=b"1"))
