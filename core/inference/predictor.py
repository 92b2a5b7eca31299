"""A finished run's model with its own preprocessing, always: what it says about pictures it has never seen.

Legend: N pictures, K classes.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.augment.pipelines import EvalPipeline, normalise
from core.augment.preprocessing import Preprocessing
from core.data.decode import decode_picture
from core.data.loaders import EVAL_BATCH
from core.errors import RunError
from core.models.build import TransferModel, restore_model
from core.models.folding import weights_stand_still
from core.runs.record import WEIGHTS, RunRecord, load_record, run_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """One class and how likely the model takes it to be (fraction 0-1, not calibrated)."""

    class_name: str
    probability: float


class Predictor:
    """Classifies pictures as a run's test pictures were classified. Safe to share between threads."""

    def __init__(self, record: RunRecord, model: TransferModel) -> None:
        self.record = record
        self.class_names: tuple[str, ...] = tuple(record.dataset["class_names"])
        self._model = model.eval()
        self._preprocessing = Preprocessing.from_dict(record.preprocessing)
        self._pipeline = EvalPipeline(self._preprocessing)
        self._lock = threading.Lock()  # two forward passes at once on few cores are slower than one after the other

    @classmethod
    def load(cls, run_id: str) -> "Predictor":
        """The predictor of a finished run.

        Raises:
            RunError: its files are missing or damaged.
        """
        record = load_record(run_id)
        try:
            state = load_file(run_folder(run_id) / WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise RunError(f"The weights of run {run_id!r} are missing or damaged; train again.") from error
        model = restore_model(
            record.settings.model.backbone,
            state,
            num_classes=len(record.dataset["class_names"]),
            weights_sha256=record.weights["sha256"],
        )
        return cls(record, model)

    def input_of(self, pixels: np.ndarray) -> Tensor:
        """What the network receives of decoded pixels (H, W, 3) uint8: (3, S, S) uint8."""
        return self._pipeline(torch.from_numpy(np.array(pixels)).permute(2, 0, 1))

    @torch.inference_mode()
    def predict(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities (N, K) float32 of decoded pictures (H, W, 3) uint8, as `decode_picture` gives them."""
        rows = []
        for first in range(0, len(pictures), EVAL_BATCH):
            inputs = torch.stack([self.input_of(pixels) for pixels in pictures[first : first + EVAL_BATCH]])
            with self._lock, weights_stand_still(self):
                rows.append(self._model(normalise(inputs, self._preprocessing)).float().softmax(1))
        return torch.cat(rows).numpy() if rows else np.empty((0, len(self.class_names)), dtype=np.float32)

    def predict_file(self, data: bytes) -> np.ndarray:
        """Probabilities (K,) float32 for the bytes of one picture file.

        Raises:
            ImageError: it is not a picture that can be read.
        """
        row: np.ndarray = self.predict([decode_picture(data)])[0]
        return row

    def guesses(self, probabilities: np.ndarray, top: int = 3) -> tuple[Guess, ...]:
        """The `top` most probable classes of one row (K,), best first."""
        order = np.argsort(-probabilities, kind="stable")[:top]
        return tuple(Guess(class_name=self.class_names[i], probability=float(probabilities[i])) for i in order)
