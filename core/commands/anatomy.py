"""`anatomy`: what a network is made of, and what trains in it."""

import argparse
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from core.commands.command import Commands, Result
from core.machine.process import imports_exempt_from_gc
from core.settings.scenarios import SCENARIOS, USUAL
from core.settings.schema import ModelSettings

if TYPE_CHECKING:  # they bring torch
    from core.inference.subject import Subject

_LAST = next(spec for spec in fields(ModelSettings) if spec.name == "last_stages")


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add("anatomy", "Show what a network is made of, layer by layer, and what trains in it.", _run)
    command.add_argument("network", metavar="BACKBONE|RUN", help="a network of `backbones`, or a finished run")
    command.add_argument(
        "--scenario", default=USUAL, metavar="S", help=f"how a backbone is to be trained: {', '.join(SCENARIOS)}"
    )
    command.add_argument("--last-stages", type=int, default=_LAST.default, help=_LAST.metadata["help"])
    command.add_argument("--classes", type=int, help="outputs of a backbone's new head (default: as published)")
    command.add_argument("--tensors", action="store_true", help="list every parameter and buffer, too")
    command.add_argument(
        "--beside", metavar="RUN", help="hold its tensors against another run's, or `start`: what it began with"
    )
    command.add_argument("--code", action="store_true", help="run ten lines of PyTorch on it, and a mistake")


def _run(arguments: argparse.Namespace) -> Result:
    settings = ModelSettings(scenario=arguments.scenario, last_stages=arguments.last_stages)
    return show_anatomy(
        arguments.network,
        settings,
        arguments.classes,
        tensors=arguments.tensors,
        beside=arguments.beside,
        code=arguments.code,
    )


def show_anatomy(
    name: str,
    settings: ModelSettings,
    classes: int | None = None,
    *,
    tensors: bool = False,
    beside: str | None = None,
    code: bool = False,
) -> Result:
    """A backbone or a run, layer by layer.

    Args:
        settings: how a backbone is to be trained; a run has its own.
        classes: of a backbone's new head; None: as many as its library gives it.
        tensors: also every parameter and buffer.
        beside: a run, or `start`, whose tensors are held against its own.
        code: also lines of PyTorch that run on it.
    """
    with imports_exempt_from_gc():
        from core.models.anatomy.layers import anatomy
        from core.models.anatomy.snippets import network_lesson, out_features_mistake
        from core.models.anatomy.values import anatomy_text, anatomy_values, code_text
    from core.inference.subject import find_subject

    subject = find_subject(name, settings, classes)
    found = anatomy(subject.settings, subject.classes)
    values, texts = anatomy_values(found), [anatomy_text(found)]
    if tensors:
        values["tensors"], text = _tensors(subject, found.classes)
        texts.append(text)
    if beside is not None:
        values["changes"], text = _changes(subject, beside)
        texts.append(text)
    if code:
        pieces = {"lesson": network_lesson(subject.spec.name, found.classes)}
        pieces["mistake"] = out_features_mistake(subject.spec.name, found.classes)
        values["code"] = {part: [asdict(piece) for piece in ran] for part, ran in pieces.items()}
        texts += map(code_text, pieces.values())
    return values, "\n\n".join(texts)


def _tensors(subject: "Subject", classes: int) -> tuple[list[dict[str, Any]], str]:
    """Every parameter and buffer, with its mean and deviation where the numbers are here."""
    from core.errors import RunError, WeightsError
    from core.inference.subject import state_of
    from core.models.anatomy.tensors import tensor_table

    try:
        state, why = state_of(subject), ""
    except (RunError, WeightsError) as error:
        state, why = None, str(error)
    rows = tensor_table(subject.settings, classes, state)
    lines = [f"  {row.key:52} {' x '.join(map(str, row.shape)):>18} {row.dtype:8} {row.updated_by}" for row in rows]
    return [asdict(row) for row in rows], "\n".join(lines + ([why] if why else []))


def _changes(subject: "Subject", beside: str) -> tuple[list[dict[str, Any]], str]:
    from core.inference.subject import START, begun_with, find_subject, state_of
    from core.models.anatomy.tensors import compare_states
    from core.models.anatomy.values import changes_text, changes_values

    before = begun_with(subject) if beside == START else state_of(find_subject(beside))
    rows = compare_states(before, state_of(subject))
    return changes_values(rows), changes_text(rows)
