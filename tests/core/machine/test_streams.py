"""Work in several threads at once, its results in order."""

import threading
import time
from collections.abc import Iterator

import pytest

from core.machine.streams import in_streams


def test_results_come_in_the_order_of_the_items_however_long_they_take():
    def work(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    assert list(in_streams(work, range(20), 3)) == [number * number for number in range(20)]


@pytest.mark.parametrize("items", [[], [1], [1, 2]])
def test_there_may_be_fewer_items_than_streams(items: list[int]):
    assert list(in_streams(str, items, 4)) == [str(item) for item in items]


def test_so_many_are_at_work_at_once_and_no_more():
    barrier, lock, now, most = threading.Barrier(2, timeout=60), threading.Lock(), 0, 0

    def work(number: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        barrier.wait()  # passes only if two are here
        with lock:
            now -= 1

    list(in_streams(work, range(8), 2))

    assert most == 2


def test_items_are_asked_for_when_it_is_nearly_their_turn():
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    results = in_streams(str, items(), 2)
    next(results)

    assert len(asked) == 3


def test_what_goes_wrong_in_the_work_is_raised_in_its_turn():
    def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    results = in_streams(work, range(5), 2)

    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_what_goes_wrong_with_the_items_ends_it_with_no_work_left_running():
    begun: list[int] = []
    ended: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.05)
        ended.append(number)
        return number

    def items() -> Iterator[int]:
        yield from range(2)
        raise KeyError("no more")

    with pytest.raises(KeyError):
        list(in_streams(work, items(), 2))
    assert sorted(begun) == sorted(ended) == [0, 1]
