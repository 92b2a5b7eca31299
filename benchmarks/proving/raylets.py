"""A Ray cluster on this machine, in a process of its own: a head that computes nothing, and raylets of one core each.

A line on its standard input adds a raylet; answers on its standard output, a line each: so it ends with whoever
started it.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

OBJECTS_BYTES: Final = 80 * 1024**2
NAMES: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}


class Raylets:
    """The cluster, for a block; its nodes see the environment variables that are set when it is made."""

    def __init__(self, number: int, home: Callable[[], Path] | None = None) -> None:
        """`home`: makes one for each raylet, as if it were a machine; else all see this process's."""
        self._home = home
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **NAMES},
            start_new_session=True,
        )
        self.address: str = self._heard()
        self.pids: list[int] = []
        """Of the raylets, the oldest first."""
        for _ in range(number):
            self.add()

    def add(self) -> None:
        """One more raylet."""
        assert self._process.stdin
        print(self._home() if self._home else "", file=self._process.stdin, flush=True)
        self.pids.append(self._heard())

    def kill(self, number: int) -> None:
        """Kill a raylet, as a machine whose power is cut."""
        os.kill(self.pids.pop(number), signal.SIGKILL)

    def _heard(self) -> Any:
        assert self._process.stdout
        for line in self._process.stdout:
            with suppress(ValueError):  # whatever Ray prints itself
                return json.loads(line)["answer"]
        raise RuntimeError("the cluster could not be started")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()
        assert self._process.stdin and self._process.stdout


def _serve() -> None:
    from ray.cluster_utils import Cluster

    def answer(value: object) -> None:
        print(json.dumps({"answer": value}), flush=True)

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": OBJECTS_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    answer(cluster.address)
    for line in sys.stdin:
        if home := line.strip():
            os.environ["THAW_HOME"] = home
        node = cluster.add_node(num_cpus=1, object_store_memory=OBJECTS_BYTES)
        answer(node.all_processes["raylet"][0].process.pid)
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    _serve()
