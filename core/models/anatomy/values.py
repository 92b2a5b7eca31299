"""What is known of a network as JSON values and as text: the same from the command line and from the page."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from core.models.anatomy.layers import Anatomy, Layer
from core.models.anatomy.snippets import Ran
from core.models.anatomy.tensors import TensorChange


def anatomy_values(found: Anatomy) -> dict[str, Any]:
    """A network, layer by layer."""
    return {
        "backbone": found.spec.name,
        "kind": found.kind,
        "classes": found.classes,
        "classifier": found.classifier,
        "image_size": found.image_size,
        "top_level": list(found.top_level),
        "parameters": found.parameters.total,
        "trained": found.parameters.trained,
        "gflop": found.gflop,
        "activation_bytes": found.activation_bytes,
        "backward_bytes": found.backward_bytes,
        "uncounted": [asdict(one) for one in found.uncounted],
        "stages": [asdict(stage) for stage in found.stages],
        "layers": [{**asdict(layer), "state": layer.state} for layer in found.layers],
    }


def anatomy_text(found: Anatomy) -> str:
    """The same for a person: the tree as PyTorch prints it, with what trains."""
    count = found.parameters
    lines = [f"{found.spec.label} ({found.kind}), {found.classes} outputs, {found.image_size} px"]
    lines += [_line(layer) for layer in found.layers]
    lines.append(f"{count.total:,} parameters, {count.trained:,} of them train ({count.trained_words})")
    lines.append(
        f"{found.gflop:.2f} GFLOP for a picture; activations {found.activation_bytes / 1e6:.1f} MB, "
        f"kept for the backward pass {found.backward_bytes / 1e6:.1f} MB"
    )
    return "\n".join([*lines, found.uncounted_sentence])


def _line(layer: Layer) -> str:
    name = "  " * layer.depth + f"({layer.name.rpartition('.')[2]}): {layer.kind}"
    shape = " x ".join(map(str, layer.output)) if layer.output else ""
    return f"  {name:44} {shape:>16} {layer.parameters:>12,} {layer.gflop:>8.3f}  {layer.state}"


def changes_values(rows: Sequence[TensorChange]) -> list[dict[str, Any]]:
    """Two states, key by key."""
    return [asdict(row) for row in rows]


def changes_text(rows: Sequence[TensorChange]) -> str:
    """The same in a line for each key that is not the same."""
    lines = [
        f"  {row.key:52} " + (row.change if row.relative is None else f"{100 * row.relative:.3f} %")
        for row in rows
        if row.change != "same"
    ]
    return "\n".join([*lines, change_sentence(rows)])


def change_sentence(rows: Sequence[TensorChange]) -> str:
    """How much of two states is the same."""
    kinds = [row.change for row in rows]
    same = kinds.count("same")
    parts = [f"{kinds.count('changed')} of {len(rows)} tensors changed"]
    parts.append(f"{same} {'is' if same == 1 else 'are'} bit-identical")
    if other := kinds.count("other shape"):
        parts.append(f"{other} {'has another shape' if other == 1 else 'have other shapes'}")
    if alone := kinds.count("only before") + kinds.count("only after"):
        parts.append(f"{alone} {'is' if alone == 1 else 'are'} in one of the two only")
    return ", ".join(parts) + "."


def code_text(pieces: Sequence[Ran]) -> str:
    """Lines of code with what they printed, as an interpreter shows them."""
    return "\n".join(f"{piece.code}\n{piece.printed}" for piece in pieces)
