"""Commands as people and programs give them, in this process."""

import json
from typing import Any

import pytest
from helpers import Asked, Refused

from core.__main__ import main


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Asked:
    """What a command prints with --json; nothing may go to standard error. It ends with `code`: 1 for a part answer."""

    def answer(*arguments: str, code: int = 0) -> dict[str, Any]:
        ended = main([*arguments, "--json"])
        printed = capsys.readouterr()
        assert (ended, printed.err) == (code, "")
        return json.loads(printed.out)

    return answer


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one line that a command says before it ends with exit code 2."""

    def answer(*arguments: str) -> str:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        assert (code, printed.out) == (2, "")
        assert printed.err.endswith("\n") and printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        return printed.err

    return answer
