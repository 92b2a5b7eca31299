"""Lines of PyTorch about a network that really run, each with what it prints.

They run on torch's meta device, which knows shapes and no numbers: at once, whatever the network's size.
"""

import ast
from dataclasses import dataclass
from typing import Final

from core.models.catalogue import BackboneSpec, get_backbone
from core.models.weights import preprocessing_of

IMAGENET_CLASSES: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """Some lines of code, and what they printed."""

    code: str
    printed: str


def network_lesson(backbone: str, classes: int) -> list[Ran]:
    """What an `nn.Module` is, on this network, in ten lines: parts, tensors, hooks, calling it, a layer replaced."""
    spec = get_backbone(backbone)
    layer = layer_path(spec)
    return run_lines(f"""\
{_opening(spec)}
print([name for name, module in net.named_children()])  # modules are attributes of modules
print(len(list(net.parameters())), "parameters; state_dict:", len(net.state_dict()), *list(net.state_dict())[:3], "...")
{layer}.register_forward_hook(lambda layer, inputs, output: print("hook:", *inputs[0].shape, "->", *output.shape))
print(net.eval()(image).shape)  # calling a module runs its forward() and its hooks
net.requires_grad_(False)  # frozen: no parameter gets a gradient
{layer} = torch.nn.Linear({layer}.in_features, {classes}, device="meta")  # a new layer, and it trains
print([name for name, parameter in net.named_parameters() if parameter.requires_grad], net(image).shape)
""")


def out_features_mistake(backbone: str, classes: int) -> list[Ran]:
    """The mistake: another number in an attribute is no other layer. And what is right."""
    spec = get_backbone(backbone)
    layer = layer_path(spec)
    return run_lines(f"""\
{_opening(spec)}
{layer}.out_features = {classes}
print({layer})
print(net.eval()(image).shape, {layer}.weight.shape)
{layer} = torch.nn.Linear({layer}.in_features, {classes}, device="meta")
print(net(image).shape, {layer}.weight.shape)
""")


def layer_path(spec: BackboneSpec) -> str:
    """The last layer as code says it: `net.classifier[6]`, `net.heads.head`."""
    steps = spec.architecture.classifier.split(".")
    return "net" + "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in steps)


def _opening(spec: BackboneSpec) -> str:
    """Lines that build the network without numbers, as its own library does it, and a picture."""
    if spec.timm_name:
        told = "".join(f", {name}={value}" for name, value in spec.timm_options.items())
        told += f", num_classes={IMAGENET_CLASSES}" if spec.frozen_only else ""  # it comes without a last layer
        library, build = "timm", f'timm.create_model("{spec.timm_name}"{told})'
    else:
        library, build = "torchvision", f"torchvision.models.{spec.name}()"
    side = preprocessing_of(spec.name).image_size
    return f"""\
import torch, {library}
with torch.device("meta"):  # shapes without numbers: quick, whatever the size
    net, image = {build}, torch.empty(1, 3, {side}, {side})"""


def run_lines(code: str) -> list[Ran]:
    """Run code of ours, and give it back in pieces that end where something was printed.

    `print` is the pieces' own: whatever else this process prints meanwhile is not theirs.
    """
    printed: list[str] = []
    names = {"print": lambda *what: printed.append(" ".join(map(str, what)))}
    lines, done, pieces = code.splitlines(), 0, []
    for statement in ast.parse(code).body:
        end = statement.end_lineno or 0
        exec(compile(ast.Module([statement], []), "<lesson>", "exec"), names)
        if printed:
            pieces.append(Ran(code="\n".join(lines[done:end]), printed="\n".join(printed)))
            printed.clear()
            done = end
    return pieces
