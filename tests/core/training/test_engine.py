"""Runs whose forward passes another engine computes: the same work, the same answers, and never a stale weight."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from core.augment.pipelines import normalise
from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.inference.predictor import Predictor
from core.machine.speeds import Engine, load_speeds, save_speeds
from core.models import accel
from core.models.accel.compiled import CompiledBackbone
from core.runs.execute import execute
from core.runs.race import submit
from core.runs.record import load_predictions, load_record
from core.runs.store import RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training import session
from core.training.history import Cancelled
from core.training.scenarios import Trained, build_run_loaders, train_run

pytestmark = pytest.mark.usefixtures("tricks")
SMALL = OptimSettings(epochs=1, batch_size=8, train_size=96, views=1, l2=0.1)


def settings(scenario: str = "frozen", optim: OptimSettings = SMALL) -> RunSettings:
    return RunSettings(model=ModelSettings(scenario=scenario), optim=optim)


@pytest.fixture
def use() -> Callable[[Engine], None]:
    """Let a machine have been measured on which this engine is the faster one."""

    def chosen(engine: Engine) -> None:
        speeds = load_speeds("efficientnet_lite0")
        assert speeds is not None
        engines = {"torch": 50.0, "onnxruntime": 500.0 if engine == "onnxruntime" else 5.0}
        save_speeds("efficientnet_lite0", replace(speeds, engines=engines))

    return chosen


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[CompiledBackbone]:
    """Every compiled backbone that a session makes."""
    all_made: list[CompiledBackbone] = []

    def make(*given: object, **named: object) -> CompiledBackbone:
        all_made.append(CompiledBackbone(*given, **named))
        return all_made[-1]

    monkeypatch.setattr(accel, "CompiledBackbone", make)
    return all_made


def asked_anew(trained: Trained, dataset: Dataset, plan: RunSettings) -> torch.Tensor:
    """What torch says about the test pictures with the run's final weights: probabilities (M, K)."""
    loaders = build_run_loaders(plan, dataset)
    model = trained.model.eval()
    with torch.no_grad():
        logits = [model(normalise(images, trained.preprocessing)) for images, _, _ in loaders.evaluation("test")]
    return torch.cat(logits).softmax(1)


@pytest.mark.parametrize("scenario", ["frozen", "finetuned", "probe-then-finetune", "looks-frozen"])
def test_the_test_part_is_what_the_final_weights_say(
    few_dataset: Dataset, use: Callable[[Engine], None], made: list[CompiledBackbone], scenario: str
):
    use("onnxruntime")

    trained = train_run(settings(scenario), few_dataset)

    assert trained.compute.engine == "onnxruntime"
    expected = asked_anew(trained, few_dataset, settings(scenario))
    assert (trained.test.probabilities - expected).abs().max() < 1e-4
    assert len(made) == (2 if scenario == "probe-then-finetune" else 1), "once for weights that stand still"


def test_engines_agree_and_do_the_same_work(few_dataset: Dataset, use: Callable[[Engine], None]):
    runs = {}
    for engine in ("torch", "onnxruntime"):
        use(engine)
        runs[engine] = train_run(settings(), few_dataset)
    one, other = runs.values()

    assert one.watch.work["pictures_forward"] == other.watch.work["pictures_forward"] > 0
    assert other.watch.work["features_from_cache"] == 0, "another engine's features are not taken for one's own"
    assert (one.test.probabilities - other.test.probabilities).abs().max() < 1e-3
    assert other.audit.bit_identical


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("threads_as_before")
def test_torch_leaves_the_cores_to_an_engine_that_has_taken_them_all(
    few_dataset: Dataset, use: Callable[[Engine], None], monkeypatch: pytest.MonkeyPatch
):
    threads: dict[str, set[int]] = {}

    def noting(engine: Engine) -> Callable[..., torch.Tensor]:
        def noted(*given: object, **named: object) -> torch.Tensor:
            threads.setdefault(engine, set()).add(torch.get_num_threads())
            return normalise(*given, **named)

        return noted

    speeds = load_speeds("efficientnet_lite0")
    assert speeds is not None
    for engine in ("torch", "onnxruntime"):
        save_speeds("efficientnet_lite0", replace(speeds, threads=2))
        use(engine)
        monkeypatch.setattr(session, "normalise", noting(engine))
        train_run(settings(), few_dataset)

    assert threads == {"torch": {2}, "onnxruntime": {1}} and torch.get_num_threads() == 2


def test_a_second_run_computes_nothing(
    few_dataset: Dataset, use: Callable[[Engine], None], made: list[CompiledBackbone]
):
    use("onnxruntime")
    first = train_run(settings(), few_dataset)
    again = train_run(settings(optim=replace(SMALL, l2=0.5)), few_dataset)

    assert again.watch.work.get("pictures_forward", 0) == 0
    assert again.watch.work["features_from_cache"] == first.watch.work["pictures_forward"]
    assert len(made) == 1


def test_half_precision_and_front_halves_stay_with_torch(
    few_dataset: Dataset, use: Callable[[Engine], None], made: list[CompiledBackbone]
):
    use("onnxruntime")
    plan = settings("last-stages", OptimSettings(epochs=3, batch_size=8, precision="bf16"))
    plan = replace(plan, model=replace(plan.model, last_stages=1))

    trained = train_run(plan, few_dataset)

    assert trained.watch.work["pictures_forward"] > len(trained.split.test)
    assert len(made) == 1, "for the test part alone"


def test_it_can_be_stopped_while_features_are_computed(few_dataset: Dataset, use: Callable[[Engine], None]):
    use("onnxruntime")
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1

    with pytest.raises(Cancelled):
        train_run(settings(), few_dataset, should_stop=should_stop)


def test_the_record_says_who_computed_and_a_predictor_says_the_same_to_the_last_bits(
    few_dataset: Dataset, use: Callable[[Engine], None]
):
    use("onnxruntime")
    store = RunStore()
    submit(store, [settings("finetuned")], Ingested(dataset=few_dataset, decode_s=0.0), as_race=False)
    run = store.claim()
    assert run is not None

    execute(store, run, lambda: False)

    record, stored = load_record(run.id), load_predictions(run.id).probabilities
    predictor = Predictor.load(run.id)
    shown = [few_dataset.pixels[index] for index in record.test_pictures]
    assert record.engine == "onnxruntime"
    assert isinstance(predictor._backbone, CompiledBackbone)
    together = predictor.look(shown)
    alone = [predictor.look([picture]) for picture in shown]
    for place, (probabilities, features) in enumerate(alone):
        assert (features[0] == together[1][place]).all(), "a picture's company changes nothing"
        assert abs(probabilities[0] - stored[place]).max() < 1e-6


def test_without_a_measurement_a_predictor_stays_with_torch(few_dataset: Dataset, use: Callable[[Engine], None]):
    use("torch")
    store = RunStore()
    submit(store, [settings()], Ingested(dataset=few_dataset, decode_s=0.0), as_race=False)
    run = store.claim()
    assert run is not None
    execute(store, run, lambda: False)

    assert not isinstance(Predictor.load(run.id)._backbone, CompiledBackbone)
    assert load_record(run.id).engine == "torch"
