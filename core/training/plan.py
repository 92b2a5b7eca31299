"""How much work a run will be, counted in pictures, and how long that takes at speeds measured on this machine."""

from dataclasses import dataclass, replace
from typing import Final

from core.augment.catalogue import PRESETS, is_random, steps_of
from core.errors import SettingsError
from core.machine.devices import Device, DeviceKind, devices, find_device
from core.machine.speeds import Precision, Speeds, Work, load_speeds
from core.models.catalogue import BACKBONES, count_frozen_stages, get_backbone
from core.settings.schema import RunSettings

TRAIN_COST: Final = 6.0  # a training step against a forward pass, per picture; measured 4 to 7 on two cores
OVERHEAD_S: Final = 0.5  # building the network, hashing it twice, writing the record
HEAD_S: Final = 0.1  # solving for a head on a few hundred pictures
LOOK_HEAD_S: Final = 0.15  # what is fitted to one stage of a few hundred pictures, fold by fold
VIEW_S: Final = 0.0005  # one picture through its pipeline, which the probe leaves out
BOUNDARY_BYTES: Final = 512 * 1024**2  # activations of frozen stages are kept up to here, in memory and on disk
FULL_SIZE: Final = 224


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Pictures that a run sends through its network."""

    feature_pictures: int
    """Forward only, training pictures whose features are cached: in the precision that is faster here."""
    train_pictures: int
    """Training steps, all epochs."""
    eval_pictures: int
    """Forward only: val, after each epoch where it takes the whole network, and test; estimated as in float32."""
    head: bool
    """Whether a head is solved for."""
    caches_boundary: bool = False
    """Last stages: what the frozen stages say is computed once per view, not once per epoch."""
    feature_share: float = 1.0
    """Share of the network that a picture goes through for what is cached of it."""
    forward_share: float = 1.0
    """Share of the network that a training step goes forward through."""
    trained_share: float = 0.0
    """Share of the network that a training step goes back through."""
    size_share: float = 1.0
    """Pixels trained on, as a share of the network's own size."""

    @property
    def step_cost(self) -> float:
        """A training step per picture, in forward passes of the whole network at full size."""
        return self.size_share * (self.forward_share + (TRAIN_COST - 1) * self.trained_share)

    @property
    def units(self) -> float:
        """The whole work in forward passes of one picture."""
        features = self.feature_pictures * self.feature_share
        return features + self.eval_pictures + self.train_pictures * self.step_cost


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a run will take on this machine."""

    seconds: float
    measured: bool
    """Whether this very backbone has been timed here; else it is scaled from another by its operations: rough."""


def plan_run(settings: RunSettings, train: int, val: int, test: int) -> Plan:
    """The work of a run over a split of these sizes, if nothing is cached yet."""
    scenario, optim = settings.model.row, settings.optim
    views = len(views_of(settings))
    cached = Plan(
        feature_pictures=train * views,
        train_pictures=0,
        eval_pictures=val + test,
        head=scenario.solves_head,
    )
    if not scenario.takes_steps:
        return cached
    side = optim.train_size or FULL_SIZE
    trained = replace(
        cached,
        feature_pictures=0,
        train_pictures=train * optim.epochs,
        eval_pictures=val * optim.epochs + test,
        trained_share=0.0 if scenario.stages == "none" else 1.0,
        size_share=(side / FULL_SIZE) ** 2,
    )
    if scenario.stages == "last":
        return _plan_last_stages(settings, cached, trained, train, val)
    if scenario.solves_head:
        eval_pictures = cached.eval_pictures - test + trained.eval_pictures
        return replace(trained, feature_pictures=cached.feature_pictures, eval_pictures=eval_pictures)
    return trained


def _plan_last_stages(settings: RunSettings, cached: Plan, trained: Plan, train: int, val: int) -> Plan:
    """Cache what the frozen stages say if that saves forward passes and fits."""
    frozen, bytes_each = _boundary(settings)
    trained = replace(trained, trained_share=1 - frozen)
    views, epochs = len(views_of(settings)), settings.optim.epochs
    pays = frozen > 0 and views < epochs and settings.optim.train_size is None and settings.model.row.caches_views
    if not pays or (train * views + 2 * val) * bytes_each > BOUNDARY_BYTES:
        return trained
    return replace(
        trained,
        feature_pictures=cached.feature_pictures,
        eval_pictures=cached.eval_pictures,
        caches_boundary=True,
        feature_share=frozen,
        forward_share=1 - frozen,
    )


def _boundary(settings: RunSettings) -> tuple[float, int]:
    """Share of the arithmetic that is frozen, and bytes of a picture's activations there in half precision."""
    from core.models.splitting import activation_bytes, stage_costs  # brings torch

    spec = get_backbone(settings.model.backbone)
    stages = count_frozen_stages(settings.model, spec)
    if stages == 0:
        return 0.0, 0
    return sum(stage_costs(spec.name)[:stages]), activation_bytes(spec.name, stages, FULL_SIZE)


def views_of(settings: RunSettings) -> tuple[int, ...]:
    """Views of a training picture that are cached: 0 is as at evaluation, the others are augmented.

    Where the augmentation draws nothing, one is enough: the plain one if that is what training sees, else the first.
    """
    if is_random(settings.augment):
        return tuple(range(settings.optim.views))
    return (0,) if steps_of(settings.augment) == PRESETS["centre-crop"].steps else (1,)


def device_for(settings: RunSettings) -> Device:
    """What a run computes on: what the settings say, else the fastest that is here, by measurement.

    Where one was not measured yet, a graphics card is taken for the faster one.

    Raises:
        SettingsError: the settings name a device that is not here.
    """
    wanted = settings.optim.device
    if wanted != "auto":
        return find_device(wanted)
    here = devices()
    measured = [(load_speeds(settings.model.backbone, one.kind), one) for one in here] if len(here) > 1 else []
    work: Work = training_work(settings) if settings.model.row.takes_steps else "forward"
    rates = [(speeds.rate(work, speeds.precision(work)), one) for speeds, one in measured if speeds]
    return max(rates, key=lambda row: row[0])[1] if len(rates) == len(here) else here[0]


def out_of_memory(settings: RunSettings, what: str = "the machine", others: str = "a smaller backbone") -> str:
    """That the memory of the machine, or of another device, was not enough for a run, and what to try."""
    half = settings.optim.batch_size // 2
    said = f"The memory of {what} is not enough"
    if not settings.model.row.takes_steps or half < 2:
        return f"{said}. End what else uses it, or try {others}."
    join = ", " if "," in others else " or "
    return f"{said} for steps of {settings.optim.batch_size} pictures. Try a batch size of {half}{join}{others}."


def estimate(plan: Plan, settings: RunSettings) -> Estimate | None:
    """Seconds for a plan, or None as long as nothing has been measured on its device, or where that is not here."""
    backbone, measured = settings.model.backbone, True
    try:
        device = device_for(settings).kind
    except SettingsError:
        return None
    speeds = load_speeds(backbone, device)
    if speeds is None:
        speeds, measured = _scaled_speeds(backbone, device), False
    if speeds is None:
        return None
    wanted, work = settings.optim.precision, training_work(settings)
    features: Precision = speeds.precision("forward") if wanted == "auto" else wanted
    train: Precision = speeds.precision(work) if wanted == "auto" else wanted
    forward_s = 1 / speeds.torch_forward(train)
    step_s = max(forward_s, 1 / speeds.rate(work, train))
    each = plan.size_share * (forward_s * plan.forward_share + (step_s - forward_s) * plan.trained_share)
    each += 0 if plan.caches_boundary else VIEW_S
    seconds = OVERHEAD_S + plan.head * HEAD_S + plan.train_pictures * each
    features_rate = speeds.torch_forward(features) if plan.caches_boundary else speeds.rate("forward", features)
    seconds += plan.feature_pictures * (plan.feature_share / features_rate + VIEW_S)
    seconds += plan.eval_pictures / speeds.rate("forward", "fp32")
    return Estimate(seconds=seconds, measured=measured)


def estimate_look(settings: RunSettings, pictures: int) -> Estimate | None:
    """Seconds to look at so many training pictures stage by stage, see `core.advice.depths`: one pass of torch, and
    heads for every stage. None as long as nothing was measured."""
    plan = Plan(feature_pictures=0, train_pictures=0, eval_pictures=0, head=False)
    found = estimate(replace(plan, feature_pictures=pictures, caches_boundary=True), settings)
    heads = LOOK_HEAD_S * len(get_backbone(settings.model.backbone).stages)
    return found and replace(found, seconds=found.seconds + heads)


def training_work(settings: RunSettings) -> Work:
    """The kind of training step a run takes."""
    return "train-kept" if settings.model.statistics == "kept" else "train-adapted"


def _scaled_speeds(backbone: str, device: DeviceKind) -> Speeds | None:
    """Speeds of a backbone that was measured on this device, scaled by its arithmetic: right within a factor of 3."""
    spec = get_backbone(backbone)
    for other in BACKBONES.values():
        speeds = load_speeds(other.name, device)
        if speeds is not None:
            scale = other.forward_gflop / spec.forward_gflop
            return Speeds(threads=speeds.threads, probed={name: rate * scale for name, rate in speeds.probed.items()})
    return None
