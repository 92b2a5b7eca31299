"""Turning away pictures of something else: what is farther from all training pictures than known pictures are.

A softmax must share its 100 % among the classes it knows, whatever it is shown. Distance to the nearest training
pictures in feature space does not have to (Sun et al. 2022). The limit comes from val, by the same counting as
prediction sets, so that a stated share of pictures of the known classes is turned away, and not more.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from core.comparison.metrics import Array
from core.comparison.wording import per_cent
from core.inference.evidence import ReferenceFeatures, ood_score
from core.inference.prediction_sets import conformal_quantile

NEIGHBOURS: Final = 5  # training pictures held against: fewer follow single odd ones, more blur small classes
TURNED_AWAY: Final = 0.02
"""Share of known pictures that "none of these" may hit (fraction 0-1). Chosen by measurement: of drawn unknown images
about as many are found as with 0.05, and of known ones about half as many are turned away."""
MOST_TURNED_AWAY: Final = 0.05
"""Where val is too small for `TURNED_AWAY`, the smallest share that it allows is taken, up to this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OodLimit:
    """From which distance a picture is taken for something else."""

    farthest: float
    """Distance (`ood_score`) that is still known; infinite where val is too small."""
    turned_away: float
    """At most this share of pictures of the known classes lies beyond (fraction 0-1)."""
    val_pictures: int

    def is_beyond(self, distance: float) -> bool:
        """Whether a picture at this distance is unlike all training pictures."""
        return distance > self.farthest


@dataclass(frozen=True, kw_only=True, slots=True)
class Detector:
    """Tells pictures that are unlike all that a run learnt from."""

    train: ReferenceFeatures
    limit: OodLimit

    def are_unknown(self, features: Array) -> np.ndarray:
        """Which pictures, with features (N, F), are none of the known classes: (N,) bool."""
        return np.array(
            [self.limit.is_beyond(distance) for distance in ood_score(self.train, features, NEIGHBOURS)], bool
        )


def fit_limit(train: ReferenceFeatures, val: ReferenceFeatures, turned_away: float) -> OodLimit:
    """The limit that turns away the stated share of known pictures.

    Raises:
        SettingsError: the share is not between 0 and 1.
    """
    distances = ood_score(train, val.features, NEIGHBOURS)
    farthest = conformal_quantile(distances, 1 - turned_away)
    return OodLimit(farthest=farthest, turned_away=turned_away, val_pictures=len(distances))


def fit_detector(train: ReferenceFeatures, val: ReferenceFeatures) -> Detector | None:
    """The detector that a page and the command line use; None where val is too small for any."""
    share = max(TURNED_AWAY, 1 / (len(val.pictures) + 1))  # what one more than all of val allows
    return Detector(train=train, limit=fit_limit(train, val, share)) if share <= MOST_TURNED_AWAY else None


def detection_sentence(detector: Detector | None, val_pictures: int) -> str:
    """What "none of these" is worth, or why it is not said, for a person."""
    if detector is None:
        need = round(1 / MOST_TURNED_AWAY) - 1
        return f"Unknown images are not detected: there are {val_pictures} validation pictures, and {need} are needed."
    share = detector.limit.turned_away
    return (
        f"“None of these” is said of a picture farther from the training pictures than {per_cent(1 - share)} of the "
        f"validation pictures. About {per_cent(share)} of pictures of known classes are, and unknown images that look "
        "familiar are not."
    )


def detection_values(detector: Detector | None, sentence: str) -> dict[str, Any]:
    """The same as JSON values; the sentence says why there is no detector."""
    if detector is None:
        return {"detected": False, "why": sentence}
    return {"detected": True, "turned_away": detector.limit.turned_away, "val_pictures": detector.limit.val_pictures}
