"""A comparison to take home: Markdown with its small print, and CSV with a row for every test picture."""

from collections.abc import Sequence

from core.comparison.fairness import Outcome
from core.comparison.metrics import Rate
from core.comparison.tables import csv_table, markdown_table
from core.comparison.verdict import Comparison, RunSummary
from core.comparison.wording import p_value, paired_methods, per_cent, signed_points
from core.data.reading.report import harmless
from core.runs.record import RunRecord

CELLS = ("both", "only A", "only B", "neither")


def as_markdown(result: Comparison, records: tuple[RunRecord, RunRecord], evaluations: Sequence[int]) -> str:
    """The whole comparison as a page of Markdown.

    Args:
        records: of A and B, in that order.
        evaluations: how many runs have been tested on the test pictures of each.
    """
    lines = [f"# {_text(result.a.name)} against {_text(result.b.name)}", "", _text(result.sentence), ""]
    lines += [*_numbers(result, records), ""]
    lines += [*_agreement(result), ""] if result.agreement is not None else []
    lines += ["## What differs", "", *_differences(result), ""]
    lines += ["## Small print", "", *_small_print(result, records, evaluations)]
    return "\n".join(lines) + "\n"


def as_csv(result: Comparison, outcomes: tuple[Outcome, Outcome], names: Sequence[str]) -> str:
    """A row per test picture: its name and class, what A and B say and how surely, and its cell in the agreement.

    Args:
        names: of A's test pictures, in order. What a spreadsheet would take for a formula gets an apostrophe in front.
    """
    agreement = result.agreement
    assert agreement is not None, "there are no common pictures to list"
    indices = (agreement.both_index, agreement.only_a_index, agreement.only_b_index, agreement.neither_index)
    cell_of = {place: cell for cell, places in zip(CELLS, indices, strict=True) for place in places}
    rows = []
    for place, (key, name) in enumerate(zip(outcomes[0].tested, names, strict=True)):
        said = [outcome.tested[key] for outcome in outcomes]
        says = [cell for one in said for cell in (harmless(one.guess), f"{one.probability:.6f}")]
        rows.append([harmless(name), harmless(key.truth), *says, cell_of[place]])
    return csv_table(["picture", "true", "A says", "A probability", "B says", "B probability", "right"], rows)


def _numbers(result: Comparison, records: tuple[RunRecord, RunRecord]) -> list[str]:
    """A table with a column per run."""
    sides = (result.a, result.b)
    rows = [
        ("run", [f"{side.run}" for side in sides]),
        ("test accuracy", [_rate(side.accuracy) for side in sides]),
        ("balanced accuracy", [_share(side.balanced_accuracy) for side in sides]),
        ("log loss", ["-" if side.log_loss is None else f"{side.log_loss:.3f}" for side in sides]),
        *((f"recall, {_text(name)}", _recalls(sides, place)) for place, name in enumerate(result.a.class_names)),
        ("training, s", [f"{side.train_s:.1f}" for side in sides]),
        ("milliseconds per prediction, in batches", [_number(r.costs.prediction_ms, 1) for r in records]),
        ("peak memory, MB", [_number(r.costs.peak_memory_bytes, 0, 1e-6) for r in records]),
        ("state changed, MB", [_number(r.costs.changed_bytes, 2, 1e-6) for r in records]),
        ("parameters trained", [f"{record.parameters.trained:,}" for record in records]),
        ("backbone", [_text(record.freeze_audit.sentence) for record in records]),
    ]
    return markdown_table(["", "A", "B"], [(name, *values) for name, values in rows])


def _recalls(sides: Sequence[RunSummary], place: int) -> list[str]:
    return [_rate(side.recalls[place]) if place < len(side.recalls) else "-" for side in sides]


def _agreement(result: Comparison) -> list[str]:
    agreement, interval = result.agreement, result.interval
    assert agreement is not None and interval is not None and result.difference is not None
    assert result.p_value is not None
    method, test = paired_methods(result)
    rows = [("A right", agreement.both, agreement.only_a), ("A wrong", agreement.only_b, agreement.neither)]
    ends = f"95 % interval {signed_points(interval.low)} to {signed_points(interval.high)}, {method}"
    return [
        *markdown_table(["", "B right", "B wrong"], rows),
        "",
        f"Accuracy of A minus B: {signed_points(result.difference)} points ({ends}). "
        f"{test}: {p_value(result.p_value)}.",
    ]


def _differences(result: Comparison) -> list[str]:
    rows = result.fairness.differences
    if not rows:
        return ["Nothing: the settings are the same."]
    cells = [(row.field, _text(str(row.a)), _text(str(row.b)), "yes" if row.expected else "**no**") for row in rows]
    return markdown_table(["setting", "A", "B", "part of the comparison"], cells)


def _small_print(result: Comparison, records: tuple[RunRecord, RunRecord], evaluations: Sequence[int]) -> list[str]:
    lines = [f"- {_text(chip.text)}" for chip in result.fairness.chips]
    for side, record, tested in zip("AB", records, evaluations, strict=True):
        machine = record.machine
        lines += [
            f"- {side}: data {record.dataset.fingerprint[:16]} ({_text(record.dataset.title)}), split "
            f"{record.split.hash[:16]}, seed {record.settings.seed}, head's start {record.head_hash[:16]}, weights "
            f"{_text(record.weights.origin)} {(record.weights.sha256 or '')[:16]}",
            f"- {side}: {_text(machine.processor)}, {record.threads} threads, torch {machine.torch}, torchvision "
            f"{machine.torchvision}, trained in {record.precision.train}, tested in fp32 by {record.engine}",
            f"- {side}: runs tested on its test pictures so far: {tested}",
        ]
    return [
        *lines,
        f"- {result.pictures} test pictures; practically the same within {100 * result.band:g} points; one comparison.",
        "- This is about two trained models on these pictures, not about two training strategies.",
    ]


def _rate(rate: Rate | None) -> str:
    return f"{per_cent(rate.value)} ({per_cent(rate.low)} to {per_cent(rate.high)})" if rate else "-"


def _number(value: float | None, digits: int, unit: float = 1.0) -> str:
    return "-" if value is None else f"{value * unit:,.{digits}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else per_cent(value)


def _text(text: str) -> str:
    """Text that people chose, so that Markdown shows it and does nothing else with it."""
    for sign in "\\`*_{}[]<>#|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
