"""What a run learnt from, as its backbone sees it: what "none of these" is measured against."""

from dataclasses import dataclass
from functools import partial

from core.data.dataset import Dataset
from core.inference.evidence import ReferenceFeatures, reference_features
from core.inference.job import Job, OnDone
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


def look_at_known(predictor: Predictor, dataset: Dataset, on_done: OnDone = lambda done, total: None) -> Known:
    """Training and val pictures, from the feature store where they are there: a fine-tuned run looks at them once.

    Args:
        on_done: told (done, total) of a part while features are computed.

    Raises:
        RunError: the data set is not the one that the run was trained on.
    """
    train, val = (reference_features(predictor, dataset, part, on_done) for part in ("train", "val"))
    detector = fit_detector(train, val)
    return Known(train=train, detector=detector, sentence=detection_sentence(detector, len(val.pictures)))


class KnownJob(Job[Known]):
    """The same in a thread of its own."""

    def __init__(self, predictor: Predictor, dataset: Dataset) -> None:
        super().__init__(partial(look_at_known, predictor, dataset))
