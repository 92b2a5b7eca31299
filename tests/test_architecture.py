"""Decay stops here: what may import what, what must stay light, and what is never loaded."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from helpers import REPOSITORY, drawn_classes, python, write_files

from core.settings.scenarios import SCENARIOS

MODULES = sorted(
    path.relative_to(REPOSITORY).with_suffix("")
    for path in (REPOSITORY / "core").rglob("*.py")
    if path.stem != "__init__"
)
NAMES = [".".join(path.parts) for path in MODULES]
FLOORS = [
    "errors",
    "glossary",
    "records",
    "storage",
    "home",
    "objects",
    "sqlite",
    "visitors",
    "settings",
    "machine",
    "augment",
    "models",
    "data",
    "training",
    "comparison",
    "shards",
    "advice",
    "runs",
    "inference",
    "takehome",
    "tracking",
    "workspaces",
    "lessons",
    "commands",
    "__main__",
]
"""From the ground up: a module imports from its own package and from those below."""
TORCH_FREE = [
    "core.settings.schema",
    "core.settings.recipes",
    "core.errors",
    "core.home",
    "core.machine.facts",
    "core.machine.speeds",
    "core.training.plan",
    "core.runs.store",
    "core.runs.record",
    "core.runs.worker",
    "core.data.dataset",
    "core.data.labels",
    "core.advice.evidence",
    "core.advice.rule",
    "core.advice.plans",
    "core.advice.growth",
    "core.runs.studies",
    "core.runs.findings",
    "core.data.ingest",
    "core.augment.catalogue",
    "core.models.catalogue",
    "core.models.weights",
    "core.data.drawn.strangers",
    "core.inference.prediction_sets",
    "core.comparison.temperature",
    "core.inference.values",
    "core.inference.subject",
    "core.takehome.report",
    "core.lessons.table",
    "core.lessons.progress",
    *(name for name in NAMES if name.startswith(("core.comparison.", "core.commands."))),
]


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(Path(REPOSITORY, *name.split(".")).with_suffix(".py").read_text("utf-8"))


@cache
def imports_of(name: str) -> list[str]:
    """Everything a module imports, also inside functions."""
    found = []
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def floor(name: str) -> int:
    return FLOORS.index(name.split(".")[1])


def files_of(name: str) -> set[str]:
    """The files of core that a module imports something from."""
    imported = imports_of(name)
    return {*imported, *(other.rpartition(".")[0] for other in imported)} & {*NAMES}


def test_every_part_of_core_has_a_floor_of_its_own():
    assert sorted({name.split(".")[1] for name in NAMES}) == sorted(FLOORS)


def test_no_file_imports_itself_by_way_of_others():
    reached = {name: files_of(name) for name in NAMES}
    for between in NAMES:
        for found in reached.values():
            found |= reached[between] if between in found else set()

    circles = {
        frozenset(other for other in NAMES if other in reached[name] and name in reached[other])
        for name in NAMES
        if name in reached[name]
    }
    assert circles == set()


def test_imports_go_one_way():
    within = [(name, other) for name in NAMES for other in imports_of(name) if other.startswith("core.")]

    assert [(name, other) for name, other in within if floor(other) > floor(name)] == []
    assert len(within) > 2 * len(NAMES), "there are imports to look at"


def test_core_knows_neither_streamlit_nor_the_pages():
    above = {"streamlit", "pages", "app", "tests"}

    assert [(name, other) for name in NAMES for other in imports_of(name) if other.split(".")[0] in above] == []


@pytest.mark.slow
def test_importing_all_of_core_does_not_bring_streamlit():
    names = [name for name in NAMES if name != "core.runs.migrations.env"]  # a script that only Alembic can run
    found = python(
        f"import sys, importlib\nfor n in {names}: importlib.import_module(n)\nprint('streamlit' in sys.modules)"
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

    loaded = python(
        "import sys; from core.__main__ import main\n"
        f"assert main({words}) == 0\n"
        "print('loaded', *{name.partition('.')[0] for name in sys.modules})"
    ).rpartition("loaded")[2]

    unwanted = SLOW_TO_LOAD | STATISTICS - ({"scipy"} if command == "compare" else set())
    assert "core" in loaded.split() and unwanted.isdisjoint(loaded.split())


def test_verdicts_wait_for_the_functions_of_scipy_alone_not_for_its_statistics():
    """They take half a second more to load, in a command and on every page."""
    code = "import sys, core.comparison.conclusion, core.comparison.planning; print('scipy.stats' in sys.modules)"

    assert python(code).strip() == "False"


def test_who_trains_or_classifies_waits_for_no_statistics():
    """Comparing needs them, and they take a second to load."""
    loaded = python(
        "import sys, core.runs.execute, core.inference.predictor, core.commands.classify\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )

    assert "torch" in loaded.split() and STATISTICS.isdisjoint(loaded.split())


def test_nothing_is_unpickled():
    calls = [(name, node) for name in NAMES for node in ast.walk(tree_of(name)) if isinstance(node, ast.Call)]
    loading = ("torch.load", "pickle.load", "pickle.loads", "np.load")
    loads = [(name, call) for name, call in calls if ast.unparse(call.func) in loading]

    assert loads, "there is one to look at"
    for name, call in loads:
        assert ast.unparse(call.func) == "torch.load", name
        assert "weights_only=True" in [ast.unparse(keyword) for keyword in call.keywords], name


def test_every_module_of_core_says_what_it_is_for():
    assert [name for name in NAMES if not ast.get_docstring(tree_of(name))] == []


def test_rows_of_predictions_are_read_only_where_one_run_is_looked_at():
    """Two runs meet by picture (`core.comparison.pictures`): a row of one says nothing about a row of another."""
    readers = {
        path.stem
        for path in (REPOSITORY / "pages").rglob("*.py")
        if re.search(r"run_predictions|\.(val_)?targets\b", path.read_text("utf-8"))
    }

    assert readers == {"resources", "uncertainty", "networks", "details"}


def constants_of(path: Path) -> set[object]:
    return {node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)}


def test_scenarios_are_named_in_their_table_and_in_that_of_recipes_and_nowhere_else():
    files = [REPOSITORY / "app.py", *(path for part in ("core", "pages") for path in (REPOSITORY / part).rglob("*.py"))]

    naming = {path.relative_to(REPOSITORY).as_posix() for path in files if constants_of(path) & set(SCENARIOS)}

    assert naming == {"core/settings/scenarios.py", "core/settings/recipes.py"}


PARTS = {
    ".".join(path.relative_to(REPOSITORY / "pages").with_suffix("").parts): path
    for path in sorted((REPOSITORY / "pages").rglob("*.py"))
}
"""Pages and their components, by the names they import each other by."""


def parts_of(name: str) -> set[str]:
    """The components that a page or a component imports, however it does: `from . import x`, `from ..x import y`."""
    found = set()
    for node in ast.walk(ast.parse(PARTS[name].read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package = ".".join(name.split(".")[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (package, node.module)))
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)} & PARTS.keys()
    return found


def test_what_one_page_needs_is_imported_by_that_page_alone():
    of_pages = {name: name.split(".")[1] for name in PARTS if name.count(".") == 2}
    used = [(user, name) for user in PARTS for name in parts_of(user) if name in of_pages]

    assert of_pages and set(of_pages.values()) <= PARTS.keys(), "a folder has its page's name"
    assert [
        (user, name)
        for user, name in used
        if user != of_pages[name] and not user.startswith(f"components.{of_pages[name]}.")
    ] == []


NAMED = {"altair_chart", "audio", "bar_chart", "data_editor", "dataframe", "image", "line_chart", "plotly_chart"}
NAMED |= {"pdf", "table", "vega_lite_chart", "video"}


def test_whatever_is_seen_and_cannot_be_read_out_has_a_name():
    nameless = []
    for path in sorted((REPOSITORY / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NAMED:
                named = {keyword.arg for keyword in node.keywords} & {"alt", None}  # None: `**` may bring it
                nameless += [] if named else [f"{path.relative_to(REPOSITORY)}:{node.lineno}"]

    assert nameless == []


def test_components_import_each_other_relatively_and_in_no_circle():
    graph = {name: parts_of(name) for name in PARTS}

    assert "components.messages" in graph["components.compare.cautions"], "relative imports are followed"
    assert tuple(TopologicalSorter(graph).static_order()), "CycleError names a circle"
    for name in (name for name in PARTS if name.startswith("components.")):
        assert "from components" not in PARTS[name].read_text("utf-8"), f"{name} imports from the page's side"


SERVERS_OWN = {"ask_for_workspace", "server_folder", "server_home", "within"}
"""Of `core.home`: what opens files that are not the visitor's own."""
BARRED = ("sqlalchemy", "sqlite3", "core.sqlite", "core.runs.database", "core.runs.everybody", "core.visitors.registry")


def test_pages_get_nobody_s_files_but_the_visitor_s():
    """Whose files are meant is decided in one place, and nothing else goes past it to a database or another's home."""
    past = []
    for name, path in PARTS.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Import | ast.ImportFrom) or getattr(node, "level", 0):
                continue
            named = {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.module == "core.home":
                past += [(name, what) for what in named & SERVERS_OWN]
            modules = {node.module or ""} if isinstance(node, ast.ImportFrom) else named
            if not all(what.startswith("LONGEST") for what in named):  # how long a name may be is anybody's
                past += [(name, module) for module in modules if module.startswith(BARRED)]

    assert sorted(past) == [
        ("components.classroom", "core.visitors.registry"),  # a class as a value
        ("components.visitor", "ask_for_workspace"),
        ("components.visitor", "core.visitors.registry"),  # what a key looks like
        ("components.workspace.lesson", "core.visitors.registry"),
    ]


SHARED_BY_ALL = {"_drawn", "_everybody_waiting", "_lesson", "_mistake", "anatomy_of", "model_description"}
SHARED_BY_ALL |= {"pages", "preprocessing", "unknown_inputs"}
"""Cached functions about nobody's files: what ships with Thaw, and numbers without names."""


def test_whatever_pages_keep_across_sessions_is_kept_by_home_folder():
    unowned, seen = set(), 0
    for path in sorted((REPOSITORY / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            cached = [ast.unparse(one) for one in getattr(node, "decorator_list", ()) if "st.cache" in ast.unparse(one)]
            if isinstance(node, ast.FunctionDef) and cached and "scope='session'" not in cached[0]:
                seen += 1
                names = [argument.arg for argument in node.args.args]
                unowned |= set() if names[:1] == ["home"] else {node.name}

    assert seen > 10 and unowned == SHARED_BY_ALL
