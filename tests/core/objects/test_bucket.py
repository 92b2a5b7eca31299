"""Pictures that lie in a bucket are taken in like a folder's, and never for strangers."""

import json
from pathlib import Path

import pytest
from buckets import Bucket
from helpers import drawn_classes, write_files, write_zip

from core.__main__ import main
from core.data.ingest import ingest
from core.errors import DatasetError
from core.objects.store import bucket_files


def put(bucket: Bucket, files: dict[str, bytes]) -> str:
    """The address below which the files lie now."""
    for name, content in files.items():
        bucket_files().pipe_file(f"{bucket.address}/{name}", content)
    bucket.requests.clear()
    return bucket.address


def test_class_folders_in_a_bucket_are_those_of_a_folder(bucket: Bucket, tmp_path: Path):
    files = {**drawn_classes(5), "discs/broken.jpg": b"no picture"}
    address = put(bucket, {**files, "discs/": b"", "../x.jpg": b"x"})
    bucket.faults += [500, 503]

    dataset = ingest(address).dataset

    assert (dataset.title, dataset.kind, dataset.class_names) == ("fix", "bucket", ("discs", "squares", "stripes"))
    assert dataset.fingerprint == ingest(write_files(tmp_path / "same", files)).dataset.fingerprint
    assert [row.file for row in dataset.skipped] == ["discs/broken.jpg"]
    assert "../x.jpg" in [row.file for row in dataset.ignored]
    assert ingest(address).decode_s == 0.0, "it is here already"


def test_a_zip_in_a_bucket_is_a_zip(bucket: Bucket, tiny_folder: Path, tmp_path: Path):
    address = put(bucket, {"flowers.zip": write_zip(tmp_path / "x.zip", drawn_classes(10)).read_bytes()})

    dataset = ingest(f"{address}/flowers.zip").dataset

    assert (dataset.title, dataset.kind) == ("flowers", "zip")
    assert dataset.fingerprint == ingest(tiny_folder).dataset.fingerprint


def test_the_command_takes_an_address(bucket: Bucket, capsys: pytest.CaptureFixture[str]):
    assert main(["data", put(bucket, drawn_classes(5)), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["classes"] == ["discs", "squares", "stripes"]


@pytest.mark.parametrize(
    "variable, said", [("THAW_HOSTED", "not fetched from addresses here"), ("THAW_OFFLINE", "forbids to go online")]
)
def test_a_server_of_strangers_and_one_offline_open_no_address(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, variable: str, said: str
):
    address = put(bucket, drawn_classes(5))
    monkeypatch.setenv(variable, "1")

    with pytest.raises(DatasetError, match=said):
        ingest(address)
    assert bucket.requests == []


COMMANDS = pytest.mark.parametrize("command", [("data",), ("large", "add")], ids=" ".join)
"""That take pictures in."""


@COMMANDS
@pytest.mark.parametrize("status, said", [(403, "refuses access"), (0, "There is nothing at")])
def test_what_cannot_be_read_is_said(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], status: int, said: str
):
    bucket.faults += [status] if status else []

    assert main([*command, f"s3://{bucket.name}/nothing/here"]) == 2
    assert said in capsys.readouterr().err


@COMMANDS
@pytest.mark.parametrize("address", ["s3://", "s3:///"])
def test_an_address_without_a_bucket_is_told_from_one(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], address: str
):
    assert main([*command, address]) == 2
    assert "give s3://bucket/prefix" in capsys.readouterr().err


@COMMANDS
def test_who_has_no_key_is_told_to_bring_one(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
):
    def ask(*_args: object, **_options: object) -> None:
        raise pytest.importorskip("botocore.exceptions").NoCredentialsError

    monkeypatch.setattr("s3fs.S3FileSystem.find", ask)

    assert main([*command, bucket.address]) == 2
    assert "refuses access. Start Thaw with keys" in capsys.readouterr().err
