"""Cached features of a frozen backbone."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.training import features as module
from core.training.features import cached_features, extract_features
from core.training.history import Cancelled


class Counting:
    """Something to compute, and how often it was."""

    def __init__(self, value: float = 1.0, rows: int = 4) -> None:
        self.value, self.rows, self.calls = value, rows, 0

    def __call__(self) -> Tensor:
        self.calls += 1
        return torch.full((self.rows, 3), self.value)


def files(home: Path) -> list[Path]:
    return sorted((home / "cache" / "features").iterdir())


def test_the_same_recipe_is_computed_once():
    work = Counting()

    first, second = (cached_features({"pictures": "abc", "view": 1}, work) for _ in range(2))

    assert (first[1], second[1], work.calls) == (False, True, 1)
    assert torch.equal(first[0], second[0])


@pytest.mark.parametrize("other", [{"view": 2}, {"view": 1, "more": 0}, {"view": "1"}, {"view": [1]}], ids=repr)
def test_another_recipe_is_other_features(other: dict[str, object]):
    cached_features({"view": 1}, Counting(1.0))

    assert cached_features(other, Counting(2.0))[0].unique().tolist() == [2.0]


def test_the_order_of_a_recipe_does_not_matter():
    cached_features({"a": 1, "b": 2}, Counting())

    assert cached_features({"b": 2, "a": 1}, Counting())[1]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_half_a_file_of_a_crash_is_computed_anew(thaw_home: Path, share: float):
    cached_features({"a": 1}, Counting(rows=1000))
    path = files(thaw_home)[0]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    again = Counting(rows=1000)

    assert not cached_features({"a": 1}, again)[1] and again.calls == 1
    assert cached_features({"a": 1}, again)[1]


def test_a_failure_leaves_nothing_behind(thaw_home: Path):
    def stopped() -> Tensor:
        raise Cancelled

    with pytest.raises(Cancelled):
        cached_features({"a": 1}, stopped)
    assert files(thaw_home) == []


def test_what_was_not_used_for_longest_goes_first(thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(3):
        cached_features({"n": number}, Counting())
        for path in files(thaw_home):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))  # time passes
    size = files(thaw_home)[0].stat().st_size
    cached_features({"n": 0}, Counting())  # used again

    monkeypatch.setattr(module, "BUDGET_BYTES", 3 * size)
    cached_features({"n": 3}, Counting())

    unused = Counting()
    assert len(files(thaw_home)) == 3
    assert [cached_features({"n": n}, unused)[1] for n in (0, 2, 3)] == [True] * 3


class Sums(nn.Module):
    """A backbone whose dropout would show if it were in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.dropout(images.flatten(1))


def test_features_come_in_the_order_of_the_batches():
    images = torch.arange(5 * 12, dtype=torch.uint8).reshape(5, 3, 2, 2)
    batches = [(part, torch.zeros(len(part)), torch.zeros(len(part))) for part in images.split(2)]
    counted: list[int] = []

    found = extract_features(Sums(), batches, lambda x: x.float() / 2, counted.append, lambda: False)

    assert torch.equal(found, images.flatten(1).float() / 2)
    assert found.dtype == torch.float32 and not found.requires_grad
    assert counted == [2, 2, 1]


def test_a_stop_comes_between_two_batches():
    batches = [(torch.zeros(2, 3, 2, 2), torch.zeros(2), torch.zeros(2))] * 5
    counted: list[int] = []

    with pytest.raises(Cancelled):
        extract_features(Sums(), batches, lambda x: x, counted.append, lambda: len(counted) == 2)
    assert counted == [2, 2]
