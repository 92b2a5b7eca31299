"""Pictures that lie in an S3 bucket: brought here file by file, to be read like a folder's.

Keys are names, never paths. Never for visitors of a shared server: what it may open with its own credentials, or in its
own network, is none of theirs.
"""

import json
import shutil
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from core.data.reading.limits import MAX_FILES_IN_FOLDER, MAX_MEMBER_BYTES
from core.data.sources import FETCHED
from core.errors import DatasetError, StorageError, StoreError
from core.home import home_folder
from core.models.download import is_offline
from core.objects.store import SCHEME, ask, bucket_files
from core.storage import FULL_SENTENCE, is_hosted

AT_ONCE: Final = 64
OnFetched = Callable[[int, int], None]


def is_bucket(where: str) -> bool:
    """Whether pictures are meant that lie in a bucket."""
    return where.startswith(SCHEME)


def fetch_bucket(where: str, folder: Path, on_fetched: OnFetched) -> Path:
    """Bring what lies below `s3://bucket/prefix` into a folder; the listing of it, or the zip that the address names.

    Args:
        on_fetched: told (done, total) now and then.

    Raises:
        DatasetError: it cannot be read, or may not be.
        StorageError: there is no room for it.
    """
    if is_hosted():
        raise DatasetError("Pictures are not fetched from addresses here. Download them, and bring a zip.")
    if is_offline():
        raise DatasetError("THAW_OFFLINE forbids to go online, so nothing was fetched.")
    root = where.removeprefix(SCHEME).strip("/")
    files = bucket_files()
    sizes = {key: size for key, size in _sizes(files, root).items() if not key.endswith("/")}
    if sum(sizes.values()) > shutil.disk_usage(home_folder()).free:
        raise StorageError(FULL_SENTENCE, full=True)
    if list(sizes) == [root]:
        zipped = folder / (Path(root).name or "zip")
        _fetch(files, [(root, zipped)], root)
        return zipped
    names, refused = _names(sizes, root)
    for start in range(0, len(names), AT_ONCE):
        on_fetched(start, len(names))
        some = list(names.items())[start : start + AT_ONCE]
        _fetch(files, [(key, folder / f"{start + number}") for number, (key, _) in enumerate(some)], root)
    listing = {"title": root.rpartition("/")[2], "names": list(names.values()), "refused": refused}
    (folder / FETCHED).write_text(json.dumps(listing), "utf-8")
    return folder / FETCHED


def _sizes(files: Any, root: str) -> dict[str, int]:
    """Bytes of all that lies below an address, by its key with the bucket's name before it."""
    found: dict[str, dict[str, Any]] = _asked(partial(files.find, root, detail=True), root) if root else {}
    if not found:
        raise DatasetError(f"There is nothing at {SCHEME}{root}; give {SCHEME}bucket/prefix.")
    if len(found) > MAX_FILES_IN_FOLDER:
        raise DatasetError(f"{SCHEME}{root} holds more than {MAX_FILES_IN_FOLDER:,} files (limit).")
    return {key: int(info["size"]) for key, info in sorted(found.items())}


def _names(sizes: dict[str, int], root: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Names by key of what is fetched; and what is not, with the reason."""
    names: dict[str, str] = {}
    known, refused = set[str](), []
    for key, size in sizes.items():
        name = unicodedata.normalize("NFC", key.removeprefix(root).lstrip("/"))
        if size > MAX_MEMBER_BYTES:
            refused.append((name, f"is larger than {MAX_MEMBER_BYTES // 1024**2} MB (limit)"))
        elif {"", ".", ".."} & set(name.split("/")):
            refused.append((name, "has a name that no file can have"))
        elif name in known:
            refused.append((name, "has the name of another file"))
        else:
            names[key] = name
            known.add(name)
    return names, refused


def _fetch(files: Any, some: list[tuple[str, Path]], root: str) -> None:
    """Several at once."""
    keys, paths = [key for key, _ in some], [str(path) for _, path in some]
    _asked(partial(files.get, keys, paths), root)


def _asked(what: Callable[[], Any], root: str) -> Any:
    try:
        return ask(what)
    except FileNotFoundError as error:
        raise DatasetError(f"There is nothing at {SCHEME}{root}. Check how it is written.") from error
    except StoreError as error:
        raise DatasetError(f"{SCHEME}{root} does not answer; nothing was stored. Try again later.") from error
    except StorageError as error:
        if error.full:
            raise
        raise DatasetError(closed(f"{SCHEME}{root}")) from error


def closed(address: str) -> str:
    """What is said of a bucket that cannot be read with the keys that are here."""
    return (
        f"{address} refuses access. Start Thaw with keys that may list and read it (AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY)."
    )
