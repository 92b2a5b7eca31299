"""The code shown is the code run."""

import ast

import numpy as np
import pytest
import torch
from PIL import Image

from core.augment.catalogue import CUSTOM, PRESETS, TRANSFORMS, default_step
from core.augment.code import as_code
from core.augment.pipelines import EvalPipeline, TrainPipeline, normalise
from core.augment.preprocessing import Preprocessing
from core.settings.schema import AugmentSettings

PREPROCESSING = Preprocessing(
    image_size=48, resize_size=56, interpolation="bicubic", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
IMAGE = torch.randint(0, 256, (3, 60, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
SETTINGS = {name: AugmentSettings(preset=name) for name in PRESETS} | {
    name: AugmentSettings(preset=CUSTOM, steps=(default_step(name),)) for name in TRANSFORMS
}


def run(code: str) -> dict:
    names: dict = {}
    exec(code, names)
    return names


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_copied_code_gives_the_pixels_that_training_sees(settings):
    copied = run(as_code(settings, PREPROCESSING))["train_transform"]
    train = TrainPipeline(PREPROCESSING, settings)

    for seed in range(4):
        torch.manual_seed(seed)
        ours = normalise(train(IMAGE, seed)[None], PREPROCESSING)[0]
        torch.testing.assert_close(copied(IMAGE).as_subclass(torch.Tensor), ours, rtol=0, atol=1e-5)


def test_copied_code_gives_the_pixels_that_evaluation_sees():
    copied = run(as_code(AugmentSettings(), PREPROCESSING))["eval_transform"]

    ours = normalise(EvalPipeline(PREPROCESSING)(IMAGE)[None], PREPROCESSING)[0]

    torch.testing.assert_close(copied(IMAGE).as_subclass(torch.Tensor), ours, rtol=0, atol=1e-5)


def test_copied_code_takes_a_pillow_picture():
    photo = Image.fromarray(np.ascontiguousarray(IMAGE.permute(1, 2, 0).numpy()))
    names = run(as_code(AugmentSettings(preset="strong"), PREPROCESSING))

    assert torch.equal(names["eval_transform"](photo), names["eval_transform"](IMAGE))
    assert names["train_transform"](photo).shape == (3, 48, 48)


def test_code_needs_nothing_but_torch_and_torchvision():
    tree = ast.parse(as_code(AugmentSettings(preset="strong"), PREPROCESSING))

    imported = {ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    assert imported == {"import torch", "from torchvision.transforms import v2"}
