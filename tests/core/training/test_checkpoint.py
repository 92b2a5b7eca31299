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

EPOCHS = 3


def settings(scenario: str, **optim: object) -> RunSettings:
    small = {"epochs": EPOCHS, "batch_size": 8, "train_size": 96}
    return RunSettings(model=ModelSettings(scenario=scenario, last_stages=2), optim=OptimSettings(**{**small, **optim}))


CASES = {
    "everything": settings("finetuned"),
    "averaged, SGD": settings("finetuned", ema=0.5, optimizer="sgd", schedule="cosine"),
    "last stages, from what is cached": settings("last-stages", train_size=None),
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
def test_a_run_that_goes_on_ends_as_one_that_was_not_interrupted(case: str, tiny_dataset: Dataset, path: Path):
    plan = CASES[case]
    whole = train_run(plan, tiny_dataset)
    before = interrupt(plan, tiny_dataset, path, 2)
    torch.manual_seed(99)  # whatever other runs have drawn meanwhile
    steps: list[Progress] = []
    resumed = train_run(plan, tiny_dataset, on_progress=steps.append, checkpoint=Checkpoint(path))

    assert essence(resumed) == essence(whole)
    assert {step.epoch for step in steps if step.phase == "train"} == {whole.history[-1].epoch}, "one epoch was left"
    times = [epoch.elapsed_s for epoch in resumed.history]
    assert times == sorted(times) and times[-2] == before[-1].elapsed_s
    assert resumed.watch.work["optimizer_steps"] == whole.watch.work["optimizer_steps"]
    assert resumed.watch.earlier_s > 0
    fractions = [step.fraction for step in steps if step.phase == "train"]
    assert fractions[0] > 0.4, "it tells from where it went on"


@pytest.mark.parametrize("damage", [lambda content: content[:-1000], lambda content: b"", lambda content: b"x" * 99])
def test_a_damaged_file_is_no_file(tiny_dataset: Dataset, path: Path, damage):
    plan = settings("finetuned", epochs=2)
    interrupt(plan, tiny_dataset, path, 1)
    path.write_bytes(damage(path.read_bytes()))
    epochs: list[EpochRecord] = []
    train_run(plan, tiny_dataset, on_epoch=epochs.append, checkpoint=Checkpoint(path))

    assert [epoch.epoch for epoch in epochs] == [1, 2]


def test_a_worker_that_has_lost_its_run_puts_no_file_in_place(tiny_dataset: Dataset, path: Path):
    @contextmanager
    def lost() -> Iterator[None]:
        raise Cancelled
        yield

    with pytest.raises(Cancelled):
        train_run(settings("finetuned", epochs=1), tiny_dataset, checkpoint=Checkpoint(path, lost))

    assert list(path.parent.iterdir()) == []


def test_another_machine_or_other_settings_begin_anew(
    tiny_dataset: Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = settings("finetuned", epochs=2)
    interrupt(plan, tiny_dataset, path, 1)
    content = path.read_bytes()
    elsewhere = replace(session.this_machine(), processor="another one")
    for other, machine in ((replace(plan, seed=1), session.this_machine()), (plan, elsewhere)):
        path.write_bytes(content)
        monkeypatch.setattr(session, "this_machine", lambda machine=machine: machine)
        trained = train_run(other, tiny_dataset, checkpoint=Checkpoint(path))
        assert trained.watch.earlier_s == 0.0


def test_a_file_is_written_now_and_then_and_the_old_one_stays_until_the_new_is_whole(
    tiny_dataset: Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
):
    plan = settings("finetuned", epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SAVE_EVERY_S", 20.0)
        train_run(plan, tiny_dataset, checkpoint=Checkpoint(path))
    assert not path.exists(), "such a short run needs none"

    interrupt(plan, tiny_dataset, path, 1)
    content = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    epochs: list[EpochRecord] = []
    train_run(plan, tiny_dataset, on_epoch=epochs.append, checkpoint=Checkpoint(path))
    assert len(epochs) == 2 and path.read_bytes() == content, "training goes on where nothing can be written"
