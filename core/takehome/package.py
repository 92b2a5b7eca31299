"""The zip a run travels in: the same members give the same bytes.

Beside its members it holds `SHA256SUMS`, in the format of `sha256sum`, which names every one of them.
"""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

SUMS, MODEL, RECORD, WEIGHTS = "SHA256SUMS", "model.json", "record.json", "weights.safetensors"
GOLDENS, ONNX, CARD, README = "goldens.safetensors", "model.onnx", "MODEL_CARD.md", "README.md"
REQUIREMENTS, PREDICT = "requirements.txt", "predict.py"
GOLDEN_PICTURES: Final = tuple(f"goldens/{number}.png" for number in range(1, 9))

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
