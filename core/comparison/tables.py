"""Tables of a report to take home: as Markdown, and as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of Markdown, cells as they are."""
    return [_line(head), f"|{'---|' * len(head)}", *map(_line, rows)]


def _line(cells: Sequence[object]) -> str:
    return f"|{''.join(f' {cell} |' if cell != '' else ' |' for cell in cells)}"


def csv_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The rows as CSV; None is an empty cell."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([head, *rows])
    return file.getvalue()
