"""The command line, `python -m core COMMAND`: `--help` lists the commands, and each has a `--help` of its own.

Each command is one call into `core`, the same that a page makes. `--json` prints the result as JSON and nothing else
on standard output; bad input ends with one clear line and exit code 2, and an answer about some of what was asked
with 1.
"""

import io
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from core.commands.command import PROGRAM, progress_of
from core.errors import ThawError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, by default that of this process; the exit code."""
    called = PROGRAM
    try:
        # a second of import, in which somebody may think better of it: that is no reason for a traceback
        from core.commands.parser import build_parser
        from core.machine.process import keep_freed_memory, prepare_process
        from core.storage import explained

        prepare_process()
        keep_freed_memory()
        arguments = build_parser().parse_args(argv)
        called = f"{PROGRAM} {arguments.command}"
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold what this terminal cannot show
        with explained():
            values, text = arguments.run(arguments)
        progress_of(arguments)("")
        print(json.dumps(values, ensure_ascii=True, indent=1, allow_nan=False) if arguments.json else text)
    except ThawError as error:
        return _refused(called, str(error))
    except MemoryError:
        return _refused(called, "the machine ran out of memory.")
    except KeyboardInterrupt:
        return _refused(called, "stopped.", code=130)
    return 0 if arguments.is_whole(values) else 1


def _refused(called: str, why: str, code: int = 2) -> int:
    print(f"{called}: {why}", file=sys.stderr)
    return code


def _code_of(argv: Sequence[str] | None) -> int:
    """The exit code, also where the parser itself has the last word: help, the version, what it refuses."""
    try:
        return main(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0


def run_and_leave(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process here and now: taking torch down piece by piece would be another second.

    Nor is there any waiting for what is still being imported when pictures turn out to be unusable.
    """
    with open(os.devnull, "w") as nowhere:  # for what was closed (`>&-`): nor does a file of ours take its number
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
        try:
            code = _code_of(argv)
            sys.stdout.flush()
            sys.stderr.flush()
        except BrokenPipeError:  # whoever was reading has gone
            code = 1
        except OSError as error:  # what is printed goes to a file on a full disk, say
            print(f"{PROGRAM}: the result could not be printed ({error.strerror}).", file=sys.stderr)
            code = 2
        os._exit(code)


if __name__ == "__main__":
    run_and_leave()
