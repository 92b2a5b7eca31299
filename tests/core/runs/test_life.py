"""Processes are known by number and birth, and signs of life are counted by one clock only."""

import json
import os
import subprocess
import sys

import pytest
from helpers import REPOSITORY

from core.runs import life
from core.runs.life import Watch, identity, is_from_before, is_gone, is_here

TELL = "import json; from core.runs.life import identity; print(json.dumps(identity()), flush=True); input()"


def test_a_process_is_the_same_to_all_as_long_as_it_lives():
    with subprocess.Popen(
        [sys.executable, "-c", TELL], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told == identity(process.pid) and is_here(told) and not is_gone(told)

        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(told), "it has ended, though its number is still taken"
    assert is_gone(told)


def test_births_are_told_apart_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(life.sys, "platform", "darwin")
    me = identity()

    assert not is_gone(me) and is_gone({**me, "born": me["born"] + 1}) and is_gone({**me, "pid": 2**22 + 1})


def test_what_cannot_be_looked_up_is_never_gone_for_certain():
    me = identity()

    for name in ("host", "boot", "space"):
        other = {**me, name: "other", "born": 0}
        assert not is_here(other) and not is_gone(other)
    assert is_from_before({**me, "boot": "other"}) and not is_from_before(me)
    assert not is_from_before({"host": me["host"]}) and not is_gone({}) and not is_gone({"host": "elsewhere"})


def test_a_watch_counts_what_it_has_seen_itself(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(life.time, "monotonic", lambda: now)
    watch = Watch()
    watch.look("a", 1, beats=5, progress={"done": 1})
    now += 4
    seen = watch.look("a", 1, beats=6, progress={"done": 1}, asked=True)
    assert (seen.silent_s, seen.still_s, seen.asked_s) == (0, 4, 4)
    now += 1000
    seen = watch.look("a", 1, beats=6, progress={"done": 2}, asked=True)
    assert (seen.silent_s, seen.still_s, seen.asked_s) == (life.LOOK_S, 0, 4 + life.LOOK_S)

    watch.look("b", 1, beats=0)
    watch.keep_only("a", [])
    now += 1
    assert watch.look("a", 1, beats=6).silent_s == 0 and watch.look("b", 1, beats=0).silent_s == 1
