"""`workspaces`: what a server that strangers share has, for whoever runs it."""

from pathlib import Path

import pytest
from helpers import Asked

from core.__main__ import main
from core.home import home_folder, within
from core.workspaces.workspace import new_workspace


@pytest.fixture(autouse=True)
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_HOSTED", "1")


def test_all_are_listed_and_one_is_deleted(asked: Asked, capsys: pytest.CaptureFixture[str], thaw_home: Path):
    first, second = (new_workspace()[0].id for _ in range(2))
    with within(second):
        (home_folder("runs") / "some").write_bytes(bytes(300_000))

    rows = asked("workspaces")["workspaces"]
    assert [(row["workspace"], row["megabytes"], row["runs"]) for row in rows] == [(first, 0.0, 0), (second, 0.3, 0)]
    assert main(["workspaces"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [first, second]

    assert [row["workspace"] for row in asked("workspaces", "--delete", second)["workspaces"]] == [first]
    assert [path.name for path in (thaw_home / "workspaces").iterdir()] == [first]


def test_one_that_cannot_be_read_is_listed_beside_the_others_and_can_be_deleted(
    asked: Asked, capsys: pytest.CaptureFixture[str], thaw_home: Path
):
    damaged, sound = (new_workspace()[0].id for _ in range(2))
    (thaw_home / "workspaces" / damaged / "thaw.db").write_bytes(b"no database" * 1000)

    rows = {row["workspace"]: row for row in asked("workspaces")["workspaces"]}
    assert "is damaged" in rows[damaged]["unreadable"] and rows[sound]["runs"] == 0
    assert main(["workspaces"]) == 0
    assert "is damaged" in capsys.readouterr().out

    assert [row["workspace"] for row in asked("workspaces", "--delete", damaged)["workspaces"]] == [sound]


def test_those_whose_time_is_up_go_when_asked(asked: Asked, monkeypatch: pytest.MonkeyPatch):
    new_workspace()
    monkeypatch.setattr("core.workspaces.sweeper.GRACE_S", -100 * 24 * 3600.0)

    assert asked("workspaces", "--sweep") == {"workspaces": [], "swept": 1}
    assert main(["workspaces"]) == 0
