"""How long a person waits for a frozen run in a running app: `python benchmarks/first_click.py ZIP`.

The app is started as a person starts it, in a home that holds the pictures and what was measured once on the machine,
and left alone for a while. Then runs are put into its queue one after the other, as its pages do it: the first computes
features, the others have another penalty. Seconds from queueing to the end, for each start. Prints Markdown.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine

ALONE_S = 15.0
PENALTIES = (None, 0.01, 0.03)


def waits(data: str) -> list[float]:
    """Seconds of each run, after one start of the app."""
    from core.data.ingest import ingest
    from core.runs.race import submit
    from core.runs.store import RunStore
    from core.settings.schema import ModelSettings, OptimSettings, RunSettings

    ingested, store, seconds = ingest(data), RunStore(), []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(ALONE_S)
        for l2 in PENALTIES:
            settings = RunSettings(model=ModelSettings(scenario="frozen"), optim=OptimSettings(l2=l2))
            start = time.perf_counter()
            (run,) = submit(store, [settings], ingested, as_race=False)
            while store.get(run).is_active:
                time.sleep(0.02)
            seconds.append(time.perf_counter() - start)
            if store.get(run).state != "finished":
                raise RuntimeError(store.get(run).cause)
    finally:
        server.terminate()
        server.wait()
    return seconds


def main() -> None:
    """Start the app a few times and print how long each run took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--starts", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{date.today()}, {this_machine()}, torch {this_machine().torch}.\n")
    print("| first run, s | other penalties, s |\n|---|---|")
    with tempfile.TemporaryDirectory() as measured:
        os.environ["THAW_HOME"] = measured
        from core.settings.schema import ModelSettings
        from core.training.probe import known_peaks, known_speeds

        known_peaks()
        known_speeds(ModelSettings().backbone)
        speeds = (Path(measured) / "speeds.json").read_bytes()
    for _ in range(arguments.starts):
        with tempfile.TemporaryDirectory() as home:
            os.environ["THAW_HOME"] = home
            (Path(home) / "speeds.json").write_bytes(speeds)
            first, *others = waits(arguments.data)
        print(f"| {first:.1f} | {', '.join(f'{other:.1f}' for other in others)} |", flush=True)


if __name__ == "__main__":
    main()
