"""What every command is made of: a parser that it registers with, and a result as JSON values and as text."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from core.commands.version import thaw_version
from core.errors import SettingsError, shown

Result = tuple[dict[str, Any], str]
"""A command's result as JSON values, and as text for a person."""
Say = Callable[[str], None]
"""Shows one line of progress."""
PROGRAM: Final = "thaw" if Path(sys.argv[0]).stem == "thaw" else "python -m core"
"""What this process was started as."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """As the library does it, but a full disk is not kept quiet about."""
        if message:
            (file or sys.stderr).write(message)


class _Version(argparse.Action):
    """Prints the version, and nothing else is done."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"Thaw {thaw_version()}")
        parser.exit()


class Commands:
    """The commands there are; `parser` reads a command line."""

    def __init__(self) -> None:
        self.parser = Parser(prog=PROGRAM, description="Thaw, an honest transfer-learning lab.")
        self.parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
        self._parsers = self.parser.add_subparsers(dest="command", required=True, parser_class=Parser)

    def add(
        self,
        name: str,
        help: str,
        run: Callable[[argparse.Namespace], Result],
        is_whole: Callable[[dict[str, Any]], bool] = lambda values: True,
    ) -> Parser:
        """A command that `run` answers from its arguments; its options are added to what is returned.

        Args:
            is_whole: whether these values answer all that was asked; else the process ends with 1, after its answer.
        """
        parser = self._parsers.add_parser(name, help=help, description=help)
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(run=run, is_whole=is_whole)
        return parser


def progress_of(arguments: argparse.Namespace) -> Say:
    """Progress goes to standard error, on one line where it is a terminal; nowhere with --json."""
    if arguments.json or not sys.stderr.isatty():
        return lambda text: None
    return lambda text: print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def named_folder(option: str, text: str) -> Path:
    """The folder that an option names.

    Raises:
        SettingsError: it names none; an empty name would be the folder that one stands in.
    """
    if not text.strip():
        raise SettingsError(f"{option} is empty; name a folder.")
    return Path(text)


def file_to_read(text: str) -> Path:
    """A file that a command is given.

    Raises:
        SettingsError: there is none.
    """
    path = Path(text)
    if not text.strip():
        raise SettingsError("The file's name is empty.")
    if path.is_dir():
        raise SettingsError(f"{shown(path.name or text)} is a folder; name the zip itself.")
    if not path.exists():
        raise SettingsError(f"There is no file {shown(path.name)}.")
    return path


def file_to_write(text: str) -> Path:
    """A file that a command is to make.

    Raises:
        SettingsError: it cannot be one.
    """
    path = Path(text)
    if not text.strip():
        raise SettingsError("The file's name is empty.")
    if path.is_dir():
        raise SettingsError(f"{shown(path.name or text)} is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise SettingsError(f"There is no folder {shown(path.parent.name)} to write {path.name} into.")
    return path


def cannot_write(option: str, what: str, folder: Path, error: OSError) -> SettingsError:
    """That nothing can be written where an option says, with the system's reason where it gives one."""
    why = f" ({error.strerror})" if error.strerror else ""
    return SettingsError(f"{option} is {folder.name!r}; {what} can be written there{why}.")
