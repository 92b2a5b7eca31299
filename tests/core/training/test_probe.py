"""Choosing how to compute from what was measured, and measuring where nothing was."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from core.machine.facts import usable_cores
from core.machine.speeds import PRECISIONS, WORKS, Peaks, Speeds, load_peaks, load_speeds, save_speeds
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training import probe
from core.training.history import Cancelled
from core.training.probe import Compute, choose_compute, known_peaks, known_speeds, measure_peaks, measure_speeds

pytestmark = pytest.mark.usefixtures("tricks")
BF16_FOR_KEPT = {
    "forward/fp32": 100.0,
    "forward/bf16": 90.0,
    "train-kept/fp32": 20.0,
    "train-kept/bf16": 30.0,
    "train-adapted/fp32": 20.0,
    "train-adapted/bf16": 10.0,
}
BF16_FOR_FORWARD = {**BF16_FOR_KEPT, "forward/bf16": 300.0, "train-kept/bf16": 1.0}
PEAKS = Peaks(matmul_fp32=1.0, matmul_bf16=2.0, conv_fp32=3.0, conv_bf16=4.0, memory=5.0, decode=6.0)


@pytest.fixture
def unknown(tricks: None, thaw_home: Path) -> None:
    """A machine on which nothing was measured."""
    (thaw_home / "speeds.json").unlink()


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def settings_of(precision: str = "auto", **model: object) -> RunSettings:
    return RunSettings(model=ModelSettings(**model), optim=OptimSettings(precision=precision))


@pytest.mark.parametrize(
    ("probed", "model", "features", "train"),
    [
        (BF16_FOR_KEPT, {"scenario": "finetuned"}, "fp32", "bf16"),
        (BF16_FOR_KEPT, {"scenario": "finetuned", "batchnorm": "adapted"}, "fp32", "fp32"),
        (BF16_FOR_KEPT, {"scenario": "scratch"}, "fp32", "fp32"),
        (BF16_FOR_KEPT, {"scenario": "scratch", "batchnorm": "kept"}, "fp32", "bf16"),
        (BF16_FOR_FORWARD, {"scenario": "frozen"}, "bf16", "fp32"),
        (BF16_FOR_FORWARD, {"scenario": "last-stages"}, "bf16", "fp32"),
    ],
)
def test_each_kind_of_work_gets_the_precision_that_is_faster(
    probed: dict[str, float], model: dict[str, object], features: str, train: str
):
    save_speeds("efficientnet_lite0", Speeds(threads=3, probed=probed))

    assert choose_compute(settings_of(**model)) == Compute(threads=3, features=features, train=train)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("probed", [BF16_FOR_KEPT, BF16_FOR_FORWARD], ids=["kept", "forward"])
def test_a_precision_in_the_settings_is_taken_as_it_is(probed: dict[str, float], precision: str):
    save_speeds("efficientnet_lite0", Speeds(threads=3, probed=probed))

    assert choose_compute(settings_of(precision)) == Compute(threads=3, features=precision, train=precision)


def test_the_engine_that_was_faster_is_taken_whatever_the_precision():
    engines = {"torch": 10.0, "onnxruntime": 30.0}
    save_speeds("efficientnet_lite0", Speeds(threads=3, probed=BF16_FOR_KEPT, engines=engines))

    for precision in ("auto", "fp32", "bf16"):
        assert choose_compute(settings_of(precision)).engine == "onnxruntime"


def test_each_backbone_is_judged_by_its_own_speeds():
    save_speeds("resnet18", Speeds(threads=2, probed=BF16_FOR_FORWARD))

    assert choose_compute(settings_of(backbone="resnet18")).features == "bf16"
    assert choose_compute(settings_of(backbone="resnet50")).features == "fp32"


def counted(result: object, asked: list[object]) -> Callable[..., object]:
    def measure(*arguments: object) -> object:
        asked.append(arguments)
        return result

    return measure


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize(("backbone", "engine"), [("efficientnet_lite0", "onnxruntime"), ("convnext_tiny", "torch")])
@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_as_long_as_nothing_was_measured_a_run_takes_what_is_safe_and_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, backbone: str, engine: str, precision: str
):
    asked: list[object] = []
    monkeypatch.setattr(probe, "measure_speeds", counted(None, asked))

    compute = choose_compute(settings_of(precision, backbone=backbone))

    asked_for = "bf16" if precision == "bf16" else "fp32"
    assert compute == Compute(threads=usable_cores(), features=asked_for, train=asked_for, engine=engine)
    assert asked == [] and load_speeds(backbone) is None


@pytest.mark.usefixtures("unknown")
def test_a_backbone_is_measured_once_and_remembered(monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[object, ...]] = []
    speeds = Speeds(threads=2, probed=BF16_FOR_KEPT)
    monkeypatch.setattr(probe, "measure_speeds", counted(speeds, asked))

    assert [known_speeds("resnet18"), known_speeds("resnet18"), load_speeds("resnet18")] == [speeds] * 3
    assert [backbone for backbone, *_ in asked] == ["resnet18"]
    assert load_speeds("resnet50") is None


@pytest.mark.usefixtures("unknown", "threads_as_before")
@pytest.mark.parametrize("allowed", [0, 1, 5])
def test_a_measurement_ends_when_it_is_asked_to_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, allowed: int):
    done: list[object] = []
    monkeypatch.setattr(probe, "worthwhile", lambda: PRECISIONS)
    monkeypatch.setattr(probe, "_seconds", lambda work: done.append(work) or 1.0)

    for measure in (partial(known_speeds, "efficientnet_lite0"), known_peaks):
        done.clear()
        with pytest.raises(Cancelled):
            measure(should_stop=lambda: len(done) >= allowed)
        assert len(done) == allowed

    assert load_speeds("efficientnet_lite0") is load_peaks() is None


@pytest.mark.usefixtures("unknown")
def test_peaks_are_measured_once_and_remembered(monkeypatch: pytest.MonkeyPatch):
    asked: list[object] = []
    monkeypatch.setattr(probe, "measure_peaks", counted(PEAKS, asked))

    assert [known_peaks(), known_peaks(), load_peaks()] == [PEAKS] * 3
    assert len(asked) == 1


def test_what_takes_turns_is_judged_by_its_fastest_round_after_the_first(monkeypatch: pytest.MonkeyPatch):
    rounds = {"a": iter([0.1, 9.0, 5.0, 7.0]), "b": iter([8.0, 2.0, 3.0, 4.0])}
    order: list[str] = []
    arms = {name: lambda name=name: order.append(name) for name in rounds}

    def seconds(work: Callable[[], object]) -> float:
        work()
        return next(rounds[order[-1]])

    monkeypatch.setattr(probe, "_seconds", seconds)

    assert probe._race(arms, {}) == {"a": 5.0, "b": 2.0}
    assert order == ["a", "b"] * 4


@pytest.mark.parametrize(
    ("within_s", "turns", "expected"), [(0.0, 1, 9.0), (6.0, 1, 9.0), (9.5, 2, 5.0), (15.0, 3, 4.0), (99.0, 4, 4.0)]
)
def test_no_turn_begins_once_the_time_is_up(
    monkeypatch: pytest.MonkeyPatch, within_s: float, turns: int, expected: float
):
    taken = [9.0, 5.0, 4.0, 7.0]
    done: list[float] = []
    monkeypatch.setattr(probe, "_seconds", lambda work: work() or done[-1])
    monkeypatch.setattr(probe.time, "perf_counter", lambda: sum(done))

    found = probe._race({"a": lambda: done.append(taken[len(done)])}, {}, within_s=within_s)

    assert len(done) == turns and found == {"a": expected}


@pytest.mark.parametrize(
    ("half", "rounds"), [([9.0, 1.4, 1.0, 1.0], 4), ([9.0, 1.6, 1.0, 1.0], 2), ([0.1, 3.0, 1.0, 1.0], 2)]
)
def test_what_has_no_hope_runs_no_more(monkeypatch: pytest.MonkeyPatch, half: list[float], rounds: int):
    seconds = {"whole": iter([5.0, 1.0, 1.0, 1.0]), "half": iter(half)}
    order: list[str] = []
    monkeypatch.setattr(probe, "_seconds", lambda work: work() or next(seconds[order[-1]]))

    found = probe._race({name: partial(order.append, name) for name in seconds}, {"half": "whole"})

    assert order.count("whole") == 4 and order.count("half") == rounds
    assert found == {"whole": 1.0, "half": min(half[1:rounds])}


@pytest.mark.usefixtures("unknown", "threads_as_before")
@pytest.mark.parametrize(("half", "raced"), [(1.4, True), (1.6, False)])
def test_training_in_bf16_is_timed_once_where_it_cannot_even_help_forward_passes(
    monkeypatch: pytest.MonkeyPatch, half: float, raced: bool
):
    times: Counter[object] = Counter()

    def task(model: object, images: object, work: str, precision: str) -> Callable[[], object]:
        return lambda: times.update([(work, precision)])

    def race(arms: dict[object, Callable[[], object]], rivals: object, **limits: object) -> dict[object, float]:
        for work in arms.values():
            work()
        bf16 = 3.0 if limits.get("rounds") == 0 else half  # what is only to be estimated runs once
        return {arm: bf16 if "bf16" in (arm, arm[-1]) else 1.0 for arm in arms}

    monkeypatch.setattr(probe, "worthwhile", lambda: PRECISIONS)
    monkeypatch.setattr(probe, "_task", task)
    monkeypatch.setattr(probe, "_race", race)

    speeds = measure_speeds("efficientnet_lite0")

    assert set(times.values()) == {1} and len(times) == 6
    assert speeds.probed["forward/bf16"] == pytest.approx(probe.MOST_PICTURES / half, abs=1e-3)
    for work in ("train-kept", "train-adapted"):
        assert speeds.probed[f"{work}/fp32"] == pytest.approx(probe.LARGER * probe.TRAIN_BATCH, abs=1e-3)
        assert speeds.probed[f"{work}/bf16"] == pytest.approx(
            probe.LARGER * probe.TRAIN_BATCH / (half if raced else 3.0), abs=1e-3
        )
        assert speeds.precision(work) == "fp32"


@pytest.mark.usefixtures("unknown", "threads_as_before")
def test_a_round_of_fp32_that_was_disturbed_chooses_nothing(monkeypatch: pytest.MonkeyPatch):
    rounds: Counter[object] = Counter()

    def seconds(work: Callable[[], object]) -> float:
        arm = work()
        rounds[arm] += 1
        return 9.0 if arm == ("train-kept", "fp32") and rounds[arm] <= 2 else 2.0 if "bf16" in arm else 1.0

    monkeypatch.setattr(probe, "STEPS_S", 0.0)
    monkeypatch.setattr(probe, "worthwhile", lambda: PRECISIONS)
    monkeypatch.setattr(probe, "_task", lambda model, images, *arm: lambda: arm)
    monkeypatch.setattr(probe, "_forward_compiled", lambda *arguments: ("forward", "fp32"))
    monkeypatch.setattr(probe, "_seconds", seconds)
    monkeypatch.setattr(probe, "HOPELESS", 3.0)

    speeds = measure_speeds("efficientnet_lite0")

    assert speeds.probed["train-kept/fp32"] == pytest.approx(probe.LARGER * probe.TRAIN_BATCH, abs=1e-3)
    assert speeds.precision("train-kept") == speeds.precision("train-adapted") == "fp32"


@pytest.mark.usefixtures("unknown", "threads_as_before")
def test_what_a_small_product_shows_to_be_emulated_is_never_run_on_a_network(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def task(model: object, images: object, work: str, precision: str) -> Callable[[], object]:
        return lambda: asked.append(precision)

    def race(arms: dict[object, Callable[[], object]], rivals: object, **limits: object) -> dict[object, float]:
        for work in arms.values():
            work()
        return {arm: 50.0 if arm == "bf16" else 1.0 for arm in arms}

    monkeypatch.setattr(probe, "_task", task)
    monkeypatch.setattr(probe, "_race", race)

    speeds, peaks = measure_speeds("efficientnet_lite0"), measure_peaks()

    assert set(asked) == {"fp32"} and {name.partition("/")[2] for name in speeds.probed} == {"fp32"}
    assert (peaks.matmul_bf16, peaks.conv_bf16) == (None, None)
    assert ("conv bf16", "not worth it here") in peaks.rows()


@pytest.mark.parametrize(("half", "expected"), [(0.5, PRECISIONS), (4.0, PRECISIONS), (6.0, ("fp32",))])
def test_a_small_product_tells_what_is_worth_timing(monkeypatch: pytest.MonkeyPatch, half: float, expected: tuple):
    monkeypatch.setattr(probe, "_race", lambda arms, rivals, **limits: {"fp32": 1.0, "bf16": half})

    assert probe.worthwhile() == expected


@pytest.mark.parametrize(
    ("all_cores", "half", "expected"), [(1.0, 0.9, 2), (1.0, 0.99, 4), (1.0, 1.0, 4), (0.5, 1.0, 4)]
)
@pytest.mark.usefixtures("threads_as_before")
def test_fewer_threads_are_taken_only_if_they_are_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, all_cores: float, half: float, expected: int
):
    seconds = {4: all_cores, 2: half}
    monkeypatch.setattr(probe, "SETTLE_S", 0)
    monkeypatch.setattr(probe, "usable_cores", lambda: 4)
    monkeypatch.setattr(probe, "_fastest", lambda work: seconds[torch.get_num_threads()])

    assert probe._best_threads(torch.nn.Identity(), torch.zeros(1)) == expected


@pytest.mark.usefixtures("threads_as_before")
def test_threads_are_not_settled_for_whoever_asks_to_stop(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probe, "usable_cores", lambda: 4)
    monkeypatch.setattr(probe, "SETTLE_S", 1e9)

    with pytest.raises(Cancelled):
        probe._best_threads(torch.nn.Identity(), torch.zeros(1), lambda: True)


@pytest.mark.slow
@pytest.mark.usefixtures("unknown", "threads_as_before")
def test_a_backbone_can_really_be_measured():
    speeds = measure_speeds("efficientnet_lite0")

    assert set(speeds.probed) == {f"{work}/{precision}" for work in WORKS for precision in probe.worthwhile()}
    assert all(rate > 0 for rate in speeds.probed.values())
    assert speeds.probed["forward/fp32"] > speeds.probed["train-kept/fp32"]
    assert speeds.threads == torch.get_num_threads() >= 1
    assert speeds.seen == {}
    assert set(speeds.engines) == {"torch", "onnxruntime"}
    assert speeds.probed["forward/fp32"] == speeds.engines[speeds.engine]


@pytest.mark.slow
@pytest.mark.usefixtures("threads_as_before")
def test_peaks_can_really_be_measured():
    peaks = measure_peaks()

    assert all(getattr(peaks, name) > 0 for name in Peaks.__dataclass_fields__ if not name.endswith("bf16"))
    assert (peaks.conv_bf16 is None) == (peaks.matmul_bf16 is None) == ("bf16" not in probe.worthwhile())
