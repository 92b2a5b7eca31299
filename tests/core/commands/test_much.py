"""`advise`, `sweep` and `crossing`: what they print is what the page shows."""

import pytest

from core.advice import plans
from core.data.ingest import ingest
from core.runs.store import RunStore
from core.runs.studies import studies

QUICK = ("--epochs", "1", "--batch-size", "8", "--seeds", "0")


def test_advice_comes_with_its_evidence(asked, tiny_folder):
    found = asked("advise", "--data", str(tiny_folder))

    assert found["advice"]["headline"] and len(found["evidence"]["depths"]) == 9
    assert found["check"] is None and found["record"]["checks"] == 0
    assert RunStore().runs() == []


def test_a_sweep_says_accuracy_seconds_bytes_and_what_shifts_do(asked, few_folder):
    found = asked("sweep", "--data", str(few_folder), "--depths", "0,1", *QUICK)

    head, last = found["depths"]
    assert (head["label"], last["label"]) == ("head only", "last stage")
    assert 0 < head["changed_bytes"] < last["changed_bytes"] and head["seconds"] > 0
    assert set(head["shifted"]) == set(last["shifted"]) == {"blur", "noise", "JPEG", "darker", "other colours"}
    (study,) = studies(RunStore(), "sweep", ingest(few_folder).dataset.id)
    assert len(study.finished) == 2 and not study.is_active


def test_a_crossing_learns_from_as_many_pictures_as_it_says(asked, few_folder, monkeypatch: pytest.MonkeyPatch):
    for fewest in ("FEWEST_STEPS", "FEWEST_EPOCHS"):  # how many there are at least, test_plans.py says
        monkeypatch.setattr(plans, fewest, 1)
    found = asked("crossing", "--data", str(few_folder), "--sizes", "2,all", "--train-size", "96", *QUICK)

    assert len(found["curves"]) == 4 and all(curve["sizes"][0] == 2 for curve in found["curves"])
    assert found["growth"] is None, "two sizes are no curve"
    learnt = {run.settings.data.train_per_class for run in RunStore().runs(study="crossing")}
    assert learnt == {2, None}
