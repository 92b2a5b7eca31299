"""The ways of training, one row each: what a scenario is called, what trains, and what else follows from it.

Everything that treats scenarios differently reads it here, and nothing else names one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["head", "network", "boundary", "head-then-network"]
"""The function of `core.training.ways` that trains: the head is solved for on features that the backbone gives
once per view; the network takes steps, epoch by epoch; it does so from what its frozen stages give once per view, where
that pays; or the head first, and then the network."""

_STEPS: Final = ("epochs", "batch_size", "optimizer", "schedule", "lr", "weight_decay", "momentum", "ema", "train_size")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """A way of training, complete."""

    name: str
    """In settings, on the command line and in addresses."""
    label: str
    help: str
    """What trains, in a sentence: in forms, and at the head of a run's script."""
    way: Way
    stages: Literal["none", "last", "all"]
    """The stages of the backbone that train; last: as many at the end as `last_stages` says."""
    parameters: str = ""
    """How the names of those parameters of the stages end that train; empty: all of them do."""
    from_nothing: bool = False
    """Starts from random weights, whatever else is wanted. Others start from ImageNet, if nothing else is wanted."""
    batchnorm: Literal["kept", "adapted"] | None = None
    """What becomes of BatchNorm's running statistics; None: the settings say it, or else the start's weights."""
    rates: Mapping[str, tuple[float, float]]
    """Optimiser -> learning rates of (head, backbone); the backbone's is 0 where it does not train."""
    style: Mapping[str, str]
    """Its curves and markers: `color`, readable on white and on near-black (at least 3:1 on both), `dash`, `symbol`."""
    note: str = ""
    """What is to be said where its inside is shown."""

    @property
    def solves_head(self) -> bool:
        """Whether a head is solved for on cached features."""
        return self.way in ("head", "head-then-network")

    @property
    def takes_steps(self) -> bool:
        """Whether there are epochs, batches and an optimiser, and not just a head that is solved for."""
        return self.way != "head"

    @property
    def caches_views(self) -> bool:
        """Whether what is frozen is asked once per view of a picture."""
        return self.way != "network"

    @property
    def leaves_backbone(self) -> bool:
        """Whether the backbone stays as it was, bit by bit."""
        return self.stages == "none" and self.batchnorm == "kept"

    @property
    def only_looks_frozen(self) -> bool:
        """Whether no stage gets gradients, and statistics move all the same."""
        return self.stages == "none" and self.batchnorm == "adapted"

    @property
    def frozen_part(self) -> str:
        """What the freeze audit is about, in words."""
        if self.parameters:
            return "frozen weights"
        return "frozen stages" if self.stages == "last" else "backbone"

    @property
    def options(self) -> frozenset[str]:
        """Those settings that change something here, of all that do not do so in every scenario."""
        steps = _STEPS if self.takes_steps else ()
        stages = () if self.stages == "none" else ("backbone_lr", "stage_decay")
        last = ("last_stages",) if self.stages == "last" else ()
        views = ("views",) if self.caches_views else ()
        return frozenset((*steps, *stages, *last, *views, *(("l2",) if self.solves_head else ())))


# The rates were chosen on the ants-and-bees photos, see benchmarks/. The backbone gets a tenth of the head's wherever
# both train (cs231n's rule of thumb).
_HEAD_ONLY: Final = {"adamw": (1e-2, 0.0), "sgd": (1e-1, 0.0)}
_BOTH: Final = {"adamw": (3e-3, 3e-4), "sgd": (3e-2, 3e-3)}
_ROWS: Final = (
    Scenario(
        name="frozen",
        label="Frozen",
        help="Only the head trains. The backbone is not changed by a single bit.",
        way="head",
        stages="none",
        batchnorm="kept",
        rates=_HEAD_ONLY,
        style={"color": "#3b7dd8", "dash": "solid", "symbol": "circle"},
    ),
    Scenario(
        name="last-stages",
        label="Last stages",
        help="The last k stages of the backbone and the head train; earlier stages stay frozen.",
        way="boundary",
        stages="last",
        rates=_BOTH,
        style={"color": "#0f9488", "dash": "dashdot", "symbol": "diamond"},
    ),
    Scenario(
        name="finetuned",
        label="Fine-tuned",
        help="Everything trains, the backbone at about a tenth of the head's rate.",
        way="network",
        stages="all",
        rates=_BOTH,
        style={"color": "#e0681f", "dash": "dash", "symbol": "square"},
    ),
    Scenario(
        name="probe-then-finetune",
        label="Linear probe, then fine-tune",
        help="The head first, on the frozen backbone; then everything (Kumar et al. 2022).",
        way="head-then-network",
        stages="all",
        rates=_BOTH,
        style={"color": "#9a5cd6", "dash": "longdash", "symbol": "triangle-up"},
    ),
    Scenario(
        name="scratch",
        label="From scratch",
        help="Everything trains from a random start: no pretrained knowledge at all.",
        way="network",
        stages="all",
        from_nothing=True,
        rates={"adamw": (1e-3, 1e-3), "sgd": (5e-2, 5e-2)},
        style={"color": "#7d8794", "dash": "dot", "symbol": "x"},
    ),
    Scenario(
        name="looks-frozen",
        label="Frozen, BatchNorm updating",
        help="As many tutorials freeze: gradients off, yet BatchNorm's statistics follow every batch.",
        way="network",
        stages="none",
        batchnorm="adapted",
        rates=_HEAD_ONLY,
        style={"color": "#c0475f", "dash": "2px,4px,8px,4px", "symbol": "cross"},
        note=(
            "This strategy switches gradients off and leaves training mode on, as many tutorials do: the running "
            "statistics of BatchNorm follow every batch, so the network that is tested is not the one that was "
            "downloaded."
        ),
    ),
)
SCENARIOS: Final[dict[str, Scenario]] = {row.name: row for row in _ROWS}
"""By name, in the order in which they are shown."""
SCENARIO_OPTIONS: Final = frozenset(option for row in _ROWS for option in row.options)
"""What some scenario's `options` have."""
USUAL: Final = "frozen"
"""What a run is if nothing else is said."""
USUAL_RACE: Final = ("frozen", "finetuned")
"""What Home and the command line race if nothing else is said."""


def place_of(scenario: str) -> int:
    """Where a scenario stands in the usual order."""
    return list(SCENARIOS).index(scenario)
