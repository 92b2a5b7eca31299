"""Runs are on the tracker once, with all that they say, however often it was away; against MLflow's own client."""

import json
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from helpers import FinishedRace, claim_run, queue_runs

from core.__main__ import main
from core.comparison.wording import per_cent
from core.errors import SettingsError
from core.runs.exports import Exports
from core.runs.record import load_record
from core.runs.store import RunStore
from core.tracking import beside, export
from core.tracking.address import checked_address, name_of, shown_address
from core.tracking.export import export_missing
from core.tracking.remote import Remote, TrackerAway
from core.tracking.values import conclusion_over, race_title_of

mlflow = pytest.importorskip("mlflow", reason="pip install -r tests/requirements.txt")


@pytest.fixture
def own_race(_race: FinishedRace, thaw_home: Path) -> Path:
    """Records and rows of the finished race in this test's own home."""
    for path in (_race.home / "thaw.db", *_race.home.glob("runs/*/record.json")):
        copy = thaw_home / path.relative_to(_race.home)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return thaw_home


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in which MLflow's client keeps what a server would."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("THAW_MLFLOW", (tmp_path / "mlruns").as_uri())
    return checked_address()


@pytest.fixture
def packed_at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is packed, without what takes seconds: `tests/core/takehome` is about that."""
    from core.takehome import export as takehome

    packed: list[str] = []

    def pack(run: str, target: Path) -> None:
        packed.append(run)
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("model.onnx", run)
            archive.writestr("README.md", run)

    monkeypatch.setattr(takehome, "export_run", pack)
    return packed


def remembered(address: str) -> dict[str, Any]:
    """All of MLflow's runs by the id of Thaw's run, or of its race."""
    client = mlflow.MlflowClient(tracking_uri=address)
    places = [one.experiment_id for one in client.search_experiments() if one.name == "Thaw"]
    found = client.search_runs(places)
    return {run.data.tags.get("thaw.run") or run.data.tags["thaw.parent"]: run for run in found}


def test_a_race_is_a_parent_with_a_child_for_each_run(own_race: Path, address: str, packed_at_once: list[str]):
    runs = RunStore().runs(["finished"])

    sent = export_missing(address)

    client, found = mlflow.MlflowClient(tracking_uri=address), remembered(address)
    assert set(sent.exported) == {run.id for run in runs} == set(packed_at_once) and sent.left == 0
    parent = found[str(runs[0].race)]
    assert len(found) == len(runs) + 1 and parent.info.status == "FINISHED"
    for run in runs:
        record, there = load_record(run.id), found[run.id]
        assert there.info.status == "FINISHED" and there.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert there.data.params["model.scenario"] == run.settings.model.scenario
        rate, solved = there.data.params.get("optim.lr"), run.settings.model.scenario == "frozen"
        assert rate is None if solved else float(rate) == run.settings.rates[0], "defaults are written out"
        assert there.data.params["data.fingerprint"] == record.dataset.fingerprint
        assert there.data.params["split.hash"] == record.split.hash
        assert there.data.metrics["test_accuracy"] == record.test_accuracy
        assert there.data.metrics["time/total_s"] == record.duration_s
        losses = client.get_metric_history(there.info.run_id, "val_loss")
        assert [(one.step, one.value) for one in losses] == [(one.epoch, one.val_loss) for one in record.history]
        assert sorted(one.path for one in client.list_artifacts(there.info.run_id)) == [
            "README.md",
            "model.onnx",
            f"thaw-{run.id}.zip",
        ]
        mean = parent.data.metrics[f"test_accuracy/{run.settings.model.scenario}"]
        assert mean == record.test_accuracy


def test_nothing_is_sent_twice(own_race: Path, address: str, packed_at_once: list[str]):
    first = export_missing(address)

    assert export_missing(address).exported == ()
    assert len(packed_at_once) == len(first.exported) == Exports(name_of(address)).count()


@pytest.mark.parametrize("moment", ["begin", "tell", "tell_data", "keep", "end", "note"])
def test_what_was_cut_off_goes_on_where_it_stood(
    own_race: Path, address: str, packed_at_once: list[str], monkeypatch: pytest.MonkeyPatch, moment: str
):
    owner: type = Exports if moment == "note" else Remote
    whole = getattr(owner, moment)

    def cut_off(self: Any, *args: Any, **values: Any) -> None:
        whole(self, *args, **values)
        raise TrackerAway("gone after that")

    with monkeypatch.context() as patch:
        patch.setattr(owner, moment, cut_off)
        with pytest.raises(TrackerAway):
            export_missing(address)
    export_missing(address)

    runs = RunStore().runs(["finished"])
    assert set(remembered(address)) == {str(runs[0].race), *(run.id for run in runs)}
    assert {run.info.status for run in remembered(address).values()} == {"FINISHED"}
    client = mlflow.MlflowClient(tracking_uri=address)
    places = [one.experiment_id for one in client.search_experiments()]
    assert len(client.search_runs(places)) == len(runs) + 1


def test_runs_that_failed_are_there_with_their_cause(address: str):
    store = RunStore()
    failed, stopped = queue_runs(store, 2)
    run = claim_run(store)
    store.report(run, epochs=[])
    store.end(run, "failed", cause="The disk was full.")
    store.cancel(stopped)

    export_missing(address)

    found = remembered(address)
    assert {name: run.info.status for name, run in found.items()} == {failed: "FAILED", stopped: "KILLED"}
    assert found[failed].data.tags["mlflow.note.content"] == "The disk was full."


def test_a_run_without_its_files_is_left_out_and_stops_no_other(
    own_race: Path, address: str, packed_at_once: list[str]
):
    first, *others = RunStore().runs(["finished"])
    (own_race / "runs" / first.id / "record.json").unlink()

    sent = export_missing(address)

    assert sent.left == 1 and set(sent.exported) == {run.id for run in others}


def test_a_run_that_cannot_be_packed_says_why_there_and_is_not_sent_again(own_race: Path, address: str):
    sent = export_missing(address)  # of its runs only the records are here

    why = {name: run.data.tags.get("thaw.not_packed", "") for name, run in remembered(address).items()}
    assert all("missing or damaged" in why[run] for run in sent.exported) and sent.exported
    assert export_missing(address).exported == ()


def test_two_never_export_at_once(own_race: Path, address: str):
    with Exports(name_of(address)).alone() as mine, Exports(name_of(address)).alone() as also_mine:
        assert mine and not also_mine
        assert export_missing(address).busy
    with Exports(name_of(address)).alone() as mine:
        assert mine


def test_the_exporter_catches_up_when_the_server_comes_back(
    own_race: Path, address: str, packed_at_once: list[str], monkeypatch: pytest.MonkeyPatch
):
    stop, tries = threading.Event(), list[str]()
    monkeypatch.setattr(beside, "PATIENCE_S", (0.0,))

    def export_if_there(*args: Any, **values: Any) -> export.Sent:
        tries.append("")
        if len(tries) < 3:
            raise TrackerAway("it is down") if len(tries) == 1 else ValueError("nobody expected that")
        stop.set()
        return export_missing(address)

    monkeypatch.setattr(export, "export_missing", export_if_there)
    beside.follow(stop, look_s=0.0)

    assert len(tries) == 3 and Exports(name_of(address)).count() == len(RunStore().runs(["finished"]))


def test_the_command_says_what_is_there(
    own_race: Path, address: str, packed_at_once: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(["track", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert len(values["exported"]) == values["there"] == len(packed_at_once) and values["unreadable"] == 0
    assert main(["track"]) == 0
    assert capsys.readouterr().out.startswith(f"0 runs sent; {values['there']} in all on file://")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "THAW_MLFLOW names no MLflow server"),
        ({"THAW_MLFLOW": "http://x", "THAW_HOSTED": "1"}, "THAW_MLFLOW names no MLflow server"),
        ({"THAW_MLFLOW": "nonsense"}, "THAW_MLFLOW is nonsense, which is no address"),
        ({"THAW_MLFLOW": "http://x", "THAW_OFFLINE": "1"}, "THAW_OFFLINE forbids"),
    ],
)
def test_nothing_is_sent_where_nobody_may(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=sentence):
        checked_address()


def test_a_password_is_neither_shown_nor_kept():
    assert shown_address("http://u:secret@h:5000/") == "http://h:5000/"
    assert name_of("http://u:secret@h:5000/") == name_of("http://h:5000")


def test_a_server_that_is_not_there_is_a_sentence(own_race: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(TrackerAway, match=r"The MLflow server http://127.0.0.1:9 does not take runs"):
        export_missing("http://u:secret@127.0.0.1:9")


def test_a_race_is_called_by_what_it_compares_and_described_by_what_it_has_shown(finished_race: FinishedRace):
    runs = RunStore().runs(["finished"])

    assert race_title_of(runs) == f"Frozen and Fine-tuned on {runs[0].dataset_title}, 1 seed"
    said = conclusion_over(runs)
    assert all(f"{per_cent(load_record(run.id).test_accuracy)} (" in said for run in runs)
    assert conclusion_over(runs[:1]) == "", "it compares nothing"
