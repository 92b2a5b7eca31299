"""One file from the network into a folder: checked by hash, all or nothing, with progress. No torch.

Whatever breaks a download off, what has arrived is kept aside and the next try goes on from there. Two who want the
same file at once: one downloads, the other sees its progress and takes what it got.

Of torchvision's files the first 8 hex digits of the SHA-256 are known before the first download (they are in the file's
name); of those on the Hugging Face Hub it is asked for just before, since the Hub says it of every large file. The full
hash is then written beside the file and checked in full whenever the file is read.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from core.errors import StorageError, WeightsError
from core.home import one_at_a_time, ordinary, server_folder, server_home, write_atomically
from core.storage import explained

OnProgress = Callable[[int, int], None]
"""Gets bytes so far and bytes in all; it may raise to stop, and what has arrived is kept for the next try."""

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
    kept_as: str = ""
    """The file's name here and on a mirror, where its address ends as many others do; its hash is the server's to say.
    Empty: the last part of the address, with the hash in it."""

    @property
    def file_name(self) -> str:
        """As it is kept."""
        return self.kept_as or urlsplit(self.url).path.rsplit("/", 1)[-1]

    @property
    def digits(self) -> str:
        """The first 8 hex digits of the SHA-256, from the file's name (`resnet18-f37072fd.pth`); empty if asked for."""
        if self.kept_as:
            return ""
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
        return server_home() / "weights" / self.file_name

    @property
    def part_path(self) -> Path:
        """What has arrived of it so far."""
        return server_folder("downloads") / f"{self.file_name}.part"

    @property
    def record_path(self) -> Path:
        """The JSON beside it, which holds the full hash."""
        return self.path.with_name(f"{self.file_name}.json")


def is_offline() -> bool:
    """Whether `THAW_OFFLINE` forbids all downloads."""
    return os.environ.get("THAW_OFFLINE", "") not in ("", "0")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits."""
    with ordinary(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def format_size(size_bytes: int) -> str:
    """Bytes as MB (millions of bytes) with one decimal."""
    return f"{size_bytes / 1e6:.1f} MB"


def recorded_sha256(file: RemoteFile) -> str | None:
    """The full hash noted when the file was fetched; None where none is readable."""
    try:
        sha256 = json.loads(ordinary(file.record_path).read_text())["sha256"]
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
    if file.kept_as and recorded is None:
        raise WeightsError(
            f"Nothing says what {file.path} should be: the note of its SHA-256 beside it is gone. Remove the file, and "
            "it will be downloaded anew."
        )
    if not sha256.startswith(file.digits) or recorded not in (sha256, None):
        file.path.unlink(missing_ok=True)
        file.record_path.unlink(missing_ok=True)
        raise WeightsError(
            f"{file.path} was damaged on disk (its SHA-256 is {sha256[:8]}..., not {(recorded or file.digits)[:8]}...) "
            "and has been removed. Try again: it will be downloaded anew."
        )
    if recorded is None:
        _write_record(file, sha256, size_of(file.path))
    return sha256


def fetch(file: RemoteFile, on_progress: OnProgress | None = None) -> str:
    """Download the file to its place, or what is missing of it, and give its SHA-256.

    Raises:
        WeightsError: the disk is too full, the server did not answer or refused, or the content is not what the
            file's name promises. In the last case nothing is kept.
    """
    report = on_progress or (lambda done, total: None)
    expected = file.digits
    with one_at_a_time(file.file_name, lambda: report(size_of(file.part_path), file.size_bytes)):
        if file.path.exists():  # whoever had the lock has brought it
            return verify(file)
        try:
            server_folder("weights")
            _check_room(file)
            expected = expected or _said_sha256(file)
            _fetch_part(file, report)
            sha256 = file_sha256(file.part_path)
            if not sha256.startswith(expected):
                file.part_path.unlink()
                raise WeightsError(
                    f"What {file.address} sent is not {file.title}: "
                    f"its SHA-256 begins with {sha256[:8]}, not {expected[:8]}. Nothing was kept."
                )
            _write_record(file, sha256, size_of(file.part_path))
            os.replace(file.part_path, file.path)
        except OSError as error:
            raise WeightsError(f"{file.title} could not be written to disk: {error.strerror or error}.") from error
        return sha256


def _said_sha256(file: RemoteFile) -> str:
    """What the server says of the file's content: 64 hex digits, as the Hub does of large files before it sends them on
    to where they lie (its header `X-Linked-Etag`); or as a mirror has it in a file of that name and `.sha256`.

    Raises:
        WeightsError: it cannot be reached, or says nothing of the kind.
    """
    import requests

    try:
        asked = requests.head(file.address, allow_redirects=True, timeout=TIMEOUT_S)
        said = [one.headers.get("X-Linked-Etag", "") for one in (*asked.history, asked)]
        if not any(said):
            asked.raise_for_status()
            beside = requests.get(f"{file.address}.sha256", timeout=TIMEOUT_S)
            said = [beside.text[:64]] if beside.ok else []
    except requests.RequestException as error:
        raise WeightsError(f"{file.address} could not be read: {_reason(error)}") from error
    found = next((one.strip('"') for one in said if re.fullmatch('"?[0-9a-f]{64}"?', one)), None)
    if found is None:
        raise WeightsError(f"{file.address} does not say the file's SHA-256, so {file.title} cannot be checked.")
    return found


def _check_room(file: RemoteFile) -> None:
    folder = file.path.parent
    free, missing = shutil.disk_usage(folder).free, file.size_bytes - size_of(file.part_path)
    if free < missing:
        raise WeightsError(f"The disk has {format_size(free)} free; {file.title} needs {format_size(missing)}.")


def _fetch_part(file: RemoteFile, report: OnProgress) -> None:
    import requests

    most = int(1.1 * file.size_bytes) + CHUNK_BYTES

    def check(done: int, total: int | None) -> None:
        if max(done, total or 0) > most:
            file.part_path.unlink()
            expected = format_size(file.size_bytes)
            raise WeightsError(f"{file.address} sends more than {expected}, so it is not {file.title}.")
        report(min(done, total or file.size_bytes), total or file.size_bytes)

    try:
        fetch_rest(file.address, file.part_path, check)
    except requests.RequestException as error:
        raise WeightsError(f"{file.address} could not be read: {_reason(error)}{kept(file.part_path)}") from error


def size_of(path: Path) -> int:
    """Bytes; 0 where there is no file."""
    return path.stat().st_size if path.exists() else 0


def kept(part: Path) -> str:
    """What has arrived before a download broke off, in words; empty if it is nothing."""
    have = size_of(part)
    return f" {have / 1e6:.0f} MB are here; the next try goes on from there." if have else ""


def fetch_rest(address: str, part: Path, on_chunk: Callable[[int, int | None], None]) -> None:
    """Add to `part` what is missing of the file at an address; where the server cannot go on, from the beginning.

    Args:
        on_chunk: gets the bytes that are here and, where the server says it, bytes in all. It may raise to stop.

    Raises:
        requests.RequestException: the server refuses, is not there, or breaks off. What has arrived stays.
    """
    import requests

    have = size_of(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if have and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # there is nothing beyond what is here; its hash tells whether it is the file
        answer.raise_for_status()
        goes_on = answer.status_code == requests.codes.partial_content
        length = answer.headers.get("Content-Length", "")
        total = int(length) + have * goes_on if length.isdigit() else None
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_content(CHUNK_BYTES):
                file.write(chunk)
                on_chunk(file.tell(), total)
            file.flush()
            os.fsync(file.fileno())


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


def _write_record(file: RemoteFile, sha256: str, size_bytes: int) -> None:
    record = {"file": file.file_name, "sha256": sha256, "size_bytes": size_bytes, "url": file.url}
    with suppress(StorageError):  # then only the digits of its name are compared next time
        write_atomically(file.record_path, json.dumps(record, indent=2).encode())
