"""What the ways of training share while one run is at work: its network, loaders, clock, and cached features.

Legend: M pictures, F features of the backbone.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from core.data.loaders import Loaders
from core.models.build import TransferModel
from core.models.weights import preprocessing_of
from core.settings import RunSettings
from core.training.features import cached_features, extract_features
from core.training.history import EpochRecord, OnEpoch, OnProgress, Progress, ShouldStop, Stopwatch
from core.training.loop import Batches, Evaluation, evaluate
from core.training.plan import Plan


class Meter:
    """Counts work as it is done and turns it into progress."""

    def __init__(self, plan: Plan, on_progress: OnProgress) -> None:
        self._plan, self._report, self._units = plan, on_progress, 0.0

    def add(self, units: float, progress: Progress) -> None:
        self._units += units
        self._report(replace(progress, fraction=min(1.0, self._units / max(1.0, self._plan.units))))

    def add_steps(self, pictures: float, progress: Progress) -> None:
        self.add(pictures * self._plan.step_cost, progress)


class Session:
    """What the ways of training share while one run is at work."""

    def __init__(
        self,
        *,
        settings: RunSettings,
        model: TransferModel,
        loaders: Loaders,
        normalise: Callable[[Tensor], Tensor],
        watch: Stopwatch,
        meter: Meter,
        on_epoch: OnEpoch,
        should_stop: ShouldStop,
    ) -> None:
        self.settings, self.model, self.loaders, self.normalise = settings, model, loaders, normalise
        self.watch, self.meter, self.should_stop = watch, meter, should_stop
        self.history: list[EpochRecord] = []
        self._on_epoch = on_epoch

    def record(self, epoch: EpochRecord) -> None:
        self.history.append(epoch)
        self._on_epoch(epoch)

    def targets(self, part: str) -> Tensor:
        """Targets (M,) int64 of a part, in its order."""
        pictures = self.loaders.dataset.pictures
        return torch.tensor([pictures[index].target for index in self.loaders.split.part(part)])

    def features(self, part: str, view: int = 0) -> Tensor:
        """The backbone's features (M, F) of a part; view 0 is plain, others are augmented."""
        batches = self.loaders.view(view) if part == "train" else self.loaders.evaluation(part)
        total = len(self.loaders.split.part(part))
        done = [0]

        def on_pictures(number: int) -> None:
            done[0] += number
            self.watch.count("pictures_forward", number)
            self.meter.add(number, Progress(phase="features", done=done[0], total=total))

        features, hit = cached_features(
            self._recipe(part, view),
            lambda: extract_features(self.model.backbone, batches, self.normalise, on_pictures, self.should_stop),
        )
        self.watch.count("feature_sets_from_cache" if hit else "feature_sets_computed")
        if hit:
            self.meter.add(total, Progress(phase="features", done=total, total=total))
        return features

    def _recipe(self, part: str, view: int) -> dict[str, object]:
        """All that a part's features depend on. A random backbone depends on the seed, a pretrained one does not."""
        settings, dataset = self.settings, self.loaders.dataset
        contents = "".join(dataset.pictures[index].content for index in self.loaders.split.part(part))
        return {
            "pictures": hashlib.sha256(contents.encode()).hexdigest(),
            "dataset": dataset.fingerprint,
            "backbone": settings.model.backbone,
            "weights": self.model.weights_sha256 or f"random {settings.seed}",
            "preprocessing": preprocessing_of(settings.model.backbone).to_dict(),
            "torch": torch.__version__,
            "view": [view, settings.seed, repr(settings.augment)] if view else 0,
        }

    def evaluate_pictures(self, part: str) -> Evaluation:
        return evaluate(self.model, self.evaluation_batches(part), should_stop=self.should_stop)

    def evaluation_batches(self, part: str) -> Batches:
        total = len(self.loaders.split.part(part))
        done = 0
        for images, targets, _ in self.loaders.evaluation(part):
            yield self.normalise(images), targets
            done += len(images)
            self.watch.count("pictures_forward", len(images))
            self.meter.add(len(images), Progress(phase=part, done=done, total=total))

    def training_batches(self, epoch: int) -> Batches:
        for images, targets, _ in self.loaders.train(epoch):
            yield self.normalise(images), targets
            self.watch.count("pictures_trained", len(images))
