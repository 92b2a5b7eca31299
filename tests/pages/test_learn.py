"""The Learn page: a prediction is locked, the experiment runs, and both stand side by side."""

import pytest

from core.data.dataset import load_stored
from core.lessons.progress import answers
from core.runs.deletion import delete_run
from core.runs.store import RunStore
from core.settings.schema import RunSettings


def texts(at) -> str:
    shown = (one.value for kind in ("markdown", "caption", "badge") for one in at.get(kind))
    return "\n".join(shown).replace("\\", "")


def lock(at, question: str, option: str):
    at.radio(key=f"learn.{question}.prediction").set_value(option).run()
    return at.button(key=f"learn.{question}.lock").click().run()


def test_lines_are_predicted_run_and_compared(start):
    at = start("learn.py", lesson="freezing")
    assert at.button(key="learn.out-features.lock").disabled, "nothing is predicted yet"

    lock(at, "out-features", "two")

    assert "not as you predicted" in texts(at) and "**1,000, as before**" in texts(at)
    assert "1 of 9 questions answered, 0 as you predicted" in texts(at)
    at.button(key="learn.out-features.again").click().run()
    assert answers() == {} and at.radio(key="learn.out-features.prediction").value is None


def test_the_code_is_the_lines_that_ran(start):
    at = lock(start("learn.py", lesson="module"), "state-dict", "buffers")

    assert "As you predicted".lower() in texts(at)
    at.session_state["learn.state-dict.code"] = True
    at.run()
    assert "network.named_parameters()" in at.code[0].value


@pytest.mark.parametrize(("better", "came_out"), [("finetuned", "finetuned"), ("frozen", "frozen"), (None, "same")])
def test_a_race_is_queued_and_its_lead_decides(start, complete, better, came_out):
    at = lock(start("learn.py"), "finetune-or-freeze", "same")
    answer = answers()["finetune-or-freeze"]
    runs = RunStore().runs(race=answer.race)
    assert len(runs) == 6 and "You predicted: **Within 2 points of each other**" in texts(at)

    test = load_stored(runs[0].settings.data.dataset).split(0, RunSettings().data).test
    for run in runs:
        complete(run.id, wrong=[] if run.settings.model.scenario == better else test[-20:])
    at.run()

    assert answers()["finetune-or-freeze"].came_out == came_out
    assert "Test accuracy: Fine-tuned" in texts(at)
    assert ("as you predicted" if came_out == "same" else "not as you predicted") in texts(at)


def test_what_came_out_stands_when_its_runs_are_deleted_even_while_their_code_is_open(start, complete):
    at = lock(start("learn.py"), "finetune-or-freeze", "same")
    runs = RunStore().runs(race=answers()["finetune-or-freeze"].race)
    for run in runs:
        complete(run.id)
    at.session_state["learn.finetune-or-freeze.code"] = True
    assert "torch" in at.run().code[0].value

    for run in runs:
        delete_run(RunStore(), run.id)
    at.run()

    assert "as you predicted" in texts(at) and "Its runs were deleted" in texts(at) and not at.code


def test_a_race_that_was_stopped_keeps_the_prediction_and_can_be_run_again(start):
    at = lock(start("learn.py"), "finetune-or-freeze", "frozen")
    store, first = RunStore(), answers()["finetune-or-freeze"].race
    for run in store.runs(race=first):
        store.cancel(run.id)
    at.run()
    assert "You predicted: **Frozen, by more than 2 points**" in texts(at)
    assert texts(at).count("topped") == 1, "said once, not run by run"

    at.button(key="learn.finetune-or-freeze.run").click().run()

    answer = answers()["finetune-or-freeze"]
    assert answer.race != first and answer.predicted == "frozen" and len(store.runs(race=answer.race)) == 6


def test_a_lesson_that_there_is_not_is_said(start):
    at = start("learn.py", lesson="nonsense")

    assert "lesson\\=nonsense" in at.error[0].value
    assert at.header[0].value.replace("\\", "").startswith("On these pictures, which network gets more")
