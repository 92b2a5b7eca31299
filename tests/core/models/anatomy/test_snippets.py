"""Code that is shown has really run, and runs for everybody who copies it."""

import io
from contextlib import redirect_stdout

import pytest

from core.models.anatomy.snippets import layer_path, network_lesson, out_features_mistake, run_lines
from core.models.catalogue import get_backbone


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "efficientnet_lite0"])
def test_setting_out_features_leaves_the_network_as_it_was_and_replacing_the_layer_does_not(name: str) -> None:
    *_, lie, still, right = (piece.printed for piece in out_features_mistake(name, 2))

    assert "out_features=2" in lie
    assert still.startswith("torch.Size([1, 1000])") and right.startswith("torch.Size([1, 2])")


def test_the_lesson_has_ten_lines_that_run_elsewhere_and_print_the_same() -> None:
    pieces = network_lesson("resnet18", 2)
    code = "\n".join(piece.code for piece in pieces)

    assert len(code.splitlines()) == 10
    with redirect_stdout(io.StringIO()) as printed:  # as in a notebook: nothing but the code itself
        exec(code, {})
    assert printed.getvalue().strip() == "\n".join(piece.printed for piece in pieces)
    assert pieces[-1].printed.startswith("['fc.weight', 'fc.bias']")


@pytest.mark.parametrize(
    ("name", "path"), [("resnet18", "net.fc"), ("vgg16", "net.classifier[6]"), ("vit_b_16", "net.heads.head")]
)
def test_the_last_layer_is_called_as_in_the_tutorials(name: str, path: str) -> None:
    assert layer_path(get_backbone(name)) == path


def test_pieces_end_where_something_is_printed() -> None:
    first, second = run_lines("a = 1\nprint(a)  # one\nb = a + 1\nprint(b, 'x')\nprint(a)")[:2]

    assert (first.code, first.printed) == ("a = 1\nprint(a)  # one", "1")
    assert (second.code, second.printed) == ("b = a + 1\nprint(b, 'x')", "2 x")
