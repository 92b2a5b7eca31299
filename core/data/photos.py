"""The ants-and-bees photos of PyTorch's transfer-learning tutorial: fetched for whoever asks, never passed on.

Their licence is not known for sure. A download that breaks off goes on where it stopped; what arrives is checked by
size and by its full SHA-256 before it gets its name.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import DatasetError
from core.home import home_folder
from core.storage import explained

CHUNK_BYTES: Final = 1 << 18
TIMEOUT_S: Final = 30  # of silence, not of the whole download
LICENCE: Final = (
    "The photos' licence is unconfirmed: download them for yourself, and do not pass them on. They are a small subset "
    "of ImageNet."
)

OnProgress = Callable[[int, int], None]
"""Gets bytes so far and bytes in all; it may raise to stop, and what has arrived is kept for the next try."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoSet:
    """A zip of photos on a server."""

    title: str
    url: str
    size_bytes: int
    sha256: str

    @property
    def address(self) -> str:
        """Where it is really fetched from: `THAW_DATA_URL` with the file's name where that is set."""
        name, mirror = self.url.rsplit("/", 1)[-1], os.environ.get("THAW_DATA_URL")
        return f"{mirror.rstrip('/')}/{name}" if mirror else self.url


# checked against PyTorch's download site; see the design's architecture page for the figures
ANTS_AND_BEES: Final = PhotoSet(
    title="Photos of ants and bees",
    url="https://download.pytorch.org/tutorial/hymenoptera_data.zip",
    size_bytes=47_286_322,
    sha256="fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209",
)


@explained()
def fetch_photos(photos: PhotoSet = ANTS_AND_BEES, on_progress: OnProgress = lambda done, total: None) -> Path:
    """Download the zip, or what is missing of it; where it lies. The caller takes it in and may then delete it.

    Raises:
        DatasetError: downloads are forbidden, the disk is too full, the server does not answer, or sends something
            else. In the last case nothing is kept.
    """
    if os.environ.get("THAW_OFFLINE", "") not in ("", "0"):
        raise DatasetError("Downloads are switched off (THAW_OFFLINE). The built-in set works without; or bring a zip.")
    final = home_folder("downloads") / photos.address.rsplit("/", 1)[-1]
    part = final.with_suffix(".part")
    if not final.exists():
        _check_room(photos, part)
        _fetch_rest(photos, part, on_progress)
        _check(photos, part)
        os.replace(part, final)
    return final


def _check_room(photos: PhotoSet, part: Path) -> None:
    missing = photos.size_bytes - _size(part)
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        raise DatasetError(f"The disk has {free / 1e6:.0f} MB free; the download needs {missing / 1e6:.0f} MB more.")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fetch_rest(photos: PhotoSet, part: Path, on_progress: OnProgress) -> None:
    import requests

    have = _size(part)
    if have == photos.size_bytes:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with requests.get(photos.address, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            answer.raise_for_status()
            goes_on = answer.status_code == requests.codes.partial_content
            with part.open("ab" if goes_on else "wb") as file:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    if file.tell() > photos.size_bytes:
                        break
                    on_progress(file.tell(), photos.size_bytes)
                os.fsync(file.fileno())
    except requests.RequestException as error:
        kept = f" {_size(part) / 1e6:.0f} MB are here; the next try goes on from there." if _size(part) else ""
        raise DatasetError(
            f"{photos.title} could not be downloaded from {photos.address}: {_reason(error)}.{kept} The built-in set "
            "works without a network."
        ) from error


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"nothing came for {TIMEOUT_S} seconds"
    return "no connection, or it broke off"


def _check(photos: PhotoSet, part: Path) -> None:
    size = _size(part)
    if size < photos.size_bytes:
        raise DatasetError(
            f"Only {size / 1e6:.1f} of {photos.size_bytes / 1e6:.1f} MB arrived. Try again: it goes on from there."
        )
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if size != photos.size_bytes or digest != photos.sha256:
        part.unlink()
        raise DatasetError(
            f"What {photos.address} sent is not {photos.title}: its SHA-256 begins with {digest[:8]}, not "
            f"{photos.sha256[:8]}. Nothing was kept."
        )
