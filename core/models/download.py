"""One file from the network into a folder: checked by hash, all or nothing, with progress. No torch.

Only the first 8 hex digits of the SHA-256 are known before the first download (they are in the file's name). The full
hash is then written beside the file and checked in full whenever the file is read.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from core.errors import StorageError, WeightsError
from core.home import home_folder, thaw_home, write_atomically
from core.storage import explained

OnProgress = Callable[[int, int], None]
"""Gets bytes so far and bytes in all. It may raise to stop the download; nothing is left behind."""

TIMEOUT_S: Final = 30  # of silence, not of the whole download
CHUNK_BYTES: Final = 1 << 18


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """A file of weights on a server."""

    title: str
    """How messages call it: "the ImageNet weights of ResNet-18"."""
    url: str
    size_bytes: int
    """As published, to about one per mille."""

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]

    @property
    def digits(self) -> str:
        """The first 8 hex digits of the SHA-256, from the file's name (`resnet18-f37072fd.pth`)."""
        found = re.search(r"-([0-9a-f]{8})\.", self.file_name)
        if found is None:
            raise WeightsError(f"{self.file_name} has no hash in its name, so {self.title} cannot be checked.")
        return found[1]

    @property
    def address(self) -> str:
        """Where it is really fetched from: `THAW_WEIGHTS_URL` with the file's name where that is set."""
        mirror = os.environ.get("THAW_WEIGHTS_URL")
        return f"{mirror.rstrip('/')}/{self.file_name}" if mirror else self.url

    @property
    def path(self) -> Path:
        """Where it lies once it is here."""
        return thaw_home() / "weights" / self.file_name

    @property
    def record_path(self) -> Path:
        """The JSON beside it, which holds the full hash."""
        return self.path.with_name(f"{self.file_name}.json")


def is_offline() -> bool:
    """Whether `THAW_OFFLINE` forbids all downloads."""
    return os.environ.get("THAW_OFFLINE", "") not in ("", "0")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits."""
    import pooch

    digest: str = pooch.file_hash(str(path), alg="sha256")
    return digest


def format_size(size_bytes: int) -> str:
    """Bytes as MB (millions of bytes) with one decimal."""
    return f"{size_bytes / 1e6:.1f} MB"


def recorded_sha256(file: RemoteFile) -> str | None:
    """The full hash noted when the file was fetched; None where none is readable."""
    try:
        sha256 = json.loads(file.record_path.read_text())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sha256 if isinstance(sha256, str) else None


@explained()
def verify(file: RemoteFile) -> str:
    """Check the file that is here in full and give its SHA-256. A damaged file is removed.

    Raises:
        WeightsError: its content is not what was fetched; the next try fetches it again.
    """
    sha256 = file_sha256(file.path)
    recorded = recorded_sha256(file)
    if not sha256.startswith(file.digits) or recorded not in (sha256, None):
        file.path.unlink(missing_ok=True)
        file.record_path.unlink(missing_ok=True)
        raise WeightsError(
            f"{file.path} was damaged on disk (its SHA-256 is {sha256[:8]}..., not {(recorded or file.digits)[:8]}...) "
            "and has been removed. Try again: it will be downloaded anew."
        )
    if recorded is None:
        _write_record(file, sha256)
    return sha256


def fetch(file: RemoteFile, on_progress: OnProgress | None = None) -> str:
    """Download the file to its place and give its SHA-256. On any failure nothing is left behind.

    Raises:
        WeightsError: the disk is too full, the server did not answer or refused, or the content is not what the
            file's name promises.
    """
    import pooch
    import requests

    folder, digits = home_folder("weights"), file.digits
    free = shutil.disk_usage(folder).free
    if free < file.size_bytes:
        raise WeightsError(f"{folder} has {format_size(free)} free; {file.title} needs {format_size(file.size_bytes)}.")
    handle, name = tempfile.mkstemp(prefix=f".{file.file_name}-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as target:
            progress = _Progress(file, on_progress)
            pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S)(
                file.address, target, None
            )
            os.fsync(target.fileno())
        sha256 = file_sha256(Path(name))
        if not sha256.startswith(digits):
            raise WeightsError(
                f"What {file.address} sent is not {file.title}: "
                f"its SHA-256 begins with {sha256[:8]}, not {digits}. Nothing was kept."
            )
        os.replace(name, file.path)
    except requests.RequestException as error:
        raise WeightsError(f"{file.address} could not be read: {_reason(error)}") from error
    except OSError as error:
        raise WeightsError(f"{file.title} could not be written to {folder}: {error.strerror or error}.") from error
    finally:
        Path(name).unlink(missing_ok=True)
    _write_record(file, sha256)
    return sha256


def _reason(error: Exception) -> str:
    """What went wrong on the network, in words; the exception itself stays attached as the cause."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} ({error.response.reason})."
    if isinstance(error, requests.Timeout):
        return f"nothing came for {TIMEOUT_S} seconds."
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended before the file was complete."
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server, or it broke off."
    return f"{error}."


def _write_record(file: RemoteFile, sha256: str) -> None:
    record = {"file": file.file_name, "sha256": sha256, "size_bytes": file.path.stat().st_size, "url": file.url}
    with suppress(StorageError):  # then only the digits of its name are compared next time
        write_atomically(file.record_path, json.dumps(record, indent=2).encode())


class _Progress:
    """The progress bar that pooch expects: passes bytes on, and stops a server that sends far too much."""

    def __init__(self, file: RemoteFile, on_progress: OnProgress | None) -> None:
        self.file, self.on_progress = file, on_progress
        self.total = 0  # pooch sets it from the answer's header, 0 if there is none
        self.done = 0

    def update(self, size: int) -> None:
        """Count a chunk."""
        self.done += size
        total = self.total or self.file.size_bytes
        if max(self.done, self.total) > 1.1 * self.file.size_bytes + CHUNK_BYTES:
            expected = format_size(self.file.size_bytes)
            raise WeightsError(f"{self.file.address} sends more than {expected}, so it is not {self.file.title}.")
        if self.on_progress is not None:
            self.on_progress(min(self.done, total), total)

    def reset(self) -> None:
        """Pooch counts the last, shorter chunk as a whole one; it resets and reports the total at the end."""
        self.done = 0

    def close(self) -> None:
        """Nothing to close."""
