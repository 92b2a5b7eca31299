"""The one parser, with which all commands have registered."""

from core.commands import (
    anatomy,
    backbones,
    backup,
    classify,
    compare,
    data,
    inside,
    machine,
    runs,
    suspects,
    takehome,
    train,
)
from core.commands.command import Commands, Parser


def build_parser() -> Parser:
    """All commands with their options, in the order in which they are listed."""
    commands = Commands()
    for module in (
        data,
        suspects,
        train,
        compare,
        classify,
        inside,
        anatomy,
        machine,
        takehome,
        runs,
        backup,
        backbones,
    ):
        module.register(commands)
    return commands.parser
