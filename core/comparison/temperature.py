"""How sure a run may say it is: one number, fitted on val, that makes its probabilities softer or sharper.

Temperature scaling (Guo et al. 2017): logits are divided by T before the softmax. T above 1 means that the network was
too sure of itself. The order of the classes, and so what is predicted, never changes.

Legend: N pictures, K classes.
"""

from typing import Final

import numpy as np

from core.comparison.metrics import Array, check_predictions, log_loss

FEWEST: Final = 20
"""Pictures in val from which a temperature is fitted. On fewer, one picture more or less moves it by a factor."""
FEWEST_MISTAKES: Final = 5
"""In val, from which probabilities may be sharpened. Log loss over pictures that are nearly all right would sharpen
without end, and what is learnt of how sure is too sure comes from mistakes."""
BOUNDS: Final = (0.5, 10.0)


def fit_temperature(targets: Array | None, probabilities: Array | None) -> float | None:
    """The temperature within `BOUNDS`, and not below 1 with few mistakes, at which the log loss on val is smallest.

    Args:
        targets: (N,) whole numbers from 0 to K - 1; None where a run has kept nothing about val.
        probabilities: (N, K), finite, as the network gave them.

    Returns:
        None where there are fewer than `FEWEST` pictures.

    Raises:
        RunError: targets and probabilities do not fit together.
    """
    if targets is None or probabilities is None:
        return None
    from scipy.optimize import minimize_scalar  # here: whoever classifies needs a temperature, and none to be found

    check_predictions(targets, probabilities)
    if len(targets) < FEWEST:
        return None

    def loss(log_temperature: float) -> float:
        return log_loss(targets, at_temperature(probabilities, float(np.exp(log_temperature)))) or 0.0

    mistakes = int((probabilities.argmax(axis=1) != targets).sum())
    low, high = BOUNDS[0] if mistakes >= FEWEST_MISTAKES else 1.0, BOUNDS[1]
    found = minimize_scalar(loss, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": 1e-4})
    temperature = float(np.exp(found.x))
    return next((bound for bound in (low, high) if abs(temperature - bound) < 0.01 * bound), temperature)


def at_temperature(probabilities: Array, temperature: float | None) -> Array:
    """Probabilities (..., K) float32 as they are at a temperature; None leaves them as they are."""
    if temperature is None:
        return probabilities
    tiny = np.finfo(np.float32).tiny  # a softmax may have rounded to 0
    logits = np.log(np.maximum(probabilities.astype(np.float64), tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scaled: Array = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def temperature_sentence(temperature: float | None, val_pictures: int) -> str:
    """What the shown probabilities are worth, for a person."""
    if temperature is None:
        why = (
            f"its val part has {val_pictures} pictures, and {FEWEST} are needed"
            if val_pictures < FEWEST
            else "an earlier version of Thaw trained it"
        )
        return f"Probabilities are the network's own and not calibrated: {why}."
    if temperature == 1.0:
        return (
            f"Probabilities are the network's own: on {val_pictures} val pictures it was not too sure of itself, and "
            "made too few mistakes to be called too unsure."
        )
    change = "softened" if temperature > 1 else "sharpened"
    bound = " That is as far as Thaw goes." if temperature in BOUNDS else ""
    return (
        f"Probabilities are calibrated on {val_pictures} val pictures: {change} with a temperature of "
        f"{temperature:.2f}, which changes no prediction.{bound}"
    )
