"""Small real things that many tests need."""

import io
import json
import math
import os
import random
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw

from core.settings.schema import RunSettings

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.data.labels import LabelCheck
    from core.models.network import TransferModel
    from core.runs.record import RunRecord
    from core.runs.store import Run, RunStore

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
KINDS = ("discs", "squares", "stripes")
"""The classes of drawn pictures: red discs, blue squares, green stripes."""
LARGE = ("efficientnet_lite1", "efficientnet_lite2", "resnet50", "vit_b_16", "siglip2_vitb16", "vgg19")
"""Backbones of a kind that a smaller one stands for: what fills them with numbers is slow."""
NEEDS_RAY = pytest.mark.skipif(
    not find_spec("ray"), reason="the extra `ray` is not installed: pip install 'thaw-lab[ray]'"
)
"""Without importing it, which takes a second of every run that leaves these tests out."""
Asked = Callable[..., dict[str, Any]]
"""Gives a command's words, and gets what it prints as JSON."""
Refused = Callable[..., str]
"""Gives a command's words, and gets the line that refuses them."""


def shared_file(*parts: str) -> Path:
    """A file of the shared folder beside the checkout; the test is skipped, and says so, where it is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared/{'/'.join(parts)} is not here")
    return path


def draw_picture(kind: str, number: int) -> Image.Image:
    """A small picture, 32 to 48 pixels on a side; the same number always gives the same one."""
    dice = random.Random(f"{kind} {number}")
    image = Image.new("RGB", (dice.randint(32, 48), dice.randint(32, 48)), (235, 230, dice.randint(200, 240)))
    pen, shade = ImageDraw.Draw(image), dice.randint(150, 255)
    left, top, size = dice.randint(2, 12), dice.randint(2, 12), dice.randint(14, 20)
    if kind == "discs":
        pen.ellipse((left, top, left + size, top + size), fill=(shade, 20, 30))
    elif kind == "squares":
        pen.rectangle((left, top, left + size, top + size), fill=(20, 40, shade))
    else:
        for x in range(left % 7, image.width, 7):
            pen.line((x, 0, x + 4, image.height), fill=(10, shade, 60), width=3)
    return image


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def drawn(kind: str, number: int) -> bytes:
    """The bytes of a drawn picture, as PNG."""
    return encoded(draw_picture(kind, number))


def noise(*numbers: int) -> bytes:
    """The bytes of a picture that is no near copy of any other, as PNG."""
    dice = random.Random(repr(numbers))
    small = Image.frombytes("RGB", (6, 6), dice.randbytes(6 * 6 * 3))
    return encoded(small.resize((60, 60)))


def know_speeds(home: Path) -> None:
    """Write into a home what a probe would have found, so that nobody measures: fp32 is faster at everything."""
    from core.machine.process import tricks_wanted

    home.mkdir(parents=True, exist_ok=True)
    (home / "speeds.json").write_bytes(_known_speeds(plain=not tricks_wanted()))


def queue_runs(store: "RunStore", count: int = 1) -> list[str]:
    """Queue runs of a data set that is not there; their ids."""
    return store.submit([RunSettings(seed=seed) for seed in range(count)], "pictures")


def claim_run(store: "RunStore") -> "Run":
    """The next queued run, which there must be."""
    run = store.claim()
    assert run is not None
    return run


def python(code: str, *arguments: str) -> str:
    """What a fresh process says."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_all_cores(home: Path, *words: str) -> dict[str, Any]:
    """The JSON that a command prints, run as a person would."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-m", "core", *words, "--json"],
        cwd=REPOSITORY,
        env={**environment, "THAW_HOME": str(home)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@cache
def _known_speeds(plain: bool) -> bytes:
    from core.machine import speeds
    from core.models.catalogue import BACKBONES

    rates = {"fp32": 50.0, "bf16": 40.0}
    probed = {f"{work}/{precision}": rate for work in speeds.WORKS for precision, rate in rates.items()}
    known = speeds.Speeds(threads=1, probed=probed)
    peaks = speeds.Peaks(matmul_fp32=1.0, matmul_bf16=1.0, conv_fp32=1.0, conv_bf16=1.0, memory=1.0, decode=1.0)
    rows = {"peaks": peaks, **dict.fromkeys(BACKBONES, known)}
    return json.dumps({speeds._machine_key(): {name: asdict(row) for name, row in rows.items()}}).encode()


def drawn_classes(count: int = 4, prefix: str = "", first: int = 0) -> dict[str, bytes]:
    """Files of all classes by name, `count` in each: {"discs/0.png": ...}."""
    numbers = range(first, first + count)
    return {f"{prefix}{kind}/{number}.png": drawn(kind, number) for kind in KINDS for number in numbers}


def some(*folders: str, count: int = 12) -> list[str]:
    """Names of so many pictures in each of these folders."""
    return [f"{folder}/{number}.jpg" for folder in folders for number in range(count)]


def take_photo(app: Any, after_s: float = 0.0) -> float:
    """Click once the camera shows something: before that it takes no photo, and says nothing.

    app: a Playwright page, or a frame in one.
    after_s: seconds that the camera has run for at least. Chromium's test pattern begins anew with every camera: two
        photos of the same moment are the same picture.
    Returns the seconds it had run for.
    """
    button = app.get_by_role("button", name="Take photo")
    button.wait_for()
    app.locator("video").scroll_into_view_if_needed()  # out of sight Chromium does not start it
    frame = button.element_handle().owner_frame()
    running = "after => { const video = document.querySelector('video'); return video && video.currentTime > after }"
    frame.wait_for_function(running, arg=after_s)  # asked anew each time: a new camera may come in the place of one
    video = app.locator("video").element_handle()
    button.click()
    return float(video.evaluate("video => video.currentTime"))


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Put files by relative name below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip with these members, in this order."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@dataclass(frozen=True)
class FinishedRace:
    """A race of Frozen against Fine-tuned on the drawn pictures, as the command line ran it."""

    home: Path
    folder: Path
    """Where the pictures are."""
    values: dict[str, Any]
    """What the command printed."""

    def run(self, scenario: str) -> str:
        """The id of the run of a scenario."""
        return next(run["run"] for run in self.values["runs"] if run["scenario"] == scenario)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def an_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


ENDLESS = (a_pipe, an_endless_device, a_link_to_itself)
"""What can lie where a file should, and is never read to its end."""


@contextmanager
def home_at(path: Path) -> Iterator[Path]:
    """Thaw's home is at `path` within the block: for fixtures that live longer than one test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THAW_HOME", str(path))
        know_speeds(path)
        yield path


@contextmanager
def files_no_longer_than(size_bytes: int) -> Iterator[None]:
    """What a quota does, and `ulimit -f`: whatever this process writes beyond that size is refused by the system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def large_ones_slow(names: Iterable[str]) -> list[Any]:
    """Backbones for `parametrize`, of which the large ones are left to the slow run."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in names]


def filled_model(name: str) -> "TransferModel":
    """A model with small numbers drawn once and repeated: the large ones take long to fill with new ones."""
    import torch

    from core.models.network import build_empty_model

    model = build_empty_model(name, 3).to_empty(device="cpu").eval()
    drawn = torch.randn(1013, generator=torch.Generator().manual_seed(0))
    for key, tensor in model.state_dict().items():
        fan_in = tensor[0].numel() if tensor.ndim > 1 else 25
        values = drawn.repeat(math.ceil(tensor.numel() / 1013))[: tensor.numel()].view(tensor.shape) / fan_in**0.5
        tensor.copy_(values.abs() + 0.5 if key.endswith("running_var") else values)
    _fill_unsaved(model)
    return model


def _fill_unsaved(model: "TransferModel") -> None:
    """Swin's table of places is a buffer, too, but of whole numbers: as its library makes it."""
    for module in model.modules():
        if hasattr(module, "define_relative_position_index"):
            module.define_relative_position_index()


def made_up_record(run: str = "abc", **changes: Any) -> "RunRecord":
    """A record of two classes and one test picture that no run has made, complete as any; `changes` replace parts."""
    from core.augment.preprocessing import Preprocessing
    from core.machine.facts import this_machine
    from core.models.records import FreezeAudit, ParameterCount
    from core.runs import record
    from core.settings.schema import RunSettings
    from core.training.history import EpochRecord

    losses = {"train_loss": 0.5, "train_accuracy": 0.5, "val_loss": 0.5, "val_accuracy": 0.5}
    values: dict[str, Any] = {
        "settings": RunSettings(),
        "dataset": record.DataRecord(
            id="d" * 16, title="Made up", kind="folder", fingerprint="d" * 64, class_names=("ants", "bees")
        ),
        "split": record.SplitRecord(hash="5" * 64, train=2, val=1, test=1),
        "test_pictures": (3,),
        "test_contents": ("c" * 64,),
        "test_names": ("ü/\udce9.png",),
        "history": (EpochRecord(epoch=1, stage="train", lr=0.1, elapsed_s=1.0, **losses),),
        "best_epoch": 1,
        "test_accuracy": 0.5,
        "val_accuracy": 0.5,
        "confusion": ((1, 0), (0, 1)),
        "duration_s": 3.0,
        "timings": record.TimeRecord(features=1.0, train=1.0, val=0.5, test=0.5),
        "work": {"optimizer_steps": 1},
        "freeze_audit": FreezeAudit(checked=1, changed=(), hash_before="a" * 64, hash_after="a" * 64),
        "parameters": ParameterCount(total=100, trained=10),
        "weights": record.WeightsRecord(origin="ImageNet", sha256="a" * 64),
        "head_hash": "b" * 64,
        "preprocessing": Preprocessing(
            image_size=224, resize_size=256, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)
        ),
        "machine": this_machine(),
        "threads": 1,
    }
    return record.RunRecord(run=run, **{**values, **changes})


def doubt(dataset: "Dataset", *indices: int) -> "LabelCheck":
    """A check that doubts these pictures, all of which would rather be stripes."""
    from core.data.labels import LabelCheck, Suspect

    suspects = tuple(
        Suspect(
            picture=index,
            content=dataset.pictures[index].content,
            given=dataset.class_names[dataset.pictures[index].target],
            suggested="stripes",
            given_probability=0.1,
            suggested_probability=0.9,
        )
        for index in indices
    )
    return LabelCheck(
        dataset=dataset.id, backbone="resnet18", weights="a" * 64, accuracy=0.9, pictures=30, suspects=suspects
    )
