"""`backbones`: the networks there are."""

from core.commands.command import Commands, Result
from core.models.catalogue import BACKBONES
from core.models.weights import weights_status


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    help = "List the networks there are and where their weights are."
    commands.add("backbones", help, lambda a: list_backbones())


def list_backbones() -> Result:
    """All networks, with their size and where their weights are."""
    rows, lines = [], []
    for spec in BACKBONES.values():
        status = weights_status(spec.name)
        row = {"name": spec.name, "label": spec.label, "stages": len(spec.stages), "features": spec.features}
        row |= {
            "weights": status.badge,
            "available": status.available,
            "licence": status.licence,
            "forward_gflop": spec.forward_gflop,
        }
        rows.append(row)
        lines.append(f"{spec.name:20} {spec.label:20} {status.badge}")
    return {"backbones": rows}, "\n".join(lines)
