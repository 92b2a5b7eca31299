"""Decay stops here: what may import what, what must stay light, and what is never loaded."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import REPOSITORY, drawn_classes, write_files

from core.machine.speeds import Peaks, save_peaks

MODULES = sorted(
    path.relative_to(REPOSITORY).with_suffix("")
    for path in (REPOSITORY / "core").rglob("*.py")
    if path.stem != "__init__"
)
NAMES = [".".join(path.parts) for path in MODULES]
FLOORS = {
    "errors": 0,
    "settings": 1,
    "home": 1,
    "records": 0,
    "storage": 1,
    "machine": 1,
    "data": 2,
    "augment": 2,
    "models": 2,
    "training": 3,
    "runs": 4,
    "comparison": 4,
    "inference": 4,
    "takehome": 4,
    "commands": 5,
    "__main__": 6,
}
"""A module imports from its own floor and those below."""
TORCH_FREE = [
    "core.settings.schema",
    "core.errors",
    "core.home",
    "core.machine.facts",
    "core.machine.speeds",
    "core.training.plan",
    "core.runs.store",
    "core.runs.record",
    "core.runs.worker",
    "core.data.dataset",
    "core.data.ingest",
    "core.augment.catalogue",
    "core.models.catalogue",
    "core.models.weights",
    "core.commands",
    "core.data.drawn.strangers",
    "core.inference.prediction_sets",
    "core.comparison.temperature",
    "core.inference.values",
    *(name for name in NAMES if name.startswith("core.comparison.")),
]


def python(code: str) -> str:
    """What a fresh process says."""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree_of(name: str) -> ast.Module:
    return ast.parse(Path(REPOSITORY, *name.split(".")).with_suffix(".py").read_text("utf-8"))


def imports_of(name: str) -> Iterator[str]:
    """Everything a module imports, also inside functions."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(name: str) -> int:
    return FLOORS[name.split(".")[1]]


def test_every_part_of_core_has_a_floor():
    assert {name.split(".")[1] for name in NAMES} == set(FLOORS)


@pytest.mark.parametrize("name", NAMES)
def test_imports_go_one_way(name: str):
    imported = [other for other in imports_of(name) if other.startswith("core.")]

    assert [other for other in imported if floor(other) > floor(name)] == []


@pytest.mark.parametrize("name", NAMES)
def test_core_knows_neither_streamlit_nor_the_pages(name: str):
    roots = {other.split(".")[0] for other in imports_of(name)}

    assert roots.isdisjoint({"streamlit", "pages", "app", "tests"})


def test_importing_all_of_core_does_not_bring_streamlit():
    found = python(
        f"import sys, importlib\nfor n in {NAMES}: importlib.import_module(n)\nprint('streamlit' in sys.modules)"
    )

    assert found.split() == ["False"]


def test_what_pages_ask_all_the_time_does_not_wait_for_torch():
    code = (
        "import sys, importlib\n"
        f"for name in {TORCH_FREE}:\n"
        "    importlib.import_module(name)\n"
        "    if {'torch', 'torchvision', 'timm'} & set(sys.modules): sys.exit(f'{name} imports torch')"
    )

    assert python(code) == ""


SLOW_TO_LOAD = {"torch", "torchvision", "timm", "onnx", "onnxruntime", "streamlit", "plotly"}
STATISTICS = {"scipy", "statsmodels", "pandas"}
LOOKING = {
    "data": ["data"],
    "runs": ["runs"],
    "machine": ["machine"],
    "compare": ["compare", "recorded-0-frozen", "recorded-0-finetuned"],
}


@pytest.mark.parametrize("command", LOOKING)
def test_a_command_that_only_looks_waits_for_nothing_it_does_not_need(command: str, tmp_path: Path):
    words = LOOKING[command]
    if command == "data":
        words = [*words, str(write_files(tmp_path / "pictures", drawn_classes()))]
    save_peaks(Peaks(matmul_fp32=1.0, matmul_bf16=1.0, conv_fp32=1.0, conv_bf16=1.0, memory=1.0, decode=1.0))

    loaded = python(
        "import sys; from core.__main__ import main\n"
        f"assert main({words}) == 0\n"
        "print('loaded', *{name.partition('.')[0] for name in sys.modules})"
    ).rpartition("loaded")[2]

    unwanted = SLOW_TO_LOAD if command == "compare" else SLOW_TO_LOAD | STATISTICS
    assert "core" in loaded.split() and unwanted.isdisjoint(loaded.split())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_unpickled(name: str):
    calls = [node for node in ast.walk(tree_of(name)) if isinstance(node, ast.Call)]
    loads = [
        call for call in calls if ast.unparse(call.func) in ("torch.load", "pickle.load", "pickle.loads", "np.load")
    ]

    for call in loads:
        assert ast.unparse(call.func) == "torch.load"
        assert "weights_only=True" in [ast.unparse(keyword) for keyword in call.keywords]


def test_every_module_of_core_says_what_it_is_for():
    assert [name for name in NAMES if not ast.get_docstring(tree_of(name))] == []


def test_rows_of_predictions_are_read_only_where_one_run_is_looked_at():
    """Two runs meet by picture (`core.comparison.pictures`): a row of one says nothing about a row of another."""
    readers = {
        path.stem
        for path in (REPOSITORY / "pages").rglob("*.py")
        if re.search(r"run_predictions|\.(val_)?targets\b", path.read_text("utf-8"))
    }

    assert readers == {"resources", "doubt", "firsts", "inside"}
