"""Which training pictures speak most for an answer, right or wrong.

A head with an L2 penalty that has been solved for is a sum over its training pictures: w_c = sum_i (y_ic - p_ic) z_i /
(l2 M). So the score of a class is one, too, and each picture's share of it is known (representer points: Yeh, Kim, Yen
and Ravikumar 2018, NeurIPS). For a head that was trained by steps the same product is the similarity of the two
pictures' gradients at its last layer (Pruthi, Liu, Kale and Sundararajan 2020, NeurIPS), without the sum.

Legend: M training pictures, F features, K classes.
"""

from dataclasses import dataclass

import numpy as np

from core.comparison.metrics import Array
from core.data.dataset import Dataset
from core.inference.evidence import ReferenceFeatures
from core.inference.predictor import Predictor


@dataclass(frozen=True, kw_only=True, slots=True)
class Influence:
    """A training picture and how much it speaks for a class."""

    picture: int
    """Index into the data set's pictures."""
    share: float
    """Of all that speaks for the class, a fraction."""


def speaking_for(
    predictor: Predictor, dataset: Dataset, reference: ReferenceFeatures, features: Array, class_index: int, k: int
) -> tuple[Influence, ...]:
    """The up to k training pictures that speak most for a class, the strongest first.

    A picture speaks for the class that it is labelled as, the more, the less sure the network is of it and the more its
    features are like these; one of another class does so where it is unlike.

    Args:
        reference: the run's training pictures, as `reference_features` gives them.
        features: (F,), of the picture that was asked about.
    """
    rows = reference.features * reference.lengths[:, None]
    targets = np.array([dataset.pictures[picture].target for picture in reference.pictures])
    spoken = contributions(rows, predictor.head_probabilities(rows), targets, features, class_index)
    order = np.argsort(-spoken, kind="stable")[:k]
    whole = spoken[spoken > 0].sum()
    return tuple(
        Influence(picture=reference.pictures[i], share=float(spoken[i] / whole)) for i in order if spoken[i] > 0
    )


def contributions(rows: Array, probabilities: Array, targets: Array, features: Array, class_index: int) -> np.ndarray:
    """What each training picture adds to the score of a class, (M,), times the penalty's strength and M.

    Args:
        rows: (M, F) features of the training pictures.
        probabilities: (M, K), what the head says of them.
        targets: (M,), their classes.
        features: (F,), of the picture that was asked about.
    """
    mean, deviation = rows.mean(0), rows.std(0)
    deviation = np.where(deviation < 1e-6, np.inf, deviation)  # what does not vary says nothing, as for the solver
    errors = (targets == class_index) - probabilities[:, class_index]
    spoken: np.ndarray = errors * (((rows - mean) / deviation) @ ((features - mean) / deviation))
    return spoken
