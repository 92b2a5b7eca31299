"""Data loaders: every picture once an epoch, and all of it a pure function of (seed, epoch, picture)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from core.augment.pipelines import EvalPipeline, TrainPipeline, picture_seed
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset
from core.data.loaders import CPU, EVAL_BATCH, Batch, DevicePixels, EpochBatches, Loaders, in_groups
from core.settings.schema import AugmentSettings


def shrink(image: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(image[None].float(), (8, 8))[0].to(torch.uint8)


def noisy(image: Tensor, seed: int) -> Tensor:
    """A picture with seeded noise on it: what an augmentation is to a loader."""
    noise = torch.randint(0, 50, (3, 8, 8), generator=torch.Generator().manual_seed(seed))
    return (shrink(image) // 2 + noise).to(torch.uint8)


def inverted(image: Tensor, seed: int) -> Tensor:
    """Another augmentation, to be told from `noisy`: that of views."""
    return 255 - noisy(image, seed)


def make_loaders(dataset: Dataset, seed: int = 0, batch_size: int = 7) -> Loaders:
    return Loaders(
        dataset=dataset,
        split=dataset.split(seed),
        train_pipeline=noisy,
        view_pipeline=inverted,
        eval_pipeline=shrink,
        picture_seed=picture_seed,
        batch_size=batch_size,
        seed=seed,
    )


WANTED = [7, 0, 29, 3, *range(10, 24)]
"""Some pictures of any part, in no order."""


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
    list(loaders.train(1)), list(loaders.evaluation("val")), list(loaders.view(1, loaders.split.train))

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


def test_a_view_has_the_pictures_that_are_asked_for_in_their_order(tiny_dataset: Dataset):
    batches = list(make_loaders(tiny_dataset).view(1, WANTED))

    assert [int(index) for _, _, indices in batches for index in indices] == WANTED
    assert [len(images) for images, _, _ in batches] == [EVAL_BATCH, EVAL_BATCH, len(WANTED) - 2 * EVAL_BATCH]
    for _, targets, indices in batches:
        assert targets.tolist() == [tiny_dataset.pictures[index].target for index in indices.tolist()]


def test_view_zero_is_plain_and_others_go_through_the_pipeline_of_views(tiny_dataset: Dataset):
    loaders = make_loaders(tiny_dataset)

    for view in (0, 2):
        for index, image in by_picture(list(loaders.view(view, WANTED))).items():
            pixels = torch.from_numpy(np.array(tiny_dataset.pixels[index])).permute(2, 0, 1)
            seed = picture_seed(0, view, tiny_dataset.pictures[index].group)
            assert torch.equal(image, inverted(pixels, seed) if view else shrink(pixels))


@pytest.mark.parametrize("view", [0, 1, 3])
def test_a_view_depends_on_neither_the_seed_of_the_run_nor_on_who_else_is_asked_for(tiny_dataset: Dataset, view: int):
    expected = by_picture(list(make_loaders(tiny_dataset, seed=0).view(view, WANTED)))
    alone = by_picture(list(make_loaders(tiny_dataset, seed=5, batch_size=3).view(view, WANTED[4:7])))

    assert sorted(alone) == sorted(WANTED[4:7])
    assert all(torch.equal(image, expected[index]) for index, image in alone.items())


def test_views_differ_from_each_other(tiny_dataset: Dataset):
    one, two = (by_picture(list(make_loaders(tiny_dataset).view(number, WANTED))) for number in (1, 2))

    assert all(not torch.equal(image, two[index]) for index, image in one.items())


def test_exact_copies_look_the_same_in_every_view_whatever_their_files_are(tiny_dataset: Dataset):
    first, *others = tiny_dataset.pictures
    copy = replace(first, name="copy.png", content="0" * 64)
    loaders = replace(make_loaders(tiny_dataset), dataset=replace(tiny_dataset, pictures=(first, copy, *others[1:])))

    images = by_picture(list(loaders.view(1, [0, 1])))

    assert torch.equal(images[0], images[1])


@pytest.mark.parametrize("part", ["val", "test"])
def test_evaluation_goes_through_a_part_in_its_order_without_augmentation(tiny_dataset: Dataset, part: str):
    loaders = make_loaders(tiny_dataset)
    batches = list(loaders.evaluation(part))

    assert [int(i) for _, _, indices in batches for i in indices] == list(loaders.split.part(part))
    assert same(batches, list(loaders.evaluation(part)))


def on_a_device(loaders: Loaders, room: int) -> Loaders:
    """Everything that is done on a graphics card, on the processor."""
    return replace(loaders, room=room, pass_size=64, together=True)


def real_loaders(dataset: Dataset, preset: str) -> Loaders:
    preprocessing = Preprocessing(
        image_size=24, resize_size=28, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )
    train = TrainPipeline(preprocessing, AugmentSettings(preset=preset))
    pipelines = {"train_pipeline": train, "view_pipeline": train, "eval_pipeline": EvalPipeline(preprocessing)}
    return replace(make_loaders(dataset), **pipelines)


@pytest.mark.parametrize("room", [0, 20_000, 10**9], ids=["none", "some", "all"])
@pytest.mark.parametrize("preset", ["gentle", "strong"])
def test_pictures_that_stay_on_a_device_and_go_through_together_are_the_same_to_the_bit(
    tiny_dataset: Dataset, preset: str, room: int
):
    plain = real_loaders(tiny_dataset, preset)
    there = on_a_device(plain, room)

    for epoch in (1, 2):
        assert same(list(plain.train(epoch)), list(there.train(epoch)))
    for view in (0, 1):
        expected, found = by_picture(list(plain.view(view, WANTED))), by_picture(list(there.view(view, WANTED)))
        assert list(expected) == list(found) == WANTED
        assert all(torch.equal(expected[index], found[index]) for index in WANTED)


def test_a_picture_goes_to_a_device_once_as_far_as_there_is_room(tiny_dataset: Dataset):
    sizes = [array.nbytes for array in (tiny_dataset.pixels[index] for index in range(5))]
    pixels = DevicePixels(tiny_dataset, CPU, room=sum(sizes[:3]))

    first = [pixels[index] for index in range(5)]

    assert [pixels[index] is image for index, image in enumerate(first)][:3] == [True] * 3
    assert sum(pixels[index] is image for index, image in enumerate(first)) < 5
    assert all(np.array_equal(image.permute(1, 2, 0), tiny_dataset.pixels[n]) for n, image in enumerate(first))


def test_pictures_of_one_size_go_through_a_pipeline_at_once_and_come_back_in_order():
    sizes = [(8, 9), (9, 8), (8, 9), (8, 9), (9, 8)]
    images = [torch.full((3, *size), number) for number, size in enumerate(sizes)]
    asked: list[tuple[int, ...]] = []

    def cut(batch: Tensor) -> Tensor:
        asked.append(tuple(batch.shape))
        return batch[..., :4, :4]

    done = in_groups(iter(images), cut)

    assert asked == [(3, 3, 8, 9), (2, 3, 9, 8)]
    assert [int(image.unique()) for image in done] == [0, 1, 2, 3, 4]
