"""The image, built from nothing and run without a container daemon: debootstrap makes its base, buildah the rest.

A container has a network of its own with nothing in it but itself; `Container.connected` is the way in.
"""

import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parents[2]
BASE, IMAGE = "localhost/base:1", "localhost/thaw:1"
CLONE_NEWNET = 0x40000000  # sched.h
NEEDED = ("buildah", "debootstrap", "ip", "openssl", "unshare")
PATIENCE_S = 180


def what_is_missing() -> str | None:
    """Why no image can be built here, as a sentence."""
    if os.geteuid() != 0:
        return "an image is built as root here"
    missing = [name for name in NEEDED if not shutil.which(name)]
    return f"an image needs {', '.join(missing)} to be built and run here" if missing else None


class Images:
    """A folder with everything that buildah keeps; removed with all that is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "build.log"

    def command(self, *arguments: str) -> list[str]:
        kept = ["--root", f"{self.folder}/storage", "--runroot", f"{self.folder}/run", "--storage-driver", "overlay"]
        return ["buildah", *kept, *arguments]

    def buildah(self, *arguments: str) -> str:
        """What it prints, which must end well."""
        with self.log.open("a") as log:
            done = subprocess.run(self.command(*arguments), stdout=subprocess.PIPE, stderr=log, text=True, check=False)
        assert done.returncode == 0, self.log.read_text()[-3000:]
        return done.stdout.strip()

    def build(self) -> None:
        """The image from the Dockerfile, with torch as the registry has it."""
        if IMAGE.partition(":")[0] in self.buildah("images", "--format", "{{.Name}}"):
            return
        self._build_base()
        os.environ["BUILDAH_ISOLATION"] = "chroot"
        arguments = ["--build-arg", f"BASE={BASE}", "--build-arg", "TORCH_INDEX="]
        volumes = [word for volume in self._client_settings() for word in ("--volume", volume)]
        self.buildah("bud", "--pull=false", "--format", "docker", *arguments, *volumes, "-t", IMAGE, str(PROJECT))

    def _build_base(self) -> None:
        """Plays the public image of the release that the Dockerfile names."""
        release = re.search(r"^ARG BASE=debian:(\w+)-slim$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
        assert release
        root, packed = self.folder / "base", self.folder / "base.tar"
        with self.log.open("a") as log:
            command = ["debootstrap", "--variant=minbase", release[1], str(root)]
            subprocess.run(command, stdout=log, stderr=log, check=True)
        shutil.rmtree(root / "var/cache/apt/archives")
        subprocess.run(["tar", "-C", root, "-cf", packed, "."], check=True)
        working = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", working, str(packed), "/")
        self.buildah("commit", "-q", working, BASE)
        self.buildah("rm", working)
        shutil.rmtree(root)
        packed.unlink()

    def _client_settings(self) -> list[str]:
        """How this machine's pip reaches its registry, for the time of the build: volumes, which no image keeps."""
        settings, folder = [], self.folder / "client"
        folder.mkdir(exist_ok=True)
        listed = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            key, value = name.rpartition(".")[2], value.strip("'\"")
            if key == "cert":
                shutil.copy(value, folder / "ca.crt")
                value = "/client/ca.crt"
            if key in ("cert", "index-url", "proxy", "trusted-host"):
                settings.append(f"{key} = {value}")
        (folder / "pip.conf").write_text("\n".join(["[global]", *dict.fromkeys(settings), ""]))
        return [f"{folder}:/client:ro", f"{folder}/pip.conf:/etc/pip.conf:ro"]

    def size(self) -> str:
        """Of the image, unpacked."""
        return self.buildah("images", "--format", "{{.Size}}", IMAGE)

    def config(self) -> dict[str, Any]:
        """What the image says of itself: User, Env, Entrypoint, Cmd, Healthcheck."""
        return json.loads(self.buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]


class Container:
    """The image at work, in a network of its own, without a way out."""

    def __init__(self, images: Images) -> None:
        self.images = images
        self.name = images.buildah("from", "--pull=false", IMAGE)
        self.root = Path(images.buildah("mount", self.name))
        self.log = images.folder / "container.log"
        self.log.unlink(missing_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._inside: ThreadPoolExecutor | None = None

    def start(self, *environment: str) -> None:
        """What `docker run` does; returns when the process within has its number."""
        config = self.images.config()
        variables = [word for one in environment for word in ("--env", one)]
        inside = ["run", "--isolation", "chroot", *variables, self.name, "--", *config["Entrypoint"], *config["Cmd"]]
        script = 'ip link set lo up && exec "$@"'
        with self.log.open("ab") as log:
            command = ["unshare", "--net", "sh", "-c", script, "sh", *self.images.command(*inside)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._inside = ThreadPoolExecutor(1, initializer=_enter_network, initargs=(self.first().pid,))

    def first(self) -> psutil.Process:
        """The container's first process, which is tini."""
        assert self._process
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self._process.pid).children(recursive=True):
                    if child.name() == "tini" and child.children():
                        return child
            time.sleep(0.05)
        raise TimeoutError("nothing was started")

    def connected(self) -> socket.socket:
        """A connection to the app.

        Raises:
            OSError: it does not listen yet, or no more.
        """
        assert self._inside
        return self._inside.submit(lambda: socket.create_connection(("127.0.0.1", 7860), timeout=PATIENCE_S)).result()

    def run(self, *command: str, within_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """A command beside the app: the same user, environment and network."""
        inside = self.images.command("run", "--isolation", "chroot", self.name, "--", *command)
        network = ["nsenter", f"--net=/proc/{self.first().pid}/ns/net"]
        return subprocess.run([*network, *inside], capture_output=True, text=True, timeout=within_s, check=False)

    def stop(self) -> float:
        """As `docker stop` begins: SIGTERM for the first process; seconds until all was over."""
        assert self._process
        began, first = time.monotonic(), self.first()
        everything = [first, *first.children(recursive=True)]
        first.terminate()
        _, alive = psutil.wait_procs(everything, timeout=PATIENCE_S)
        assert not alive, [one.cmdline() for one in alive]
        took = time.monotonic() - began
        self._process.wait(PATIENCE_S)
        self._process = None
        return took

    def remove(self) -> None:
        if self._process and self._process.poll() is None:
            self.stop()
        self.images.buildah("umount", self.name)
        self.images.buildah("rm", self.name)


def _enter_network(pid: int) -> None:
    """Let this thread make its connections in the network of another process."""
    handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(handle)
