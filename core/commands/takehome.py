"""`export`, `publish` and `import`: runs that travel."""

import os

from core.commands.command import Commands, Result, Say, file_to_read, file_to_write, progress_of
from core.commands.runs import finished, run_line, run_values
from core.runs.store import RunStore


def register(commands: Commands) -> None:
    """Add the commands to the command line."""
    export = commands.add(
        "export", "Pack a run as a zip to take home.", lambda a: export_run(a.run_id, a.file, progress_of(a))
    )
    export.add_argument("run_id", metavar="RUN")
    export.add_argument("file", metavar="FILE.zip")
    publish = commands.add(
        "publish",
        "Put a packed run on the Hugging Face Hub; the token comes from HF_TOKEN.",
        lambda a: publish_run(a.run_id, a.repository, a.public, progress_of(a)),
    )
    publish.add_argument("run_id", metavar="RUN")
    publish.add_argument("repository", metavar="OWNER/NAME")
    publish.add_argument("--public", action="store_true", help="let everybody see it")
    bring = commands.add("import", "Bring a packed run back.", lambda a: import_run(a.file, progress_of(a)))
    bring.add_argument("file", metavar="FILE.zip")


def export_run(run_id: str, file: str, say: Say) -> Result:
    """A run's weights, preprocessing, ONNX, model card and a script that needs nothing of Thaw, in one zip."""
    from core.takehome import export

    target, run = file_to_write(file), finished(RunStore().get(run_id))
    export.export_run(run.id, target, say)
    size = target.stat().st_size
    said = f"{file}: {size / 1e6:.1f} MB. Unpack it and read README.md."
    return {"run": run.id, "file": file, "size_bytes": size}, said


def publish_run(run_id: str, repository: str, public: bool, say: Say) -> Result:
    """A packed run's files in a repository on the Hugging Face Hub; the token comes from `HF_TOKEN`."""
    from core.takehome import hub

    run = finished(RunStore().get(run_id))
    token = os.environ.get("HF_TOKEN", "")  # on a command line it would be seen by everybody on this computer
    address = hub.publish_run(run.id, repository, token, public=public, on_progress=say)
    return {"run": run.id, "address": address}, address


def import_run(file: str, say: Say) -> Result:
    """A zip that `export` has packed, here or elsewhere, as a run of this home folder."""
    from core.takehome import import_run as packed

    values = run_values(packed.import_run(RunStore(), file_to_read(file), say))
    return values, run_line(values)
