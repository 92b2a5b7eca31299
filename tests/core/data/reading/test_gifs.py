"""Whether a GIF moves; and no GIF hangs or breaks the look."""

import random

import pytest
from helpers import draw_picture, encoded

from core.data.reading.gifs import is_animated_gif

STILL = draw_picture("discs", 1).resize((60, 40))
OTHERS = [draw_picture("squares", n).resize((60, 40)) for n in range(3)]


@pytest.mark.parametrize(
    ("data", "moves"),
    [
        (encoded(STILL, "GIF"), False),
        (encoded(STILL.convert("L"), "GIF"), False),
        (encoded(STILL, "GIF", comment=b"a remark " * 200), False),
        (encoded(STILL, "GIF", save_all=True, append_images=OTHERS), True),
        (encoded(STILL, "GIF", save_all=True, append_images=OTHERS[:1], loop=0, comment=b"x" * 600), True),
        (encoded(STILL.convert("P"), "GIF", save_all=True, append_images=OTHERS, interlace=0), True),
        (encoded(STILL), False),
        (b"", False),
        (b"GIF89a", False),
    ],
    ids=["colour", "grey", "remark", "four", "two", "palette", "a PNG", "nothing", "a header"],
)
def test_a_gif_moves_if_it_has_a_second_picture(data: bytes, moves: bool):
    assert is_animated_gif(data) is moves


def test_whatever_is_cut_off_or_damaged_is_looked_at_to_an_end():
    whole, dice = encoded(STILL, "GIF", save_all=True, append_images=OTHERS), random.Random(0)
    still = encoded(STILL, "GIF")

    assert not any(is_animated_gif(still[:end]) for end in range(len(still)))
    for end in range(len(whole)):
        is_animated_gif(whole[:end])  # it ends, and raises nothing
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        is_animated_gif(bytes(damaged))  # as above


@pytest.mark.parametrize(("block", "is_looked_through"), [(255, True), (1, False)], ids=["usual blocks", "tiny blocks"])
def test_a_gif_that_would_take_seconds_to_look_through_is_given_up(block: int, is_looked_through: bool):
    start, picture = b"GIF89a\1\0\1\0\0\0\0", b",\0\0\0\0\1\0\1\0\0\2"
    blocks = bytes((block, *[7] * block)) * (2**21 // (block + 1)) + b"\0"

    assert is_animated_gif(start + picture + blocks + picture + b"\1\7\0;") is is_looked_through
