"""Backbones whose weights lie on the Hugging Face Hub, against a server of this machine that answers as it does."""

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn

from core.errors import WeightsError
from core.models.build import build_model
from core.models.catalogue import BACKBONES, get_backbone, strategies_of
from core.models.weights import HUB, how_checked, load_weights, preprocessing_of, remote_file, weights_status

NAME = "dinov2_vits14"
ON_HUB = [name for name, spec in BACKBONES.items() if spec.source == "hub"]
every = [NAME, *(pytest.param(name, marks=pytest.mark.slow) for name in ON_HUB if name != NAME)]


@lru_cache(maxsize=2)
def drawn_weights(name: str, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return timm.create_model(get_backbone(name).timm_name, pretrained=False).state_dict()


def publish(name: str, server: Any, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> Path:
    """Weights of ours, of the very network that timm publishes, where the Hub would have them."""
    path: Path = server.folder / remote_file(name).file_name
    save_file(drawn_weights(name, seed), path)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    return path


@pytest.fixture
def published(server: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    return publish(NAME, server, monkeypatch)


def test_timm_knows_the_same_weights_licence_and_preprocessing() -> None:
    for name in ON_HUB:
        said, ours = timm.get_pretrained_cfg(f"{get_backbone(name).timm_name}.{HUB[name].tag}"), preprocessing_of(name)
        assert said.hf_hub_id == f"timm/{get_backbone(name).timm_name}.{HUB[name].tag}" and said.license == "apache-2.0"
        assert (said.mean, said.std, said.interpolation) == (ours.mean, ours.std, ours.interpolation)
        assert said.num_classes == 0
        if said.input_size[1] == ours.image_size:  # DINOv2's is cropped as its own authors do at 224
            assert ours.resize_size == int(ours.image_size / said.crop_pct)


@pytest.mark.parametrize("name", every)
def test_what_is_fetched_is_named_first_and_computes_what_timm_computes(
    name: str, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, row = publish(name, server, monkeypatch), HUB[name]
    badge = f"not here: {row.size_bytes / 1e6:.1f} MB from {server.url[7:]}, licence Apache 2.0"
    assert (weights_status(name).badge, weights_status(name).licence) == (badge, "Apache 2.0")
    assert ("newest version" in how_checked(name)) == (row.revision == "main") and server.asked == []
    assert path.stat().st_size == pytest.approx(row.size_bytes, rel=1e-3)

    model = build_model(name, 3, start="imagenet", seed=0).eval()

    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.weights_sha256 == sha256 == weights_status(name).sha256
    assert weights_status(name).badge == f"{get_backbone(name).learnt}, downloaded"
    asked = f"/timm/{path.stem}/resolve/{row.revision}/model.safetensors"
    assert server.asked == [f"HEAD {asked}", f"GET {asked}", f"/{path.name}"]
    timms = timm.create_model(get_backbone(name).timm_name, img_size=224).eval()
    torch.manual_seed(0)
    whole = timm.create_model(get_backbone(name).timm_name)
    timms.load_state_dict(checkpoint_filter_fn(whole.state_dict(), timms))
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(images), timms(images), rtol=1e-4, atol=1e-4)


def test_the_second_load_needs_no_network(published: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_weights(NAME)
    server.asked.clear()
    monkeypatch.setenv("THAW_OFFLINE", "1")

    assert load_weights(NAME).sha256 == first.sha256 and server.asked == []


def test_weights_that_change_on_the_hub_are_other_weights_and_those_that_are_here_stay(
    published: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HUB, NAME, replace(HUB[NAME], revision="main"))  # as where no fixed version is known
    first = load_weights(NAME)
    publish(NAME, server, monkeypatch, seed=1)
    server.asked.clear()

    assert load_weights(NAME).sha256 == first.sha256 and server.asked == [], "what is here is not asked for again"

    remote_file(NAME).path.unlink()
    second = load_weights(NAME)

    assert second.sha256 == hashlib.sha256(published.read_bytes()).hexdigest() != first.sha256
    assert weights_status(NAME).sha256 == second.sha256
    assert not torch.equal(second.state["pos_embed"], first.state["pos_embed"])


def test_a_file_that_changes_on_the_hub_while_it_is_fetched_is_refused_once(
    published: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = remote_file(NAME)
    file.part_path.parent.mkdir(parents=True, exist_ok=True)
    file.part_path.write_bytes(published.read_bytes()[:1_000_000])  # a download that broke off
    publish(NAME, server, monkeypatch, seed=1)

    with pytest.raises(WeightsError, match=r"is not the LVD-142M weights of DINOv2 ViT-S/14: .* Nothing was kept"):
        load_weights(NAME)

    assert load_weights(NAME).sha256 == hashlib.sha256(published.read_bytes()).hexdigest()


def test_another_content_than_the_hub_said_is_refused(published: Path, server: Any) -> None:
    (server.folder / "said").write_text("0" * 64)

    with pytest.raises(WeightsError, match=r"sent is not the LVD-142M weights of DINOv2 ViT-S/14: .* Nothing was kept"):
        load_weights(NAME)
    assert not weights_status(NAME).available


def test_a_server_that_says_no_hash_is_asked_for_nothing_more(published: Path, server: Any) -> None:
    (server.folder / "said").write_text("no hash")

    with pytest.raises(WeightsError, match="does not say the file's SHA-256"):
        load_weights(NAME)
    assert [line for line in server.asked if line.startswith(("GET", f"/{published.name}"))] == []


def test_a_mirror_has_the_hash_beside_the_file(published: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_WEIGHTS_URL", server.url)
    with pytest.raises(
        WeightsError, match=r"does not say the file's SHA-256.*Choose a backbone whose weights are here"
    ):
        load_weights(NAME)
    sha256 = hashlib.sha256(published.read_bytes()).hexdigest()
    published.with_name(f"{published.name}.sha256").write_text(f"{sha256}  {published.name}\n")

    assert load_weights(NAME).sha256 == sha256
    assert not any("resolve" in line for line in server.asked)


def test_a_file_without_its_note_is_not_used_and_not_removed(published: Path) -> None:
    load_weights(NAME)
    file = remote_file(NAME)
    file.record_path.unlink()

    with pytest.raises(WeightsError, match="Remove the file, and it will be downloaded anew"):
        load_weights(NAME)
    assert file.path.is_file()


def test_another_networks_file_is_refused_even_with_the_right_hash(published: Path) -> None:
    save_file({"weight": torch.zeros(2)}, published)

    with pytest.raises(WeightsError, match="is not a file of weights of DINOv2"):
        load_weights(NAME)


@pytest.mark.parametrize("name", ON_HUB)
def test_only_strategies_that_leave_the_backbone_are_offered(name: str) -> None:
    assert strategies_of(get_backbone(name)) == ("frozen",)
    assert len(strategies_of(get_backbone("resnet18"))) > 3
