"""A backbone's forward pass under ONNX Runtime: the same function in float32, with less work around every layer.

Torch prepares each convolution anew each time it is called, and wakes and waits for its threads in each; for small
networks, and for one picture at a time, that takes as long as the arithmetic. The faster of the two is measured, see
`core.training.probe`. Features differ from torch's by rounding, by about 1e-6 of the largest.

Legend: N pictures, S pixels on a side, F features.
"""

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from core.models.accel.onnx_graph import IMAGES, graph_of


class CompiledBackbone:
    """A backbone as it was when this was made: later changes of its weights are not seen."""

    def __init__(self, backbone: nn.Module, name: str, side: int, *, threads: int) -> None:
        """`threads`: 1 where several callers are at work at once, as many as there are cores; else all of them.

        Raises:
            Untranslatable: the backbone does something that cannot be translated.
        """
        graph = graph_of(name, side)
        # copies: the session may read from them as long as it lives, and training changes weights in place
        self._numbers = {key: _copied(tensor) for key, tensor in backbone.state_dict().items() if key in graph.numbers}
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(number) for number in self._numbers.values()]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # its threads wait in a loop within a pass, which is what makes it quick, and would go on to do so after it
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_external_initializers(list(self._numbers), values)
        self._session = onnxruntime.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> Tensor:
        """Features (N, F) float32 of normalised images (N, 3, S, S) float32. Any thread may call at any time.

        One picture after the other, so that its activations stay in the processor's cache: small networks gain a tenth
        by it. And so its features are the same to the last bit, whatever it comes with.
        """
        pictures = images.contiguous().numpy()
        rows = [self._session.run(None, {IMAGES: pictures[n : n + 1]})[0] for n in range(len(pictures))]
        return torch.from_numpy(np.concatenate(rows))


def _copied(tensor: Tensor) -> np.ndarray:
    return tensor.detach().clone(memory_format=torch.contiguous_format).numpy()
