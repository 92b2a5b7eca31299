"""`deploy/compose.yaml`: what it names is there; and its services, started by its own commands, train a race."""

import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from composed import Composed, Container, identities, of_image, read, what_is_missing, words, write_programs
from helpers import REPOSITORY

FILE = REPOSITORY / "deploy" / "compose.yaml"
TOLD = dict(
    line.split("=", 1)
    for line in (REPOSITORY / "deploy" / "example.env").read_text().splitlines()
    if line and not line.startswith("#")
)
"""What the example asks for."""
SECRETS = {name: value or secrets.token_hex(16) for name, value in TOLD.items()}
PATIENCE_S = 600.0


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return read(FILE, SECRETS)


def test_the_example_names_what_must_have_a_value(services: dict[str, Any]):
    needed = set(re.findall(r"\$\{(\w+):\?\}", FILE.read_text()))

    assert needed <= TOLD.keys()
    assert {name for name, value in TOLD.items() if not value} <= needed, "an empty value has a use"


def test_services_wait_for_what_can_be_waited_for(services: dict[str, Any]):
    for rows in services.values():
        waits = rows.get("depends_on", {})
        assert set(waits) <= services.keys()
        for other in waits if isinstance(waits, dict) else ():
            if waits[other]["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"]
            else:
                assert services[other].get("restart") is None, "what is started again is never done"


def test_services_of_our_image_say_what_thaw_reads(services: dict[str, Any]):
    """A name that is written otherwise than in the page on clusters would be without effect."""
    documents = (REPOSITORY / "docs" / "cluster.md").read_text() + (REPOSITORY / "docs" / "store.md").read_text()
    ours = {name: rows for name, rows in services.items() if rows["image"] == "thaw-cluster"}

    assert set(ours) == {"app", "head", "worker"}
    for rows in ours.values():
        environment = rows["environment"]
        names = {name for name in environment if name.startswith("THAW_")}
        assert all(f"`{name}" in documents for name in names)
        assert environment["THAW_HOSTED"] == "" != of_image()["THAW_HOSTED"]
        assert not re.search(r"\$\{?\w", json.dumps(rows["environment"])), "everything has a value"


def test_the_images_own_check_is_asked_of_the_app_only(services: dict[str, Any]):
    """It asks the app's port: any other service of the image would never be healthy."""
    assert "7860/health" in (REPOSITORY / "Dockerfile").read_text()
    for name in ("head", "worker"):
        check = services[name]["healthcheck"]
        assert check.get("disable") or check["test"]
    assert "healthcheck" not in services["app"]
    assert services["app"]["ports"] == ["127.0.0.1:7860:7860"]


def test_the_stores_keys_are_those_that_thaw_has(services: dict[str, Any]):
    whole = yaml.safe_load(FILE.read_text())
    (config,) = services["objects"]["configs"]
    row = {**whole["configs"][config["source"]]}
    row["content"] = row["content"].replace("${S3_KEY:?}", "key").replace("${S3_SECRET:?}", "word")
    (found,) = identities(row)["identities"]

    assert found["credentials"] == [{"accessKey": "key", "secretKey": "word"}]
    assert f"-s3.config={config['target']}" in words(services["objects"]["command"])
    named = {volume.partition(":")[0] for rows in services.values() for volume in rows.get("volumes", [])}
    assert named == set(whole["volumes"])


def test_several_machines_reach_what_one_has(services: dict[str, Any]):
    class WithReset(yaml.SafeLoader):
        """compose's own tag, by which a list is not added to but emptied."""

    WithReset.add_constructor("!reset", lambda loader, node: loader.construct_sequence(node))
    more = yaml.load((FILE.parent / "machines.yaml").read_text(), WithReset)["services"]
    ours = {name for name, rows in services.items() if rows["image"] == "thaw-cluster"}

    assert {name for name, rows in more.items() if rows.get("network_mode") == "host"} == ours
    assert more["app"]["ports"] == [] and more["app"]["environment"]["STREAMLIT_SERVER_ADDRESS"] == "127.0.0.1"
    (port,) = more["objects"]["ports"]
    assert port.split(":") == [services["app"]["environment"]["AWS_ENDPOINT_URL"].rpartition(":")[2]] * 2
    assert more["database"]["ports"] == ["5432:5432"], "an address of PostgreSQL without a port means this one"
    elsewhere = read(FILE, {**SECRETS, "RAY_HEAD": "first:1", "DATABASE_HOST": "first", "OBJECTS_HOST": "first"})
    for rows in (elsewhere[name] for name in ours):
        asked = rows["environment"]
        assert "@first/" in asked["THAW_DATABASE"] and "//first:" in asked["AWS_ENDPOINT_URL"]
        assert asked["THAW_RAY_ADDRESS"] == "first:1"
    assert "--address=first:1" in words(elsewhere["worker"]["command"])


SUBMIT = """
import json, sys
from dataclasses import replace
from core.data.ingest import ingest
from core.runs.race import plan_race, submit
from core.runs.store import RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
dataset = ingest("builtin")
optim = OptimSettings(epochs=int(sys.argv[1]), batch_size=8, train_size=96)
plan = RunSettings(model=ModelSettings(weights="none"), optim=optim)
plan = replace(plan, data=replace(plan.data, dataset=dataset.dataset.id))
print(json.dumps(submit(RunStore(), plan_race(plan, ["finetuned", "scratch"], range(2)), dataset, as_race=True)))
"""
LOOK = """
import json, sys
from core.runs.store import RunStore
runs = RunStore().runs(ids=sys.argv[1:])
rows = [[run.state, (run.worker or {}).get("host", ""), run.attempt, run.cause, len(run.epochs or [])] for run in runs]
print(json.dumps(rows))
"""
READ = """
import sys
from core.runs.record import load_predictions, load_record
for id_ in sys.argv[1:]:
    assert load_predictions(id_).probabilities.size and load_record(id_).threads == 1
"""


@pytest.fixture
def composed(services: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Composed]:
    missing = what_is_missing()
    if missing:
        pytest.skip(missing)
    pytest.importorskip("ray", reason="the extra `ray` is not installed: pip install 'thaw-lab[ray]'")
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    write_programs(tmp_path / "programs", programs)
    with_one_core = {**SECRETS, "WORKER_CORES": "1"}
    composed = Composed(read(FILE, with_one_core), tmp_path, {"worker": 2})
    try:
        yield composed
    finally:
        composed.down()


def asked(app: Container, code: str, *arguments: str) -> Any:
    said = app.run("python", "-c", code, *arguments)
    return json.loads(said.splitlines()[-1]) if said.strip() else None


def until_ended(composed: Composed, ids: list[str], meanwhile: Any = lambda rows: None) -> list[list[Any]]:
    end = time.monotonic() + PATIENCE_S
    while True:
        composed.tend()
        rows = asked(composed.containers["app"], LOOK, *ids)
        if all(state not in ("queued", "running") for state, *_ in rows):
            return rows
        assert time.monotonic() < end, (rows, composed.log("app"), composed.log("head"), composed.log("worker-1"))
        meanwhile(rows)
        time.sleep(1.0)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.postgres
def test_a_race_in_the_apps_queue_trains_on_the_workers_also_after_the_head_was_lost(composed: Composed):
    composed.up()
    app, hosts = composed.containers["app"], set[str]()
    composed.healthy_at("app", "http://127.0.0.1:7860/health")

    ids = asked(app, SUBMIT, "2")
    rows = until_ended(composed, ids, lambda rows: hosts.update(host for _, host, *_ in rows))

    assert [row[0] for row in rows] == ["finished"] * 4, rows
    assert hosts - {"", "app"} == {"worker-1", "worker-2"}
    app.run("python", "-c", READ, *ids)

    lost = list[str]()

    def lose(rows: list[list[Any]]) -> None:
        if not lost and any(row[4] for row in rows):
            composed.kill("head")
            lost.append("head")

    ids = asked(app, SUBMIT, "3")
    rows = until_ended(composed, ids, lose)
    assert lost and [row[0] for row in rows] == ["finished"] * 4, rows
