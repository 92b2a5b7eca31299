"""What names a data set: the same pictures in the same classes are the same set, whatever their files are called."""

import hashlib
from collections.abc import Iterable

STORE_VERSION = 1  # part of every fingerprint: with another decoder policy the same files are other pixels


def fingerprint_of(rows: Iterable[tuple[str | None, str, str]]) -> str:
    """SHA-256 over (given split, class, content) of every picture: file names and their order do not matter."""
    lines = sorted(f"{given}\0{class_name}\0{content}" for given, class_name, content in rows)
    text = f"thaw-dataset-{STORE_VERSION}\n" + "\n".join(lines)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
