"""Training that was interrupted and goes on gives the same numbers, bit by bit, as training that was not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from core.data.dataset import Dataset
from core.home import home_folder
from core.models.freezing import state_hashes
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training import checkpoint, session
from core.training.checkpoint import Checkpoint
from core.training.history import Cancelled, EpochRecord, Progress
from core.training.scenarios import Trained, train_run

EPOCHS = 2


def settings(scenario: str, **optim: object) -> RunSettings:
    small = {"epochs": EPOCHS, "batch_size": 5, "train_size": 96}
    return RunSettings(model=ModelSettings(scenario=scenario, last_stages=2), optim=OptimSettings(**{**small, **optim}))


CASES = {
    "everything": settings("finetuned"),
    "averaged, SGD": settings("finetuned", ema=0.5, optimizer="sgd", schedule="cosine"),
    "last stages, from what is cached": settings("last-stages", train_size=None, epochs=3),
    "the head first": settings("probe-then-finetune"),
    "statistics move": settings("scratch"),
}


SLOW = ("everything", "statistics move")


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is written after every epoch."""
    monkeypatch.setattr(checkpoint, "SAVE_EVERY_S", 0.0)
    return home_folder("checkpoints") / "mine.safetensors"


def interrupt(plan: RunSettings, dataset: Dataset, path: Path, after: int) -> list[EpochRecord]:
    """Train until one batch into the epoch after so many, with a file of each; what was reported."""
    epochs: list[EpochRecord] = []
    more = 0

    def should_stop() -> bool:
        nonlocal more
        more += sum(epoch.stage == "train" for epoch in epochs) >= after
        return more > 1

    with pytest.raises(Cancelled):
        train_run(plan, dataset, on_epoch=epochs.append, should_stop=should_stop, checkpoint=Checkpoint(path))
    return epochs


def essence(trained: Trained) -> dict[str, object]:
    """All that came out, but for seconds."""
    return {
        "weights": state_hashes(trained.model),
        "history": [{**asdict(epoch), "elapsed_s": 0} for epoch in trained.history],
        "best": (trained.best.epoch, trained.best.val_loss, trained.best.val_accuracy),
        "val": trained.best.val_probabilities.tolist(),
        "test": trained.test.probabilities.tolist(),
        "audit": trained.audit,
        "drift": trained.drift,
    }


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES])
def test_a_run_that_goes_on_ends_as_one_that_was_not_interrupted(case: str, few_dataset: Dataset, path: Path):
    plan = CASES[case]
    whole = train_run(plan, few_dataset)
    before = interrupt(plan, few_dataset, path, plan.optim.epochs - 1)
    torch.manual_seed(99)  # whatever other runs have drawn meanwhile
    steps: list[Progress] = []
    resumed = train_run(plan, few_dataset, on_progress=steps.append, checkpoint=Checkpoint(path))

    assert essence(resumed) == essence(whole)
    assert {step.epoch for step in steps if step.phase == "train"} == {whole.history[-1].epoch}, "one epoch was left"
    times = [epoch.elapsed_s for epoch in resumed.history]
    assert times == sorted(times) and times[-2] == before[-1].elapsed_s
    assert resumed.watch.work["optimizer_steps"] == whole.watch.work["optimizer_steps"]
    assert resumed.watch.earlier_s, "negative where it took longer to go on than all before had taken"
    fractions = [step.fraction for step in steps if step.phase == "train"]
    assert fractions[0] > 0.4, "it tells from where it went on"


def first_epoch(plan: RunSettings, dataset: Dataset, path: Path) -> int:
    """The epoch in which a run trains first; it goes no further."""
    steps: list[Progress] = []
    with pytest.raises(Cancelled):
        train_run(
            plan,
            dataset,
            on_progress=steps.append,
            should_stop=lambda: any(step.phase == "train" for step in steps),
            checkpoint=Checkpoint(path),
        )
    return steps[-1].epoch


def test_a_worker_that_has_lost_its_run_puts_no_file_in_place(few_dataset: Dataset, path: Path):
    @contextmanager
    def lost() -> Iterator[None]:
        raise Cancelled
        yield

    with pytest.raises(Cancelled):
        train_run(settings("finetuned", epochs=1), few_dataset, checkpoint=Checkpoint(path, lost))

    assert list(path.parent.iterdir()) == []


def test_a_damaged_file_another_machine_or_other_settings_begin_anew(
    few_dataset: Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = settings("finetuned", epochs=2)
    interrupt(plan, few_dataset, path, 1)
    content = path.read_bytes()
    assert first_epoch(plan, few_dataset, path) == 2

    for damaged in (content[:-1000], b"", b"x" * 99):
        path.write_bytes(damaged)
        assert first_epoch(plan, few_dataset, path) == 1

    path.write_bytes(content)
    assert first_epoch(replace(plan, seed=1), few_dataset, path) == 1
    elsewhere = replace(session.this_machine(), processor="another one")
    monkeypatch.setattr(session, "this_machine", lambda: elsewhere)
    path.write_bytes(content)
    assert first_epoch(plan, few_dataset, path) == 1


def test_a_file_is_written_now_and_then_and_the_old_one_stays_until_the_new_is_whole(
    few_dataset: Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = settings("finetuned", epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SAVE_EVERY_S", 20.0)
        train_run(plan, few_dataset, checkpoint=Checkpoint(path))
    assert not path.exists(), "such a short run needs none"

    interrupt(plan, few_dataset, path, 1)
    content = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    epochs: list[EpochRecord] = []
    train_run(plan, few_dataset, on_epoch=epochs.append, checkpoint=Checkpoint(path))
    assert len(epochs) == 2 and path.read_bytes() == content, "training goes on where nothing can be written"
