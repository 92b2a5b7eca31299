"""The ants-and-bees photos of PyTorch's transfer-learning tutorial: fetched for whoever asks, never passed on.

Their licence is not known for sure. A download that breaks off goes on where it stopped; what arrives is checked by
size and by its full SHA-256 before it gets its name. Two who ask at once: one downloads, the other waits and sees how
far it is.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import DatasetError
from core.home import home_folder, one_at_a_time
from core.models.download import TIMEOUT_S, fetch_rest, file_sha256, is_offline, kept, size_of
from core.storage import explained

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
def lend_photos(
    folder: Path, photos: PhotoSet = ANTS_AND_BEES, on_progress: OnProgress = lambda done, total: None
) -> Path:
    """The zip under a name of the caller's own in `folder`, downloaded if need be: nobody else takes that away.

    Raises:
        DatasetError: downloads are forbidden, the disk is too full, the server does not answer, or sends something
            else. In the last case nothing is kept.
    """
    with _alone(photos, on_progress):
        final = _fetched(photos, on_progress)
        own = folder / final.name
        try:
            os.link(final, own)
        except OSError:  # not every disk knows two names for a file
            shutil.copyfile(final, own)
        return own


def forget_photos(photos: PhotoSet = ANTS_AND_BEES) -> None:
    """Remove the zip that was downloaded; whoever was lent it keeps it."""
    with _alone(photos, lambda done, total: None):
        _final(photos).unlink(missing_ok=True)


def _alone(photos: PhotoSet, on_progress: OnProgress) -> AbstractContextManager[None]:
    """Keep others away from the zip; while they have it, tell how far their download is."""
    return one_at_a_time(_final(photos).name, lambda: on_progress(size_of(_part(photos)), photos.size_bytes))


def _fetched(photos: PhotoSet, on_progress: OnProgress) -> Path:
    if is_offline():
        raise DatasetError("Downloads are switched off (THAW_OFFLINE). The built-in set works without; or bring a zip.")
    final, part = _final(photos), _part(photos)
    if not _is_whole(photos, final):
        _check_room(photos, part)
        _fetch_part(photos, part, on_progress)
        _check(photos, part)
        os.replace(part, final)
    return final


def _final(photos: PhotoSet) -> Path:
    return home_folder("downloads") / photos.address.rsplit("/", 1)[-1]


def _part(photos: PhotoSet) -> Path:
    return _final(photos).with_suffix(".part")


def _is_whole(photos: PhotoSet, path: Path) -> bool:
    """Whether the photos lie there as they are: what was whole when it came may have been damaged since."""
    return size_of(path) == photos.size_bytes and file_sha256(path) == photos.sha256


def _check_room(photos: PhotoSet, part: Path) -> None:
    missing = photos.size_bytes - size_of(part)
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        raise DatasetError(f"The disk has {free / 1e6:.0f} MB free; the download needs {missing / 1e6:.0f} MB more.")


class _TooLong(Exception):
    """The server sends more than the photos: what is here is enough to see that it is something else."""


def _fetch_part(photos: PhotoSet, part: Path, on_progress: OnProgress) -> None:
    import requests

    def check(done: int, total: int | None) -> None:
        if done > photos.size_bytes:
            raise _TooLong
        on_progress(done, photos.size_bytes)

    if size_of(part) == photos.size_bytes:
        return
    try:
        with suppress(_TooLong):
            fetch_rest(photos.address, part, check)
    except requests.RequestException as error:
        raise DatasetError(
            f"{photos.title} could not be downloaded from {photos.address}: {_reason(error)}.{kept(part)} The built-in "
            "set works without a network."
        ) from error


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"nothing came for {TIMEOUT_S} seconds"
    return "no connection, or it broke off"


def _check(photos: PhotoSet, part: Path) -> None:
    size = size_of(part)
    if size < photos.size_bytes:
        raise DatasetError(
            f"Only {size / 1e6:.1f} of {photos.size_bytes / 1e6:.1f} MB arrived. Try again: it goes on from there."
        )
    digest = file_sha256(part)
    if size != photos.size_bytes or digest != photos.sha256:
        part.unlink()
        raise DatasetError(
            f"What {photos.address} sent is not {photos.title}: its SHA-256 begins with {digest[:8]}, not "
            f"{photos.sha256[:8]}. Nothing was kept."
        )
