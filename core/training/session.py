"""What the ways of training share while one run is at work: its network, loaders, clock, and cached features.

Legend: M pictures, F features of the backbone.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain

import torch
from torch import Tensor, nn

from core.augment.pipelines import normalise
from core.data.loaders import Loaders
from core.machine.devices import brought_back, to_device
from core.machine.facts import this_machine
from core.machine.process import tricks_wanted
from core.machine.speeds import Precision
from core.machine.streams import in_streams
from core.models.accel import LAYOUTS, Forward, one_thread, standing_still
from core.models.boundaries import EVERY_STAGE, Boundaries
from core.models.network import TransferModel
from core.models.splitting import FrontHalf
from core.models.weights import preprocessing_of
from core.settings.schema import RunSettings
from core.settings.versions import to_dict
from core.training.checkpoint import Checkpoint
from core.training.features import WHOLE, FeatureStore, computed_by_torch, feature_recipe
from core.training.head import SolvedHead
from core.training.history import Cancelled, EpochRecord, OnEpoch, OnProgress, Progress, ShouldStop, Stopwatch
from core.training.loop import Batches, Best, Evaluation, Stepper, cast, evaluate
from core.training.plan import plan_run, training_work
from core.training.probe import Compute
from core.training.watched import OnWatched, Watched, watched_pictures
from core.training.weighting import class_weights

WAITING = 3  # pairs of pictures that wait for a core while all are taken


class Session:
    """What the ways of training share while one run is at work."""

    def __init__(
        self,
        *,
        settings: RunSettings,
        model: TransferModel,
        loaders: Loaders,
        compute: Compute,
        watch: Stopwatch,
        on_progress: OnProgress,
        on_epoch: OnEpoch,
        on_watched: OnWatched,
        should_stop: ShouldStop,
        checkpoint: Checkpoint,
    ) -> None:
        self._checkpoint = checkpoint
        self.settings, self.model, self.loaders, self.compute = settings, model, loaders, compute
        self.watch, self.should_stop = watch, should_stop
        self.plan = plan_run(settings, *(len(loaders.split.part(name)) for name in ("train", "val", "test")))
        self.history: list[EpochRecord] = []
        self.head: SolvedHead | None = None
        self._compiled: Forward | None = None
        self._on_progress, self._on_epoch, self._on_watched, self._done = on_progress, on_epoch, on_watched, 0.0
        self._watched = watched_pictures(loaders.dataset, loaders.split, settings.seed)
        self.watched_places = [loaders.split.val.index(index) for index in self._watched]
        self.device = torch.device(compute.device)
        self._preprocessing = preprocessing_of(settings.model.backbone)

    def _normalise(self, images: Tensor, layout: torch.memory_format = torch.channels_last) -> Tensor:
        return normalise(to_device(images, self.device), self._preprocessing, layout)

    def record(self, epoch: EpochRecord) -> None:
        self.history.append(epoch)
        self._on_epoch(epoch)

    def say_watched(self, probabilities: Tensor, epoch: int) -> None:
        """Tell what is said about the watched pictures: probabilities (W, K), after this epoch."""
        sure, classes = probabilities.max(1)
        said = tuple(zip(classes.tolist(), (round(value, 4) for value in sure.tolist()), strict=True))
        self._on_watched(Watched(pictures=self._watched, said=said, epoch=epoch))

    def begin(self, phase: str) -> None:
        """Tell what is being done where it is not counted."""
        self._report(0.0, Progress(phase=phase))

    def take_up(self, stepper: Stepper, best: Best) -> None:
        """Go on after the last epoch that an earlier attempt at this run has kept, if there is one."""
        found = self._checkpoint.load(self._sign(), stepper, best, self.watch)
        if found is None:
            return
        history, self._done = found
        known = len(self.history)
        self.history[:] = history[:known]
        for record in history[known:]:
            self.record(record)

    def keep(self, stepper: Stepper, best: Best) -> None:
        """Keep what the next epoch depends on."""
        self._checkpoint.save(self._sign(), stepper, best, self.history, self.watch, self._done)

    def _sign(self) -> str:
        """Names all that training depends on: with the same sign the same numbers come out."""
        data, machine = self.loaders, this_machine()
        parts = (
            to_dict(self.settings),
            (data.dataset.fingerprint, data.split.hash, self.model.weights_sha256),
            (self.compute, asdict(machine), tricks_wanted()),
            (torch.__version__, torch.backends.cpu.get_cpu_capability()),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _report(self, units: float, progress: Progress) -> None:
        """So much more of the plan's units is done."""
        self._done += units
        fraction = min(1.0, self._done / max(1.0, self.plan.units))
        self._on_progress(replace(progress, fraction=fraction, worked_s=self.watch.elapsed()))

    def targets(self, part: str) -> Tensor:
        """Targets (M,) int64 of a part, in its order."""
        pictures = self.loaders.dataset.pictures
        return torch.tensor([pictures[index].target for index in self.loaders.split.part(part)])

    def class_weights(self, part: str) -> tuple[float, ...] | None:
        """What a picture of each class counts in a part, by the part's own counts; None where all count the same."""
        counts = torch.bincount(self.targets(part), minlength=len(self.loaders.dataset.class_names))
        return class_weights(self.settings.optim.class_weights, counts.tolist())

    def groups(self, part: str) -> Tensor:
        """A number (M,) int64 for each picture of a part, the same for copies."""
        pictures = self.loaders.dataset.pictures
        numbers: dict[str, int] = {}
        keys = [pictures[index].side for index in self.loaders.split.part(part)]
        return torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys])

    def features(self, part: str, view: int = 0) -> Tensor:
        """The backbone's features (M, F) of a part; view 0 is plain, others are augmented.

        Test pictures go through in float32, since they are reported on; all others in the precision that is faster
        here, and are kept in half the digits where that loses nothing.
        """
        return self._cached(self.model.backbone, WHOLE, part, view)

    def activations(self, part: str, view: int = 0) -> Tensor:
        """What the frozen stages say (M, ...) of a part, where the first stage that trains takes over."""
        return self._cached(FrontHalf(self.model), self.model.frozen_stages, part, view)

    def boundaries(self, part: str) -> Tensor:
        """What every stage says (M, W) of a part, pooled, see `core.models.boundaries`."""
        return self._cached(Boundaries(self.model), EVERY_STAGE, part, 0)

    def _cached(self, network: nn.Module, cut: int | str, part: str, view: int) -> Tensor:
        precision: Precision = "fp32" if part == "test" else self.compute.features
        indices = self.loaders.split.part(part)
        total, done = len(indices), 0
        share = self.plan.feature_share if part == "train" else 1.0

        def compute(positions: list[int]) -> Iterator[Tensor]:
            nonlocal done
            wanted = [indices[position] for position in positions]
            for output in self._forward(network, cut, view, wanted, precision):
                yield output
                done += len(output)
                self.watch.count("pictures_forward", len(output))
                self._report(share * len(output), Progress(phase="features", done=done, total=total))

        store = FeatureStore(self._recipe(cut, view, precision))
        keys = [self.loaders.dataset.pictures[index].group for index in indices]
        features, hits = store.get(keys, compute, torch.float16 if precision == "bf16" else torch.float32)
        self.watch.count("features_from_cache", hits)
        if done < total:
            self._report(share * (total - done), Progress(phase="features", done=total, total=total))
        return features

    @torch.no_grad()
    def _forward(
        self, network: nn.Module, cut: int | str, view: int, indices: Sequence[int], precision: Precision
    ) -> Iterator[Tensor]:
        self.model.eval()
        start = time.perf_counter()
        if self.compute.engine == "onnxruntime" and not computed_by_torch(cut, precision):
            pairs = chain.from_iterable(map(_in_twos, self._inputs(view, indices, LAYOUTS["onnxruntime"])))
            with one_thread():  # torch only prepares pictures here, on cores that are all taken
                yield from in_streams(self._compile(), pairs, self.compute.threads, waiting=WAITING)
        else:
            yield from brought_back(self._by_torch(network, view, indices, precision))
        if cut == WHOLE:
            self.watch.paced("forward", precision, len(indices), time.perf_counter() - start)

    def _by_torch(
        self, network: nn.Module, view: int, indices: Sequence[int], precision: Precision
    ) -> Iterator[Tensor]:
        for images in self._inputs(view, indices, LAYOUTS["torch"]):
            with cast(precision, self.device.type):
                output = network(images)
            yield output

    def _inputs(self, view: int, indices: Sequence[int], layout: torch.memory_format) -> Iterator[Tensor]:
        for images, _, _ in self.loaders.view(view, indices):
            if self.should_stop():
                raise Cancelled
            yield self._normalise(images, layout=layout)

    def _compile(self) -> Forward:
        """The backbone as it is now, for as many callers at once as there are threads."""
        if self._compiled is None:
            name = self.model.spec.name
            side = self._preprocessing.image_size
            self._compiled = standing_still(self.model.backbone, name, "onnxruntime", side=side)
        return self._compiled

    def backbone_moves(self) -> None:
        """To be called before training changes the backbone."""
        self._compiled = None

    def _recipe(self, cut: int | str, view: int, precision: Precision) -> dict[str, object]:
        return feature_recipe(
            self.settings,
            self.model.weights_sha256,
            self._preprocessing,
            cut,
            precision,
            self.compute.engine,
            view,
            self.compute.device,
        )

    def evaluate_pictures(self, part: str) -> Evaluation:
        """The whole model as it is now, in float32, on a part whose features are not kept."""
        indices = self.loaders.split.part(part)
        features: list[Tensor] = []
        done = 0
        for output in self._forward(self.model.backbone, WHOLE, 0, indices, "fp32"):
            features.append(output)
            done += len(output)
            self._count_evaluated(part, done, len(output))
        return evaluate(self.model.head, [(torch.cat(features), self.targets(part))])

    def evaluation_batches(self, part: str) -> Batches:
        done = 0
        for images, targets, _ in self.loaders.evaluation(part):
            yield self._normalise(images), targets
            done += len(images)
            self._count_evaluated(part, done, len(images))

    def _count_evaluated(self, part: str, done: int, more: int) -> None:
        self.watch.count("pictures_forward", more)
        self._report(more, Progress(phase=part, done=done, total=len(self.loaders.split.part(part))))

    def count_step(self, epoch: int, done: int, loss: float, *, last_epoch: int) -> None:
        """One more step; `done` of them in this epoch, with this mean loss so far."""
        self.watch.count("optimizer_steps")
        total = self.loaders.batches_per_epoch()
        progress = Progress(phase="train", done=done, total=total, epoch=epoch, epochs=last_epoch, loss=loss)
        self._report(len(self.loaders.split.train) / total * self.plan.step_cost, progress)

    def training_batches(self, epoch: int) -> Batches:
        start = time.perf_counter()
        for images, targets, _ in self.loaders.train(epoch):
            yield self._normalise(images), targets
            self.watch.count("pictures_trained", len(images))
        whole = self.model.frozen_stages == 0 and not self.settings.model.row.parameters
        if whole and self.settings.optim.train_size is None:  # what other runs are estimated by
            pictures = len(self.loaders.split.train)
            self.watch.paced(training_work(self.settings), self.compute.train, pictures, time.perf_counter() - start)


def _in_twos(images: Tensor) -> Sequence[Tensor]:
    """Few at a time, so that at the end of a pass no core has much less to do than the others."""
    return torch.split(images, 2)
