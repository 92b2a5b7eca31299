"""How a process of Thaw's own is set up: before torch is loaded, how it holds memory, and with whom it ends."""

import atexit
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import StorageError

# What torch and its threads read when they are loaded. Huge pages: large activations are mapped anew for each layer,
# and the page faults cost more than the arithmetic. Short spinning: threads that wait in a loop for each other take
# the cores away from whatever else runs, themselves included. Measured by benchmarks/process.py.
PROCESS_ENVIRONMENT = {"THP_MEM_ALLOC_ENABLE": "1", "GOMP_SPINCOUNT": "3000"}

# Where libraries would keep something in the user's own folders: the variable that says where, and the folder below
# Thaw's home. Most never do for what Thaw asks of them; a newer version may. Made only by the one that writes.
KEPT_AT_HOME = {
    "XDG_CACHE_HOME": "cache",  # whoever follows the standard and has no line of its own: fonts, drivers
    "HF_HOME": "cache/huggingface",  # huggingface_hub, and timm through it: downloads, marks, and what uploads keep
    "HF_XET_CACHE": "cache/huggingface/xet",  # its transport: chunks and logs
    "TORCH_HOME": "cache/torch",  # torch.hub, and torchvision through it
    "TORCH_EXTENSIONS_DIR": "cache/torch/extensions",  # C++ that torch compiles
    "PYTORCH_KERNEL_CACHE_PATH": "cache/torch/kernels",  # and its kernels, on a GPU
    "TRITON_HOME": "cache/triton",  # Triton's kernels
    "CUDA_CACHE_PATH": "cache/cuda",  # what the driver compiles
    "MPLCONFIGDIR": "cache/matplotlib",  # matplotlib's fonts, where something brings it
    "NUMBA_CACHE_DIR": "cache/numba",  # what Numba compiles, else beside the code
}

PLAIN = "THAW_PLAIN is set: what makes this processor quicker is off, and torch computes everything, in fp32."

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_PR_SET_PDEATHSIG = 1


def tricks_wanted() -> bool:
    """Whether what makes this processor quicker is to be done; `THAW_PLAIN` turns all of it off, in doubt."""
    return os.environ.get("THAW_PLAIN", "") in ("", "0")


def prepare_process() -> None:
    """Set up a process of Thaw's own, before torch is imported, and with it whatever it starts.

    For torch on few cores, unless its environment says otherwise; and by force so that libraries keep to Thaw's home
    what they would put into the user's folders.
    """
    from core.storage import home_path

    if tricks_wanted():
        for name, value in PROCESS_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    with suppress(StorageError):  # whoever needs a home says that there can be none
        home = home_path()
        os.environ.update({name: str(home / folder) for name, folder in KEPT_AT_HOME.items()})


def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, up to 1 GB, instead of giving it back and asking anew for each layer.

    For processes that train and then end, or train again; glibc only, elsewhere nothing is done. The numbers are those
    of `malloc.h`. Measured by benchmarks/process.py.
    """
    if not tricks_wanted():
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)  # large blocks come from the heap, too
    mallopt(_M_TRIM_THRESHOLD, 1024**3 - 1)
    mallopt(_M_TOP_PAD, 64 * 1024**2)


def die_with_parent() -> None:
    """End this process with the one that started it, which keeps the other end of its standard input open.

    The end of input tells it everywhere. On Linux the kernel does, too, even to a process that is stuck in C.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin, which would be locked at exit
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def wake_with_parent() -> None:
    """Let this process go on, should it be halted, when the one that started it ends: then it can end, too.

    Linux only. A halted process keeps what it has locked, and with it whoever waits for that.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGCONT))


@contextmanager
def imports_exempt_from_gc() -> Iterator[None]:
    """Keep garbage collection away from what is imported within this block, and from all that is there at its end.

    For a process that ends soon, and for the worker before it has work: whatever others held at that moment would stay
    for good. Walking through torch takes 0.2 s each time, and a fifth of its import. Until the process ends, when
    libraries written in C would take what is left out for leaks and say so at length.
    """
    if not tricks_wanted():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)


def forget_peak_memory() -> None:
    """Give back what earlier work has freed and start counting `peak_memory` anew, where the system can do that."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Most bytes that this process has held in memory since `forget_peak_memory`."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import psutil  # only here: whoever waits for pictures waits for this module, too

    return int(psutil.Process().memory_info().rss)
