"""A bucket of an S3 server on loopback, and the home folders of two machines."""

from collections.abc import Iterator

import pytest
from buckets import Bucket, Server, s3_server


@pytest.fixture(scope="session")
def _s3() -> Iterator[Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(_s3: Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in _s3.environment.items():
        monkeypatch.setenv(name, value)
    return _s3.bucket()
