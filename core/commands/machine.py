"""`machine`: how fast this machine is."""

from dataclasses import asdict
from typing import Any

from core.commands.command import Commands, Result
from core.comparison.wording import counted
from core.machine.devices import devices
from core.machine.facts import this_machine
from core.machine.process import PLAIN, tricks_wanted
from core.machine.speeds import WORKS, Speeds, load_peaks, load_speeds
from core.models.catalogue import BACKBONES
from core.settings.schema import ModelSettings


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add("machine", "How fast this machine is; measured once.", lambda a: machine(a.again))
    command.add_argument("--again", action="store_true", help="measure anew, when nothing else is running")


def machine(again: bool) -> Result:
    """The machine, its peaks, and what was measured for the default backbone on each device; now if it never was."""
    here, backbone, cards = this_machine(), ModelSettings().backbone, devices()[:-1]
    peaks, speeds = load_peaks(), load_speeds(backbone)
    known = [(card, found) for card in cards if (found := load_speeds(backbone, card.kind))]
    if again or peaks is None or speeds is None or len(known) < len(cards):
        from core.training.probe import known_peaks, known_speeds

        peaks, speeds = known_peaks(again), known_speeds(backbone, again)
        known = [(card, known_speeds(backbone, again, device=card.kind)) for card in cards]
    values = {"machine": asdict(here), "peaks": asdict(peaks), "plain": not tricks_wanted()}
    values["backbones"] = {backbone: _speed_values(speeds)}
    values["devices"] = [asdict(card) | {"backbones": {backbone: _speed_values(found)}} for card, found in known]
    lines = [f"{here}, torch {here.torch}", *(f"  {name:13} {value}" for name, value in peaks.rows())]
    lines += [] if tricks_wanted() else [f"  {PLAIN}"]
    lines += [f"  {BACKBONES[backbone].label}, {counted(speeds.threads, 'thread')}, pictures per second:"]
    lines += [f"    forward fp32, {name}: {throughput:.0f}" for name, throughput in speeds.engines.items()]
    lines += _speed_lines(speeds)
    for card, found in known:
        lines += [f"{card} ({card.kind})", f"  {BACKBONES[backbone].label}, pictures per second:", *_speed_lines(found)]
    return values, "\n".join(lines)


def _speed_values(speeds: Speeds) -> dict[str, Any]:
    chosen = {work: speeds.precision(work) for work in WORKS}
    return {**asdict(speeds), "precision": chosen, "engine": speeds.engine}


def _speed_lines(speeds: Speeds) -> list[str]:
    """A line for each kind of work: its speeds, and the precision that is chosen for them."""
    lines = []
    for work in WORKS:
        throughputs = ", ".join(f"{name} {value:.0f}" for name, value in speeds.by_precision(work).items())
        lines.append(f"    {work:13} {throughputs}: {speeds.precision(work)}")
    return lines
