"""What is taken home reads pictures as Thaw does: the same pixels, or a refusal for the same reason, for every file."""

import io
import json
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import REPOSITORY, draw_picture, encoded, shared_file, write_files
from PIL import Image

from core.data.reading.decode import FORMATS, POLICY
from core.takehome import package
from core.takehome.export import reading_scripts

READ_ALL = """
import hashlib, json, sys
from pathlib import Path

folder, *blocked = sys.argv[1:]
sys.modules.update(dict.fromkeys(blocked))
{reader}

found = {{}}
for path in sorted(Path(folder).iterdir()):
    try:
        pixels = decode(path.read_bytes())
        found[path.name] = [list(pixels.shape), hashlib.sha256(pixels.tobytes()).hexdigest()]
    except Refusal as error:
        found[path.name] = str(error)
print(json.dumps({{"found": found, "modules": list(sys.modules)}}))
"""
THAWS = """
sys.path.append({home!r})
from core.data.reading.decode import decode_picture as decode
from core.errors import ImageError as Refusal
"""
PACKED = """
sys.path.append({home!r})
from reading.kinds import Unreadable as Refusal
from reading.picture import Policy, read_picture
def decode(data): return read_picture(data, Policy(**json.loads({policy!r}))).pixels
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a zip that read pictures, by themselves."""
    return write_files(tmp_path_factory.mktemp("home"), reading_scripts())


def read_all(reader: str, folder: Path, *blocked: str) -> dict[str, Any]:
    """Pixels' shape and hash, or the reason, of every file of a folder, by a process of its own."""
    command = [sys.executable, "-I", "-c", READ_ALL.format(reader=reader), str(folder), *blocked]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


def theirs(scripts: Path, folder: Path, *blocked: str) -> dict[str, Any]:
    """What the packed scripts make of them, knowing nothing of Thaw, under the policy that model.json tells."""
    reader = PACKED.format(home=str(scripts), policy=json.dumps(asdict(POLICY)))
    read = read_all(reader, folder, *blocked)
    assert not [name for name in read["modules"] if name == "core" or name.startswith("core.")]
    return dict(read["found"])


def ours(folder: Path) -> dict[str, Any]:
    return dict(read_all(THAWS.format(home=str(REPOSITORY)), folder)["found"])


def heic() -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(draw_picture("discs", 1).resize((320, 200))).save(file, quality=90)
    return file.getvalue()


def turned_in_words() -> bytes:
    """The orientation as text, as some programs write it."""
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x0112, 2, 2, b"6\0\0\0", 0)
    return encoded(draw_picture("squares", 2).resize((80, 40)), "JPEG", exif=exif)


def ramp(top: float, kind: type, low: float = 0) -> Image.Image:
    return Image.fromarray(np.tile(np.linspace(low, top, 64), (40, 1)).astype(kind))


def broken_float() -> bytes:
    values = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (40, 1))
    values[2, 2] = np.nan
    return encoded(Image.fromarray(values), "TIFF")


def clear() -> Image.Image:
    image = draw_picture("discs", 3).convert("RGBA")
    image.putalpha(90)
    return image


DRAWN: Mapping[str, Callable[[], bytes]] = {
    **{
        f"large.{name}": lambda name=name: encoded(draw_picture("discs", 5).resize((700, 500)), name)
        for name in FORMATS[:7]
    },
    "photo.heic": heic,
    "in words.jpg": turned_in_words,
    "12 bits.png": lambda: encoded(ramp(4095, np.uint16)),
    "14 bits.tif": lambda: encoded(ramp(16383, np.uint16), "TIFF"),
    "16 bits.pgm": lambda: encoded(ramp(65535, np.uint16), "PPM"),
    "int32.tif": lambda: encoded(ramp(3000, np.int32, -1000), "TIFF"),
    "float.tif": lambda: encoded(ramp(1000, np.float32, -1000), "TIFF"),
    "nan.tif": broken_float,
    "colour.ppm": lambda: encoded(draw_picture("stripes", 1), "PPM"),
    "bits.pbm": lambda: encoded(draw_picture("stripes", 1).convert("1"), "PPM"),
    "plain.pgm": lambda: b"P2\n# made by hand\n3 2\n1023\n0 200 400 600 800 1023\n",
    "clear.png": lambda: encoded(clear()),
    "clear.gif": lambda: encoded(clear().quantize(8), "GIF"),
    "inks.jpg": lambda: encoded(draw_picture("discs", 4).convert("CMYK"), "JPEG"),
    "strip.png": lambda: encoded(draw_picture("discs", 4).resize((2000, 30))),
    "no sums.png": lambda: encoded(draw_picture("discs", 6))[:-16] + bytes(16),
    "cut.jpg": lambda: encoded(draw_picture("discs", 6), "JPEG")[:400],
    "empty.jpg": lambda: b"",
    "letter.jpg": lambda: b"a letter to my aunt",
    "vector.svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "targa.tga": lambda: encoded(draw_picture("discs", 6), "TGA"),
    "jpeg2000.jp2": lambda: encoded(draw_picture("discs", 6), "JPEG2000"),
    "large.png": lambda: encoded(Image.new("1", (9000, 6000))),
    "long.png": lambda: encoded(Image.new("1", (20_001, 2))),
}


def test_drawn_pictures_of_every_kind_have_the_same_pixels_or_the_same_reason(scripts: Path, tmp_path: Path):
    write_files(tmp_path, {name: build() for name, build in DRAWN.items()})

    found = theirs(scripts, tmp_path)

    assert found == ours(tmp_path) and set(found) == set(DRAWN)
    refused = {name for name, value in found.items() if isinstance(value, str)}
    assert refused == {
        *("nan.tif", "no sums.png", "cut.jpg", "empty.jpg", "letter.jpg", "vector.svg", "targa.tga", "jpeg2000.jp2"),
        *("large.png", "long.png"),
    }
    assert found["in words.jpg"][0] == [80, 40, 3]


@pytest.mark.parametrize("name", ["exif", "pillow", "pngsuite"])
def test_collected_pictures_have_the_same_pixels_or_the_same_reason(scripts: Path, name: str):
    folder = shared_file("corpus", name)

    found = theirs(scripts, folder)

    assert len(found) > 15 and found == ours(folder)


def test_where_the_reader_for_heic_is_missing_it_is_said_and_the_others_are_read(scripts: Path, tmp_path: Path):
    write_files(tmp_path, {"a.heic": heic(), "b.png": encoded(draw_picture("discs", 1))})

    found = theirs(scripts, tmp_path, "pillow_heif")

    assert found["a.heic"] == "is HEIC, for which pillow-heif has to be installed"
    assert found["b.png"] == ours(tmp_path)["b.png"]


def test_the_modules_go_along_word_for_word_and_need_no_other_of_thaw(scripts: Path):
    for name in package.READING:
        text = (scripts / "reading" / f"{name}.py").read_text()
        ours = (REPOSITORY / "core" / "data" / "reading" / f"{name}.py").read_text()
        assert text == ours.replace("core.data.reading.", "reading.")
        assert "core." not in text
    assert "core." not in (scripts / "predict.py").read_text()
