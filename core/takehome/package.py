"""The zip a run travels in: the same members give the same bytes, and a zip is read only if every byte is as it was.

Beside its members it holds `SHA256SUMS`, in the format of `sha256sum`, which names every one of them. The hashes tell
damage, not who packed it: what is read is as suspect as anything that a stranger sends.
"""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from core.data.reading.archive import Archive
from core.errors import DatasetError, ImageError, PackageError
from core.home import ordinary
from core.storage import explained

SUMS, MODEL, RECORD, WEIGHTS = "SHA256SUMS", "model.json", "record.json", "weights.safetensors"
GOLDENS, ONNX, CARD = "goldens.safetensors", "model.onnx", "README.md"
REQUIREMENTS, PREDICT, TRAIN, PICTURES = "requirements.txt", "predict.py", "train.py", "pictures.csv"
PREDICTIONS: Final = "predictions.safetensors"
READING: Final = ("kinds", "picture", "depth")
"""The modules of `core.data` that read pictures: they go along, word for word, in a folder `reading`."""
GOLDEN_PICTURES: Final = tuple(f"goldens/{number}.png" for number in range(1, 9))

MAX_LARGE_BYTES: Final = 1024**3
"""The largest network of the catalogue takes half of it."""
MAX_TABLE_BYTES: Final = 64 * 1024**2
MAX_SMALL_BYTES: Final = 1024**2
_LIMITS: Final = dict.fromkeys((WEIGHTS, ONNX), MAX_LARGE_BYTES) | dict.fromkeys(
    (RECORD, PREDICTIONS, PICTURES), MAX_TABLE_BYTES
)
_NEEDED: Final = frozenset({SUMS, MODEL, RECORD, WEIGHTS, PREDICTIONS, GOLDENS, *GOLDEN_PICTURES})
_OTHERS: Final = frozenset(
    {ONNX, CARD, REQUIREMENTS, PREDICT, TRAIN, PICTURES, *(f"reading/{name}.py" for name in ("__init__", *READING))}
)
_PICKLE: Final = "pickle), which can run code when it is opened, so Thaw opens none"
_KINDS: Final = (
    *((bytes((0x80, protocol)), f"a PyTorch or joblib file ({_PICKLE}") for protocol in range(2, 6)),
    (b"\x89HDF", "a Keras or HDF5 file, not a zip that Thaw has packed"),
    (b"GGUF", "a GGUF file, not a zip that Thaw has packed"),
    (b"\x93NUMPY", "a NumPy file, not a zip that Thaw has packed"),
    (b"\x08", "an ONNX file, not a zip that Thaw has packed"),
)

_CHUNK_BYTES: Final = 1024**2
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)


def write_package(target: Path | BinaryIO, members: Mapping[str, bytes | Path]) -> None:
    """Write members and their hashes; to a path all or nothing.

    Args:
        members: content by name, bytes or the path of a file; written in the order of the names.
    """
    if not isinstance(target, Path):
        _write(target, members)
        return
    with explained(target.name):
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                _write(file, members)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _write(file: BinaryIO, members: Mapping[str, bytes | Path]) -> None:
    """Stored, not deflated: weights and pictures do not get smaller, and the bytes depend on no library's version."""
    sums = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            sums.append(f"{_write_member(archive, name, members[name])}  {name}\n")
        _write_member(archive, SUMS, "".join(sums).encode("ascii"))


def _write_member(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> str:
    info = zipfile.ZipInfo(name, _NO_DATE)
    info.create_system, info.external_attr = 3, 0o644 << 16
    info.file_size = len(content) if isinstance(content, bytes) else content.stat().st_size
    digest = hashlib.sha256()
    with archive.open(info, "w") as member:
        if isinstance(content, bytes):
            digest.update(content)
            member.write(content)
        else:
            with content.open("rb") as source:
                while chunk := source.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    member.write(chunk)
    return digest.hexdigest()


class Package:
    """A zip that `write_package` wrote, or that somebody unpacked and packed again: every file is the one it was."""

    def __init__(self, archive: Archive, names: Mapping[str, str]) -> None:
        self._archive, self._names = archive, names

    def names(self) -> frozenset[str]:
        """Its files, `SHA256SUMS` among them."""
        return frozenset(self._names)

    def read(self, name: str) -> bytes:
        """The bytes of one of its files.

        Raises:
            PackageError: it cannot be read.
        """
        limit = _LIMITS.get(name, MAX_SMALL_BYTES)
        if self._archive.size(self._names[name]) > limit:
            raise PackageError(f"{name} in the zip is larger than {limit // 1024**2} MB (limit).")
        try:
            return self._archive.read(self._names[name])
        except ImageError as error:
            raise PackageError(f"{name} in the zip {error}.") from error
        except DatasetError as error:
            raise PackageError(str(error)) from error


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """A zip to read a run from, checked: which files it has, and the hash of each.

    Raises:
        PackageError: it is something else, or a file has changed.
    """
    _check_kind(path)
    try:
        archive = Archive(path, MAX_LARGE_BYTES)
    except DatasetError as error:
        raise PackageError(str(error)) from error
    try:
        package = Package(archive, _files(archive))
        _check_sums(package)
        yield package
    finally:
        archive.close()


def _files(archive: Archive) -> dict[str, str]:
    """Names in the archive by name in the package: all that belong to one, and no others."""
    members = [name for name in archive.names() if not _is_litter(name)]
    _check_contents(members)
    # some browsers unpack a download at once; packed again by hand, everything stands in one folder
    folder = f"{members[0].partition('/')[0]}/" if SUMS not in members and members else ""
    names = {name.removeprefix(folder): name for name in members}
    missing, extra = sorted(_NEEDED - set(names)), sorted(set(names) - _NEEDED - _OTHERS)
    if SUMS in missing:
        raise PackageError("This zip was not packed by Thaw: it has no list of hashes (SHA256SUMS).")
    if missing:
        raise PackageError(f"The zip lacks {', '.join(missing[:5])}; pack the run again.")
    if extra or archive.refused:
        shown = ", ".join(ascii(name[:80])[1:-1] for name in extra[:5]) or "files with odd names"
        raise PackageError(f"The zip holds what Thaw did not pack: {shown}.")
    return names


def _is_litter(name: str) -> bool:
    """What a Mac adds to every zip."""
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] == ".DS_Store"


def _check_sums(package: Package) -> None:
    lines = package.read(SUMS).decode("ascii", "replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    names = package.names() - {SUMS}
    if len(sums) != len(lines) or set(sums) != names:
        raise PackageError("The zip's list of hashes (SHA256SUMS) is not about the files in it.")
    for name in sorted(names):
        if hashlib.sha256(package.read(name)).hexdigest() != sums[name]:
            raise PackageError(f"{name} has changed since it was packed; the zip is damaged.")


def _check_contents(members: Sequence[str]) -> None:
    """Say what a zip is that is a model of another kind."""
    ends = {name.rsplit("/", 1)[-1] for name in members}
    if "data.pkl" in ends:
        raise PackageError(f"This is a PyTorch file ({_PICKLE}.")
    if ends and all(name.endswith(".npy") for name in ends):
        raise PackageError("This is a NumPy file (.npz), not a zip that Thaw has packed.")
    if "model.weights.h5" in ends:
        raise PackageError("This is a Keras model, not a zip that Thaw has packed.")


def _check_kind(path: Path) -> None:
    """Say what a file is that is no zip at all; nothing of it is opened."""
    try:
        with ordinary(path).open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise PackageError(f"{path.name} cannot be read.") from error
    kind = next((kind for magic, kind in _KINDS if start.startswith(magic)), None)
    if start[8:9] == b"{" and start[4:8] == bytes(4):
        kind = "safetensors alone, without what they mean; bring the whole zip"
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        kind = "a web page"
    if kind:
        raise PackageError(f"{path.name} is {kind}.")
