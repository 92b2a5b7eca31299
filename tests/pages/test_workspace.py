"""The Workspace page, and what every page is where strangers share the server."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import queue_runs
from streamlit.testing.v1 import AppTest

from core.data.ingest import ingest
from core.home import home_folder, within
from core.visitors.registry import Registry
from core.workspaces.room import board, find_room, join, open_room
from core.workspaces.workspace import find_workspace, new_workspace

Start = Callable[..., AppTest]


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_HOSTED", "1")


def words(at: AppTest) -> str:
    return " ".join(one.value for one in (*at.markdown, *at.caption, *at.code, *at.warning, *at.header, *at.subheader))


def test_on_a_computer_of_one_s_own_there_is_no_workspace(start: Start, thaw_home: Path):
    at = start("workspace.py")

    assert "Workspace" not in [title.value for title in at.title] and "w" not in at.query_params
    assert not (thaw_home / "workspaces.db").exists() and not (thaw_home / "workspaces").exists()


def test_a_visitor_s_key_leads_back_and_another_has_none_of_it(hosted: None, start: Start):
    at = start("workspace.py")
    key = at.query_params["w"]
    mine = find_workspace(key)
    assert mine is not None and key in words(at)
    with within(mine.id):
        queue_runs(mine.runs, 3)

    again, other = start("workspace.py", w=key), start("workspace.py")

    assert {metric.label: metric.value for metric in again.metric}["Runs"] == "3"
    assert {metric.label: metric.value for metric in other.metric}["Runs"] == "0"
    assert other.query_params["w"] != key


def test_a_link_that_opens_nothing_says_so_and_gives_no_one_that_key(hosted: None, start: Start):
    at = start("workspace.py", w="A" * 22)

    assert "opens no workspace any more" in words(at) and at.query_params["w"] != "A" * 22
    assert find_workspace("A" * 22) is None


def test_a_new_link_takes_the_old_one_s_place(hosted: None, start: Start):
    at = start("workspace.py")
    old = at.query_params["w"]

    at.button(key="workspace.change").click().run()

    new = at.query_params["w"]
    assert find_workspace(old) is None and find_workspace(new) is not None and new in words(at)


def test_whoever_joins_a_class_gets_its_pictures_and_settings(hosted: None, start: Start, tiny_folder: Path):
    teacher, _ = new_workspace()
    with within(teacher.id):
        dataset = ingest(tiny_folder).dataset
    code = open_room(teacher, dataset.id, "Biology 7b", {"epochs": "7"})
    room = find_room(code)
    assert room is not None

    at = start("glossary.py", **{"class": code})
    at.text_input(key="classroom.name").input("Ada")
    at.button(key="classroom.join").click().run()

    assert [entry.name for entry in board(room)] == ["Ada"]
    assert (at.query_params["data"], at.query_params["epochs"]) == (dataset.id, "7")
    assert "class" not in at.query_params and "Join Biology" not in words(at)


def test_a_name_that_is_on_the_board_is_refused_where_it_was_typed(hosted: None, start: Start, tiny_folder: Path):
    teacher, _ = new_workspace()
    with within(teacher.id):
        dataset = ingest(tiny_folder).dataset
    code = open_room(teacher, dataset.id, "Biology 7b", {})
    room = find_room(code)
    assert room is not None
    join(new_workspace()[0], room, "Ada")

    at = start("glossary.py", **{"class": code})
    at.text_input(key="classroom.name").input("ada")
    at.button(key="classroom.join").click().run()
    assert "ada is on the board already" in at.error[0].value
    at.text_input(key="classroom.name").input("Ada L.")
    at.button(key="classroom.join").click().run()

    assert not at.error and [entry.name for entry in board(room)] == ["Ada", "Ada L."]


def test_the_link_of_a_class_that_is_over_says_so(hosted: None, start: Start, tiny_folder: Path):
    (teacher, _), (student, key) = new_workspace(), new_workspace()
    with within(teacher.id):
        dataset = ingest(tiny_folder).dataset
    code = open_room(teacher, dataset.id, "Biology 7b", {})
    room = find_room(code)
    assert room is not None
    join(student, room, "Ada")
    teacher.delete()

    late, mine = start("glossary.py", **{"class": code}), start("workspace.py", w=key)

    assert "class is over" in words(late) and "classroom.name" not in [one.key for one in late.text_input]
    assert "Biology 7b" not in words(mine) and "your class sees" not in words(mine)


def test_a_zip_of_everything_takes_nothing_of_the_share(hosted: None, start: Start, tiny_folder: Path):
    mine, key = new_workspace()
    with within(mine.id):
        ingest(tiny_folder)
        (home_folder("runs", "a") / "large").write_bytes(bytes(5_000_000))
    at = start("workspace.py", w=key)
    before = {metric.label: metric.value for metric in at.metric}

    at.button(key="workspace.export").click().run()
    at.run()

    assert at.get("download_button") and {metric.label: metric.value for metric in at.metric} == before


def test_inside_how_much_and_learn_work_on_a_visitor_s_own_files(
    hosted: None, start: Start, tiny_folder: Path, thaw_home: Path, monkeypatch: pytest.MonkeyPatch
):
    (mine, key), (other, _) = new_workspace(), new_workspace()
    with within(mine.id):
        dataset = ingest(tiny_folder).dataset
    address = {"w": key, "data": dataset.id}

    inside = start("inside.py", view="sees", **address)
    assert not inside.error and "response " in words(inside), "a thread has looked at all pictures of this visitor"

    much = start("much.py", **address)
    much.button(key="much.look").click().run()
    assert not much.error and "In our own checks" in words(much)
    monkeypatch.setenv("THAW_FAIR_USE", '{"runs": 5}')
    much.button(key="much.check.start").click().run()
    assert "keeps 5 runs for each visitor; with these it would be 9" in much.error[0].value.replace("\\", "")
    assert mine.runs.count() == 0
    monkeypatch.delenv("THAW_FAIR_USE")
    much.button(key="much.check.start").click().run()
    assert not much.error and mine.runs.count() == 9

    learn = start("learn.py", **address)
    learn.radio(key="learn.finetune-or-freeze.prediction").set_value("same").run()
    learn.button(key="learn.finetune-or-freeze.lock").click().run()
    assert not learn.error and "You predicted" in words(learn) and mine.runs.count() == 15

    left = {path.name for home in (thaw_home, thaw_home / "workspaces" / other.id) for path in home.iterdir()}
    assert not left & {"lessons.json", "thaw.db", "runs", "features"} and other.runs.count() == 0
    assert (thaw_home / "workspaces" / mine.id / "lessons.json").is_file()
    assert [place for place, *_ in Registry().waiting()] == [mine.id], "the worker knows whose turn it is"


def test_the_board_shows_every_student_whole(hosted: None, start: Start, tiny_folder: Path):
    teacher, key = new_workspace()
    with within(teacher.id):
        dataset = ingest(tiny_folder).dataset
    room = find_room(open_room(teacher, dataset.id, "Biology 7b", {}))
    assert room is not None
    names = [f"Student *{number}* of a long family" for number in range(15)]
    for name in names:
        join(new_workspace()[0], room, name)

    at = start("workspace.py", w=key)

    (board_of_all,) = at.table
    assert [text.replace("\\", "") for text in board_of_all.value["Name"]] == names
    assert "\\*3\\*" in board_of_all.value["Name"][3], "a name is shown literally"
    assert list(board_of_all.value["Runs"]) == ["0"] * 15
