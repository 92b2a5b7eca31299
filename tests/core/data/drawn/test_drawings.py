"""The built-in set: the same pictures at every call, as many as promised, and no shortcut by colour or size."""

import io
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageStat

from core.data.drawn import drawings
from core.data.drawn.drawings import CLASS_NAMES, COUNTS, SHORT_SIDE, draw, hidden, pictures, render
from core.data.drawn.insects import Insect
from core.errors import DatasetError


def decode(files: dict[str, bytes]) -> dict[str, Image.Image]:
    images = {}
    for name, content in files.items():
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            images[name] = image
    return images


@pytest.fixture(scope="module")
def decoded(drawn_files: dict[str, bytes]) -> dict[str, Image.Image]:
    return decode(drawn_files)


@pytest.fixture(scope="module")
def all_decoded(all_drawn_files: dict[str, bytes]) -> dict[str, Image.Image]:
    return decode(all_drawn_files)


def test_the_set_has_the_promised_counts_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "draw", lambda name, seed: Image.new("RGB", (1, 1)))
    names = [name for name, _ in pictures()]

    folders = Counter(tuple(name.split("/")[:2]) for name in names)
    assert folders == {(split, name): count for split, count in COUNTS.items() for name in CLASS_NAMES}
    assert names[0] == "train/ants/ant-0001.jpg" and names[-1] == "test/bees/bee-0075.jpg"


def test_a_second_call_gives_the_same_bytes_however_many_draw(
    drawn_files: dict[str, bytes],
) -> None:
    assert list(islice(pictures(at_once=3), 30)) == list(islice(drawn_files.items(), 30))


def test_a_process_that_draws_and_ends_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.data.drawn.drawings.__name__", "no.such.module")

    with pytest.raises(DatasetError, match="has ended"):
        next(pictures(at_once=2))


def test_another_process_gives_the_same_bytes(drawn_files: dict[str, bytes]) -> None:
    code = (
        "import sys; from itertools import islice; from core.data.drawn.drawings import pictures; "
        "sys.stdout.buffer.write(b''.join(content for _, content in islice(pictures(), 8)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert answer.stdout == b"".join(islice(drawn_files.values(), 8))


def test_drawing_neither_reads_nor_moves_the_global_random_state() -> None:
    np.random.seed(1)
    random.seed(1)
    first = draw("bees", 7).tobytes()
    state = np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[union-attr]
    np.random.seed(2)
    random.seed(2)
    assert draw("bees", 7).tobytes() == first
    np.random.seed(1)
    random.seed(1)
    assert (np.random.get_state()[1].tolist(), random.getstate()) == state  # type: ignore[union-attr]


def test_a_picture_does_not_depend_on_those_drawn_before_it() -> None:
    wanted = [("ants", 3), ("bees", 3), ("ants", 11), ("bees", 400)]
    forward = {one: draw(*one).tobytes() for one in wanted}
    backward = {one: draw(*one).tobytes() for one in reversed(wanted)}
    assert forward == backward


@pytest.mark.slow
def test_all_pictures_are_distinct_and_none_is_flat_or_blown_out(all_decoded: dict[str, Image.Image]) -> None:
    assert len({image.tobytes() for image in all_decoded.values()}) == len(all_decoded) == 2 * sum(COUNTS.values())
    assert_neither_flat_nor_blown_out(all_decoded)


def test_the_classes_differ_for_the_same_seed() -> None:
    assert draw("ants", 5).tobytes() != draw("bees", 5).tobytes()


def test_pictures_are_colour_jpegs_of_varied_photo_like_sizes(decoded: dict[str, Image.Image]) -> None:
    assert {(image.format, image.mode) for image in decoded.values()} == {("JPEG", "RGB")}
    assert all(SHORT_SIDE[0] <= min(image.size) <= SHORT_SIDE[1] for image in decoded.values())
    assert all(max(image.size) <= 1.5 * min(image.size) for image in decoded.values())
    assert len({image.size for image in decoded.values()}) > 50


def test_no_picture_is_flat_or_blown_out(decoded: dict[str, Image.Image]) -> None:
    assert_neither_flat_nor_blown_out(decoded)


def assert_neither_flat_nor_blown_out(images: dict[str, Image.Image]) -> None:
    for name, image in images.items():
        grey = np.asarray(image.convert("L"), np.float32)
        assert grey.std() > 4, name
        assert 10 < grey.mean() < 245, name


def nearest_mean_accuracy(values: NDArray[np.float64], is_bee: NDArray[np.bool_], train: NDArray[np.bool_]) -> float:
    """Accuracy on the rest of a classifier that knows only the training pictures' two class means: (n, d) values."""
    scaled = (values - values[train].mean(axis=0)) / values[train].std(axis=0)
    means = [scaled[train & (is_bee == kind)].mean(axis=0) for kind in (False, True)]
    ant_like, bee_like = (((scaled - mean) ** 2).sum(axis=1) for mean in means)
    return float(((bee_like < ant_like) == is_bee)[~train].mean())


CUES: dict[str, Callable[[Image.Image, bytes], list[float]]] = {
    "mean colour": lambda image, _: ImageStat.Stat(image).mean,
    "contrast": lambda image, _: ImageStat.Stat(image).stddev,
    "size": lambda image, _: [*image.size, image.width / image.height],
    "bytes": lambda _, content: [len(content)],
}


@pytest.mark.slow
@pytest.mark.parametrize("cue", CUES)
def test_classes_cannot_be_told_apart_by_a_trivial_cue(
    cue: str, all_decoded: dict[str, Image.Image], all_drawn_files: dict[str, bytes]
) -> None:
    values = [CUES[cue](all_decoded[name], content) for name, content in all_drawn_files.items()]
    is_bee = np.array(["/bees/" in name for name in all_decoded])
    train = np.array([name.startswith("train/") for name in all_decoded])
    assert nearest_mean_accuracy(np.array(values, np.float64), is_bee, train) < 0.65


def test_the_trivial_classifier_would_find_a_shortcut() -> None:
    is_bee = np.arange(200) % 2 == 1
    values = np.random.default_rng(0).normal(size=(200, 3)) + 2 * is_bee[:, None]
    assert nearest_mean_accuracy(values, is_bee, np.arange(200) < 100) > 0.9


def test_no_ant_has_wings_or_flies_and_every_bee_has_four(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Insect] = []
    monkeypatch.setattr(
        drawings, "render", lambda rng, camera, insect: seen.append(insect) or render(rng, camera, insect)
    )
    for seed in range(30):
        for name in CLASS_NAMES:
            draw(name, seed)

    ants, bees = seen[::2], seen[1::2]
    assert {len(ant.wings) for ant in ants} == {0} and {len(bee.wings) for bee in bees} == {4}
    standing = [{float(leg.joints[-1][2]) for leg in insect.legs} == {0.0} for insect in seen]  # all feet on the ground
    assert all(standing[::2]) and {*standing[1::2]} == {True, False}


def test_what_lies_behind_a_blade_or_outside_the_picture_counts_as_hidden() -> None:
    figure = Image.new("RGBA", (40, 40), (0, 0, 0, 255))
    front = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    assert hidden(front, figure, (10, 10)) == pytest.approx(0)
    assert hidden(front, figure, (80, 10)) == pytest.approx(0.5)
    front.paste((0, 0, 0, 255), (0, 0, 20, 100))
    assert hidden(front, figure, (10, 10)) == pytest.approx(0.25)


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(ValueError):
        draw("wasps", 0)


def test_drawing_needs_no_torch() -> None:
    code = "import sys, core.data.drawn.drawings; print(sorted({'torch', 'torchvision', 'timm'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"
