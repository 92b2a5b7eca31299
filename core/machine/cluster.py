"""Ray, where it was asked for with `THAW_ENGINE=ray`: work on all cores of this machine, or of many machines.

Ray is a library of the extra `ray`, and loaded by whoever connects, nobody else. Its own dashboard is not started, it
reports nothing to its makers, and whoever talks to it needs the cluster's token.
"""

import logging
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.errors import SettingsError
from core.home import server_home
from core.machine.facts import usable_cores

EngineName = Literal["local", "ray"]
ENGINES: Final[tuple[EngineName, ...]] = ("local", "ray")
OBJECTS_BYTES: Final = 100 * 1024**2  # Ray's shared memory: what Thaw computes goes to files, not through it
_TOKEN: Final = "ray-token"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A machine of the cluster, or the part of one that Ray may use."""

    host: str
    cores: int
    cards: int


def engine_name() -> EngineName:
    """What trains: a worker process here, or Ray.

    Raises:
        SettingsError: `THAW_ENGINE` names something else.
    """
    wanted = os.environ.get("THAW_ENGINE") or "local"
    for name in ENGINES:
        if name == wanted:
            return name
    raise SettingsError(f"THAW_ENGINE is {wanted!r}; known are {' and '.join(ENGINES)}.")


def cores_of_a_run() -> int | None:
    """Cores that each run computes on, the same for all: their number changes the last digits of what is computed.

    None: all that the machine has, which trains one at a time.

    Raises:
        SettingsError: `THAW_RAY_CORES` is no such number.
    """
    if engine_name() == "local":
        return None
    wanted = os.environ.get("THAW_RAY_CORES") or "1"
    if not wanted.isdecimal() or int(wanted) < 1:
        raise SettingsError(f"THAW_RAY_CORES is {wanted!r}; it is a number of cores for each run, at least 1.")
    return int(wanted)


def connect() -> None:
    """Connect to the cluster at `THAW_RAY_ADDRESS`; without it, to one that is started here and ends with this process.

    Raises:
        SettingsError: Ray is not installed, or nothing answers there.
    """
    address = os.environ.get("THAW_RAY_ADDRESS") or "local"
    _prepare(address)
    try:
        import ray
    except ImportError as error:
        raise SettingsError('THAW_ENGINE is ray, which is not installed: pip install "thaw-lab[ray]".') from error
    if ray.is_initialized():
        return
    own: dict[str, Any] = {}
    if address == "local":
        own = {"num_cpus": usable_cores(), "include_dashboard": False, "object_store_memory": OBJECTS_BYTES}
    try:
        with _signals_kept():
            ray.init(address=address, logging_level=logging.WARNING, **own)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = "on this machine" if address == "local" else f"at {address}"
        raise SettingsError(f"No Ray cluster could be used {where} (THAW_RAY_ADDRESS): {error}") from error


def _prepare(address: str) -> None:
    """What Ray reads when it is loaded, unless the environment says otherwise; nothing is reported in any case."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a run without a card sees none
    if address == "local" and not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN_PATH"] = _own_token()


def _own_token() -> str:
    """The path of a token for clusters that are started here: in Thaw's home, where Ray would use the user's."""
    path = server_home() / _TOKEN
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    return str(path)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray would answer SIGTERM itself, with an end in the middle of whatever is done."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def nodes() -> list[Node]:
    """The machines that are there now and compute something; `connect` comes first."""
    import ray

    found = []
    for row in ray.nodes():  # type: ignore[no-untyped-call]
        has = row["Resources"]
        if row["Alive"] and has.get("CPU", 0) >= 1:
            found.append(Node(host=row["NodeManagerHostname"], cores=int(has["CPU"]), cards=int(has.get("GPU", 0))))
    return found


def environment(cores: int) -> dict[str, dict[str, str]]:
    """What a task's process is started with: torch and NumPy use so many cores, whatever the node has."""
    return {"env_vars": {"OMP_NUM_THREADS": str(cores)}}
