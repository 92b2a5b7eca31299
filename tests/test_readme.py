"""The README is true: its code runs, its commands exist, its pictures are there; no document points at nothing."""

import re
import shlex
from importlib import import_module
from shutil import copytree

import pytest
from helpers import REPOSITORY, know_speeds

from core.__main__ import main
from core.commands.parser import build_parser

README = (REPOSITORY / "README.md").read_text()


def test_core_in_ten_lines_runs_as_printed(few_folder, capsys):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    assert len(code.splitlines()) <= 10

    exec(code.replace('ingest("builtin")', f"ingest({str(few_folder)!r})"), {})

    printed = capsys.readouterr().out
    assert re.search(r"^frozen \d+\.\d% \d+ s All \d+ frozen tensors are bit-identical", printed, re.MULTILINE)
    assert re.search(r"^finetuned \d+\.\d%", printed, re.MULTILINE)


SHOWN = re.findall(r"^python -m core (.*?)(?: +#.*)?$", README, re.MULTILINE)


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_it_shows_runs(line, finished_race, few_folder, quick_translation, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("core.commands.train.preload", lambda: None)
    monkeypatch.setenv("THAW_HOME", str(copytree(finished_race.home, tmp_path / "home")))
    know_speeds(tmp_path / "home")
    frozen, finetuned = map(finished_race.run, ("frozen", "finetuned"))
    meant = {"D": few_folder, "SOURCE": few_folder, "PICTURE_OR_FOLDER...": few_folder / "discs"}
    meant |= {"FOLDER": tmp_path / "maps", "FILE.zip": tmp_path / "file.zip", "RUN...": finetuned, "RUN": frozen}
    words = [str(meant.get(word, word)) for word in shlex.split(line)]
    if words[0] in ("race", "train"):  # as quickly as it can be done
        words += ["--epochs", "1", "--batch-size", "5", "--train-size", "96"]

    code, printed = main(words), capsys.readouterr()

    assert (code, printed.err) == (0, "") and printed.out


def commands_in_documents() -> list[str]:
    """What every document says after `python -m core`, in a block or in a line."""
    places = (REPOSITORY, REPOSITORY / "docs")
    texts = [path.read_text() for place in places for path in sorted(place.glob("*.md"))]
    found = [line for text in texts for line in re.findall(r"python -m core ([a-z][^`\n#&|]*)", text)]
    return sorted({" ".join(line.split()).removesuffix("...").rstrip(".,; ") for line in found})


@pytest.mark.parametrize("line", commands_in_documents())
def test_every_command_that_a_document_names_is_one_and_has_these_options(line, capsys):
    words = line.split()
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args([*words[: 2 if words[0] == "large" else 1], "--help"])

    assert not end.value.code
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[\w-]+", capsys.readouterr().out))


ROWS = {
    "BackboneSpec": "core.models.catalogue",
    "TransformSpec": "core.augment.transforms",
    "Scenario": "core.settings.scenarios",
}
SAMPLES = re.findall(r"```python\n(.*?)```", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_row_that_a_newcomer_is_told_to_add_is_one(sample):
    (kind,) = (name for name in ROWS if f"{name}(" in sample)
    known = vars(import_module(ROWS[kind]))

    (row,) = eval(sample, dict(known))

    assert isinstance(row, known[kind])
    assert row.name not in {there.name for there in known["_ROWS"]}, "it is an example of something new"


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
