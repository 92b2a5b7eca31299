"""One backbone that a frozen run has left as it found it, for the next frozen run of the process.

On cached features, building the network anew would take a third of a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.machine.process import tricks_wanted
from core.models.network import TransferModel, build_head
from core.settings.schema import ModelSettings

MOST_BYTES: Final = 128 * 1024**2  # of a larger one, the memory is worth more than the time


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeptBackbone:
    """A backbone with its ImageNet weights, as they were read from their file."""

    model: TransferModel
    """With the head of the run before."""
    hashes: Mapping[str, str]
    """`state_hashes` of its backbone when it was built: what the audits of all its runs compare with."""

    def with_head(self, num_classes: int, *, seed: int) -> TransferModel:
        """What `build_model` would give."""
        old = self.model
        head = build_head(old.spec.features, num_classes, seed=seed)
        return TransferModel(old.backbone, head, old.spec, weights_sha256=old.weights_sha256)


class Shelf:
    """Room for one backbone."""

    def __init__(self) -> None:
        self._kept: KeptBackbone | None = None

    def put(self, settings: ModelSettings, model: TransferModel, hashes: Mapping[str, str]) -> None:
        """Keep a model's backbone, in the place of another one, if runs like this leave it alone and it is not large.

        Args:
            hashes: of the backbone when it was built, and now.
        """
        size = sum(tensor.nbytes for tensor in model.backbone.state_dict().values())
        if tricks_wanted() and _stands_still(settings) and size <= MOST_BYTES:
            self._kept = KeptBackbone(model=model, hashes=hashes)

    def take(self, settings: ModelSettings) -> KeptBackbone | None:
        """The backbone for a run like this, if it is here; then it is here no more, until that run has ended well."""
        kept = self._kept
        if kept is None or kept.model.spec.name != settings.backbone or not _stands_still(settings):
            return None
        self._kept = None
        return kept


def _stands_still(settings: ModelSettings) -> bool:
    return settings.row.leaves_backbone and settings.start == "imagenet"
