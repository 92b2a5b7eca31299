"""`large`: data sets beyond what one file and one array hold, shard by shard; on this machine's cores, or Ray's."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.commands.command import Commands, Parser, Result, Say, progress_of
from core.comparison.wording import counted
from core.data.reading.layout import AUTO, LAYOUT_HELP
from core.settings.schema import AugmentSettings, DataSettings, ModelSettings, OptimSettings, RunSettings

if TYPE_CHECKING:
    from core.shards.executor import Executor
    from core.shards.large_set import LargeSet
    from core.shards.train import LargeResult


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add("large", "Large data sets, shard by shard: add, features, train, list.", lambda a: listed())
    actions = command.add_subparsers(dest="action", required=True, parser_class=Parser)
    add = _action(
        actions, "add", "Take in a folder of class folders, a folder of WebDataset tars, or s3://bucket/prefix."
    )
    add.add_argument("source", metavar="SOURCE")
    add.add_argument("--size", type=int, default=10_000, metavar="N", help="pictures of a shard (default: 10,000)")
    add.add_argument("--layout", default=AUTO, metavar="HOW", help=LAYOUT_HELP)
    add.set_defaults(run=lambda a: added(a.source, a.size, a.layout, a.processes, progress_of(a)))
    features = _action(actions, "features", "Compute what a frozen backbone says about every picture.")
    features.set_defaults(run=lambda a: computed(a.data, _settings(a), a.processes, progress_of(a)))
    train = _action(actions, "train", "Train a head on a frozen backbone, and test it.")
    train.set_defaults(run=lambda a: trained(a.data, _settings(a), a.processes, progress_of(a)))
    for one in (features, train):
        one.add_argument("data", metavar="ID", help="a large data set's id, as `large list` has it")
        one.add_argument("--backbone", default=ModelSettings().backbone)
        one.add_argument("--weights", choices=("imagenet", "none"), help="what the backbone knows at the start")
        one.add_argument("--augment", default=AugmentSettings().preset, help="a preset of augmentations")
        one.add_argument("--views", type=int, default=OptimSettings().views, help="cached views of a picture")
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--l2", type=float, help="penalty on the head (default: chosen on training pictures)")
        one.add_argument("--class-weights", default=OptimSettings().class_weights)
    _action(actions, "list", "The large data sets there are.").set_defaults(run=lambda a: listed())


def _action(actions: Any, name: str, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help, description=help)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    if name != "list":
        parser.add_argument("--processes", type=int, metavar="P", help="tasks at a time (default: one per core)")
    return parser


def _settings(arguments: argparse.Namespace) -> RunSettings:
    return RunSettings(
        data=DataSettings(dataset=arguments.data),
        augment=AugmentSettings(preset=arguments.augment),
        model=ModelSettings(backbone=arguments.backbone, weights=arguments.weights),
        optim=OptimSettings(views=arguments.views, l2=arguments.l2, class_weights=arguments.class_weights),
        seed=arguments.seed,
    )


@contextmanager
def _at_work(processes: int | None) -> Iterator["Executor"]:
    from core.shards.executor import executor

    work = executor(processes)
    try:
        yield work
    finally:
        work.close()


def added(where: str, size: int, layout: str, processes: int | None, say: Say) -> Result:
    """A large data set, taken in shard by shard."""
    from core.shards.large_set import add

    with _at_work(processes) as work:
        found = add(
            where, work, size=size, layout=layout, on_progress=lambda done, total: say(f"shard {done:,} of {total:,}")
        )
    new = sum(not one.done_before for one in found.taken)
    values = {**_about(found.data), "taken_in_now": new, "seconds": [round(one.seconds, 3) for one in found.taken]}
    return values, "\n".join(
        [*_lines(found.data), f"  taken in just now: {new:,} of {counted(len(found.taken), 'shard')}"]
    )


def computed(name: str, settings: RunSettings, processes: int | None, say: Say) -> Result:
    """Features of every shard."""
    from core.shards.features import compute_features, recipe_of
    from core.shards.large_set import load_set

    data = load_set(name)
    with _at_work(processes) as work:
        recipe = recipe_of(settings)
        done = compute_features(data, recipe, work, lambda done, total: say(f"shard {done:,} of {total:,}"))
    new = sum(one.pictures for one in done)
    values = {"data": data.id, "backbone": settings.model.backbone, "views": list(recipe.views), "computed_now": new}
    text = f"{data.title}: features of {data.total:,} pictures in {len(recipe.views)} views, {new:,} computed just now"
    return values, text


def trained(name: str, settings: RunSettings, processes: int | None, say: Say) -> Result:
    """A head, tested."""
    from core.shards.large_set import load_set
    from core.shards.train import train_large

    data = load_set(name)
    with _at_work(processes) as work:
        result = train_large(data, settings, work, say)
    values = {**asdict(result), "counts": {part: list(row) for part, row in result.counts.items()}}
    return values, "\n".join(_told(result))


def listed() -> Result:
    """All large data sets."""
    from core.shards.large_set import load_set
    from core.shards.objects import names_of

    found = [load_set(name) for name in names_of("sets")]
    text = "\n".join(_lines(one)[0] for one in found) or "There are no large data sets; `large add SOURCE` brings one."
    return {"sets": [_about(one) for one in found]}, text


def _about(data: "LargeSet") -> dict[str, Any]:
    return {
        "id": data.id,
        "title": data.title,
        "read_as": data.read_as,
        "pictures": data.total,
        "shards": len(data.shards),
        "size": data.size,
        "classes": dict(zip(data.classes, data.counts, strict=True)),
        "skipped": data.skipped,
        "examples": [{"file": name, "reason": reason} for name, reason in data.examples],
        "ignored": data.ignored,
        "notices": list(data.notices),
        "near_copies": data.near_copies,
    }


def _lines(data: "LargeSet") -> list[str]:
    from core.shards.large_set import NEAR_UP_TO

    lines = [
        f"{data.id}  {data.title}: {data.total:,} pictures, {len(data.classes)} classes, "
        f"{counted(len(data.shards), 'shard')}"
    ]
    lines += [f"  read as {data.read_as}"] if data.read_as else []
    lines += [f"  skipped {name}: {reason}" for name, reason in data.examples]
    more = data.skipped - len(data.examples)
    lines += [f"  and {more:,} more"] if more > 0 else []
    lines += [f"  ignored {data.ignored:,} files that are no pictures of a class"] if data.ignored else []
    lines += [f"  {notice}" for notice in data.notices]
    if not data.near_copies:
        lines.append(
            f"  Near copies were not looked for: beyond {NEAR_UP_TO:,} pictures only exact copies are kept together."
        )
    return lines


def _told(result: "LargeResult") -> list[str]:
    from core.comparison.metrics import Interval
    from core.comparison.wording import interval_ends, per_cent

    ends = interval_ends(Interval(low=result.test.low, high=result.test.high))
    lines = [
        f"Test accuracy {per_cent(result.test.value)} ({ends}; {result.test.total:,} pictures), "
        f"validation accuracy {per_cent(result.val_accuracy)}",
        f"  {result.backbone}, seed {result.seed}, penalty {result.l2:.3g}, {result.passes} passes over all shards",
    ]
    return lines + [f"  {sentence}" for sentence in result.lacks]
