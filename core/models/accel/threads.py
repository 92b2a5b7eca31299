"""How many threads torch computes with, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from core.machine.process import tricks_wanted


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Within this block torch computes in the thread that asks: for small problems, and beside others that compute.

    Args:
        when: False leaves everything as it is.
    """
    before = torch.get_num_threads()
    if when and tricks_wanted():
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
