"""A comparison to take home."""

import csv
import io
from dataclasses import replace

import pytest

from core.comparison.compare import compare
from core.runs.record import load_record
from core.runs.results import load_outcome
from core.takehome.report import as_csv, as_markdown, harmless


@pytest.fixture
def pair(finished_race):
    runs = [run["run"] for run in finished_race.values["runs"]]
    return tuple(map(load_outcome, runs)), tuple(map(load_record, runs))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_report_says_what_the_verdict_says_and_names_its_sources(pair):
    outcomes, records = pair
    result = compare(*outcomes)

    text = as_markdown(result, records, (7, 8))

    assert result.sentence in text.replace("\\", "")
    assert f"| A right | {result.agreement.both} | {result.agreement.only_a} |" in text
    for record in records:
        assert record.dataset.fingerprint[:16] in text and record.split.hash[:16] in text
        assert record.freeze_audit.sentence in text.replace("\\", "")
    assert "| model.scenario | frozen | finetuned | yes |" in text
    assert "runs tested on its test pictures so far: 7" in text and "so far: 8" in text
    assert f"{records[0].costs.peak_memory_bytes / 1e6:,.0f} |" in text


def test_every_test_picture_has_a_row_whose_cell_adds_up(pair):
    outcomes, records = pair
    result = compare(*outcomes)

    rows = rows_of(as_csv(result, outcomes, records[0].test_names))

    assert [row["picture"] for row in rows] == list(records[0].test_names)
    cells = [row["right"] for row in rows]
    assert [cells.count(name) for name in ("both", "only A", "only B", "neither")] == [
        result.agreement.both,
        result.agreement.only_a,
        result.agreement.only_b,
        result.agreement.neither,
    ]
    cell_of = {(True, True): "both", (True, False): "only A", (False, True): "only B", (False, False): "neither"}
    for row in rows:
        assert row["right"] == cell_of[row["A says"] == row["true"], row["B says"] == row["true"]]


def test_names_are_data_in_a_table_and_in_markdown(pair):
    outcomes, records = pair
    named = tuple(replace(outcome, class_names=("=1+1", "<script>", "a|b")) for outcome in outcomes)
    result = compare(*named)

    rows = rows_of(as_csv(result, named, ["@SUM(A1)", *records[0].test_names[1:]]))
    text = as_markdown(result, records, (7, 8))

    assert rows[0]["picture"] == "'@SUM(A1)"
    assert {row["true"] for row in rows} <= {"'=1+1", "<script>", "a|b"}
    assert "<script>" not in text and "recall, a\\|b" in text


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\tx", "\rx"])
def test_what_a_spreadsheet_would_compute_gets_an_apostrophe(text: str):
    assert harmless(text) == f"'{text}"
    assert harmless(f"a{text}") == f"a{text}"


def test_runs_on_different_data_still_give_a_report_without_a_square(pair):
    (first, second), records = pair
    result = compare(first, replace(second, fingerprint="other"))

    text = as_markdown(result, records, (7, 8))

    assert "not comparable" in text and "| A right |" not in text
