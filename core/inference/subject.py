"""What is looked into: a backbone of the catalogue, or a finished run with what it began with. No torch until asked."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from core.augment.preprocessing import Preprocessing
from core.errors import RunError, SettingsError, WeightsError, shown
from core.models.catalogue import BACKBONES, BackboneSpec, get_backbone
from core.runs.example import find_run
from core.runs.record import WEIGHTS, RunRecord, checked_file, is_recorded, load_record
from core.runs.store import RunStore
from core.settings.schema import ModelSettings

if TYPE_CHECKING:
    from torch import Tensor

START: Final = "start"
"""Instead of a second run: what the first one began with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A network that is looked into."""

    name: str
    """A backbone's name, or a run's id."""
    settings: ModelSettings
    classes: int | None
    """Outputs of its head; None: as many as its library gives it."""
    seed: int = 0
    """Of a random start, and of the head."""
    record: RunRecord | None = None
    """None for a backbone."""

    @property
    def spec(self) -> BackboneSpec:
        return get_backbone(self.settings.backbone)

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to its pictures."""
        from core.models.weights import preprocessing_of

        return self.record.preprocessing if self.record else preprocessing_of(self.settings.backbone)


def find_subject(
    name: str, settings: ModelSettings | None = None, classes: int | None = None, store: RunStore | None = None
) -> Subject:
    """A backbone or a finished run by its name.

    Args:
        settings: how a backbone is to be trained; a run has its own.
        classes: of a backbone's head.

    Raises:
        SettingsError: neither a backbone nor a run is called that.
        RunError: it is no finished run.
    """
    if name in BACKBONES:
        return Subject(name=name, settings=replace(settings or ModelSettings(), backbone=name), classes=classes)
    try:
        run = find_run(store or RunStore(), name)
    except RunError as error:
        raise SettingsError(f"{shown(name)} is no run here and no backbone: {', '.join(BACKBONES)}.") from error
    if run.state != "finished":
        raise RunError(f"The run {run.id} is {run.state}; only finished runs can be looked into.")
    return of_record(load_record(run.id))


def of_record(record: RunRecord) -> Subject:
    """A finished run."""
    return Subject(
        name=record.run,
        settings=record.settings.model,
        classes=len(record.dataset.class_names),
        seed=record.settings.seed,
        record=record,
    )


def state_of(subject: Subject) -> "dict[str, Tensor]":
    """Its tensors by the keys of the network itself: a run's as they are after training, a backbone's before.

    Raises:
        RunError: the run's weights are missing or damaged.
        WeightsError: the pretrained weights are not here.
    """
    from core.models.anatomy.tensors import network_keys

    if subject.record is None:
        return begun_with(subject)
    return network_keys(run_state(subject.record), subject.settings.backbone)


def run_state(record: RunRecord) -> "dict[str, Tensor]":
    """A run's tensors, as it kept them.

    Raises:
        RunError: they are missing or damaged; a recorded run has none.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if is_recorded(record.run):
        raise RunError("This run ships with Thaw as numbers only: its weights are not here. Train one of your own.")
    try:
        return load_file(checked_file(record, WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise RunError(f"The weights of run {record.run!r} are missing or damaged; train again.") from error


def begun_with(subject: Subject) -> "dict[str, Tensor]":
    """What training starts from, a new head included, by the keys of the network itself; nothing is downloaded.

    Raises:
        WeightsError: the pretrained weights are not here, or are not those that the run began with.
    """
    from core.models.anatomy.tensors import start_state

    check_start(subject)
    return start_state(subject.settings, subject.classes or 2, subject.seed)


def check_start(subject: Subject) -> None:
    """Whether what training starts from can be had here without a download.

    Raises:
        WeightsError: it cannot.
    """
    from core.models.weights import weights_status

    if subject.settings.start != "imagenet":
        return
    status = weights_status(subject.settings.backbone)
    if not status.available:
        raise WeightsError(f"The {subject.spec.learnt} weights of {subject.spec.label} are {status.badge}.")
    began = subject.record.weights.sha256 if subject.record else None
    if began and status.sha256 and began != status.sha256:
        raise WeightsError("This run began with other weights than those that are here.")
