"""What training will really see of one picture, and in words what was drawn for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.augment.catalogue import TRANSFORMS
from core.augment.pipelines import TrainPipeline, picture_seed
from core.augment.preprocessing import Preprocessing
from core.errors import SettingsError
from core.settings.schema import AugmentSettings

MAX_SAMPLES: Final = 64
_JITTERS: Final = ("brightness", "contrast", "saturation", "hue")  # in the order of ColorJitter's fn_idx
_WITHOUT_STRENGTH: Final = frozenset({"Identity", "AutoContrast", "Equalize"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One augmented picture."""

    pixels: NDArray[np.uint8]
    """(S, S, 3), not normalised: fit to be shown."""
    drawn: tuple[tuple[str, str], ...]
    """For each step its label and, in words, the values drawn."""


def draw_samples(
    image: Tensor, settings: AugmentSettings, preprocessing: Preprocessing, seed: int, count: int, key: str = ""
) -> list[Sample]:
    """What the epochs 1 to `count` of a run with this seed see of a picture.

    Args:
        image: (3, H, W) uint8.
        settings: how training pictures are varied.
        preprocessing: of the network that will train.
        seed: the run's.
        count: 1 to `MAX_SAMPLES`.
        key: the picture's content hash, as the loader gives it to `picture_seed`.

    Raises:
        SettingsError: the count or the settings are not possible.
    """
    if not 1 <= count <= MAX_SAMPLES:
        raise SettingsError(f"count is {count}; it must lie between 1 and {MAX_SAMPLES}.")
    pipeline = TrainPipeline(preprocessing, settings)
    seen: dict[int, str] = {}
    for position, (name, transforms) in enumerate(pipeline.steps):
        _record(name, transforms, partial(seen.__setitem__, position))
    samples = []
    for epoch in range(1, count + 1):
        seen.clear()
        pixels = pipeline(image, picture_seed(seed, epoch, key)).permute(1, 2, 0).numpy()  # (S, S, 3)
        drawn = tuple(
            (TRANSFORMS[name].label, seen.get(position, "no" if TRANSFORMS[name].is_random else "nothing is drawn"))
            for position, (name, _) in enumerate(pipeline.steps)
        )
        samples.append(Sample(pixels=np.ascontiguousarray(pixels), drawn=drawn))
    return samples


def _record(name: str, transforms: list[Any], note: Callable[[str], None]) -> None:
    """Have a step report what it draws. A step that spares a picture draws nothing, and reports nothing."""
    if name == "TrivialAugmentWide":
        _record_operation(transforms[0], note)
    elif TRANSFORMS[name].is_random:
        target = transforms[0].transforms[0] if hasattr(transforms[0], "transforms") else transforms[0]
        make_params = target.make_params

        def noting(flat_inputs: list[Any]) -> dict[str, Any]:
            params: dict[str, Any] = make_params(flat_inputs)
            note(_WORDS[name](params, flat_inputs[0].shape) if name in _WORDS else "yes")
            return params

        target.make_params = noting


def _record_operation(transform: Any, note: Callable[[str], None]) -> None:
    """TrivialAugmentWide draws without `make_params`: its choice shows where it is carried out, in a private method."""
    carry_out = getattr(transform, "_apply_image_or_video_transform", None)
    if carry_out is None:
        transform.register_forward_hook(lambda *_: note("a random operation"))
        return

    def noting(image: Any, operation: str, magnitude: float, *args: Any, **kwargs: Any) -> Any:
        note(operation if operation in _WITHOUT_STRENGTH else f"{operation}, strength {magnitude:.2f}")
        return carry_out(image, operation, magnitude, *args, **kwargs)

    transform._apply_image_or_video_transform = noting


def _crop_words(params: dict[str, Any], shape: tuple[int, ...]) -> str:
    share = params["height"] * params["width"] / (shape[-2] * shape[-1])
    return (
        f"{params['width']} x {params['height']} px from ({params['left']}, {params['top']}), {100 * share:.1f} % of "
        "the area"
    )


def _jitter_words(params: dict[str, Any], shape: tuple[int, ...]) -> str:
    """In the order in which they are applied."""
    words = []
    for index in params["fn_idx"].tolist():
        factor = params[f"{_JITTERS[index]}_factor"]
        if factor is not None:
            words.append(
                f"hue {factor:+.3f} turns" if _JITTERS[index] == "hue" else f"{_JITTERS[index]} x {factor:.2f}"
            )
    return ", ".join(words) or "no change"


def _shift_words(params: dict[str, Any], shape: tuple[int, ...]) -> str:
    right, down = params["translate"]
    return f"right {right:+d} px, down {down:+d} px, slant {params['shear'][0]:+.1f}°"


def _patch_words(params: dict[str, Any], shape: tuple[int, ...]) -> str:
    if params["v"] is None:
        return "no room found"
    return f"{params['w']} x {params['h']} px from ({params['j']}, {params['i']})"


_WORDS: Final[Mapping[str, Callable[[dict[str, Any], tuple[int, ...]], str]]] = {
    "RandomResizedCrop": _crop_words,
    "RandomRotation": lambda params, shape: f"{params['angle']:+.1f}°",
    "RandomAffine": _shift_words,
    "ColorJitter": _jitter_words,
    "GaussianBlur": lambda params, shape: f"{params['sigma'][0]:.2f} px",
    "RandomErasing": _patch_words,
}
"""From what `make_params` gave, and the picture's shape, to words; a transform not named here says yes or no."""
