"""The loss that training makes small. Legend: N batch, K classes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits (N, K) and targets (N,) int64 to one number."""


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy in which a picture counts as its class does, averaged over pictures.

    Not over weights, as torch's own does: then a batch would count the more the more frequent its classes are, and a
    batch in pieces would not have the gradient of the whole one.
    """

    def __init__(self, class_weights: Sequence[float], label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.class_weights: Tensor  # (K,)
        self.register_buffer("class_weights", torch.tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses = nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=self.label_smoothing)
        return (losses * self.class_weights[targets]).mean()


def build_loss(class_weights: Sequence[float] | None, label_smoothing: float = 0.0) -> nn.Module:
    """The mean loss over pictures, of which those of some classes may count more."""
    if class_weights is None:
        return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    return WeightedCrossEntropy(class_weights, label_smoothing)
