"""Against a real `mlflow server` on loopback, in an environment of its own: it may want other versions than Thaw."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from helpers import FinishedRace

from core.runs.record import load_record
from core.runs.store import RunStore
from core.tracking.export import export_missing
from core.tracking.remote import Remote, TrackerAway

mlflow = pytest.importorskip("mlflow", reason="pip install -r tests/requirements.txt")
pytestmark = [pytest.mark.slow, pytest.mark.takes(80)]  # in a new place it installs a server
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
INSTALLED = Path(os.environ.get("THAW_TEST_MLFLOW", Path(tempfile.gettempdir()) / f"thaw-mlflow-{os.getuid()}"))
"""Where the environment is kept from one run of the tests to the next."""


@pytest.fixture(scope="module")
def program() -> Path:
    """`mlflow`, whole; installed once."""
    python, found = INSTALLED / "bin" / "python", INSTALLED / "bin" / "mlflow"
    if not found.exists():
        uv, server = [sys.executable, "-m", "uv"], f"mlflow=={mlflow.__version__}"
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, INSTALLED], check=True)
        done = subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, server], timeout=900)
        if done.returncode:
            shutil.rmtree(INSTALLED)
            pytest.skip("mlflow cannot be installed here")
    return found


@pytest.fixture
def serve(program: Path, tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A server's address, and what starts it there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    kept = ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}", "--artifacts-destination", tmp_path / "kept"]
    command = [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *kept]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        with (tmp_path / "mlflow.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=tmp_path, env={**os.environ, **QUIET}, start_new_session=True
            )
        started.append(process)
        _wait_for(f"{address}/health", process)

    yield address, start
    for process in started:
        os.killpg(process.pid, 9)
        process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    last = time.monotonic() + 180
    while time.monotonic() < last and process.poll() is None:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    pytest.fail("the MLflow server did not start")


def tell_and_go(remote: Remote, *data: str, tell: Callable[..., None] = Remote.tell_data) -> None:
    tell(remote, *data)
    raise TrackerAway("gone")


def test_a_race_is_on_the_server_whole_and_once_though_it_was_away_and_then_cut_off(
    _race: FinishedRace,
    thaw_home: Path,
    serve: tuple[str, Callable[[], None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick_translation: None,
):
    shutil.copytree(_race.home, thaw_home, dirs_exist_ok=True)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    runs, (address, start) = RunStore().runs(["finished"]), serve
    with pytest.raises(TrackerAway, match="does not take runs"):
        export_missing(address)

    start()
    with monkeypatch.context() as patch:  # cut off where the files are to be sent
        patch.setattr(Remote, "tell_data", tell_and_go)
        with pytest.raises(TrackerAway):
            export_missing(address)
    assert {*export_missing(address).exported} == {run.id for run in runs}
    assert export_missing(address).exported == ()
    client = mlflow.MlflowClient(tracking_uri=address)
    found = client.search_runs([client.get_experiment_by_name("Thaw").experiment_id])
    assert len(found) == len(runs) + 1 and {run.info.status for run in found} == {"FINISHED"}
    for run in runs:
        record = load_record(run.id)
        (there,) = [one for one in found if one.data.tags.get("thaw.run") == run.id]
        losses = client.get_metric_history(there.info.run_id, "train_loss")
        assert [one.value for one in losses] == [epoch.train_loss for epoch in record.history], "none twice"
        assert there.inputs.dataset_inputs[0].dataset.digest == record.dataset.fingerprint[:36]
        package = client.download_artifacts(there.info.run_id, f"thaw-{run.id}.zip", str(tmp_path))
        onnx = client.download_artifacts(there.info.run_id, "model.onnx", str(tmp_path))
        with zipfile.ZipFile(package) as archive:
            assert archive.read("model.onnx") == Path(onnx).read_bytes()
