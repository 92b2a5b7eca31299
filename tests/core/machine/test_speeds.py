"""What is remembered about this machine's speed, and what is made of it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import ENDLESS, files_no_longer_than

from core.machine import speeds
from core.machine.facts import this_machine
from core.machine.speeds import (
    SLOWEST,
    WORKS,
    Peaks,
    Speeds,
    load_peaks,
    load_speeds,
    remember_seen,
    save_peaks,
    save_speeds,
)

PEAKS = Peaks(matmul_fp32=100.5, matmul_bf16=200.0, conv_fp32=90.0, conv_bf16=150.0, memory=12.3, decode=321.0)


def probed(fp32: float = 100.0, bf16: float = 50.0) -> dict[str, float]:
    return {f"{work}/{precision}": rate for work in WORKS for precision, rate in (("fp32", fp32), ("bf16", bf16))}


def known(**changes: Any) -> Speeds:
    return Speeds(**{"threads": 2, "probed": probed(), **changes})


@pytest.fixture(autouse=True)
def file(thaw_home: Path) -> Path:
    """Where speeds are kept; nothing is known."""
    path = thaw_home / "speeds.json"
    path.unlink()
    return path


@pytest.mark.parametrize(
    ("bf16", "expected"), [(50.0, "fp32"), (100.0, "fp32"), (101.9, "fp32"), (102.1, "bf16"), (300.0, "bf16")]
)
@pytest.mark.parametrize("work", WORKS)
def test_half_the_digits_are_taken_only_where_they_are_clearly_faster(work: str, bf16: float, expected: str):
    found = known(probed={**probed(), f"{work}/bf16": bf16})

    assert found.precision(work) == expected
    assert [found.precision(other) for other in WORKS if other != work] == ["fp32"] * 2


@pytest.mark.parametrize(
    ("engines", "expected"),
    [
        ({}, "torch"),
        ({"torch": 100.0}, "torch"),
        ({"torch": 100.0, "onnxruntime": 90.0}, "torch"),
        ({"torch": 100.0, "onnxruntime": 109.0}, "torch"),
        ({"torch": 100.0, "onnxruntime": 111.0}, "onnxruntime"),
    ],
    ids=str,
)
def test_another_engine_is_taken_only_where_it_is_worth_a_copy_of_the_weights(engines: dict[str, float], expected: str):
    save_speeds("resnet18", known(engines=engines))

    assert known(engines=engines).engine == expected
    assert load_speeds("resnet18") == known(engines=engines)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [(80.0, 80.0), (120.0, 120.0), (1.0, SLOWEST * 100), (1000.0, 1000.0), (None, 100.0)],
    ids=["slower", "faster", "disturbed", "beyond belief", "never"],
)
def test_the_next_run_is_expected_to_be_as_the_last_within_reason(seen: float | None, expected: float):
    found = known(seen={} if seen is None else {"train-kept/fp32": seen})

    assert found.rate("train-kept", "fp32") == pytest.approx(expected)
    assert found.rate("train-kept", "bf16") == 50.0 and found.rate("forward", "fp32") == 100.0


def test_what_a_probe_found_comes_back_for_that_backbone_only():
    save_speeds("resnet18", known())
    save_speeds("resnet50", known(threads=7))

    assert load_speeds("resnet18") == known()
    assert load_speeds("resnet50") == known(threads=7)
    assert load_speeds("vgg16") is None


def test_a_run_is_remembered_beside_the_probe_and_the_last_one_counts():
    save_speeds("resnet18", known())
    for rate in (70.0, 66.666):
        remember_seen("resnet18", "forward", "bf16", rate)
    remember_seen("resnet18", "train-kept", "fp32", 10.0)

    assert load_speeds("resnet18") == known(seen={"forward/bf16": 66.67, "train-kept/fp32": 10.0})


def test_a_run_without_a_probe_is_forgotten(file: Path):
    remember_seen("resnet18", "forward", "fp32", 70.0)
    assert load_speeds("resnet18") is None and not file.exists()

    save_speeds("resnet18", known())
    assert load_speeds("resnet18") == known()


def test_a_new_probe_forgets_what_runs_saw():
    save_speeds("resnet18", known())
    remember_seen("resnet18", "forward", "fp32", 70.0)
    save_speeds("resnet18", known(threads=1))

    assert load_speeds("resnet18") == known(threads=1)


def test_who_measures_at_the_same_time_loses_nobody_s_figures():
    backbones = [f"net{number}" for number in range(8)]

    with ThreadPoolExecutor(len(backbones)) as pool:
        list(pool.map(lambda name: save_speeds(name, known()), backbones))
        list(pool.map(lambda work: remember_seen("net0", work, "fp32", 90.0), WORKS))

    assert [name for name in backbones if load_speeds(name) is None] == []
    assert load_speeds("net0") == known(seen={f"{work}/fp32": 90.0 for work in WORKS})


def test_peaks_come_back_beside_the_speeds_of_backbones():
    assert load_peaks() is None
    save_speeds("resnet18", known())
    save_peaks(PEAKS)

    assert load_peaks() == PEAKS
    assert load_speeds("resnet18") == known()


def test_peaks_are_shown_with_every_number_and_its_unit():
    rows = PEAKS.rows()

    assert [value.split()[0] for _, value in rows] == ["100", "200", "90", "150", "12", "321"]
    assert all(what and value.endswith("/s") for what, value in rows)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "3", "\x00", "[" * 10**6, '{"a": 1}', '{"a": {"resnet18": 1}}'],
    ids=lambda text: repr(text[:30]),
)
def test_a_damaged_file_is_forgotten_and_written_anew(file: Path, content: str):
    file.write_text(content)
    assert load_speeds("resnet18") is None and load_peaks() is None

    save_speeds("resnet18", known())
    assert load_speeds("resnet18") == known()


def test_bytes_that_are_no_text_are_forgotten(file: Path):
    file.write_bytes(b"\xff\xfe{}")

    assert load_speeds("resnet18") is None


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field less": lambda rows: rows["resnet18"].pop("seen"),
    "a field more": lambda rows: rows["resnet18"].update(unit="ms"),
    "a peak less": lambda rows: rows["peaks"].pop("decode"),
    "no fields": lambda rows: rows.update(resnet18=5),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_of_another_version_is_measured_anew(file: Path, change: Callable[[dict[str, Any]], object]):
    save_speeds("resnet18", known())
    save_peaks(PEAKS)
    table = json.loads(file.read_text())
    change(table[speeds._machine_key()])
    file.write_text(json.dumps(table))

    assert load_speeds("resnet18") is None and load_peaks() is None
    save_speeds("resnet18", known())
    assert load_speeds("resnet18") == known()


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "a rate less": lambda speeds: speeds["probed"].pop("forward/bf16"),
    "a rate more": lambda speeds: speeds["probed"].update({"backward/fp32": 1.0}),
    "a rate in words": lambda speeds: speeds["probed"].update({"forward/bf16": "fast"}),
    "no rate": lambda speeds: speeds["probed"].update({"forward/bf16": None}),
    "a rate of nothing": lambda speeds: speeds["probed"].update({"forward/fp32": 0}),
    "a negative rate": lambda speeds: speeds["seen"].update({"forward/fp32": -1.0}),
    "an endless rate": lambda speeds: speeds["seen"].update({"forward/fp32": float("inf")}),
    "seen at no work": lambda speeds: speeds["seen"].update({"sleep/fp32": 1.0}),
    "rates in a list": lambda speeds: speeds.update(probed=[1, 2]),
    "no threads": lambda speeds: speeds.update(threads=0),
    "threads in words": lambda speeds: speeds.update(threads="two"),
    "half a thread": lambda speeds: speeds.update(threads=0.5),
    "an engine of another kind": lambda speeds: speeds.update(engines={"torch": 1.0, "steam": 9.0}),
    "no torch": lambda speeds: speeds.update(engines={"onnxruntime": 9.0}),
    "engines by number": lambda speeds: speeds.update(engines=3),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_speeds_that_cannot_be_are_measured_anew(file: Path, change: Callable[[dict[str, Any]], object]):
    save_speeds("resnet18", known())
    table = json.loads(file.read_text())
    change(table[speeds._machine_key()]["resnet18"])
    file.write_text(json.dumps(table))

    assert load_speeds("resnet18") is None


@pytest.mark.parametrize("peak", ["fast", None, True, 0.0, -1.0, [1.0]], ids=repr)
def test_peaks_that_cannot_be_are_measured_anew(file: Path, peak: Any):
    save_peaks(PEAKS)
    table = json.loads(file.read_text())
    table[speeds._machine_key()]["peaks"]["decode"] = peak
    file.write_text(json.dumps(table))

    assert load_peaks() is None


def test_speeds_that_cannot_be_kept_end_nobody_s_work(file: Path, monkeypatch: pytest.MonkeyPatch):
    save_speeds("resnet18", known())

    with files_no_longer_than(10):
        remember_seen("resnet18", "forward", "fp32", 70.0)

    assert load_speeds("resnet18") == known()
    assert {path.name for path in file.parent.iterdir()} == {file.name, "locks"}


def test_a_strange_entry_of_one_machine_does_not_cost_another_its_own(file: Path):
    save_speeds("resnet18", known())
    table = json.loads(file.read_text())
    file.write_text(json.dumps({**table, "another machine": {"resnet18": {"rate": 1}}}))

    assert load_speeds("resnet18") == known()


@pytest.mark.parametrize("change", [{"processor": "a toaster"}, {"cores": 999}, {"torch": "9.9"}], ids=str)
def test_speeds_of_another_machine_are_not_believed_and_not_lost(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
):
    save_speeds("resnet18", known())
    with monkeypatch.context() as patch:
        other = replace(this_machine(), **change)
        patch.setattr(speeds, "this_machine", lambda: other)
        assert load_speeds("resnet18") is None
        save_speeds("resnet18", known(threads=9))

    assert load_speeds("resnet18") == known()


def test_what_onednn_may_use_of_the_processor_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    save_speeds("resnet18", known())

    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert load_speeds("resnet18") is None
    save_speeds("resnet18", known(threads=1))

    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    assert load_speeds("resnet18") == known()


def test_a_precision_that_was_not_worth_measuring_is_never_chosen_and_taken_for_slow():
    found = known(probed={f"{work}/fp32": 100.0 for work in WORKS})
    save_speeds("resnet18", found)

    assert load_speeds("resnet18") == found
    assert [found.precision(work) for work in WORKS] == ["fp32"] * 3
    assert found.rate("forward", "bf16") == speeds.EMULATED * 100
    assert found.by_precision("forward") == {"fp32": 100.0}


def test_peaks_without_bf16_are_kept_and_told():
    save_peaks(replace(PEAKS, matmul_bf16=None, conv_bf16=None))

    assert load_peaks() == replace(PEAKS, matmul_bf16=None, conv_bf16=None)
    assert dict(load_peaks().rows())["matrix bf16"] == "not worth it here"
    assert dict(PEAKS.rows())["decoding"] == "321 photos/s"


@pytest.mark.parametrize("make", ENDLESS, ids=lambda make: make.__name__)
def test_what_is_no_file_is_not_read_and_is_written_anew(file: Path, make: Callable[[Path], None]):
    make(file)
    assert load_speeds("resnet18") is None

    save_speeds("resnet18", known())

    assert load_speeds("resnet18") == known()
