"""What is taken home says what Thaw says: script, ONNX file and predictor agree, and what was changed stops."""

import hashlib
import io
import json
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import FinishedRace, encoded
from PIL import Image

from core.augment.pipelines import normalise
from core.data.reading.decode import decode_picture
from core.errors import RunError
from core.inference.predictor import Predictor
from core.models.weights import PACKAGES
from core.runs.example import example_runs
from core.runs.record import load_record
from core.takehome.export import TOLERANCE, export_run


@pytest.fixture(scope="module")
def unpacked(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip of the fine-tuned run, unpacked."""
    folder = tmp_path_factory.mktemp("home") / "run"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    return folder


def predict(folder: Path, *pictures: Path) -> subprocess.CompletedProcess[str]:
    """The script, run by itself: nothing of Thaw is on its path."""
    command = [sys.executable, "-I", str(folder / "predict.py"), *map(str, pictures), "--json"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def heic(image: Image.Image) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file)
    return file.getvalue()


def odd_pictures(folder: Path) -> list[Path]:
    """Turned, transparent, deep grey, large: what the script must read as Thaw reads it."""
    folder.mkdir()
    dice = np.random.default_rng(0)
    image = Image.fromarray(dice.integers(0, 255, (60, 90, 3), dtype=np.uint8)).resize((900, 600))
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = image.convert("RGBA")
    clear.putalpha(120)
    files = {
        "turned.jpg": encoded(image, "JPEG", exif=exif),
        "clear.png": encoded(clear),
        "deep.png": encoded(image.convert("I;16")),
        "inks.jpg": encoded(image.convert("CMYK"), "JPEG"),
        "photo.heic": heic(image),
        "portable.ppm": encoded(image, "PPM"),
        "12 bits.tif": encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16), "TIFF"),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def test_the_script_the_onnx_file_and_thaw_agree(unpacked: Path, finished_race: FinishedRace, tmp_path: Path):
    run = finished_race.run("finetuned")
    pictures = [finished_race.folder / name for name in load_record(run).test_names] + odd_pictures(tmp_path / "odd")
    predictor, record = Predictor.load(run), load_record(run)
    ours = np.stack([predictor.predict_file(path.read_bytes(), calibrated=True) for path in pictures])

    (tmp_path / "no.jpg").write_bytes(b"no picture")

    done = predict(unpacked, tmp_path / "no.jpg", tmp_path / "gone.jpg", *pictures)
    assert (done.returncode, done.stderr) == (1, ""), "two could not be read; the others are answered"
    told = json.loads(done.stdout)
    assert told["pictures"].pop(0)["error"] == "cannot be read: it is not a picture (text file)"
    assert told["pictures"].pop(0)["error"] == "cannot be read: No such file or directory"

    names = record.dataset.class_names
    theirs = np.array([[row["probabilities"][name] for name in names] for row in told["pictures"]])
    assert told["golden_difference"] < TOLERANCE / 3
    assert (theirs.argmax(1) == ours.argmax(1)).all() and np.abs(theirs - ours).max() < 1e-4
    session = onnxruntime.InferenceSession(str(unpacked / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = torch.stack([predictor.input_of(decode_picture(path.read_bytes())) for path in pictures])
    images = normalise(inputs, record.preprocessing).contiguous().numpy()
    (logits,) = session.run(None, {"images": images})
    told_logits = np.array([row["logits"] for row in told["pictures"]])
    assert logits.shape == (len(pictures), len(names)) and np.abs(logits - told_logits).max() < 1e-3


def flipped(folder: Path, tmp_path: Path, name: str, place: int) -> Path:
    """A copy with one bit turned in one file."""
    copy = tmp_path / "copy"
    for path in folder.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    data = bytearray((copy / name).read_bytes())
    data[place] ^= 1
    (copy / name).write_bytes(bytes(data))
    return copy


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[Path, Path], str]:
    """Why the script stops; it runs in this process, where torch is loaded already."""

    def run(folder: Path, picture: Path) -> str:
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setattr(sys, "argv", ["predict.py", str(picture), "--json"])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(folder / "predict.py"), run_name="__main__")
        assert capsys.readouterr().out == ""
        return str(end.value.code)

    return run


@pytest.mark.parametrize("readable", [True, False])
def test_the_script_ends_with_0_if_all_pictures_could_be_read_and_else_with_1_after_its_answers(
    unpacked: Path, readable: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pictures = [str(unpacked / "goldens" / "1.png"), *([] if readable else ["gone.jpg"])]
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["predict.py", *reversed(pictures)])

    with nullcontext() if readable else pytest.raises(SystemExit, match=r"^1$"):
        runpy.run_path(str(unpacked / "predict.py"), run_name="__main__")

    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"{pictures[0]}: ") and " %" in lines[-1]
    assert lines[:-1] == ([] if readable else ["gone.jpg: cannot be read: No such file or directory"])


@pytest.mark.parametrize("name", ["weights.safetensors", "goldens/3.png"])
def test_one_bit_changed_and_the_script_does_not_answer(
    unpacked: Path, tmp_path: Path, name: str, stopped: Callable[[Path, Path], str]
):
    said = stopped(flipped(unpacked, tmp_path, name, -5), unpacked / "goldens" / "1.png")

    assert f"{name} has changed since it was exported" in said


def test_answers_that_do_not_reproduce_stop_the_script_even_if_every_hash_fits(
    unpacked: Path, tmp_path: Path, stopped: Callable[[Path, Path], str]
):
    copy = flipped(unpacked, tmp_path, "README.md", 0)
    model = json.loads((copy / "model.json").read_text("utf-8"))
    model["preprocessing"]["mean"] = [0.1, 0.1, 0.1]
    text = json.dumps(model).encode()
    old = hashlib.sha256((copy / "model.json").read_bytes()).hexdigest()
    (copy / "model.json").write_bytes(text)
    sums = (copy / "SHA256SUMS").read_text().replace(old, hashlib.sha256(text).hexdigest())
    (copy / "SHA256SUMS").write_text(sums)

    assert "golden pictures do not reproduce" in stopped(copy, unpacked / "goldens" / "1.png")


def test_the_card_says_what_the_record_says(unpacked: Path, finished_race: FinishedRace):
    record, text = load_record(finished_race.run("finetuned")), (unpacked / "README.md").read_text("utf-8")

    right = sum(row[place] for place, row in enumerate(record.confusion))
    assert f"| all | {right} of {record.split.test} |" in text
    assert record.split.hash[:16] in text and record.freeze_audit.sentence in text
    assert all(f"| {name} |" in text for name in record.dataset.class_names)


def test_the_zip_needs_what_its_requirements_name_and_holds_nothing_of_thaw(unpacked: Path):
    needs = (unpacked / "requirements.txt").read_text().splitlines()
    script = (unpacked / "predict.py").read_text()

    expected = {
        "pillow",
        "pillow-heif",
        "numpy",
        "safetensors",
        "torch",
        "torchvision",
        "timm",
        PACKAGES["efficientnet_lite0"].package,
    }
    assert {line.split(">=")[0] for line in needs} == expected
    assert "from core" not in script and "import core" not in script and len(script.splitlines()) < 200


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes_but_for_the_onnx_file(
    unpacked: Path, finished_race: FinishedRace, quick_translation: None
):
    file = io.BytesIO()
    export_run(finished_race.run("finetuned"), file)

    with zipfile.ZipFile(file) as again:
        for name in again.namelist():
            if name not in ("model.onnx", "SHA256SUMS"):
                assert again.read(name) == (unpacked / name).read_bytes(), name


def test_a_recorded_run_has_nothing_to_take_home(tmp_path: Path):
    with pytest.raises(RunError, match="no weights to take home"):
        export_run(example_runs()[0].id, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []
