"""A compose file without a daemon: every service has a network, a space of processes and a name of its own.

What runs are the file's own commands, in the file's own order, with the file's variables, on one switch without a way
out; images of others have stand-ins. Root, and a Linux with namespaces, is all it takes.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from helpers import REPOSITORY

NEEDED = ("ip", "mount", "nsenter", "unshare")
PATIENCE_S = 180.0
NET = "10.203.0"
INSIDE = """
hostname "$NAME"
mount --bind "$ADDRESSES/hosts" /etc/hosts
mount --bind "$ADDRESSES/resolv.conf" /etc/resolv.conf # nobody to be asked, so that nobody waits for an answer
mkdir -p /tmp/ray && mount -t tmpfs none /tmp/ray
mount -t tmpfs -o "size=$SHM" none /dev/shm
ip link set lo up
until ip route | grep -q default; do sleep 0.05; done
exec "$@"
"""
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


def what_is_missing() -> str | None:
    """Why no service can be started here, as a sentence."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "networks of their own are made by root, on Linux"
    missing = [name for name in NEEDED if not shutil.which(name)]
    return f"networks of their own need {', '.join(missing)}" if missing else None


def filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    """A value of the file with its `${NAME}`, `${NAME:-else}` and `${NAME:?}`, as compose fills them in."""
    if isinstance(value, dict):
        return {name: filled_in(inner, variables) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled_in(inner, variables) for inner in value]

    def one(match: "re.Match[str]") -> str:
        dollar, name, kind, other = match.groups()
        if dollar:
            return dollar
        found = variables.get(name, "")
        if not found and kind != "-":
            raise KeyError(f"{name} has no value")
        return found or other

    return VARIABLE.sub(one, value) if isinstance(value, str) else value


def read(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The services of a compose file."""
    return filled_in(yaml.safe_load(path.read_text()), variables)["services"]


def words(command: str | list[str]) -> list[str]:
    """As compose takes a command that is one string apart."""
    return shlex.split(command) if isinstance(command, str) else command


def of_image() -> dict[str, str]:
    """The variables that the image sets, but for where things lie in it."""
    text = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
    found = dict(word.split("=", 1) for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for word in line.split())
    return {name: value for name, value in found.items() if name not in ("PATH", "HOME", "THAW_HOME")}


@dataclass
class Container:
    """A service at work."""

    name: str
    service: str
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def command(self, *command: str) -> list[str]:
        """What runs a command beside it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while not (inner := children.read_text().strip()):  # it has only just been started
            time.sleep(0.01)
        return ["nsenter", "--target", inner, "--all", f"--wd={REPOSITORY}", *command]

    def run(self, *command: str) -> str:
        """What a command beside it says, as `docker exec` would; it must end well."""
        done = subprocess.run(self.command(*command), env=self.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Composed:
    """The services of a file, as `docker compose up` has them."""

    def __init__(self, services: dict[str, Any], folder: Path, scale: Mapping[str, int]) -> None:
        self.services, self.folder, self._scale = services, folder, scale
        names = [name for service in services for name in self._names(service)]
        self._addresses = {name: f"{NET}.{number}" for number, name in enumerate(names, 2)}
        firsts = {service: self._addresses[self._names(service)[0]] for service in services}
        rows = [
            "127.0.0.1 localhost",
            *(f"{address} {name}" for name, address in {**firsts, **self._addresses}.items()),
        ]
        (folder / "hosts").write_text("\n".join([*rows, ""]))
        (folder / "resolv.conf").touch()
        self.containers: dict[str, Container] = {}
        self._switch = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        _wait_for_namespace(self._switch.pid)
        self._on_switch("ip", "link", "add", "switch", "type", "bridge")
        self._on_switch("ip", "link", "set", "switch", "up")

    def up(self) -> None:
        """Everything, each service when those that it waits for are as it wants them."""
        for service in self.services:
            self._up(service)

    def _names(self, service: str) -> list[str]:
        number = self._scale.get(service, 0)
        return [f"{service}-{one}" for one in range(1, number + 1)] if number else [service]

    def _up(self, service: str) -> None:
        waits = self.services[service].get("depends_on", {})
        for other in waits:
            self._up(other)
            if isinstance(waits, dict):
                self._wait(other, waits[other]["condition"])
        for name in self._names(service):
            if name not in self.containers:
                self.start(name)

    def _wait(self, service: str, condition: str) -> None:
        for name in self._names(service):
            container = self.containers[name]
            if condition == "service_completed_successfully":
                assert container.process.wait(PATIENCE_S) == 0, self.log(name)
            else:
                assert condition == "service_healthy"
                self._until_healthy(container)

    def _until_healthy(self, container: Container) -> None:
        kind, *check = self.services[container.service]["healthcheck"]["test"]
        assert kind == "CMD"
        self._until_ended_well(container, check)

    def _until_ended_well(self, container: Container, check: list[str]) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            assert container.process.poll() is None and time.monotonic() < end, self.log(container.name)
            if not subprocess.run(container.command(*check), env=container.environment, capture_output=True).returncode:
                return
            time.sleep(1.0)

    def start(self, name: str) -> None:
        """One container."""
        service = name.rpartition("-")[0] or name
        rows = self.services[service]
        home = self.folder / f"home-{name}"
        home.mkdir(exist_ok=True)
        mine = {"NAME": name, "ADDRESSES": str(self.folder), "SHM": rows.get("shm_size", "64m").rstrip("b")}
        paths = [str(self.folder / "programs"), str(Path(sys.executable).parent), os.environ["PATH"]]
        environment = {"PATH": os.pathsep.join(paths), "HOME": str(home), "THAW_HOME": str(home / "data")}
        if "thaw" in rows["image"]:
            environment |= of_image()
        environment |= rows.get("environment", {})
        spaces = ["--net", "--uts", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                ["unshare", *spaces, "sh", "-ec", INSIDE, "sh", *self._program(service)],
                env={**environment, **mine},
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.containers[name] = Container(name, service, process, environment)
        self._connect(process.pid, self._addresses[name])

    def _program(self, service: str) -> list[str]:
        rows = self.services[service]
        command = [*rows.get("entrypoint", []), *words(rows.get("command", []))]
        stand_in = self.folder / "programs" / rows["image"].partition(":")[0].rpartition("/")[2]
        return [str(stand_in), *command] if stand_in.exists() else command

    def _connect(self, pid: int, address: str) -> None:
        _wait_for_namespace(pid)
        port = f"port{address.rpartition('.')[2]}"
        with suppress(subprocess.CalledProcessError):  # of an earlier start
            self._on_switch("ip", "link", "del", port)
        self._on_switch("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        self._on_switch("ip", "link", "set", port, "master", "switch", "up")
        inside = ["nsenter", "--target", str(pid), "--net", "ip"]
        for words_ in (["addr", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                       ["route", "add", "default", "dev", "eth0"]):  # fmt: skip
            subprocess.run([*inside, *words_], check=True)

    def _on_switch(self, *command: str) -> None:
        subprocess.run(
            ["nsenter", "--target", str(self._switch.pid), "--net", *command], check=True, capture_output=True
        )

    def kill(self, name: str) -> None:
        """A container and all in it, at once."""
        process = self.containers[name].process
        process.send_signal(signal.SIGKILL)
        process.wait()

    def healthy_at(self, name: str, url: str) -> None:
        """Wait until a container answers there with 200."""
        ask = f"import urllib.request; urllib.request.urlopen({url!r}, timeout=8)"
        container, end = self.containers[name], time.monotonic() + PATIENCE_S
        while subprocess.run(
            container.command("python", "-c", ask), env=container.environment, capture_output=True
        ).returncode:
            assert container.process.poll() is None and time.monotonic() < end, self.log(name)
            time.sleep(1.0)

    def tend(self) -> None:
        """Start again what has ended and is to be started again."""
        for name, container in list(self.containers.items()):
            if container.process.poll() is not None and self.services[container.service].get("restart"):
                self.start(name)

    def log(self, name: str) -> str:
        """The end of what a container has said."""
        return f"{name}: {(self.folder / f'{name}.log').read_text(errors='replace')[-3000:]}"

    def down(self) -> None:
        for name in self.containers:
            self.kill(name)
        self._switch.kill()
        self._switch.wait()


def _wait_for_namespace(pid: int) -> None:
    ours = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == ours:
        time.sleep(0.01)


POSTGRES = """#!/bin/sh
# what the image's entrypoint does, with the server of this machine
set -e
mount -t tmpfs none /mnt # gone with the container
data=/mnt/data && mkdir $data && chown nobody $data && cd $data
as() { setpriv --reuid nobody --clear-groups "$PROGRAMS/$@"; }
printf %s "$POSTGRES_PASSWORD" > word && chmod 644 word
as initdb -D db -U "$POSTGRES_USER" --pwfile word -A scram-sha-256 -E UTF8 --no-sync > /dev/null
echo "host all all all scram-sha-256" >> db/pg_hba.conf
as pg_ctl -D db -w -o "-c listen_addresses= -k $data" start > /dev/null
PGPASSWORD="$POSTGRES_PASSWORD" as createdb -h "$data" -U "$POSTGRES_USER" "$POSTGRES_DB"
as pg_ctl -D db -w stop > /dev/null
exec setpriv --reuid nobody --clear-groups "$PROGRAMS/postgres" -D db -c "listen_addresses=*" -k "$data" -c fsync=off
"""
SEAWEEDFS = """#!{python}
import json, os, re, sys
port = re.search(r"-s3.port=(\\d+)", " ".join(sys.argv))[1]
os.execv(sys.executable, [sys.executable, "-m", "moto.server", "-H", "0.0.0.0", "-p", port])
"""
AWS = """#!{python}
import os, sys
import fsspec
files, (what, where) = fsspec.filesystem("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]), sys.argv[2:]
where = where.removeprefix("s3://")
if what == "mb":
    files.mkdir(where)
elif not files.exists(where):
    sys.exit(1)
"""


def write_programs(folder: Path, postgres: Path) -> None:
    """Stand-ins for what the images of others bring, named as those are."""
    folder.mkdir()
    texts = {"postgres": POSTGRES.replace("$PROGRAMS", str(postgres)), "seaweedfs": SEAWEEDFS, "aws": AWS}
    texts["pg_isready"] = f'#!/bin/sh\nexec "{postgres}/pg_isready" -h localhost "$@"\n'
    for name, text in texts.items():
        (folder / name).write_text(text.replace("{python}", sys.executable))
        (folder / name).chmod(0o755)


def identities(rows: dict[str, Any]) -> dict[str, Any]:
    """What a file in the compose file says, as JSON."""
    found: dict[str, Any] = json.loads(rows["content"])
    return found
