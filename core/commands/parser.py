"""The one parser, with which all commands have registered."""

from core.commands import (
    backbones,
    backup,
    classify,
    compare,
    data,
    lesson,
    machine,
    much,
    runs,
    suspects,
    takehome,
    train,
)
from core.commands.command import Commands, Parser


def build_parser() -> Parser:
    """All commands with their options, in the order in which they are listed."""
    commands = Commands()
    first, later = (
        (data, suspects, much, train, compare, classify),
        (machine, takehome, runs, lesson, backup, backbones),
    )
    for module in (*first, *later):
        module.register(commands)
    return commands.parser
