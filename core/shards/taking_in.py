"""Taking in a piece: a task that makes a shard, decoded pictures and what is known of each, and says so in a receipt.

The shard has the hash of what it holds for a name, the receipt that of what the piece is made of and of how it is read.
So a piece that is taken in again is found by its receipt and not read, and the same pictures elsewhere give the same
shard.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from core.data.draw import hash_of
from core.data.fingerprint import STORE_VERSION
from core.data.pieces import File, Piece, write_piece
from core.data.reading.child import take_in_contained
from core.data.reading.decode import POLICY
from core.data.reading.intake import ROWS, Request, read_rows
from core.data.reading.limits import MAX_MEMBER_BYTES
from core.data.splits import TEST_SEED
from core.errors import StorageError
from core.home import sealed, temporary_folder, unsealed, write_atomically
from core.machine.process import peak_memory
from core.records import read_json
from core.shards.listing import answering, files_at
from core.shards.objects import drop, find, is_done, making

RECEIPT: Final = "receipt.json"
INDEX: Final = "index.safetensors"
SHARD_VERSION: Final = 1
SHOWN: Final = 20
"""Files left out of which a receipt tells the reason."""
FETCH_BYTES: Final = 64 * 1024**2  # fetched together
GIVEN: Final = ("", "train", "val", "test")
"""Parts that pictures come in, by number."""
PASSING: Final = ("FILE_GONE", "FILE_CLOSED")
"""Codes of reasons that another day may not have: a piece with one is not done."""

Codes = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What became of a piece."""

    shard: str
    pictures: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    """Pictures of each class."""
    skipped: int
    examples: tuple[tuple[str, str], ...]
    """The first files that were left out, with the reasons."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A receipt, and what it cost to get it just now."""

    receipt: Receipt
    done_before: bool
    seconds: float
    cpu_s: float
    """Of all processors, also for the process that read pictures for it."""
    peak_bytes: int
    """Most memory that the process, or the one that read pictures for it, has held."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Index:
    """What is known of the N pictures of a shard that everything else is made from."""

    groups: Codes
    """(N, 32) uint8: SHA-256 of the decoded pixels."""
    contents: Codes
    """(N, 32) uint8: SHA-256 of the files."""
    ranks: Codes
    """(N,) uint64: by which the test part is drawn."""
    classes: Codes
    """(N,) int32: place in the receipt's classes."""
    given: Codes
    """(N,) uint8: place in `GIVEN`."""


def key_of(piece: Piece) -> str:
    """Names a piece and how it is read."""
    recipe = f"thaw-shard-{SHARD_VERSION} {STORE_VERSION} {asdict(POLICY)}\n"
    return hashlib.sha256(recipe.encode() + piece.made_of()).hexdigest()


def take_in_piece(piece: Piece) -> Taken:
    """The task.

    Raises:
        DatasetError: reading was given up.
        StorageError: the source or the storage does not answer.
    """
    start, cpu, key = time.perf_counter(), cpu_seconds(), key_of(piece)
    receipt = load_receipt(key)
    if receipt is not None:
        return Taken(receipt=receipt, done_before=True, seconds=time.perf_counter() - start, cpu_s=0.0, peak_bytes=0)
    with temporary_folder("piece") as folder:
        receipt, may_pass = _made(_here(piece, folder), folder)
    if not may_pass:
        with making("pieces", key) as folder:
            write_atomically(folder / RECEIPT, sealed(json.dumps(asdict(receipt)).encode()))
    return Taken(
        receipt=receipt,
        done_before=False,
        seconds=time.perf_counter() - start,
        cpu_s=cpu_seconds() - cpu,
        peak_bytes=_peak(),
    )


def load_receipt(key: str) -> Receipt | None:
    """What became of a piece; None as long as it is not done, or if its shard is gone."""
    path = find("pieces", key, RECEIPT)
    if path is None:
        return None
    try:
        receipt = read_json(unsealed(path.read_bytes())[0], Receipt)
    except (OSError, ValueError):
        drop("pieces", key)
        return None
    return receipt if is_done("shards", receipt.shard) else None


def cpu_seconds() -> float:
    """What this process has computed, and those that it started and that have ended."""
    return sum(os.times()[:4])


def _peak() -> int:
    with suppress(ImportError):  # Windows
        import resource

        return max(peak_memory(), 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return peak_memory()


def _made(piece: Piece, folder: Path) -> tuple[Receipt, bool]:
    """Take in what lies here, put the shard in its place; and whether something may be readable another day."""
    listed: dict[str, Any] = {}
    shard = folder / "shard"
    shard.mkdir()
    request = Request(where=str(write_piece(piece, folder)), folder=str(shard), threads=1, stored=(), piece=True)
    take_in_contained(request, lambda message: listed.update(message.get("listed", {})))
    rows = list(read_rows(shard))
    good = [row for row in rows if "place" in row]
    left_out = [(row["name"], row["reason"], row["code"]) for row in rows if "reason" in row]
    left_out += [tuple(row) for row in listed["unreadable"]]
    left_out += [(name, reason, "") for name, reason in listed["ignored"]]
    classes = tuple(sorted({row["class"] for row in good}))
    codes = {name: number for number, name in enumerate(classes)}
    index = _index_of(good, codes)
    save_file({name: getattr(index, name) for name in Index.__slots__}, shard / INDEX)
    digest = hashlib.sha256(f"thaw-shard-{SHARD_VERSION}\n".encode() + (shard / ROWS).read_bytes()).hexdigest()
    with making("shards", digest, shard):
        pass
    receipt = Receipt(
        shard=digest,
        pictures=len(good),
        classes=classes,
        counts=tuple(np.bincount(index.classes, minlength=len(classes)).tolist()),
        skipped=len(left_out),
        examples=tuple((name, reason) for name, reason, _ in left_out[:SHOWN]),
    )
    return receipt, any(code in PASSING for _, _, code in left_out)


def _index_of(rows: Sequence[dict[str, Any]], codes: dict[str, int]) -> Index:
    groups = [row["group"] for row in rows]
    ranks = [rank_of(f"test:{TEST_SEED}:{group}") for group in groups]
    return Index(
        groups=_bytes_of(groups),
        contents=_bytes_of([row["content"] for row in rows]),
        ranks=np.array(ranks, dtype=np.uint64),
        classes=np.array([codes[row["class"]] for row in rows], dtype=np.int32),
        given=np.array([GIVEN.index(row["given"] or "") for row in rows], dtype=np.uint8),
    )


def _bytes_of(digests: Sequence[str]) -> Codes:
    return np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, 32)


def rank_of(text: str) -> int:
    """The beginning of the hash that draws are ordered by, see `core.data.draw`, as a number."""
    return int.from_bytes(hash_of(text)[:8], "big")


def load_index(shard: str) -> Index:
    """What is known of a shard's pictures.

    Raises:
        StorageError: it is not here, or damaged.
    """
    return Index(**load_file(file_of(shard, INDEX)))


def file_of(shard: str, name: str) -> Path:
    """A file of a shard: its pixels, the small squares of its pictures (see `core.data.squares`), and so on.

    Raises:
        StorageError: it is not here.
    """
    path = find("shards", shard, name)
    if path is None:
        raise StorageError("A shard of this data set is not here any more: take the source in again.")
    return path


def load_rows(shard: str) -> list[dict[str, Any]]:
    """Everything that is known of the pictures of a shard, in order."""
    return [row for row in read_rows(file_of(shard, ROWS).parent) if "place" in row]


# -- what lies elsewhere


def _here(piece: Piece, folder: Path) -> Piece:
    """The piece with its files on this machine."""
    if "://" not in piece.root:
        return piece
    files, root = files_at(piece.root)
    source = folder / "source"
    source.mkdir()
    if piece.tar:
        with answering():
            _fetch(files, f"{root}/{piece.tar.name}", piece, source / "0")
        return replace(piece, root=str(source), tar=replace(piece.tar, at="0"), start=0, end=0)
    for batch in _batches(piece.files):
        paths = [f"{root}/{file.name}" for _, file in batch if file.size <= MAX_MEMBER_BYTES]
        with answering():
            found = files.cat(paths, on_error="return") if paths else {}
        for number, file in batch:
            _put(source / f"{number}", file, found.get(f"{root}/{file.name}"))
    here = tuple(replace(file, at=f"{number}") for number, file in enumerate(piece.files))
    return replace(piece, root=str(source), files=here)


def _fetch(files: Any, path: str, piece: Piece, target: Path) -> None:
    """A tar, or the part of it that the piece is."""
    if not piece.end:
        files.get_file(path, str(target))
        return
    with target.open("wb") as file:
        for start in range(piece.start, piece.end, FETCH_BYTES):
            file.write(files.cat_file(path, start=start, end=min(start + FETCH_BYTES, piece.end)))


def _put(path: Path, file: File, content: object) -> None:
    """What was fetched, or a hole of the size of what is too large to be: it is refused as it would be at home."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif file.size > MAX_MEMBER_BYTES:
        path.touch()
        os.truncate(path, file.size)
    elif not isinstance(content, FileNotFoundError):
        raise StorageError(f"The source does not answer ({type(content).__name__}); try again.")


def _batches(files: Sequence[File]) -> Iterator[list[tuple[int, File]]]:
    """Files with their numbers, not too large together."""
    batch: list[tuple[int, File]] = []
    for number, file in enumerate(files):
        if batch and sum(one.size for _, one in batch) + file.size > FETCH_BYTES:
            yield batch
            batch = []
        batch.append((number, file))
    if batch:
        yield batch
