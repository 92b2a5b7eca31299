"""Where in a picture a run's model finds its reasons: heat maps.

A network is cut where it last knows of places: behind the last convolutions, or before the last layer of a
transformer. The map is the activation there times the gradient of a class's log-odds, summed over channels. For
convolutions this is HiResCAM (Draelos and Carin 2020), which equals Grad-CAM (Selvaraju et al. 2017) where averaging
and one linear layer follow; on the tokens of a transformer the same product is taken. No hook is set and no parameter
asked for its gradient, so a frozen network stays exactly as it was.

Legend: S side of the network's input in pixels, C channels, h and w places of the network's last grid.
"""

import math

import numpy as np
import torch
from torch import Tensor

from core.inference.predictor import Predictor
from core.models.network import TransferModel
from core.models.splitting import run_steps, steps_of

FOR, AGAINST = (230, 97, 1), (26, 86, 219)
"""Orange and blue differ for every kind of colour vision."""
STRONGEST = 0.75  # opacity of the hottest place


def heat_map(predictor: Predictor, pixels: np.ndarray, class_index: int) -> np.ndarray:
    """What each place of a picture does for a class.

    Args:
        pixels: (H, W, 3) uint8, as decoded.
        class_index: of the predictor's class names.

    Returns:
        (S, S) float32 over what the network receives (`Predictor.input_of`): above 0 for the class, below 0 against it.
        The unit is log-odds per place of the network's grid, so maps of two runs can share one scale.
    """
    return predictor.ask_model([pixels], lambda model, inputs: _heat(model, inputs, class_index))


def _heat(model: TransferModel, inputs: Tensor, class_index: int) -> np.ndarray:
    architecture, steps = model.spec.architecture, steps_of(model.backbone, model.spec)
    cut = [name for name, _ in steps].index(architecture.places_end)
    with torch.no_grad():
        places = run_steps(steps[:cut], inputs)
    with torch.enable_grad():
        places = places.detach().requires_grad_()
        log_odds = _log_odds(model.head(run_steps(steps[cut:], places)))[:, class_index]
        (gradient,) = torch.autograd.grad(log_odds.sum(), places)
    products = places.detach() * gradient
    grid = (_of_tokens(products) if architecture.tokens else products.sum(1))[None]
    heat = torch.nn.functional.interpolate(grid, inputs.shape[-2:], mode="bilinear", align_corners=False)
    values: np.ndarray = heat[0, 0].float().numpy()
    return values


def _log_odds(logits: Tensor) -> Tensor:
    """Of each class against all others (N, K). Unlike a probability's, its gradient does not vanish when it is sure."""
    mine = torch.eye(logits.shape[1], dtype=torch.bool)
    others = logits[:, None, :].masked_fill(mine, -torch.inf)  # (N, K, K): row k without class k
    return logits - others.logsumexp(2)


def _of_tokens(products: Tensor) -> Tensor:
    """(1, h * w, C), the class token before them where there is one, to (1, h, w): that has no place."""
    side = math.isqrt(products.shape[1])
    return products[:, -(side**2) :].sum(2).view(1, side, side)


def overlay(received: np.ndarray, heat: np.ndarray, scale: float) -> np.ndarray:
    """A heat map over the picture in grey: orange speaks for the class, blue against it.

    Args:
        received: (S, S, 3) uint8, what the network received.
        heat: (S, S), as `heat_map` gives it.
        scale: the value drawn strongest, the same for maps to be compared; what lies beyond looks the same.

    Returns:
        (S, S, 3) uint8.
    """
    grey = received @ np.array([0.299, 0.587, 0.114])  # luma of Rec. 601
    strength = np.clip(heat / scale, -1, 1) if scale > 0 else np.zeros_like(heat)
    colour = np.where(strength[..., None] > 0, FOR, AGAINST)
    opacity = STRONGEST * np.abs(strength)[..., None]
    mixed: np.ndarray = (grey[..., None] * (1 - opacity) + colour * opacity).round().astype(np.uint8)
    return mixed


def legend(width: int = 224, height: int = 14) -> np.ndarray:
    """The colours of `overlay` from strongest against to strongest for, on grey: (height, width, 3) uint8."""
    ramp = np.broadcast_to(np.linspace(-1, 1, width), (height, width))
    return overlay(np.full((height, width, 3), 128, np.uint8), ramp, 1.0)
