"""The pipelines as code to copy: plain torchvision, the same pixels, no Thaw needed. No torch."""

from collections.abc import Iterable
from typing import Any

from core.augment.catalogue import evaluation_calls, training_calls
from core.augment.preprocessing import Preprocessing
from core.augment.specs import Call
from core.settings.schema import AugmentSettings


def as_code(settings: AugmentSettings, preprocessing: Preprocessing) -> str:
    """Python that defines `train_transform` and `eval_transform`: from an RGB picture to a normalised tensor.

    After `torch.manual_seed(s)` the training transform gives what `TrainPipeline` gives for the seed s, normalised.

    Raises:
        SettingsError: the settings name something the catalogue does not have.
    """
    training = [call for _, calls in training_calls(settings, preprocessing) for call in calls]
    return "\n".join(
        [
            "import torch",
            "from torchvision.transforms import v2",
            "",
            *_composed("train_transform", training, preprocessing),
            "",
            *_composed("eval_transform", evaluation_calls(preprocessing), preprocessing),
            "",
        ]
    )


def _composed(variable: str, calls: Iterable[Call], preprocessing: Preprocessing) -> list[str]:
    statistics = f"mean={_text(tuple(preprocessing.mean))}, std={_text(tuple(preprocessing.std))}"
    lines = [
        "v2.ToImage()",
        *(_text(call) for call in calls),
        "v2.ToDtype(torch.float32, scale=True)",
        f"v2.Normalize({statistics})",
    ]
    return [f"{variable} = v2.Compose([", *(f"    {line}," for line in lines), "])"]


def _text(value: Any) -> str:
    """A value as Python source. Tuples become lists, which every argument of torchvision takes."""
    if isinstance(value, Call):
        return (
            f"v2.{value.name}({', '.join(f'{name}={_text(argument)}' for name, argument in value.arguments.items())})"
        )
    if isinstance(value, tuple):
        return f"[{', '.join(_text(item) for item in value)}]"
    return repr(value)
