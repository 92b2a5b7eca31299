"""Which devices are here, which one a run takes, and what is said where one is not here."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import python

from core.errors import SettingsError
from core.machine import devices as module
from core.machine.devices import Device, brought_back, device_use, devices, find_device, room_for_pictures, to_device
from core.machine.speeds import WORKS, Speeds, load_speeds, remember_seen, save_speeds
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training.plan import device_for, estimate, plan_run
from core.training.probe import Compute, choose_compute

CARD = Device(kind="cuda", name="A card", memory_bytes=8 * 1024**3)
APPLE = Device(kind="mps", name="An Apple GPU", memory_bytes=8 * 1024**3)
LITE0 = "efficientnet_lite0"
MAY_HAVE_MORE = module._may_have_more  # tests have no cards, unless they say so


@pytest.fixture
def with_cards(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let this machine seem to have some cards."""

    def have(*cards: Device) -> None:
        monkeypatch.setattr(module, "_may_have_more", lambda: True)
        monkeypatch.setattr(module, "_accelerators", lambda: cards)

    return have


def speeds_of(rate: float, bf16: float = 1.0) -> Speeds:
    rates = {f"{work}/{name}": value for work in WORKS for name, value in (("fp32", rate), ("bf16", bf16))}
    return Speeds(threads=1, probed=rates, engines={"torch": rate})


def settings_of(device: str = "auto", scenario: str = "frozen") -> RunSettings:
    return RunSettings(model=ModelSettings(scenario=scenario), optim=OptimSettings(device=device))


def test_the_processor_is_always_here_and_comes_last(with_cards: Callable[..., None]):
    assert devices()[-1].kind == find_device("cpu").kind == "cpu" and devices()[-1].memory_bytes > 0

    with_cards(CARD, APPLE)
    assert [device.kind for device in devices()] == ["cuda", "mps", "cpu"]
    assert str(find_device("cuda")) == "A card, 8 GB"


@pytest.mark.parametrize(
    ("system", "processor", "sign", "torch_version", "more"),
    [
        ("Linux", "x86_64", None, "2.15.0", False),
        ("Linux", "x86_64", "/dev/nvidiactl", "2.15.0", True),
        ("Linux", "x86_64", "/dev/nvidiactl", "2.15.0+cpu", False),
        ("Darwin", "arm64", None, "2.15.0", True),
        ("Darwin", "x86_64", None, "2.15.0", False),
    ],
)
def test_torch_is_only_asked_where_there_are_signs_of_a_card(
    monkeypatch: pytest.MonkeyPatch, system: str, processor: str, sign: str | None, torch_version: str, more: bool
):
    asked: list[int] = []
    monkeypatch.setattr(module, "_may_have_more", MAY_HAVE_MORE)
    monkeypatch.setattr(module, "platform", SimpleNamespace(system=lambda: system, machine=lambda: processor))
    monkeypatch.setattr(module, "_is_there", lambda path: path == sign)
    here = SimpleNamespace(torch=torch_version, processor="A processor")
    monkeypatch.setattr(module, "this_machine", lambda: here)
    monkeypatch.setattr(module, "_accelerators", lambda: asked.append(1) or (CARD,))

    assert [device.kind for device in devices()] == (["cuda", "cpu"] if more else ["cpu"])
    assert bool(asked) is more


def test_to_say_what_is_here_takes_no_torch():
    code = "import sys; from core.machine import devices as d; d._is_there = lambda path: False\n"
    assert python(code + "print(d.devices()[-1].kind, 'torch' in sys.modules)").split() == ["cpu", "False"]


@pytest.mark.parametrize(("kind", "what"), [("cuda", "graphics card"), ("mps", "Apple GPU")])
def test_a_device_that_is_not_here_is_refused_in_a_sentence_that_names_what_is(kind: str, what: str):
    if kind in {device.kind for device in devices()}:
        pytest.skip(f"this machine has {kind}")
    with pytest.raises(SettingsError, match=rf"device is {kind}; this machine has no {what}.* here: .*cpu\."):
        choose_compute(settings_of(kind))
    assert estimate(plan_run(settings_of(kind), 10, 5, 5), settings_of(kind)) is None


def test_without_measurements_a_card_is_taken_before_the_processor(with_cards: Callable[..., None]):
    with_cards(CARD, APPLE)

    assert device_for(settings_of()) == CARD
    assert choose_compute(settings_of()).device == "cuda" and choose_compute(settings_of()).engine == "torch"
    assert device_for(settings_of("mps")) == APPLE and device_for(settings_of("cpu")).kind == "cpu"


@pytest.mark.parametrize(("card", "taken"), [(500.0, "cuda"), (5.0, "cpu")])
@pytest.mark.parametrize("scenario", ["frozen", "finetuned"])
def test_the_faster_device_is_taken_once_both_are_measured(
    with_cards: Callable[..., None], scenario: str, card: float, taken: str
):
    with_cards(CARD)
    save_speeds(LITE0, speeds_of(card, bf16=2 * card), "cuda")

    assert device_for(settings_of(scenario=scenario)).kind == taken
    compute = choose_compute(settings_of("cuda", scenario))
    assert compute == Compute(threads=1, features="bf16", train="bf16", device="cuda")


def test_each_device_has_speeds_of_its_own_and_those_of_the_processor_stay_where_they_were(
    with_cards: Callable[..., None], thaw_home: Path
):
    with_cards(CARD)
    before = json.loads((thaw_home / "speeds.json").read_text())
    assert load_speeds(LITE0, "cuda") is None

    save_speeds(LITE0, speeds_of(900.0), "cuda")
    remember_seen(LITE0, "forward", "fp32", 800.0, "cuda")

    table = json.loads((thaw_home / "speeds.json").read_text())
    assert {key: table[key] for key in before} == before and len(table) == len(before) + 1
    assert [key.endswith("| A card") for key in table if key not in before] == [True]
    kept = load_speeds(LITE0, "cuda")
    assert kept is not None and kept.rate("forward", "fp32") == 800.0
    assert load_speeds(LITE0) != kept


def test_an_estimate_is_made_of_the_speeds_of_the_device(with_cards: Callable[..., None]):
    with_cards(CARD)
    save_speeds(LITE0, speeds_of(5000.0), "cuda")
    plan = plan_run(settings_of(), 1000, 100, 100)

    slow, fast = estimate(plan, settings_of("cpu")), estimate(plan, settings_of("cuda"))

    assert slow is not None and fast is not None and slow.seconds > 5 * fast.seconds


def test_on_the_processor_tensors_stay_where_they_are_and_no_pictures_are_kept():
    tensors = [torch.arange(3), torch.ones(2)]

    assert all(a is b for a, b in zip(tensors, brought_back(tensors), strict=True))
    assert to_device(tensors[0], torch.device("cpu")) is tensors[0]
    assert room_for_pictures("cpu") == 0
    assert device_use("cpu").peak_bytes is None and str(device_use("cpu")) == "the processor"
