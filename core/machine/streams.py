"""Several pieces of work at once, their results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_streams(work: Callable[[T], R], items: Iterable[T], streams: int, waiting: int = 1) -> Iterator[R]:
    """`work` of each item, in the items' order, in so many threads.

    Only for work that lets go of the interpreter lock and computes in the thread it is called in. What it raises, or
    the items do, is raised here, after the work that had been begun.

    Args:
        waiting: so many results and items beyond those at work may wait for their turn: 1 where all take equally long;
            0 asks for an item only when nothing is at work.
    """
    most = streams + waiting if waiting else 1
    with ThreadPoolExecutor(streams) as pool:
        begun: deque[Future[R]] = deque()
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) == most:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
