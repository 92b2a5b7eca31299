"""`classify`: what a run's model says about picture files."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from core.commands.command import Commands, Result, Say, cannot_write, named_folder, progress_of
from core.commands.runs import finished
from core.comparison.wording import said_probability
from core.data.dataset import load_stored
from core.data.reading.decode import decode_picture
from core.data.sources import pictures_in
from core.errors import ImageError, RunError, SettingsError, ThawError
from core.machine.process import imports_exempt_from_gc
from core.runs.store import RunStore

if TYPE_CHECKING:  # models are slow to import: not before they are asked for
    from core.inference.out_of_distribution import Detector
    from core.inference.prediction_sets import SetRule
    from core.inference.predictor import Predictor


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add(
        "classify",
        "Classify pictures.",
        lambda a: classify(a.run_id, a.pictures, a.top, a.coverage, a.explain, a.detect_unknown, progress_of(a)),
        is_whole=lambda values: not any("error" in row for row in values["pictures"]),
    )
    command.add_argument("run_id", metavar="RUN")
    command.add_argument("pictures", metavar="PICTURE", nargs="+", help="picture files, or folders of them")
    command.add_argument("--top", type=int, default=3, help="classes to name per picture")
    command.add_argument("--coverage", type=float, help="name as many classes as hold the true one so often (fraction)")
    command.add_argument(
        "--detect-unknown",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="say of pictures unlike all training pictures that they are none of the classes; a fine-tuned network "
        "looks at its training pictures once for this",
    )
    command.add_argument("--explain", metavar="FOLDER", help="write a heat map of each picture there, as PNG")


def classify(
    run_id: str,
    pictures: Sequence[str],
    top: int,
    coverage: float | None = None,
    explain: str | None = None,
    detect_unknown: bool = True,
    say: Say = lambda text: None,
) -> Result:
    """What a run's model says about picture files; unreadable ones are named and the others answered.

    Of a folder all pictures in it are classified, and those in its folders.

    Args:
        coverage: share of pictures whose true class is to be among those named; None names none.
        explain: folder that heat maps are written into.
        detect_unknown: say which pictures are unlike all training pictures.
    """
    with imports_exempt_from_gc():
        from core.inference.predictor import Predictor
    from core.comparison.temperature import temperature_sentence
    from core.inference.out_of_distribution import detection_values
    from core.inference.prediction_sets import set_sentence
    from core.inference.values import run_answers

    if top < 1:
        raise SettingsError(f"top is {top}; it must be at least 1.")
    maps = None if explain is None else named_folder("--explain", explain)
    run = finished(RunStore().get(run_id))
    rule = None if coverage is None else _set_rule(run.id, coverage)
    predictor = Predictor.load(run.id)
    detector, worth = _detector(predictor, say) if detect_unknown else (None, "")
    results = []
    for number, name in enumerate(_picture_files(pictures), 1):
        heat_map = None if maps is None else maps / f"{number:03}-{Path(name).stem}.png"
        results.append(_answer(predictor, name, top, rule, heat_map, detector))
    lines = [_line(row, rule) for row in results]
    if all("error" in row for row in results):
        raise ImageError("; ".join(lines))
    lines.append(temperature_sentence(predictor.record.temperature, predictor.record.split.val))
    lines += [set_sentence(rule)] if rule is not None else []
    lines += [worth] if worth else []
    detection = detection_values(detector, worth) if detect_unknown else None
    return run_answers(predictor.record, results, rule, detection), "\n".join(lines)


def _detector(predictor: "Predictor", say: Say) -> "tuple[Detector | None, str]":
    """What tells unknown pictures, and what that is worth; None where it cannot be had, and why."""
    from core.inference.known import look_at_known

    try:
        dataset = load_stored(predictor.record.dataset.id)
        known = look_at_known(predictor, dataset, lambda done, total: say(f"Training pictures: {done} of {total}"))
    except ThawError as error:  # deleted, or the run was brought from elsewhere
        return None, f"Unknown images are not detected: {error}"
    finally:
        say("")
    return known.detector, known.sentence


def _answer(
    predictor: "Predictor",
    name: str,
    top: int,
    rule: "SetRule | None",
    heat_map: Path | None,
    detector: "Detector | None",
) -> dict[str, Any]:
    """What is said about one file, or why nothing is."""
    from core.inference.values import answer_values

    try:
        pixels = decode_picture(_read(name))
    except ImageError as error:
        return {"file": name, "error": str(error)}
    raw, features = (rows[0] for rows in predictor.look([pixels]))
    unknown = None if detector is None else bool(detector.are_unknown(features[None])[0])
    values = answer_values(predictor.record, name, raw, top=top, rule=rule, unknown=unknown)
    if heat_map is not None:
        values["heat_map"] = _write_heat_map(predictor, pixels, values["predicted"], heat_map)
    return values


def _line(values: dict[str, Any], rule: "SetRule | None") -> str:
    """The same for a person."""
    if "error" in values:
        return f"{values['file']}: skipped, it {values['error']}"
    classes = ", ".join(f"{row['class']} {said_probability(row['probability'])}" for row in values["top"])
    if values.get("none_of_these"):
        return f"{values['file']}: none of these (closest: {classes})"
    line = f"{values['file']}: {classes}"
    if rule is not None:
        line += f"; at {100 * rule.coverage:.0f} %: {' or '.join(values['named']) or 'no class is likely enough'}"
    return line


def _picture_files(names: Sequence[str]) -> list[str]:
    """These files, and of folders the pictures in them.

    Raises:
        ImageError: a folder holds no picture.
    """
    found: list[str] = []
    for name in names:
        inside = pictures_in(Path(name)) if name and Path(name).is_dir() else [Path(name)] if name else []
        if not inside:
            raise ImageError(f"There is no picture in {Path(name).name!r}." if name else "A picture has an empty name.")
        found += map(str, inside)
    return found


def _set_rule(run_id: str, coverage: float) -> "SetRule":
    from core.inference.prediction_sets import fit_sets
    from core.runs.record import load_predictions

    said = load_predictions(run_id)
    if said.val_probabilities is None or said.val_targets is None:
        raise RunError(f"The run {run_id} kept nothing about val, so no coverage can be promised; train it again.")
    return fit_sets(said.val_targets, said.val_probabilities, coverage)


def _write_heat_map(predictor: "Predictor", pixels: np.ndarray, predicted: str, path: Path) -> str:
    """The path, now of a PNG that shows what spoke for the predicted class."""
    from core.inference.explain import heat_map, overlay

    heat = heat_map(predictor, pixels, predictor.class_names.index(predicted))
    received = predictor.input_of(pixels).permute(1, 2, 0).numpy()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(overlay(received, heat, float(np.abs(heat).max()))).save(path)
    except OSError as error:
        raise cannot_write("--explain", "no picture", path.parent, error) from error
    return str(path)


def read_picture(name: str) -> np.ndarray:
    """The decoded pixels of one picture file: (H, W, 3) uint8.

    Raises:
        ImageError: it cannot be read; the file is named.
    """
    try:
        return decode_picture(_read(name))
    except ImageError as error:
        raise ImageError(f"{name!r} {error}.") from error


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError as error:
        raise ImageError("is not there") from error
    except (OSError, ValueError) as error:  # a name with a NUL in it is no OSError
        why = error.strerror if isinstance(error, OSError) else None
        raise ImageError(f"cannot be opened ({why or 'no possible name'})") from error
