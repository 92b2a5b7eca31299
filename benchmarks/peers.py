"""Thaw beside scikit-learn and fastai: `python benchmarks/peers.py ZIP [--rounds N] [--peers A,B]`.

ZIP is the tutorial's set, ants and bees: everybody trains on its train part (Thaw sets a fifth of it aside to choose
on) and is measured on its other part, with the same network and the same weights. Each peer runs in an environment of
its own that is made here (`--environments` keeps them): what it brings is installed there, what it shares with Thaw,
torch and timm above all, is the same files. A round is one run of each, one after the other, in fresh processes;
counted are whole processes, imports and all, and beside them the seconds that each says it worked. Thaw's homes are
empty but for what was measured once on the machine, except where nothing was.

`--json FILE` keeps every run and adds to what is there: so a peer that takes minutes can have fewer rounds.
Limits for the processor, as `ONEDNN_MAX_CPU_ISA=AVX2`, are passed on. Prints Markdown.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import zipfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from paired import ratios, spoken

PROJECT = Path(__file__).resolve().parents[1]
HERE = PROJECT / "benchmarks"
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import PROCESS_ENVIRONMENT, prepare_process

BACKBONE = "efficientnet_lite0"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train."""

    label: str
    whose: str
    """Thaw, or the package that is installed for it."""
    words: tuple[str, ...]
    rival: str = ""
    """Which of Thaw's arms it is held against."""
    measured: bool = True
    """Whether Thaw knows the speed of the machine."""


ARMS = {
    "thaw": Arm(label="Thaw, frozen", whose="thaw", words=("--scenario", "frozen")),
    "thaw-first": Arm(
        label="Thaw, frozen, nothing measured", whose="thaw", words=("--scenario", "frozen"), measured=False
    ),
    "scikit-learn": Arm(
        label="scikit-learn on timm features, tuned", whose="scikit-learn", words=("peer_sklearn.py",), rival="thaw"
    ),
    "fastai": Arm(
        label="fastai, frozen, 5 epochs", whose="fastai", words=("peer_fastai.py", "--mode", "frozen"), rival="thaw"
    ),
    "thaw-finetuned": Arm(
        label="Thaw, probe, then fine-tune", whose="thaw", words=("--scenario", "probe-then-finetune")
    ),
    "fastai-finetuned": Arm(
        label="fastai, fine_tune, 1 + 5 epochs",
        whose="fastai",
        words=("peer_fastai.py", "--mode", "fine_tune"),
        rival="thaw-finetuned",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the runs share."""

    photos: Path
    folder: Path
    """The photos, unpacked: `train/` and `val/`."""
    weights: Path
    """By timm's names."""
    speeds: Path
    environments: Path

    def python(self, package: str) -> Path:
        """The interpreter of a peer's environment, which is made if it is not there."""
        folder = self.environments / package
        python = folder / "bin" / "python"
        if not (folder / "made").exists():
            venv.create(folder, clear=True, with_pip=True)
            shared = sysconfig.get_paths(vars={"base": str(folder)})["purelib"]
            Path(shared, "shared.pth").write_text(sysconfig.get_paths()["purelib"])
            subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
            (folder / "made").touch()
        return python


def run(arm: Arm, place: Place, seed: int, half: bool, timeout_s: float | None = None) -> dict[str, Any]:
    """One run in a fresh process: `s` is all of it."""
    with tempfile.TemporaryDirectory() as home:
        if arm.whose == "thaw":
            if arm.measured:
                shutil.copy(place.speeds, home)
            command = [sys.executable, "-m", "core", "train", "--data", str(place.photos), *arm.words, "--json"]
            command += ["--seed", str(seed)]
        else:
            python = place.python(arm.whose)
            command = [str(python), "-W", "ignore", str(HERE / arm.words[0]), str(place.folder), str(place.weights)]
            command += arm.words[1:]
            command += ["--seed", str(seed)] if arm.whose == "fastai" else ["--half"] * half
        env = {name: value for name, value in os.environ.items() if name not in PROCESS_ENVIRONMENT}
        env |= {"THAW_HOME": home}
        start = time.perf_counter()
        done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, check=True, timeout=timeout_s)
        seconds = time.perf_counter() - start
    told = json.loads(done.stdout)
    if arm.whose == "thaw":
        return {"s": seconds, "work_s": told["duration_s"], "accuracy": told["test_accuracy"]}
    return {"s": seconds, **told}


def is_half_faster(arm: Arm, place: Place) -> bool:
    """Whether bf16 helps the script on this processor: the fastest of two runs. Where it is emulated none would end."""
    full, half = [], []
    for _ in range(2):
        full.append(run(arm, place, 0, False)["s"])
        try:
            half.append(run(arm, place, 0, True, timeout_s=full[0])["s"])
        except subprocess.TimeoutExpired:
            return False
    return bool(min(half) < min(full))


def spread(values: list[float], digits: int) -> str:
    """Median, and from the lowest to the highest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f}" + (f" ({low:.{digits}f} to {high:.{digits}f})" if len(values) > 1 else "")


def report(rows: list[dict[str, Any]], limits: dict[str, str]) -> str:
    """Markdown: the table, and who wins."""
    machine = this_machine()
    versions = {name: text for row in rows for name, text in row.get("versions", {}).items()}
    capped = "".join(f", {name}={value}" for name, value in limits.items())
    lines = [
        f"{date.today()}, {machine}{capped}; " + ", ".join(f"{name} {text}" for name, text in sorted(versions.items())),
        "",
        "| who | runs | whole process, s | of it work, s | accuracy | whole process, times Thaw's |",
        "|---|---|---|---|---|---|",
    ]
    by_arm = {name: [row for row in rows if row["arm"] == name] for name in ARMS}
    said = []
    for name, arm in ARMS.items():
        mine = by_arm[name]
        if not mine:
            continue
        whole, work, right = ([row[key] for row in mine] for key in ("s", "work_s", "accuracy"))
        theirs = {row["round"]: row for row in by_arm.get(arm.rival, [])}
        pairs = [(row, theirs[row["round"]]) for row in mine if row["round"] in theirs]
        compared = ratios([a["s"] for a, _ in pairs], [b["s"] for _, b in pairs])
        lines.append(
            f"| {arm.label} | {len(mine)} | {spread(whole, 1)} | {spread(work, 1)} | {spread(right, 3)} "
            f"| {spoken(compared) if pairs else ''} |"
        )
        if pairs:
            said.append(verdict(arm, pairs, statistics.median(compared)))
    return "\n".join([*lines, "", *said])


def verdict(arm: Arm, pairs: list[tuple[dict[str, Any], dict[str, Any]]], times: float) -> str:
    """Who is faster, and who is right more often, in the same rounds."""
    mine, theirs = (statistics.mean(run["accuracy"] for run in side) for side in zip(*pairs, strict=True))
    pace = f"Thaw is {times:.2f} times as fast" if times >= 1 else f"{arm.label} is {1 / times:.2f} times as fast"
    gap = abs(mine - theirs)
    right = "equally accurate" if gap < 0.0005 else f"{arm.label if mine > theirs else 'Thaw'} is more accurate by"
    return f"- {ARMS[arm.rival].label} and {arm.label}: {pace}; {right}" + (f" {gap:.3f}." if gap >= 0.0005 else ".")


def main() -> None:
    """Make what is missing, run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=",".join(ARMS), help=f"comma-separated, of {', '.join(ARMS)}")
    parser.add_argument("--environments", type=Path, help="folder in which the peers' environments are kept")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chosen = [name.strip() for name in given.peers.split(",")]
    if unknown := set(chosen) - set(ARMS):
        parser.error(f"--peers has {', '.join(sorted(unknown))}; choose from {', '.join(ARMS)}")
    limits = {name: value for name, value in os.environ.items() if name.startswith(("ONEDNN_MAX", "DNNL_MAX"))}
    with tempfile.TemporaryDirectory() as folder:
        place = prepared(given, Path(folder))
        rows: list[dict[str, Any]] = json.loads(given.json.read_text()) if given.json and given.json.exists() else []
        half = "scikit-learn" in chosen and is_half_faster(ARMS["scikit-learn"], place)
        first = max((row["round"] + 1 for row in rows), default=0)
        for number in range(first, first + given.rounds):
            for name in chosen:
                row = {"arm": name, "round": number, "half": half, **run(ARMS[name], place, number, half)}
                rows.append(row)
                print(f"{name}, round {number}: {row['s']:.1f} s, {row['accuracy']:.3f}", file=sys.stderr, flush=True)
                if given.json:
                    given.json.write_text(json.dumps(rows, indent=1))
    print(report(rows, limits))


def prepared(given: argparse.Namespace, folder: Path) -> Place:
    """The photos unpacked, the weights under timm's names, the machine measured."""
    os.environ["THAW_HOME"] = str(folder)
    prepare_process()
    from safetensors.torch import save_file

    from core.models.weights import load_weights
    from core.training.probe import known_peaks, known_speeds

    known_peaks()
    known_speeds(BACKBONE)
    with zipfile.ZipFile(given.photos) as archive:
        archive.extractall(folder / "photos")
    state = {name: tensor.contiguous() for name, tensor in load_weights(BACKBONE).state.items()}
    save_file(state, folder / "weights.safetensors")
    return Place(
        photos=given.photos.resolve(),
        folder=next(path.parent for path in sorted((folder / "photos").glob("**/train"))),
        weights=folder / "weights.safetensors",
        speeds=folder / "speeds.json",
        environments=given.environments.resolve() if given.environments else folder / "environments",
    )


if __name__ == "__main__":
    main()
