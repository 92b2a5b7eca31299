"""The one parser, with which all commands have registered."""

from core.commands import backbones, backup, classify, compare, data, lesson, machine, runs, suspects, takehome, train
from core.commands.command import Commands, Parser


def build_parser() -> Parser:
    """All commands with their options, in the order in which they are listed."""
    commands = Commands()
    for module in (data, suspects, train, compare, classify, machine, takehome, runs, lesson, backup, backbones):
        module.register(commands)
    return commands.parser
