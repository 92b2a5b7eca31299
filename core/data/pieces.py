"""Pieces of a large source: some files of a folder, or a part of a tar, as a source that is taken in by itself.

A piece is described by a file of its own, so that the process that reads strangers' bytes opens it like a zip.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from core.data.reading.kinds import HEAD_BYTES
from core.data.reading.layout import Placed
from core.data.reading.tars import Sample, read_member, samples
from core.data.sources import Source, read_file
from core.records import read_json

PIECE: Final = "piece.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file of a folder, as it was listed."""

    name: str
    """Below the root, with forward slashes."""
    class_name: str
    given: str | None
    """The part it was brought in, if any."""
    size: int
    stamp: str
    """Changes with its content: when it was last written, or a hash."""
    at: str = ""
    """Where it lies below the root; empty where its name says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """What one shard is made of: files, or the bytes of one tar from `start` to `end`."""

    root: str
    """The folder that the files lie in; where it is, is not part of what names the piece."""
    files: tuple[File, ...] = ()
    tar: File | None = None
    start: int = 0
    end: int = 0

    def made_of(self) -> bytes:
        """All that tells it from other pieces."""
        return json.dumps({**asdict(self), "root": ""}, sort_keys=True).encode()


def write_piece(piece: Piece, folder: Path) -> Path:
    """The file that describes a piece, in this folder."""
    path = folder / PIECE
    path.write_bytes(json.dumps(asdict(piece)).encode())
    return path


def open_piece(path: Path) -> Source:
    """The source behind a piece's file."""
    piece = read_json(path.read_bytes(), Piece)
    return _part_of_tar(piece, piece.tar) if piece.tar else _files(piece)


def _files(piece: Piece) -> Source:
    root, paths = Path(piece.root), {file.name: Path(file.at or file.name) for file in piece.files}
    return Source(
        title="",
        kind="piece",
        names=tuple(file.name for file in piece.files),
        placed=tuple(Placed(name=file.name, class_name=file.class_name, split=file.given) for file in piece.files),
        read=lambda name: read_file(root, paths[name]),
        head=lambda name: read_file(root, paths[name], HEAD_BYTES),
        close=lambda: None,
    )


def _part_of_tar(piece: Piece, tar: File) -> Source:
    path = Path(piece.root, tar.at or tar.name)
    file = path.open("rb", buffering=0)
    found: dict[str, Sample] = {}
    refused: list[tuple[str, str]] = []
    for sample in samples(file, piece.start, piece.end or os.fstat(file.fileno()).st_size):
        name = f"{tar.name}/{sample.picture.name}"
        if sample.problem:
            refused.append((name, sample.problem))
            continue
        while name in found:
            name += " (again)"
        found[name] = sample
    return Source(
        title="",
        kind="piece",
        names=tuple(found),
        placed=tuple(Placed(name=name, class_name=one.class_name, split=tar.given) for name, one in found.items()),
        refused=tuple(refused),
        read=lambda name: read_member(file, found[name].picture),
        head=lambda name: read_member(file, found[name].picture, HEAD_BYTES),
        close=file.close,
    )
