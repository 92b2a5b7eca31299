"""A head from shards is the head of an ordinary frozen run, up to what half precision does to features."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import python

from core.data.dataset import Dataset
from core.data.pixels import FILE_NAME
from core.data.reading.layout import AUTO
from core.errors import StorageError
from core.settings.schema import OptimSettings, RunSettings
from core.shards import head
from core.shards.executor import Here, Processes
from core.shards.features import FILE, compute_features, recipe_of
from core.shards.head import ShardRows, solve_large
from core.shards.large_set import LargeSet, add
from core.shards.objects import folder_of, making
from core.shards.taking_in import file_of, load_index
from core.shards.train import LargeResult, load_predictions, train_large
from core.training.head import solve_head
from core.training.scenarios import train_run

HALF = 2e-3
"""Largest difference of a probability: half precision keeps 11 binary digits of each feature."""
SETTINGS = RunSettings(optim=OptimSettings(l2=0.1))


@pytest.fixture
def data(tiny_folder: Path) -> LargeSet:
    return add(str(tiny_folder), Here(), size=8, layout=AUTO, on_progress=lambda done, total: None).data


def by_content(data: LargeSet, result: LargeResult) -> dict[str, np.ndarray]:
    found = {}
    for shard, kept in zip(data.shards, load_predictions(result), strict=True):
        contents = load_index(shard).contents[kept["places"].numpy()]
        found |= {row.tobytes().hex(): said for row, said in zip(contents, kept["probabilities"].numpy(), strict=True)}
    return found


def test_test_predictions_are_those_of_an_ordinary_run(
    data: LargeSet, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(head, "FEWEST_GROUPS", 5)  # so that the solver in memory sees a third, and shards the rest
    ordinary = train_run(SETTINGS, tiny_dataset)
    tested = zip(ordinary.split.test, ordinary.test.probabilities, strict=True)
    kept = {tiny_dataset.pictures[index].content: said for index, said in tested}

    monkeypatch.setattr(head, "MOST_NUMBERS", 0)
    result = train_large(data, SETTINGS, Here())
    found = by_content(data, result)

    assert result.passes > 3 and result.solved_on < sum(result.counts["train"])
    assert found.keys() == kept.keys() and len(found) == sum(result.counts["test"])
    for content, said in found.items():
        assert np.abs(said - kept[content].numpy()).max() < HALF
    assert result.test.value == ordinary.test.accuracy
    assert {part: sum(row) for part, row in result.counts.items()} == {
        part: len(ordinary.split.part(part)) for part in ("train", "val", "test")
    }


def test_a_restart_computes_only_the_shard_whose_features_are_missing(data: LargeSet):
    recipe = recipe_of(SETTINGS)
    assert [one.pictures for one in compute_features(data, recipe, Here())] == [16, 16, 16, 12]
    path = folder_of("features", recipe.name_of(data.shards[1], 1)) / FILE
    before = path.read_bytes()
    path.unlink()
    path.parent.rmdir()

    assert [one.pictures for one in compute_features(data, recipe, Here())] == [0, 8, 0, 0]
    assert path.read_bytes() == before


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_what_is_damaged_is_said_and_costs_one_shard(data: LargeSet, tiny_folder: Path):
    recipe = recipe_of(SETTINGS)
    damage(file_of(data.shards[2], FILE_NAME))
    with pytest.raises(StorageError, match="take the source in again"):
        compute_features(data, recipe, Here())
    again = add(str(tiny_folder), Here(), size=8, layout=AUTO, on_progress=lambda done, total: None)
    assert [one.done_before for one in again.taken] == [True, True, False, True] and again.data == data

    compute_features(data, recipe, Here())
    damage(folder_of("features", recipe.name_of(data.shards[1], 0)) / FILE)
    with pytest.raises(StorageError, match="train again"):
        train_large(data, SETTINGS, Here())
    result = train_large(data, SETTINGS, Here())
    assert result.test.total == sum(result.counts["test"]) > 0


class ReadOnly(Here):
    """Tasks get what Ray gives them: arrays that cannot be written to."""

    def map(self, task, items):
        def brought(item):
            buffers: list[pickle.PickleBuffer] = []
            packed = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
            return pickle.loads(packed, buffers=[memoryview(bytes(one)) for one in buffers])

        return super().map(task, map(brought, items))


def test_tasks_do_without_writing_to_what_they_are_given(data: LargeSet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(head, "FEWEST_GROUPS", 5)
    monkeypatch.setattr(head, "MOST_NUMBERS", 0)

    torch.set_warn_always(True)  # else of each kind only a process's first
    try:
        result = train_large(data, SETTINGS, ReadOnly())
    finally:
        torch.set_warn_always(False)

    assert result.passes > 0 and result.test.total == sum(result.counts["test"]) > 0


@pytest.mark.slow
def test_several_processes_say_what_one_says(data: LargeSet):
    alone = train_large(data, SETTINGS, Here())
    for kind in ("features", "results", "predictions"):
        folder = folder_of(kind, "x").parent
        folder.rename(folder.with_name(f"{kind}-before"))
    work = Processes(2)
    try:
        together = train_large(data, SETTINGS, work)
    finally:
        work.close()

    assert replace(together, seconds={}) == replace(alone, seconds={})


def put(name: str, features: torch.Tensor) -> str:
    from safetensors.torch import save_file

    from core.shards.features import hash_of

    with making("features", name) as folder:
        save_file({"features": features}, folder / FILE, metadata={"sha256": hash_of(features)})
    return name


@pytest.mark.parametrize("counts", [None, (0.5, 1.0, 2.0)])
def test_the_solver_over_shards_finds_what_the_one_in_memory_finds(
    counts: tuple[float, ...] | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(head, "FEWEST_GROUPS", 20)
    monkeypatch.setattr(head, "MOST_NUMBERS", 0)
    dice = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 3, (600,), generator=dice)
    features = (torch.randn(600, 40, generator=dice) + torch.nn.functional.one_hot(targets, 40)).half()
    features[:, 5] = 1.5  # says nothing
    shards = [
        ShardRows(
            features=(put(f"f{start}", features[start : start + 50]),),
            places=np.arange(0, 50, dtype=np.int32),
            targets=targets[start : start + 50].numpy().astype(np.int16),
            sides=np.arange(start, start + 50, dtype=np.uint64),
        )
        for start in range(0, 600, 50)
    ]
    options = {"l2": 0.01, "label_smoothing": 0.1}
    expected = solve_head(features.float(), targets, torch.arange(600), 3, class_weights=counts, **options)
    found = solve_large(shards, 3, Here(), counts=counts, **options)

    logits = [features.float() @ one.weight.T + one.bias for one in (expected, found.head)]
    assert found.passes > 3 and found.gradient < 1e-4
    assert (logits[0].softmax(1) - logits[1].softmax(1)).abs().max() < 5e-4  # sums in single precision end there


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_shards(tmp_path: Path):
    """Twelve shards of features are 120 MB; a pass over them holds no more than one over two."""
    code = (
        "import sys, torch, numpy as np\n"
        "from safetensors.torch import save_file\n"
        "from core.machine.process import forget_peak_memory, peak_memory\n"
        "from core.shards import head\n"
        "from core.shards.executor import Here\n"
        "from core.shards.features import FILE, hash_of\n"
        "from core.shards.objects import making\n"
        "head.MOST_NUMBERS, rows = 0, []\n"
        "for number in range(int(sys.argv[1])):\n"
        "    features = torch.randn(4000, 1280).half()\n"
        "    with making('features', str(number)) as folder:\n"
        "        save_file({'features': features}, folder / FILE, metadata={'sha256': hash_of(features)})\n"
        "    places = np.arange(4000, dtype=np.int32)\n"
        "    targets, sides = (places % 3).astype(np.int16), places.astype(np.uint64) + number * 4000\n"
        "    rows.append(head.ShardRows(features=(str(number),), places=places, targets=targets, sides=sides))\n"
        "del features\n"
        "forget_peak_memory()\n"
        "assert head.solve_large(rows, 3, Here(), l2=1.0).passes > 2\n"
        "print(peak_memory())"
    )
    few, many = (int(python(code, count)) for count in ("2", "12"))
    assert many < few + 50 * 1024**2
