"""The one parser, with which all commands have registered."""

from core.commands import (
    anatomy,
    backbones,
    backup,
    classify,
    compare,
    data,
    inside,
    large,
    lesson,
    machine,
    much,
    runs,
    store,
    suspects,
    takehome,
    track,
    train,
    workspaces,
)
from core.commands.command import Commands, Parser


def build_parser() -> Parser:
    """All commands with their options, in the order in which they are listed."""
    commands = Commands()
    work = (data, suspects, much, train, compare, classify, inside, anatomy, large)
    rest = (machine, takehome, track, runs, lesson, backup, store, workspaces, backbones)
    for module in (*work, *rest):
        module.register(commands)
    return commands.parser
