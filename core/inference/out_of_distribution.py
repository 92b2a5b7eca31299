"""Turning away pictures of something else: what is farther from all training pictures than known pictures are.

A softmax must share its 100 % among the classes it knows, whatever it is shown. Distance to the nearest training
pictures in feature space does not have to (Sun et al. 2022). The limit comes from val, by the same counting as
prediction sets, so that a stated share of pictures of the known classes is turned away, and not more.
"""

from dataclasses import dataclass
from typing import Final

from core.inference.evidence import ReferenceFeatures, ood_score
from core.inference.prediction_sets import conformal_quantile

NEIGHBOURS: Final = 5  # training pictures held against: fewer follow single odd ones, more blur small classes


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


def fit_limit(train: ReferenceFeatures, val: ReferenceFeatures, turned_away: float) -> OodLimit:
    """The limit that turns away the stated share of known pictures.

    Raises:
        SettingsError: the share is not between 0 and 1.
    """
    distances = ood_score(train, val.features, NEIGHBOURS)
    farthest = conformal_quantile(distances, 1 - turned_away)
    return OodLimit(farthest=farthest, turned_away=turned_away, val_pictures=len(distances))
