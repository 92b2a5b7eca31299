"""`store`: what machines share, and what of it is here."""

from core.commands.command import Commands, Result, Say, progress_of
from core.comparison.wording import counted
from core.objects.cache import KINDS, budget_bytes, cached_bytes, is_made_by_tasks, only_here, share
from core.objects.store import store_here


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add(
        "store",
        "What lies in the store that THAW_STORE names, and what of it is cached here.",
        lambda a: store(a.push, progress_of(a)),
    )
    command.add_argument("--push", action="store_true", help="put what is only here into the store")


def store(push: bool, say: Say) -> Result:
    """How much there is, how much of it lies here, and what lies only here."""
    place = store_here()
    if place is None:
        return {"store": None}, "THAW_STORE is not set: everything lies in the home folder."
    if push:
        for folder in only_here():
            say(f"{folder.parent.name}/{folder.name}")
            share(folder)
    folders = only_here()
    left = [f"{folder.parent.name}/{folder.name}" for folder in folders if not is_made_by_tasks(folder)]
    parts = len(folders) - len(left)
    counts = {kind: len(place.keys(kind)) for kind in KINDS} | {"large_sets": len(place.keys("large/sets"))}
    cached, budget = cached_bytes(), budget_bytes()
    values = {"store": place.address, **counts, "cached_bytes": cached, "budget_bytes": budget, "only_here": left}
    lines = [
        f"{place.address}: {counted(counts['datasets'], 'data set')}, {counted(counts['runs'], 'run')}, "
        f"{counted(counts['large_sets'], 'large set')}",
        f"  cached here: {cached / 1e6:.1f} MB of at most {budget / 1e9:g} GB",
    ]
    if folders:
        names = ", ".join([*left, *([f"{parts:,} parts of large sets"] if parts else [])])
        lines.append(f"  only here: {names}. `python -m core store --push` puts them there.")
    return {**values, "large_only_here": parts}, "\n".join(lines)
