"""What a program and everything it starts does to files and the network, as the kernel sees it: strace."""

import ipaddress
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

OPENS = {"open", "openat", "openat2", "creat"}
CHANGES = {
    *("mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"),
    *("symlink", "symlinkat", "mknod", "mknodat", "truncate", "chmod", "fchmodat", "chown", "lchown", "fchownat"),
    *("utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "removexattr"),
}
NEW_NAME_ONLY = {"link", "linkat", "symlink", "symlinkat"}  # what they point to is left as it was
SENDS = {"connect", "sendto", "sendmsg", "sendmmsg"}
FOR_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
TRIED = ("EACCES", "EPERM", "EROFS")  # it would have, had it been allowed to
CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)[^A-Z]*([A-Z]*)")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>, )?"((?:[^"\\]|\\.)*)"')
ADDRESS = re.compile(r'htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')
NAME_SERVER = 53
HARMLESS = ("/dev/null", "/dev/tty", "/dev/shm/", "/proc/")


@dataclass(frozen=True)
class Trace:
    """What was done by a program and all that it started."""

    written: frozenset[str]
    """Files and folders that were opened for writing, made, renamed, removed or marked."""
    addresses: frozenset[str]
    """`address port` of whatever was connected or sent to, over IP."""

    def outside(self, *folders: Path) -> set[str]:
        """What was written elsewhere; devices that keep nothing and the processes' own files do not count."""
        inside = (*(f"{os.path.realpath(folder)}/" for folder in folders), *HARMLESS)
        return {path for path in self.written if not f"{path}/".startswith(inside)}

    def abroad(self) -> set[str]:
        """Addresses that are not this machine's own, and name servers wherever they are."""
        return {at for at in self.addresses if not _is_at_home(*at.rsplit(" ", 1))}


def _is_at_home(address: str, port: str) -> bool:
    ip = ipaddress.ip_address(address)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback and int(port) != NAME_SERVER


def tracer(folder: Path) -> list[str]:
    """The command to put before another, which is then traced into a folder; skips the test where that cannot be."""
    path = shutil.which("strace")
    reason = "strace is not installed"
    if path is not None:
        tried = subprocess.run([path, "-o", os.devnull, "true"], capture_output=True, text=True)
        reason = f"strace does not work here: {tried.stderr.strip()}" if tried.returncode else ""
    if path is None or reason:
        (pytest.fail if os.environ.get("THAW_REQUIRE_STRACE") else pytest.skip)(reason)
    folder.mkdir(parents=True, exist_ok=True)
    options = ["-ff", "-y", "-s", "4096", "-e", "trace=file,network", "-o", str(folder / "trace")]
    return [str(path), "--seccomp-bpf", *options]


def read_trace(folder: Path, cwd: Path) -> Trace:
    """What `tracer` has put into a folder.

    Args:
        cwd: where the program was started, for paths that say nothing of it.
    """
    written, addresses = set(), set()
    for file in sorted(folder.glob("trace.*")):
        with file.open(errors="replace") as lines:
            for name, arguments, result, error in _calls(lines):
                if name in SENDS:
                    addresses |= {f"{address} {port}" for port, address in ADDRESS.findall(arguments)}
                elif _writes(name, arguments) and (not result.startswith("-") or error in TRIED):
                    written |= set(_paths(name, arguments, cwd))
    return Trace(written=frozenset(written), addresses=frozenset(addresses))


def _calls(lines: Iterator[str]) -> Iterator[Sequence[str]]:
    for line in lines:
        found = CALL.match(line)
        if found:
            yield found.groups()


def _writes(name: str, arguments: str) -> bool:
    return name in CHANGES or (name in OPENS and (name == "creat" or bool(FOR_WRITING.search(arguments))))


def _paths(name: str, arguments: str, cwd: Path) -> list[str]:
    # an absolute path is taken as it is, and the last name as well: what a link points to is not what is changed
    found = [os.path.normpath(os.path.join(cwd, folder, path)) for folder, path in PATH.findall(arguments)]
    found = [os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)) for path in found]
    return found[-1:] if name in NEW_NAME_ONLY else found
