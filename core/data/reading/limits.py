"""What may be brought in, in one table: the limits that are enforced are the limits that are shown.

Sizes in bytes, times in seconds.
"""

from typing import Final

MAX_UPLOAD_BYTES: Final = 200 * 1024**2
MAX_ENTRIES: Final = 20_000
MAX_FOLDERS: Final = 5_000
MAX_DEPTH: Final = 8
MAX_PART_BYTES: Final = 255
MAX_NAME_BYTES: Final = 1_024
MAX_TOTAL_BYTES: Final = 2 * 1024**3
MAX_MEMBER_BYTES: Final = 50 * 1024**2
MAX_RATIO: Final = 200
RATIO_FROM_BYTES: Final = 10 * 1024**2
"""A ratio alone would punish honest bitmaps: it counts from here on."""
MAX_PIXELS: Final = 50_000_000
MAX_SIDE: Final = 20_000
MIN_CLASSES: Final = 2
MAX_CLASSES: Final = 1_000
MAX_CLASS_NAME: Final = 100
MAX_FILES_IN_FOLDER: Final = 100_000

MEMORY_BYTES: Final = 3 * 1024**3
"""Address space of the process that reads pictures; a picture at the limit takes a fifth of it."""
CPU_S: Final = 120.0
CPU_EACH_S: Final = 0.02
"""Processor time for a whole upload: so much, and so much more for each file."""
MAX_PIXEL_FILE_BYTES: Final = 64 * 1024**3
"""What decoding may write."""
SILENCE_S: Final = 60.0
"""The reading process is given up when nothing was finished for so long; it is then tried picture by picture."""
PICTURE_S: Final = 20.0
"""The same for one picture alone; one that takes a second is rare."""
MAX_CULPRITS: Final = 20
"""Pictures that end or stop the reading process, in one upload; more refuse it."""


def format_limits() -> tuple[tuple[str, str], ...]:
    """The table as a person reads it: (what, limit)."""
    return (
        ("size of an upload", f"{MAX_UPLOAD_BYTES // 1024**2} MB"),
        ("entries in a zip", f"{MAX_ENTRIES:,}, in at most {MAX_FOLDERS:,} folders, {MAX_DEPTH} deep"),
        ("files in a folder on this computer", f"{MAX_FILES_IN_FOLDER:,}"),
        ("a zip unpacked", f"{MAX_TOTAL_BYTES // 1024**3} GB"),
        ("size of a picture's file", f"{MAX_MEMBER_BYTES // 1024**2} MB"),
        ("size of a picture", f"{MAX_PIXELS // 10**6} megapixels, {MAX_SIDE:,} pixels on a side"),
        ("time for a picture", f"{PICTURE_S:.0f} seconds"),
        ("classes", f"{MIN_CLASSES} to {MAX_CLASSES:,}, names of up to {MAX_CLASS_NAME} characters"),
    )
