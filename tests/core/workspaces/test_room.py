"""A class: the same pictures and settings for all, one board, and nothing else of anybody."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import queue_runs

from core.comparison.race_verdict import race_verdict
from core.data.dataset import delete_stored, load_stored, stored_ids
from core.data.ingest import ingest
from core.errors import DatasetError, SettingsError, WorkspaceError
from core.home import within
from core.runs.line import everybody_waiting, line_of
from core.visitors.registry import Registry
from core.workspaces.room import (
    board,
    close_room,
    find_room,
    gathered,
    is_over,
    join,
    leave,
    open_room,
    room_of,
    rooms_of,
)
from core.workspaces.workspace import Workspace, new_workspace


@pytest.fixture
def lesson(a: Workspace, tiny_folder: Path) -> str:
    """The code of a class that `a` teaches."""
    with within(a.id):
        dataset = ingest(tiny_folder).dataset
    return open_room(a, dataset.id, "Biology 7b", {"epochs": "3"})


def test_a_code_is_read_however_it_is_typed(a: Workspace, lesson: str):
    found = find_room(f" {lesson[:5].lower()}-{lesson[5:]} ")

    assert found is not None and found.title == "Biology 7b" and found.address == {"epochs": "3"}
    assert rooms_of(a) == [found]
    assert find_room("ABCDEFGHJK") is None and find_room("") is None


def test_students_get_the_pictures_a_name_and_seeds_of_their_own(a: Workspace, b: Workspace, lesson: str):
    room, other = find_room(lesson), new_workspace()[0]
    assert room is not None

    assert [join(b, room, "Ada"), join(other, room, "Emmy  Noether"), join(b, room, "Ada L.")] == [0, 100, 0]
    assert room_of(b) == room
    assert [(entry.place, entry.name) for entry in board(room)] == [(1, "Ada L."), (2, "Emmy Noether")]
    with within(b.id):
        assert stored_ids() == [room.dataset]
        delete_stored(room.dataset)
    with within(a.id):
        assert load_stored(room.dataset).title
    leave(b)
    assert room_of(b) is None and [entry.name for entry in board(room)] == ["Emmy Noether"]


def test_lent_pictures_are_of_the_student_s_share(b: Workspace, lesson: str, monkeypatch: pytest.MonkeyPatch):
    room = find_room(lesson)
    assert room is not None
    monkeypatch.setenv("THAW_FAIR_USE", '{"pictures": 5}')

    with pytest.raises(WorkspaceError, match="keeps 5 pictures for each visitor"):
        join(b, room, "Ada")

    assert board(room) == [] and room_of(b) is None
    with within(b.id):
        assert stored_ids() == []


@pytest.mark.parametrize("name", ["", "   ", "\u0000", "\u3164 \u2800", "x" * 41])
def test_nobody_joins_without_a_name_that_can_be_shown(b: Workspace, lesson: str, name: str):
    room = find_room(lesson)
    assert room is not None

    with pytest.raises(SettingsError, match="1 to 40"):
        join(b, room, name)
    assert board(room) == []


@pytest.mark.parametrize("taken", ["Ada", "ada", "\uff21da", "  ADA ", "Ada\u3164", "A\u034fda\ufe0f"])
def test_no_two_on_a_board_have_one_name(b: Workspace, lesson: str, taken: str):
    room, other = find_room(lesson), new_workspace()[0]
    assert room is not None
    join(b, room, "Ada")

    with pytest.raises(SettingsError, match=r"is on the board already.*Add an initial or a number"):
        join(other, room, taken)

    assert [entry.name for entry in board(room)] == ["Ada"] and room_of(other) is None
    with within(other.id):
        assert stored_ids() == [], "no pictures of a class that was not joined"
    assert [join(other, room, "Ada L."), join(b, room, "ada")] == [100, 0], "one's own name may be written otherwise"
    leave(b)
    assert join(new_workspace()[0], room, "Ada") == 200


def test_of_many_who_join_at_once_one_gets_the_name(a: Workspace, lesson: str):
    room = find_room(lesson)
    assert room is not None
    registry, refused = Registry(), list[str]()
    students = [new_workspace()[0].id for _ in range(8)]

    def take_part(student: str) -> None:
        try:
            registry.join(student, room.id, "Ada")
        except SettingsError:
            refused.append(student)

    threads = [threading.Thread(target=take_part, args=(student,)) for student in students]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(board(room)) == 1 and len(refused) == 7


def test_the_board_has_the_class_s_runs_and_no_others(
    b: Workspace, lesson: str, bring_race: Callable[[Workspace], int]
):
    room, other = find_room(lesson), new_workspace()[0]
    assert room is not None
    for student, name in ((b, "Ada"), (other, "Emmy")):
        join(student, room, name)
        assert bring_race(student) == 2
    with within(other.id):
        queue_runs(other.runs)  # of other pictures, and not finished
    bring_race(new_workspace()[0])

    assert [(entry.name, len(entry.runs)) for entry in board(room)] == [("Ada", 2), ("Emmy", 2)]
    verdict = race_verdict(gathered(board(room)))
    assert [arm.seeds for arm in verdict.arms] == [(0,), (0,)], "the same run of two students counts once"


def test_a_class_that_is_over_opens_nothing_and_takes_nothing(a: Workspace, b: Workspace, lesson: str):
    room = find_room(lesson)
    assert room is not None
    join(b, room, "Ada")
    close_room(b, room)
    assert find_room(lesson) == room, "who does not teach it cannot end it"

    close_room(a, room)

    assert find_room(lesson) is None and room_of(b) is None
    with within(b.id):
        assert stored_ids() == [room.dataset]


def test_who_joins_a_class_that_ended_meanwhile_is_in_none(a: Workspace, b: Workspace, lesson: str):
    room = find_room(lesson)
    assert room is not None
    close_room(a, room)

    with pytest.raises(WorkspaceError, match=r"^The class is over\.$"):
        join(b, room, "Ada")

    assert b.place.room is None
    with within(b.id):
        assert stored_ids() == []


def test_a_teacher_who_deletes_everything_ends_the_class(a: Workspace, b: Workspace, lesson: str):
    room, student = find_room(lesson), new_workspace()[0]
    assert room is not None
    join(student, room, "Emmy")
    assert not is_over(room)
    a.delete()

    assert find_room(lesson) is None and is_over(room)
    assert room_of(student) is None and student.place.room is None, "nobody sees its runs any more"
    with pytest.raises((DatasetError, WorkspaceError)):
        join(b, room, "Ada")


def test_a_place_in_line_counts_the_runs_of_others_and_says_no_more(a: Workspace, b: Workspace):
    for owner, count in ((a, 5), (b, 2)):
        with within(owner.id):
            queue_runs(owner.runs, count)

    waiting = everybody_waiting()
    first, second = line_of(a.id, waiting), line_of(b.id, waiting)

    assert first is not None and (first.first, first.before_last, first.seconds) == (0, 2, None)
    assert second is not None and (second.first, second.before_last) == (1, 2)
    Registry().add_training(a.id, 30)
    late = line_of(b.id, everybody_waiting())
    assert late is not None and late.seconds == 60
    assert line_of(new_workspace()[0].id, waiting) is None
