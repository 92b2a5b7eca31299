"""How much work a run will be, counted in pictures, and how long that takes at rates measured on this machine."""

from dataclasses import dataclass
from typing import Final

from core.augment.catalogue import is_random
from core.machine import Rates, load_rates
from core.models.catalogue import BACKBONES, get_backbone
from core.settings import RunSettings

TRAIN_COST: Final = 6.0  # a training step against a forward pass, per picture; measured 4 to 7 on two cores
OVERHEAD_S: Final = 2.0  # building the network, hashing it twice, writing the record
HEAD_EPOCH_S: Final = 0.03  # one epoch of a head on a few hundred cached features


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Pictures that a run sends through its network."""

    feature_pictures: int
    """Forward only, to cache features for the head."""
    train_pictures: int
    """Training steps, all epochs."""
    eval_pictures: int
    """Forward only: val after each epoch, test at the end."""
    head_epochs: int
    trained_share: float
    """Share of the network's stages that a training step goes back through."""

    @property
    def step_cost(self) -> float:
        """A training step per picture, in forward passes."""
        return 1 + (TRAIN_COST - 1) * self.trained_share

    @property
    def units(self) -> float:
        """The whole work in forward passes of one picture."""
        return self.feature_pictures + self.eval_pictures + self.train_pictures * self.step_cost


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a run will take on this machine."""

    seconds: float
    measured: bool
    """Whether this very backbone has been timed here; else it is scaled from another by its operations: rough."""


def plan_run(settings: RunSettings, train: int, val: int, test: int) -> Plan:
    """The work of a run over a split of these sizes."""
    scenario, optim = settings.model.scenario, settings.optim
    stages = len(get_backbone(settings.model.backbone).stages)
    views = views_of(settings)
    if scenario == "frozen":
        return Plan(
            feature_pictures=train * views + val,
            train_pictures=0,
            eval_pictures=test,
            head_epochs=optim.epochs,
            trained_share=0.0,
        )
    probe = scenario == "probe-then-finetune"
    return Plan(
        feature_pictures=train * views + val if probe else 0,
        train_pictures=train * optim.epochs,
        eval_pictures=val * optim.epochs + test,
        head_epochs=optim.probe_epochs if probe else 0,
        trained_share=min(1.0, settings.model.last_stages / stages) if scenario == "last-stages" else 1.0,
    )


def views_of(settings: RunSettings) -> int:
    """Views per training picture whose features are cached: one where nothing about them would differ."""
    return settings.optim.views if is_random(settings.augment) else 1


def estimate(plan: Plan, backbone: str) -> Estimate | None:
    """Seconds for a plan, or None as long as nothing has been measured on this machine."""
    rates, measured = load_rates(backbone), True
    if rates is None:
        rates, measured = _scaled_rates(backbone), False
    if rates is None:
        return None
    forward, step = 1 / rates.features, 1 / rates.train
    seconds = (plan.feature_pictures + plan.eval_pictures) * forward
    seconds += plan.train_pictures * (forward + plan.trained_share * max(0.0, step - forward))
    return Estimate(seconds=seconds + plan.head_epochs * HEAD_EPOCH_S + OVERHEAD_S, measured=measured)


def _scaled_rates(backbone: str) -> Rates | None:
    """Rates of a backbone that was measured here, scaled by floating-point operations: right within a factor of 3."""
    spec = get_backbone(backbone)
    for other in BACKBONES.values():
        rates = load_rates(other.name)
        if rates is not None:
            scale = other.forward_gflop / spec.forward_gflop
            return Rates(features=rates.features * scale, train=rates.train * scale)
    return None
