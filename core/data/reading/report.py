"""What became of every file of an upload, as a table: used, normalised, skipped, ignored; and of empty classes."""

import csv
import io

from core.data.dataset import Dataset

COLUMNS = ("file", "outcome", "class", "what", "code", "width", "height", "bytes", "taken", "group")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet compute a cell (OWASP, CSV injection)


def rows_of(dataset: Dataset) -> list[dict[str, object]]:
    """A row per file, in the order used, skipped, ignored; then one for each class folder of which nothing is used."""
    rows: list[dict[str, object]] = []
    for picture in dataset.pictures:
        width, height = picture.size
        rows.append(
            {
                "file": picture.name,
                "outcome": "normalised" if picture.notes else "used",
                "class": dataset.class_names[picture.target],
                "what": ", ".join(picture.notes),
                "code": "",
                "width": width,
                "height": height,
                "bytes": picture.file_bytes,
                "taken": picture.taken or "",
                "group": picture.subject,
            }
        )
    for outcome, left_out in (("skipped", dataset.skipped), ("ignored", dataset.ignored)):
        for file in left_out:
            known = {"file": file.file, "outcome": outcome, "what": file.reason, "code": file.code}
            rows.append({**dict.fromkeys(COLUMNS, ""), **known})
    for folder in dataset.class_folders:
        if not folder.used:
            known = {"file": f"{folder.path}/", "outcome": "left out", "class": folder.name, "what": folder.reason}
            rows.append({**dict.fromkeys(COLUMNS, ""), **known})
    return rows


def as_csv(dataset: Dataset) -> str:
    """The report as CSV; names that a spreadsheet would compute are made harmless."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows_of(dataset):
        writer.writerow({name: harmless(str(value)) for name, value in row.items()})
    return file.getvalue()


def harmless(text: str) -> str:
    """A text as a spreadsheet takes it for nothing but text: what would be a formula gets an apostrophe in front."""
    return f"'{text}" if text.startswith(_FORMULA) else text
