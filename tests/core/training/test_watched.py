"""Which validation pictures are watched."""

from collections import Counter

from core.data.dataset import Dataset
from core.settings.schema import DataSettings
from core.training.watched import WATCHED, watched_pictures


def test_a_dozen_validation_pictures_are_drawn_by_the_seed_alike_from_every_class(tiny_dataset: Dataset):
    """Tiny has 30 pictures of three classes: with half of them in val there are enough."""
    split = tiny_dataset.split(0, DataSettings(val_fraction=0.5))

    drawn = watched_pictures(tiny_dataset, split, 0)

    assert len(set(drawn)) == min(WATCHED, len(split.val)) and set(drawn) <= set(split.val)
    counts = Counter(tiny_dataset.pictures[index].target for index in drawn)
    assert len(counts) == 3 and max(counts.values()) - min(counts.values()) <= 1
    assert watched_pictures(tiny_dataset, split, 0) == drawn != watched_pictures(tiny_dataset, split, 1)


def test_where_there_are_fewer_all_are_watched(tiny_dataset: Dataset):
    split = tiny_dataset.split(0, DataSettings(val_fraction=0.05))

    assert set(watched_pictures(tiny_dataset, split, 0)) == set(split.val)
