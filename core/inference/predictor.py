"""A finished run's model with its own preprocessing, always: what it says about pictures it has never seen.

Legend: N pictures, K classes.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.augment.pipelines import EvalPipeline, normalise
from core.comparison.temperature import at_temperature
from core.data.loaders import EVAL_BATCH
from core.data.reading.decode import decode_picture
from core.errors import RunError
from core.machine.speeds import Engine, load_speeds
from core.models.accel import LAYOUTS, standing_still
from core.models.build import restore_model
from core.models.network import TransferModel
from core.runs.record import WEIGHTS, RunRecord, checked_file, load_record

T = TypeVar("T")


class Predictor:
    """Classifies pictures as a run's test pictures were classified. Safe to share between threads."""

    def __init__(self, record: RunRecord, model: TransferModel) -> None:
        self.record = record
        self.class_names: tuple[str, ...] = record.dataset.class_names
        self._model = model.eval()
        self._preprocessing = record.preprocessing
        self._pipeline = EvalPipeline(self._preprocessing)
        name, side = model.spec.name, self._preprocessing.image_size
        speeds = load_speeds(name)  # as measured on this machine; torch computes where nothing was
        self._engine, threads = (speeds.engine, speeds.threads) if speeds else ("torch", 1)
        self._backbone = standing_still(self._model.backbone, name, self._engine, side=side, threads=threads)
        self._lock = threading.Lock()  # two forward passes at once on few cores are slower than one after the other

    @classmethod
    def load(cls, run_id: str) -> "Predictor":
        """The predictor of a finished run.

        Raises:
            RunError: its files are missing or damaged.
        """
        record = load_record(run_id)
        try:
            state = load_file(checked_file(record, WEIGHTS))
        except (OSError, SafetensorError) as error:
            raise RunError(f"The weights of run {run_id!r} are missing or damaged; train again.") from error
        model = restore_model(
            record.settings.model.backbone,
            state,
            num_classes=len(record.dataset.class_names),
            weights_sha256=record.weights.sha256,
        )
        return cls(record, model)

    @property
    def engine(self) -> Engine:
        """What computes its forward passes."""
        return "torch" if isinstance(self._backbone, nn.Module) else "onnxruntime"

    def input_of(self, pixels: np.ndarray) -> Tensor:
        """What the network receives of decoded pixels (H, W, 3) uint8: (3, S, S) uint8."""
        return self._pipeline(torch.from_numpy(np.array(pixels)).permute(2, 0, 1))

    def ask_model(
        self,
        pictures: Sequence[np.ndarray],
        work: Callable[[TransferModel, Tensor], T],
        layout: torch.memory_format = torch.channels_last,
    ) -> T:
        """What `work` makes of the model, in eval mode, and decoded pictures (H, W, 3) as inputs (N, 3, S, S) float32.

        One caller at a time has the model, and must leave it as it was.
        """
        inputs = torch.stack([self.input_of(pixels) for pixels in pictures])
        with self._lock:
            return work(self._model, normalise(inputs, self._preprocessing, layout))

    def look(self, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Raw probabilities (N, K) and the backbone's features (N, F), both float32, of decoded pictures."""

        def forward(model: TransferModel, inputs: Tensor) -> tuple[Tensor, Tensor]:
            features = self._backbone(inputs)
            return model.head(features).float().softmax(1), features.float()

        rows = [torch.empty(0, len(self.class_names))], [torch.empty(0, self._model.head.in_features)]
        with torch.inference_mode():
            for first in range(0, len(pictures), EVAL_BATCH):
                found = self.ask_model(pictures[first : first + EVAL_BATCH], forward, LAYOUTS[self._engine])
                for kept, new in zip(rows, found, strict=True):
                    kept.append(new)
            probabilities, features = (torch.cat(kept).numpy() for kept in rows)
        return probabilities, features

    def head_probabilities(self, features: np.ndarray) -> np.ndarray:
        """What the head says (M, K) float32 of features (M, F) float32, raw."""
        with torch.inference_mode():
            found: np.ndarray = self._model.head(torch.from_numpy(features)).softmax(1).numpy()
        return found

    def predict(self, pictures: Sequence[np.ndarray], calibrated: bool = False) -> np.ndarray:
        """Probabilities (N, K) float32 of decoded pictures (H, W, 3) uint8, as `decode_picture` gives them.

        Args:
            calibrated: at the run's temperature, where it has one; else as the network gives them, which is what runs
                keep about their test pictures.
        """
        raw, _ = self.look(pictures)
        return at_temperature(raw, self.record.temperature) if calibrated else raw

    def predict_file(self, data: bytes, calibrated: bool = False) -> np.ndarray:
        """Probabilities (K,) float32 for the bytes of one picture file.

        Raises:
            ImageError: it is not a picture that can be read.
        """
        row: np.ndarray = self.predict([decode_picture(data)], calibrated)[0]
        return row
