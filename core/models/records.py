"""What is told of a network once it was trained: what was frozen, what moved, how much of it trained. No torch."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from core.records import Count, Hash, Size

Moved = Annotated[float, Meta(ge=0)]
TensorName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.]{1,200}\Z")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterCount:
    """How many numbers a model has and how many of them train."""

    total: Size
    trained: Count

    @property
    def trained_share(self) -> float:
        """Fraction 0-1."""
        return self.trained / self.total

    @property
    def trained_words(self) -> str:
        """The share in words: a head on a large backbone is little, and neither nothing nor is the rest everything."""
        text = f"{100 * self.trained_share:.1f} %"
        if text == "0.0 %" and self.trained:
            return "less than 0.1 %"
        return "more than 99.9 %" if text == "100.0 %" and self.trained < self.total else text


@dataclass(frozen=True, kw_only=True, slots=True)
class FreezeAudit:
    """Whether the frozen tensors of a backbone, parameters and buffers, are the same before and after training."""

    checked: Count
    """Tensors compared."""
    changed: Annotated[tuple[TensorName, ...], Meta(max_length=10_000)]
    """Names of those that differ or are on one side only."""
    hash_before: Hash
    """One SHA-256 over the names and contents of all compared tensors."""
    hash_after: Hash

    @property
    def bit_identical(self) -> bool:
        """True only if something was compared and nothing differs."""
        return self.checked > 0 and not self.changed

    @property
    def sentence(self) -> str:
        """The result in words."""
        if not self.checked:
            return "Nothing was frozen, so there was nothing to compare."
        if self.bit_identical:
            return f"All {self.checked} frozen tensors are bit-identical before and after training."
        shown = ", ".join(self.changed[:3]) + (", ..." if len(self.changed) > 3 else "")
        return f"{len(self.changed)} of {self.checked} frozen tensors changed during training: {shown}."


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerChange:
    """How far one layer moved: the norm of the difference over the norm before; 0 is not by a bit."""

    name: TensorName
    """Within the backbone, or `head`."""
    stage: Count | None
    """0 is next to the input; None for the head."""
    weights: Moved | None
    """Of its parameters; None where it has none."""
    statistics: Moved | None
    """Of the running mean and variance of a normalisation layer; None for other layers."""
