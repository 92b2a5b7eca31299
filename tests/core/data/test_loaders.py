"""Data loaders: every picture once an epoch, and all of it a pure function of (seed, epoch, picture)."""

import numpy as np
import pytest
import torch
from torch import Tensor

from core.augment.pipelines import picture_seed
from core.data.dataset import Dataset
from core.data.loaders import Batch, EpochBatches, Loaders


def shrink(image: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(image[None].float(), (8, 8))[0].to(torch.uint8)


def noisy(image: Tensor, seed: int) -> Tensor:
    """A picture with seeded noise on it: what an augmentation is to a loader."""
    noise = torch.randint(0, 50, (3, 8, 8), generator=torch.Generator().manual_seed(seed))
    return (shrink(image) // 2 + noise).to(torch.uint8)


def make_loaders(dataset: Dataset, seed: int = 0, batch_size: int = 7) -> Loaders:
    return Loaders(
        dataset=dataset,
        split=dataset.split(seed),
        train_pipeline=noisy,
        eval_pipeline=shrink,
        picture_seed=picture_seed,
        batch_size=batch_size,
        seed=seed,
    )


def by_picture(batches: list[Batch]) -> dict[int, Tensor]:
    return {int(index): image for images, _, indices in batches for image, index in zip(images, indices, strict=True)}


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(all(map(torch.equal, one, two)) for one, two in zip(a, b, strict=True))


@pytest.mark.parametrize("batch_size", [2, 3, 5, 7, 16, 100])
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_has_every_training_picture_exactly_once(tiny_dataset: Dataset, batch_size: int, epoch: int):
    loaders = make_loaders(tiny_dataset, batch_size=batch_size)
    batches = list(loaders.train(epoch))

    assert sorted(int(i) for _, _, indices in batches for i in indices) == sorted(loaders.split.train)
    assert len(batches) == loaders.batches_per_epoch()
    for images, targets, indices in batches:
        assert images.shape[1:] == (3, 8, 8) and images.dtype == torch.uint8
        assert targets.tolist() == [tiny_dataset.pictures[i].target for i in indices.tolist()]


@pytest.mark.parametrize(
    ("count", "sizes"), [(8, [4, 4]), (10, [4, 4, 2]), (9, [4, 5]), (5, [5]), (3, [3]), (1, [1]), (11, [4, 4, 3])]
)
def test_a_last_batch_of_one_joins_its_neighbour(count: int, sizes: list[int]):
    batches = EpochBatches(count, 4, seed=0, epoch=1)

    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == len(sizes)
    assert sorted(position for batch in batches for position in batch) == list(range(count))


def test_order_changes_with_epoch_and_seed_and_with_nothing_else():
    orders = {(seed, epoch): list(EpochBatches(50, 7, seed, epoch)) for seed in range(3) for epoch in range(3)}

    assert len({str(order) for order in orders.values()}) == 9
    assert orders[1, 2] == list(EpochBatches(50, 7, 1, 2))


def test_an_epoch_does_not_depend_on_what_was_asked_or_drawn_before(tiny_dataset: Dataset):
    expected = list(make_loaders(tiny_dataset).train(3))

    torch.manual_seed(99)
    used = make_loaders(tiny_dataset)
    for epoch in (1, 2, 3):
        list(used.train(epoch))
    torch.rand(17)

    assert same(list(used.train(3)), expected)


def test_loading_leaves_the_global_generators_alone(tiny_dataset: Dataset):
    loaders = make_loaders(tiny_dataset)
    torch_state, numpy_state = torch.get_rng_state(), str(np.random.get_state())
    list(loaders.train(1)), list(loaders.evaluation("val")), list(loaders.view(1))

    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == numpy_state


def test_two_passes_at_once_do_not_disturb_each_other(tiny_dataset: Dataset):
    loaders = make_loaders(tiny_dataset)
    expected = [list(loaders.train(1)), list(loaders.train(2))]
    pairs = list(zip(loaders.train(1), loaders.train(2), strict=True))

    assert same([one for one, _ in pairs], expected[0])
    assert same([two for _, two in pairs], expected[1])


def test_a_pictures_augmentation_does_not_depend_on_its_batch(tiny_dataset: Dataset):
    small, large = (by_picture(list(make_loaders(tiny_dataset, batch_size=size).train(1))) for size in (2, 16))

    assert all(torch.equal(image, large[index]) for index, image in small.items())


def test_pixels_change_from_epoch_to_epoch_and_seed_to_seed(tiny_dataset: Dataset):
    one, two = (by_picture(list(make_loaders(tiny_dataset).train(epoch))) for epoch in (1, 2))

    assert all(not torch.equal(image, two[index]) for index, image in one.items())


def test_view_zero_is_plain_and_view_n_is_the_augmentation_of_epoch_n(tiny_dataset: Dataset):
    loaders = make_loaders(tiny_dataset)
    epoch = by_picture(list(loaders.train(2)))

    for view in (0, 2):
        batches = list(loaders.view(view))
        assert [int(i) for _, _, indices in batches for i in indices] == list(loaders.split.train)
        for index, image in by_picture(batches).items():
            pixels = torch.from_numpy(np.array(tiny_dataset.pixels[index])).permute(2, 0, 1)
            assert torch.equal(image, epoch[index] if view else shrink(pixels))


@pytest.mark.parametrize("part", ["val", "test"])
def test_evaluation_goes_through_a_part_in_its_order_without_augmentation(tiny_dataset: Dataset, part: str):
    loaders = make_loaders(tiny_dataset)
    batches = list(loaders.evaluation(part))

    assert [int(i) for _, _, indices in batches for i in indices] == list(loaders.split.part(part))
    assert same(batches, list(loaders.evaluation(part)))
