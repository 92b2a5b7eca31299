"""Cached features: each picture's computed once per recipe, and always the right ones."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ENDLESS, files_no_longer_than
from torch import Tensor

from core.augment.catalogue import PRESETS
from core.models.weights import preprocessing_of
from core.settings.schema import AugmentSettings, RunSettings
from core.training import features as module
from core.training.features import FeatureStore, feature_recipe
from core.training.history import Cancelled

ROW_BYTES = 3 * 4
RECIPE = {"backbone": "tiny", "view": 0}


def values(keys: Sequence[str], dtype: torch.dtype = torch.float32) -> Tensor:
    """The features of pictures with these keys, as a network would always say them."""
    numbers = torch.tensor([int(key, 16) for key in keys], dtype=dtype)
    return torch.stack([numbers, numbers / 2, -numbers], dim=1)


class Network:
    """Something to compute, in batches of two, and what it was asked for."""

    def __init__(self, keys: Sequence[str], stop_after: int | None = None) -> None:
        self.keys, self.asked, self.stop_after = keys, list[str](), stop_after

    def __call__(self, positions: list[int]) -> Iterator[Tensor]:
        wanted = [self.keys[position] for position in positions]
        for start in range(0, len(wanted), 2):
            if start == self.stop_after:
                raise Cancelled
            batch = wanted[start : start + 2]
            self.asked += batch
            yield values(batch)


def hexes(*numbers: int) -> list[str]:
    return [f"{number:032x}" for number in numbers]


def get(keys: Sequence[str], recipe: dict[str, Any] = RECIPE, **options: Any) -> tuple[Tensor, int, list[str]]:
    """(features, hits, keys computed)."""
    network = Network(keys, **options)
    found, hits = FeatureStore(recipe).get(keys, network, torch.float32)
    return found, hits, network.asked


def shards(home: Path) -> list[Path]:
    return sorted((home / "cache" / "features").glob("*/*"))


def test_a_second_time_nothing_is_computed():
    keys = hexes(3, 1, 2)

    first, second = get(keys), get(keys)

    assert (first[1:], second[1:]) == ((0, keys), (3, []))
    assert torch.equal(first[0], values(keys)) and torch.equal(second[0], values(keys))


def test_of_other_pictures_only_the_missing_are_computed():
    get(hexes(1, 2, 3, 4))
    keys = hexes(9, 4, 8, 1, 7)

    found, hits, computed = get(keys)

    assert (hits, computed) == (2, hexes(9, 8, 7))
    assert torch.equal(found, values(keys))
    assert get(hexes(*range(1, 5), *range(7, 10)))[1:] == (7, [])


@pytest.mark.parametrize("order", [(5, 4, 3, 2, 1), (2, 5, 1, 4, 3), (4,), (3, 1)], ids=str)
def test_features_come_in_the_order_they_are_asked_for(order: tuple[int, ...]):
    get(hexes(1, 2, 3, 4, 5))

    assert torch.equal(get(hexes(*order))[0], values(hexes(*order)))


@pytest.mark.parametrize("known", [(), (2,), (1, 2, 3)], ids=str)
def test_exact_copies_are_computed_once_and_all_get_their_features(known: tuple[int, ...]):
    if known:
        get(hexes(*known))
    keys = hexes(2, 1, 2, 3, 3, 2)

    found, hits, computed = get(keys)

    assert torch.equal(found, values(keys))
    assert sorted(computed) == hexes(*sorted({1, 2, 3} - set(known)))
    assert hits == sum(int(key, 16) in known for key in keys)


@pytest.mark.parametrize(
    "other",
    [{"view": 1}, {"view": 0, "more": None}, {"backbone": "tiny", "view": "0"}, {"backbone": "tiny", "view": [0]}],
    ids=repr,
)
def test_another_recipe_is_computed_anew(other: dict[str, Any]):
    get(hexes(1, 2))

    assert get(hexes(1, 2), other)[1:] == (0, hexes(1, 2))
    assert get(hexes(1, 2))[1:] == (2, [])


def test_the_order_of_a_recipe_does_not_matter():
    get(hexes(1), {"a": 1, "b": 2})

    assert get(hexes(1), {"b": 2, "a": 1})[1] == 1


def recipe_with(augment: AugmentSettings, view: int = 1) -> dict[str, object]:
    settings = RunSettings(augment=augment)
    preprocessing = preprocessing_of(settings.model.backbone)
    return feature_recipe(settings, "0" * 64, preprocessing, module.WHOLE, "fp32", "torch", view)


def test_a_preset_that_changes_makes_its_views_anew_and_leaves_plain_features(monkeypatch: pytest.MonkeyPatch):
    before = [recipe_with(AugmentSettings(preset="gentle"), view) for view in (0, 1)]
    changed = replace(PRESETS["gentle"], steps=PRESETS["tutorial"].steps)
    monkeypatch.setattr("core.augment.catalogue.PRESETS", {**PRESETS, "gentle": changed})
    after = [recipe_with(AugmentSettings(preset="gentle"), view) for view in (0, 1)]

    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_one_pipeline_under_two_names_has_one_recipe():
    same = AugmentSettings(preset="custom", steps=PRESETS["strong"].steps)

    assert recipe_with(same) == recipe_with(AugmentSettings(preset="strong")) != recipe_with(AugmentSettings())


def test_features_of_another_recipe_serve_where_they_are_said_to_and_are_not_added_to():
    get(hexes(1), {"precision": "bf16"})
    network = Network(hexes(1, 2))

    found, hits = FeatureStore({"precision": "fp32"}, {"precision": "bf16"}).get(hexes(1, 2), network, torch.float32)

    assert torch.equal(found, values(hexes(1, 2))) and (hits, network.asked) == (1, hexes(2))
    assert get(hexes(1, 2), {"precision": "bf16"})[1] == 1


def test_another_version_of_the_store_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    get(hexes(1))
    monkeypatch.setattr(module, "STORE_VERSION", module.STORE_VERSION + 1)

    assert get(hexes(1))[1] == 0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_half_a_file_is_computed_anew(thaw_home: Path, share: float):
    keys = hexes(*range(100))
    get(keys)
    (path,) = shards(thaw_home)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    again = get(keys)

    assert again[1:] == (0, keys) and torch.equal(again[0], values(keys))
    assert get(keys)[1:] == (100, [])


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\xff" * 100, b"no tensors at all, but a text"], ids=repr)
def test_a_file_of_something_else_is_computed_anew(thaw_home: Path, content: bytes):
    get(hexes(1, 2))
    shards(thaw_home)[0].write_bytes(content)

    assert torch.equal(get(hexes(1, 2))[0], values(hexes(1, 2)))


@pytest.mark.parametrize("make", ENDLESS, ids=lambda make: make.__name__)
def test_what_is_no_file_is_not_read(thaw_home: Path, make: Callable[[Path], None]):
    get(hexes(1, 2))
    (path,) = shards(thaw_home)
    path.unlink()
    make(path)

    assert torch.equal(get(hexes(1, 2))[0], values(hexes(1, 2)))


def test_a_file_without_names_is_passed_over(thaw_home: Path):
    get(hexes(1, 2))
    module.save_file({"features": values(hexes(8, 9))}, shards(thaw_home)[0])

    assert get(hexes(1, 2))[1:] == (0, hexes(1, 2))


def test_a_stop_keeps_the_shards_that_were_full(thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 4 * ROW_BYTES)
    keys = hexes(*range(12))

    with pytest.raises(Cancelled):
        get(keys, stop_after=10)
    assert {path.suffix for path in shards(thaw_home)} == {".safetensors"} and len(shards(thaw_home)) == 2

    found, hits, computed = get(keys)
    assert (hits, computed) == (8, keys[8:])
    assert torch.equal(found, values(keys))


def test_a_stop_at_the_start_leaves_nothing(thaw_home: Path):
    with pytest.raises(Cancelled):
        get(hexes(1, 2), stop_after=0)

    assert shards(thaw_home) == []


def test_several_shards_are_one_set(thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 4 * ROW_BYTES)
    keys = hexes(*range(11))

    first = get(keys)
    again = get(keys[::-1])

    assert len(shards(thaw_home)) == 3
    assert torch.equal(first[0], values(keys))
    assert torch.equal(again[0], values(keys[::-1])) and again[1:] == (11, [])


def test_a_picture_in_two_shards_is_taken_once(thaw_home: Path):
    get(hexes(1, 2))
    (first,) = shards(thaw_home)
    hidden = first.rename(first.with_suffix(".hidden"))
    get(hexes(2, 3))  # as another process that looked before the first one was done
    hidden.rename(first)

    found, hits, computed = get(hexes(3, 2, 1))

    assert (hits, computed) == (3, [])
    assert torch.equal(found, values(hexes(3, 2, 1)))


def age(home: Path) -> None:
    """Time passes."""
    for path in shards(home):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))


def test_what_was_not_used_for_longest_goes_first(thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(3):
        get(hexes(number), {"n": number})
        age(thaw_home)
    size = shards(thaw_home)[0].stat().st_size
    get(hexes(0), {"n": 0})  # used again

    monkeypatch.setattr(module, "BUDGET_BYTES", 3 * size)
    get(hexes(3), {"n": 3})

    assert len(shards(thaw_home)) == 3
    assert [get(hexes(n), {"n": n})[1] for n in (0, 2, 3)] == [1, 1, 1]
    assert get(hexes(1), {"n": 1})[1] == 0


def test_what_an_older_thaw_left_behind_goes_as_everything_else(thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    get(hexes(1))
    (shard,) = shards(thaw_home)
    left = shard.with_suffix(".part")
    left.write_bytes(b"half")
    age(thaw_home)

    monkeypatch.setattr(module, "BUDGET_BYTES", shard.stat().st_size)
    get(hexes(2))

    assert len(shards(thaw_home)) == 1 and not left.exists()


@pytest.mark.parametrize("budget", [0, 300, 600])
def test_a_set_larger_than_the_budget_is_still_right(thaw_home: Path, monkeypatch: pytest.MonkeyPatch, budget: int):
    monkeypatch.setattr(module, "SHARD_BYTES", 4 * ROW_BYTES)
    monkeypatch.setattr(module, "BUDGET_BYTES", budget)
    keys = hexes(*range(40))

    for _ in range(2):
        assert torch.equal(get(keys)[0], values(keys))
    assert sum(path.stat().st_size for path in shards(thaw_home)) <= budget


def test_half_precision_is_kept_as_such(thaw_home: Path):
    keys = hexes(*range(100))
    store = FeatureStore(RECIPE)

    first, _ = store.get(keys, Network(keys), torch.float16)
    again, hits = store.get(keys, Network(keys), torch.float16)

    assert first.dtype == again.dtype == torch.float16 and hits == 100
    assert torch.equal(first, values(keys).half()) and torch.equal(again, first)
    tensors = module.safe_open(shards(thaw_home)[0], framework="pt")
    assert tensors.get_tensor("features").dtype == torch.float16


@pytest.mark.parametrize("shape", [(), (5,), (2, 4, 4), (3, 7)], ids=str)
def test_activations_of_any_shape_are_kept(shape: tuple[int, ...]):
    keys, whole = hexes(1, 2, 3), torch.randn(3, *shape)

    for expected_hits in (0, 3):
        found, hits = FeatureStore(RECIPE).get(
            keys, lambda positions: iter([whole[positions[:1]], whole[positions[1:]]]), torch.float32
        )
        assert hits == expected_hits and torch.equal(found, whole)


def test_activations_in_another_memory_format_come_back_right():
    keys, whole = hexes(1, 2), torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)

    for _ in range(2):
        found, _ = FeatureStore(RECIPE).get(keys, lambda positions: iter([whole]), torch.float32)
        assert torch.equal(found, whole)


def test_what_is_returned_can_be_changed_without_harm():
    for _ in range(2):
        found = get(hexes(1, 2))[0]
        assert torch.equal(found, values(hexes(1, 2)))
        found.zero_()


def test_two_writers_at_once_only_do_some_work_twice(thaw_home: Path):
    keys = {1: hexes(1, 2, 3, 4), 2: hexes(4, 3, 9)}
    together, found = threading.Barrier(2, timeout=20), dict[int, Tensor]()

    def write(number: int) -> None:
        network = Network(keys[number])

        def compute(positions: list[int]) -> Iterator[Tensor]:
            together.wait()  # both have found nothing
            yield from network(positions)

        found[number], _ = FeatureStore(RECIPE).get(keys[number], compute, torch.float32)

    threads = [threading.Thread(target=write, args=(number,)) for number in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(torch.equal(found[number], values(keys[number])) for number in keys)
    assert len(shards(thaw_home)) == 2
    assert get(hexes(9, 3, 1, 4, 2))[1:] == (5, [])


def test_a_shard_that_goes_while_it_is_read_does_no_harm(monkeypatch: pytest.MonkeyPatch):
    get(hexes(1, 2))
    really_open = module.safe_open

    def opened_and_evicted(path: Path, **options: Any) -> Any:
        shard = really_open(path, **options)
        path.unlink()  # by another process that tidies up
        return shard

    monkeypatch.setattr(module, "safe_open", opened_and_evicted)

    assert torch.equal(get(hexes(1, 2))[0], values(hexes(1, 2)))


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8, 0.999])
@pytest.mark.parametrize("change", ["zeros", "a bit"])
def test_features_that_have_changed_on_the_disk_are_computed_anew(thaw_home: Path, place: float, change: str):
    keys = hexes(*range(100))
    get(keys)
    (path,) = shards(thaw_home)
    content = bytearray(path.read_bytes())
    start = int(len(content) * place)
    end = len(content) if change == "zeros" else start + 1
    content[start:end] = bytes(byte ^ 64 if change == "a bit" else 0 for byte in content[start:end])
    path.write_bytes(content)

    found, _, computed = get(keys)

    assert torch.equal(found, values(keys)) and computed == keys
    assert get(keys)[1:] == (100, [])


def test_features_whose_names_were_swapped_are_computed_anew(thaw_home: Path):
    get(hexes(1, 2))
    (path,) = shards(thaw_home)
    one, two = (key.encode() for key in hexes(1, 2))
    path.write_bytes(path.read_bytes().replace(b"%b %b" % (one, two), b"%b %b" % (two, one)))

    assert get(hexes(1, 2))[2] == hexes(1, 2)


def test_a_full_disk_costs_the_cache_and_not_the_features(thaw_home: Path):
    keys = hexes(*range(100))

    with files_no_longer_than(1000):
        found, hits, computed = get(keys)

    assert torch.equal(found, values(keys)) and (hits, computed) == (0, keys)
    assert shards(thaw_home) == []
    assert get(keys)[1:] == (0, keys) and get(keys)[1:] == (100, [])


def test_a_cache_that_cannot_be_made_is_done_without(thaw_home: Path):
    (thaw_home / "cache").write_text("a file")

    found, hits, _ = get(hexes(1, 2))

    assert torch.equal(found, values(hexes(1, 2))) and hits == 0
