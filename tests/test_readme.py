"""The README is true: its code runs, its commands exist, its pictures are there; no document points at nothing."""

import re
import shlex

import pytest
from helpers import REPOSITORY

from core.commands.parser import build_parser

README = (REPOSITORY / "README.md").read_text()


def test_core_in_ten_lines_runs_as_printed(few_folder, capsys):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    assert len(code.splitlines()) <= 10

    exec(code.replace('ingest("builtin")', f"ingest({str(few_folder)!r})"), {})

    printed = capsys.readouterr().out
    assert re.search(r"^frozen \d+\.\d% \d+ s All \d+ frozen tensors are bit-identical", printed, re.MULTILINE)
    assert re.search(r"^finetuned \d+\.\d%", printed, re.MULTILINE)


@pytest.mark.parametrize("line", re.findall(r"^python -m core (.*)$", README, re.MULTILINE))
def test_every_command_it_shows_is_one(line):
    assert build_parser().parse_args(shlex.split(line.removesuffix("..."), comments=True)).command == line.split()[0]


@pytest.mark.parametrize("name", re.findall(r"!\[.*?\]\((.*?)\)", README))
def test_every_picture_it_shows_is_there(name):
    assert (REPOSITORY / name).stat().st_size < 600 * 1024


@pytest.mark.parametrize("name", re.findall(r"\]\((docs/\w+\.md)\)", README))
def test_every_document_it_names_is_there(name):
    assert (REPOSITORY / name).read_text().startswith("# ")


DOCUMENTS = [README, *(path.read_text() for path in sorted((REPOSITORY / "docs").glob("*.md")))]


@pytest.mark.parametrize(
    "name", sorted({name for text in DOCUMENTS for name in re.findall(r"benchmarks/\w+\.py", text)})
)
def test_every_benchmark_behind_a_figure_is_there(name):
    assert (REPOSITORY / name).is_file()


def links() -> list[str]:
    """`document -> target` of every link within the repository."""
    written = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    found = [(path, link) for path in sorted(written) for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text())]
    return [f"{path.relative_to(REPOSITORY)} -> {link}" for path, link in found if "://" not in link]


@pytest.mark.parametrize("link", links())
def test_every_link_of_a_document_leads_somewhere(link):
    document, _, target = link.partition(" -> ")
    place, _, part = target.partition("#")
    file = (REPOSITORY / document).parent / place if place else REPOSITORY / document

    assert file.exists()
    headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if part else []
    assert part == "" or part in {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings}


def test_the_index_names_every_document():
    documents = {path.name for path in (REPOSITORY / "docs").glob("*.md")} - {"README.md"}

    assert set(re.findall(r"\]\((\w+\.md)\)", (REPOSITORY / "docs" / "README.md").read_text())) == documents


@pytest.mark.parametrize("target", re.findall(r"^make (\S+)", README, re.MULTILINE))
def test_every_make_target_it_names_is_one(target):
    assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
