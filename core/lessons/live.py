"""What a few lines of plain PyTorch answer at once. A lesson shows these functions as they are, and runs them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torchvision
from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What came out."""

    option: str
    """Name of the answer that is true."""
    said: str
    """The numbers, in a sentence."""


def wrong_head() -> int:
    """How many numbers a VGG-16 gives for a picture after the attribute of its last layer was set."""
    with torch.device("meta"):  # shapes alone, which need neither weights nor memory
        network = torchvision.models.vgg16()
        picture = torch.zeros(1, 3, 224, 224)
    network.classifier[6].out_features = 2
    answer: torch.Tensor = network(picture)
    return answer.shape[1]


def changed_by_one_batch() -> list[str]:
    """The tensors of a frozen ResNet-18 that differ after a batch went through it in training mode."""
    network = torchvision.models.resnet18()
    for parameter in network.parameters():
        parameter.requires_grad = False
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    network(torch.rand(8, 3, 64, 64))
    return [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]


def only_in_state_dict() -> list[str]:
    """What a ResNet-18 saves beside its parameters."""
    network = torchvision.models.resnet18()
    parameters = {name for name, _ in network.named_parameters()}
    return [name for name in network.state_dict() if name not in parameters]


def share_that_trains() -> tuple[int, int]:
    """Numbers that train, and all numbers, in a frozen ResNet-18 with a new last layer for two classes."""
    network = torchvision.models.resnet18()
    for parameter in network.parameters():
        parameter.requires_grad = False
    network.fc = nn.Linear(network.fc.in_features, 2)
    trains = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return trains, sum(p.numel() for p in network.parameters())


def same_picture_twice() -> float:
    """The largest difference between two answers for one picture, beside other pictures each time."""
    network = torchvision.models.resnet18()
    picture = torch.rand(1, 3, 64, 64)
    network.train()
    with torch.no_grad():
        first = network(torch.cat([picture, torch.zeros(7, 3, 64, 64)]))[0]
        second = network(torch.cat([picture, torch.ones(7, 3, 64, 64)]))[0]
    return float((first - second).abs().max())


def _head_seen() -> Seen:
    given = wrong_head()
    return Seen(option={2: "two", 1000: "thousand"}.get(given, "error"), said=f"The network gives {given:,} outputs.")


def _batch_seen() -> Seen:
    names = changed_by_one_batch()
    parameters = {name for name, _ in torchvision.models.resnet18().named_parameters()}
    option = "nothing" if not names else "weights" if parameters & {*names} else "statistics"
    return Seen(option=option, said=f"{len(names)} tensors have changed, as {', '.join(names[:3])}.")


def _state_seen() -> Seen:
    names = only_in_state_dict()
    kinds = {name.rpartition(".")[2] for name in names}
    option = "nothing" if not names else "buffers" if "running_mean" in kinds else "gradients"
    return Seen(option=option, said=f"{len(names)} tensors: {', '.join(sorted(kinds))}, of each BatchNorm layer.")


def _share_seen() -> Seen:
    trains, numbers = share_that_trains()
    option = next(name for name, least in (("half", 0.3), ("tenth", 0.03), ("less", 0.0)) if trains / numbers > least)
    return Seen(option=option, said=f"{trains:,} of {numbers:,} parameters train: {trains / numbers * 100:.3f} %.")


def _twice_seen() -> Seen:
    gap = same_picture_twice()
    return Seen(option="differ" if gap else "equal", said=f"The two answers differ by up to {gap:.2f}.")


LIVE: Final[dict[str, tuple[Callable[[], object], Callable[[], Seen]]]] = {
    "wrong_head": (wrong_head, _head_seen),
    "changed_by_one_batch": (changed_by_one_batch, _batch_seen),
    "only_in_state_dict": (only_in_state_dict, _state_seen),
    "share_that_trains": (share_that_trains, _share_seen),
    "same_picture_twice": (same_picture_twice, _twice_seen),
}
"""By name: the lines that are shown, and what is made of what they give."""


def look(name: str) -> Seen:
    """Run the lines of this name, with the same random numbers each time; torch's own generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LIVE[name][1]()


def code_of(name: str) -> str:
    """These lines as a script that prints what they give."""
    shown = LIVE[name][0]
    return f"import torch, torchvision\nfrom torch import nn\n\n\n{inspect.getsource(shown)}\n\nprint({name}())\n"
