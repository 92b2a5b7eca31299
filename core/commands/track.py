"""`track`: runs on an MLflow server."""

from core.commands.command import Commands, Result, Say, progress_of


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    commands.add(
        "track",
        "Send ended runs to the MLflow server that THAW_MLFLOW names, each once; the app does so by itself.",
        lambda a: track(progress_of(a)),
        is_whole=lambda values: not values["unreadable"] and not values.get("busy"),
    )


def track(say: Say) -> Result:
    """What the server lacks, sent now."""
    from core.runs.exports import Exports
    from core.tracking.address import checked_address, name_of, shown_address
    from core.tracking.export import export_missing

    address = checked_address()
    sent = export_missing(address, say)
    there, where = Exports(name_of(address)).count(), shown_address(address)
    values = {"tracker": where, "exported": list(sent.exported), "there": there, "unreadable": sent.left}
    if sent.busy:
        return values | {"busy": True}, "Somebody else is sending runs at this moment; look again."
    text = f"{_runs(len(sent.exported))} sent; {there} in all on {where}."
    return values, text + (f" {_runs(sent.left)} cannot be read here." if sent.left else "")


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
