"""`machine`: how fast this machine is."""

from dataclasses import asdict

from core.commands.command import Commands, Result
from core.machine.facts import this_machine
from core.machine.process import PLAIN, tricks_wanted
from core.machine.speeds import WORKS, load_peaks, load_speeds
from core.models.catalogue import BACKBONES
from core.settings.schema import ModelSettings


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add("machine", "How fast this machine is; measured once.", lambda a: machine(a.again))
    command.add_argument("--again", action="store_true", help="measure anew, when nothing else is running")


def machine(again: bool) -> Result:
    """The machine, its peaks, and what was measured for the default backbone; measured now if it never was."""
    here, backbone = this_machine(), ModelSettings().backbone
    peaks, speeds = load_peaks(), load_speeds(backbone)
    if again or peaks is None or speeds is None:
        from core.training.probe import known_peaks, known_speeds

        peaks, speeds = known_peaks(again), known_speeds(backbone, again)
    chosen = {work: speeds.precision(work) for work in WORKS}
    values = {"machine": asdict(here), "peaks": asdict(peaks), "plain": not tricks_wanted()}
    values["backbones"] = {backbone: {**asdict(speeds), "precision": chosen, "engine": speeds.engine}}
    lines = [f"{here}, torch {here.torch}", *(f"  {name:13} {value}" for name, value in peaks.rows())]
    lines += [] if tricks_wanted() else [f"  {PLAIN}"]
    lines += [f"  {BACKBONES[backbone].label}, {speeds.threads} threads, pictures per second:"]
    lines += [f"    forward fp32, {name}: {throughput:.0f}" for name, throughput in speeds.engines.items()]
    for work, precision in chosen.items():
        throughputs = ", ".join(f"{name} {value:.0f}" for name, value in speeds.by_precision(work).items())
        lines.append(f"    {work:13} {throughputs}: {precision}")
    return values, "\n".join(lines)
