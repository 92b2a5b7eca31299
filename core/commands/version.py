"""Which Thaw this is."""

import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_DISTRIBUTION: Final = "thaw-lab"
_PROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"


def thaw_version() -> str:
    """Of the checkout that this file lies in, whatever else is installed; else of what was installed."""
    with suppress(OSError, ValueError, LookupError):
        project = tomllib.loads(_PROJECT.read_text("utf-8"))["project"]
        if project["name"] == _DISTRIBUTION:
            return str(project["version"])
    with suppress(PackageNotFoundError):
        return version(_DISTRIBUTION)
    return "of unknown version"
