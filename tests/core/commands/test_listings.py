"""`runs`, `backbones` and `machine`: what is there."""

from dataclasses import replace

import pytest
from helpers import Asked, FinishedRace

from core.__main__ import main
from core.machine.devices import Device
from core.machine.speeds import WORKS, Peaks, load_speeds, save_peaks, save_speeds
from core.models.catalogue import BACKBONES
from core.runs.store import RunStore
from core.settings.schema import OptimSettings, RunSettings


def test_runs_lists_all_newest_first(asked: Asked, capsys: pytest.CaptureFixture[str], finished_race: FinishedRace):
    values = asked("runs")

    assert [run["scenario"] for run in values["runs"]] == ["finetuned", "frozen"]
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.count("test accuracy") == 2


def test_an_experiment_is_named_put_away_and_taken_back(asked: Asked, capsys: pytest.CaptureFixture[str]):
    store = RunStore()
    first, second = store.submit([RunSettings(), RunSettings(seed=1)], "tiny")
    other = store.submit([RunSettings(optim=OptimSettings(l2=0.5))], "tiny")[0]

    assert asked("label", first, "--name", "baseline", "--note", "as taught")["name"] == "baseline"
    assert asked("label", second, "--archived", "yes")["note"] == "as taught", "what is not given stays"

    assert [run["run"] for run in asked("runs")["runs"]] == [other]
    assert [run["name"] for run in asked("runs", "--archived")["runs"]] == ["", "baseline", "baseline"]
    assert main(["runs", "--archived"]) == 0
    assert capsys.readouterr().out.count("baseline: Frozen") == 2
    asked("label", first, "--archived", "no")
    assert len(asked("runs")["runs"]) == 3


def test_without_runs_there_is_a_hint(asked: Asked, capsys: pytest.CaptureFixture[str]):
    assert asked("runs") == {"runs": []}
    assert main(["runs"]) == 0
    assert "python -m core train" in capsys.readouterr().out


def test_backbones_lists_all_with_where_their_weights_are(asked: Asked):
    rows = {row["name"]: row for row in asked("backbones")["backbones"]}

    assert list(rows) == list(BACKBONES)
    assert rows["efficientnet_lite0"]["available"] and rows["efficientnet_lite0"]["weights"] == "ImageNet, packaged"
    assert not rows["resnet18"]["available"] and "not here" in rows["resnet18"]["weights"]


def test_machine_tells_what_was_measured(asked: Asked, capsys: pytest.CaptureFixture[str]):
    save_peaks(Peaks(matmul_fp32=111.0, matmul_bf16=222.0, conv_fp32=333.0, conv_bf16=444.0, memory=5.0, decode=6.0))
    values = asked("machine")
    lite0 = values["backbones"]["efficientnet_lite0"]

    assert values["peaks"]["matmul_bf16"] == 222.0 and values["machine"]["torch"]
    assert lite0["precision"] == dict.fromkeys(WORKS, "fp32") and lite0["probed"]["forward/fp32"] == 50.0
    assert main(["machine"]) == 0
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("222 GFLOP/s", "6 photos/s", "train-kept    fp32 50, bf16 40: fp32"))


def test_machine_tells_which_engine_was_faster(asked: Asked, capsys: pytest.CaptureFixture[str]):
    save_peaks(Peaks(matmul_fp32=111.0, matmul_bf16=222.0, conv_fp32=333.0, conv_bf16=444.0, memory=5.0, decode=6.0))
    speeds = load_speeds("efficientnet_lite0")
    assert speeds is not None
    save_speeds("efficientnet_lite0", replace(speeds, engines={"torch": 50.0, "onnxruntime": 77.0}))

    assert asked("machine")["backbones"]["efficientnet_lite0"]["engine"] == "onnxruntime"
    assert main(["machine"]) == 0
    printed = capsys.readouterr().out
    assert "forward fp32, torch: 50" in printed and "forward fp32, onnxruntime: 77" in printed


def test_machine_lists_each_card_with_its_speeds(
    asked: Asked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    card = Device(kind="cuda", name="A card", memory_bytes=8 * 1024**3)
    monkeypatch.setattr("core.machine.devices._may_have_more", lambda: True)
    monkeypatch.setattr("core.machine.devices._accelerators", lambda: (card,))
    save_peaks(Peaks(matmul_fp32=111.0, matmul_bf16=222.0, conv_fp32=333.0, conv_bf16=444.0, memory=5.0, decode=6.0))
    speeds = load_speeds("efficientnet_lite0")
    assert speeds is not None
    probed = {name: 100 * rate for name, rate in speeds.probed.items()}
    save_speeds("efficientnet_lite0", replace(speeds, probed=probed), "cuda")

    found = asked("machine")["devices"]

    assert [(row["kind"], row["name"]) for row in found] == [("cuda", "A card")]
    assert found[0]["backbones"]["efficientnet_lite0"]["probed"] == probed
    assert main(["machine"]) == 0
    assert "A card, 8 GB (cuda)" in (printed := capsys.readouterr().out) and "fp32 5000, bf16 4000: fp32" in printed
