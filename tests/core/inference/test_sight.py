"""What a network sees: maps of the run's own network, and patches where a channel really responds most."""

import numpy as np
import pytest
import torch
from helpers import FinishedRace, draw_picture, queue_runs

from core.data.dataset import load_stored
from core.errors import RunError, SettingsError, WeightsError
from core.inference.predictor import Predictor
from core.inference.seen import filter_picture, map_picture
from core.inference.sight import _strongest, sight_before, sight_beside, sight_of
from core.inference.subject import START, begun_with, find_subject, state_of
from core.models.anatomy.places import stage_maps
from core.models.anatomy.tensors import compare_states
from core.runs.store import RunStore
from core.settings.schema import ModelSettings


def test_maps_are_those_of_the_runs_own_network(finished_race: FinishedRace) -> None:
    run = finished_race.run("finetuned")
    pixels = np.asarray(draw_picture("discs", 1))

    low, middle, high = sight_of(find_subject(run)).look(pixels)

    expected = Predictor.load(run).ask_model([pixels], lambda model, x: stage_maps(model.backbone, model.spec, x))
    assert [view.stage for view in (low, middle, high)] == [0, 4, 8]
    assert np.allclose(high.values, expected[8][0].detach().numpy(), atol=1e-4)
    peaks = high.values.max(axis=(1, 2))
    strongest = high.strongest(1280)
    assert sorted(strongest) == list(range(1280)) and (np.diff(peaks[strongest]) <= 0).all()
    features = Predictor.load(run).look([pixels])[1][0]
    assert np.allclose(high.values.mean(axis=(1, 2)), features, atol=1e-4), "the head gets their mean"


def test_patches_are_where_a_channel_responds_most_and_are_looked_for_once(finished_race: FinishedRace) -> None:
    subject = find_subject(finished_race.run("frozen"))
    assert subject.record is not None
    dataset, sight, told = load_stored(subject.record.dataset.id), sight_of(subject), []

    peaks = sight.peaks(dataset, lambda done, total: told.append((done, total)))
    again = sight_of(subject).peaks(dataset, lambda done, total: told.append((-1, -1)))

    assert told[-1] == (len(dataset.pictures), len(dataset.pictures)) and (-1, -1) not in told
    assert all(np.array_equal(a, b) for a, b in zip(peaks.values, again.values, strict=True))
    looked = [sight.look(dataset.pixels[index]) for index in range(len(dataset.pictures))]
    for level, channel in ((0, 3), (2, 17)):
        best = sight.patches(peaks, level, channel, 4)
        responses = [float(views[level].values[channel].max()) for views in looked]
        assert best[0].value == pytest.approx(max(responses), rel=1e-4)
        assert [patch.value for patch in best] == sorted((patch.value for patch in best), reverse=True)
        grid = looked[best[0].picture][level].values[channel]
        patch, step = best[0], sight.side / grid.shape[0]
        first, last = (int((patch.left + end) / step) for end in (0, patch.side - 1))
        top, bottom = (int((patch.top + end) / step) for end in (0, patch.side - 1))
        assert grid[top : bottom + 1, first : last + 1].max() == pytest.approx(grid.max(), rel=1e-4)
        assert 0 <= patch.left <= sight.side - patch.side


def test_of_equal_responses_that_with_the_stronger_surroundings_comes_first() -> None:
    """Two pictures reach the most that ReLU6 gives; in the second one the places around it respond, too."""
    alone, among = torch.zeros(1, 1, 5, 5), torch.zeros(1, 1, 5, 5)
    alone[..., 0, 0] = among[..., 3, 3] = 6.0
    among[..., 2:4, 2:4] = 6.0

    values, places, around = _strongest(torch.cat([alone, among])).unbind(1)

    assert values.flatten().tolist() == [6.0, 6.0] and places[0].item() == 0
    assert around[1] > around[0] and around[1].item() == pytest.approx(4 * 6 / 9)


def test_before_and_after_differ_only_where_something_trained(finished_race: FinishedRace) -> None:
    frozen, tuned = (find_subject(finished_race.run(name)) for name in ("frozen", "finetuned"))
    pixels = np.asarray(draw_picture("squares", 2))

    same = [sight.look(pixels)[2].values for sight in (sight_of(frozen), sight_before(frozen))]
    moved = [sight.look(pixels)[2].values for sight in (sight_of(tuned), sight_beside(tuned, START))]

    assert np.array_equal(*same) and not np.allclose(*moved)
    changes = {row.key: row.change for row in compare_states(begun_with(frozen), state_of(frozen))}
    assert {key for key, change in changes.items() if change == "changed"} == {"classifier.weight", "classifier.bias"}


def test_what_cannot_be_looked_into_is_refused_in_words(finished_race: FinishedRace) -> None:
    with pytest.raises(SettingsError, match="no run here and no backbone"):
        find_subject("nothing")
    with pytest.raises(RunError, match="ships with Thaw as numbers only"):
        sight_of(find_subject("recorded-0-frozen"))
    with pytest.raises(WeightsError, match="not here"):
        sight_of(find_subject("vgg16"))
    with pytest.raises(RunError, match="channels of their own"):
        sight_beside(find_subject("resnet18", ModelSettings(scenario="scratch")), finished_race.run("frozen"))


def test_a_run_that_waits_is_refused(thaw_home: object) -> None:
    (waiting,) = queue_runs(RunStore())

    with pytest.raises(RunError, match="only finished runs"):
        find_subject(waiting)


def test_maps_side_by_side_share_one_scale() -> None:
    weak, strong = np.array([[0.0, 1.0], [-3.0, 0.5]]), np.array([[2.0, 0.0], [0.0, 0.0]])

    left, right = np.split(map_picture([weak, strong], side=4)[:, [0, 2, 3, 6, 9], 0], [3], axis=1)

    assert left[0].tolist() == [0, 128, 128] and right[0].tolist() == [255, 0]
    assert left[3].tolist() == [0, 64, 64], "a negative response is none"
    assert not map_picture([np.zeros((2, 2))]).any()


def test_filters_are_grey_where_a_weight_is_zero_and_share_one_scale() -> None:
    one = np.zeros((2, 3, 3, 3), np.float32)
    one[0, 0, 0, 0], one[1, 2, 2, 2] = 1.0, -0.5

    first, second = filter_picture([one, one / 2])

    assert first.shape == second.shape and first[0, 0].tolist() == [255, 128, 128]
    assert second[0, 0].tolist() == [191, 128, 128]
    assert first[23, 49].tolist() == [128, 128, 0], "the second filter's strongest weight is as dark as can be"
