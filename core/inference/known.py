"""What a run learnt from, as its backbone sees it: what "none of these" is measured against."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass

from core.data.dataset import Dataset
from core.home import within, workspace
from core.inference.evidence import ReferenceFeatures, reference_features
from core.inference.out_of_distribution import Detector, detection_sentence, fit_detector
from core.inference.predictor import Predictor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Known:
    """A run's training pictures, and what tells others from them."""

    train: ReferenceFeatures
    detector: Detector | None
    """None where val is too small for one."""
    sentence: str
    """What the detector is worth, or why there is none, for a person."""


def look_at_known(
    predictor: Predictor, dataset: Dataset, on_done: Callable[[int, int], None] = lambda done, total: None
) -> Known:
    """Training and val pictures, from the feature store where they are there: a fine-tuned run looks at them once.

    Args:
        on_done: told (done, total) of a part while features are computed.

    Raises:
        RunError: the data set is not the one that the run was trained on.
    """
    train, val = (reference_features(predictor, dataset, part, on_done) for part in ("train", "val"))
    detector = fit_detector(train, val)
    return Known(train=train, detector=detector, sentence=detection_sentence(detector, len(val.pictures)))


class KnownJob:
    """The same in a thread of its own: it goes on whoever waits, so that nobody who stops waiting loses work."""

    def __init__(self, predictor: Predictor, dataset: Dataset) -> None:
        self.done, self.total = 0, 0
        """Of the part that is looked at now; 0 where all is there."""
        self._future: Future[Known] = Future()
        self._workspace = workspace()
        threading.Thread(target=self._look, args=(predictor, dataset), daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, well or not, after at most this time."""
        return bool(wait([self._future], timeout_s).done)

    def result(self) -> Known:
        """What was found; waits for it.

        Raises:
            RunError: the data set is not the one that the run was trained on.
        """
        return self._future.result()

    def _look(self, predictor: Predictor, dataset: Dataset) -> None:
        try:
            with within(self._workspace):
                self._future.set_result(look_at_known(predictor, dataset, self._report))
        except Exception as error:  # the boundary of a thread: raised where somebody asks
            self._future.set_exception(error)

    def _report(self, done: int, total: int) -> None:
        self.done, self.total = done, total
