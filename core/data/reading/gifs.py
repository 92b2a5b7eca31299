"""Whether a GIF moves, by its blocks: they are skipped one after the other, and none is decoded."""

from typing import Final

_HEADER: Final = 13
_HEADER_FLAGS: Final = 10
_IMAGE_FLAGS: Final = 9  # behind the image's mark, as the next one
_IMAGE_HEADER: Final = 10
_HAS_TABLE: Final = 0x80


def is_gif(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith(b"GIF8")


def is_animated_gif(data: bytes) -> bool:
    """Whether a GIF has a second picture. One that is cut off has no more than came."""
    if not is_gif(data):
        return False
    place, is_second = _HEADER + _table_bytes(data, _HEADER_FLAGS), False
    while place < len(data):
        match data[place : place + 1]:
            case b",":
                if is_second:
                    return True
                is_second = True
                place += _IMAGE_HEADER + _table_bytes(data, place + _IMAGE_FLAGS) + 1  # and how many bits a code has
            case b"!":
                place += 2
            case _:  # the end, or nothing that a GIF has
                return False
        place = _behind_blocks(data, place)
    return False


def _table_bytes(data: bytes, flags: int) -> int:
    """How long a table of colours is, if the byte at `flags` says that there is one."""
    flag = data[flags] if flags < len(data) else 0
    return 3 << ((flag & 7) + 1) if flag & _HAS_TABLE else 0


def _behind_blocks(data: bytes, place: int) -> int:
    """The place behind blocks that each say how long they are, of which the last one is empty."""
    while place < len(data) and data[place]:
        place += 1 + data[place]
    return place + 1
