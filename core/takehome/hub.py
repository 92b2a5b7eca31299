"""A packed run as a repository of models on the Hugging Face Hub, file by file; private unless it is asked for."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import PackageError
from core.home import temporary_folder
from core.models.download import is_offline
from core.takehome.export import export_run

OnProgress = Callable[[str], None]
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")


def publish_run(
    run_id: str,
    repository: str,
    token: str,
    *,
    public: bool = False,
    endpoint: str | None = None,
    on_progress: OnProgress = lambda step: None,
) -> str:
    """Pack a run and put its files into a repository, which is made if there is none.

    Args:
        repository: `owner/name`.
        token: of Hugging Face, with the right to write; it is sent to the Hub and kept nowhere.
        public: whether everybody may see a repository that is made now.
        endpoint: of the Hub; None takes `HF_ENDPOINT`, else the usual one.

    Returns:
        The repository's address.

    Raises:
        PackageError: the name or token cannot be, or the Hub does not take the files.
        RunError: the run's files are missing or damaged.
    """
    owner, _, name = repository.partition("/")
    if not (_NAME.fullmatch(owner) and _NAME.fullmatch(name)):
        raise PackageError(f"{repository!r} does not name a repository; write it as owner/name.")
    if not token.strip() or not token.strip().isascii():
        raise PackageError("A token with the right to write is needed; Hugging Face gives them under Settings, Tokens.")
    if is_offline():
        raise PackageError("THAW_OFFLINE forbids to go online, so nothing was sent.")
    with temporary_folder("hub") as folder:
        path, files = folder / "package.zip", folder / "files"
        export_run(run_id, path, on_progress)
        with zipfile.ZipFile(path) as archive:
            archive.extractall(files)  # our own, just written
        on_progress("sending")
        return _send(files, repository, token.strip(), public, endpoint)


def _send(files: Path, repository: str, token: str, public: bool, endpoint: str | None) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    hub = HfApi(endpoint=endpoint, token=token)
    try:
        address = hub.create_repo(repository, private=not public, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=files, commit_message="A network trained with Thaw")
    except HfHubHTTPError as error:
        said = _REASONS.get(error.response.status_code, f"it answered with status {error.response.status_code}")
        raise PackageError(f"The Hub did not take the files: {said}.") from error
    except Exception as error:  # the library lets through whatever its transport, which changes, is stopped by
        raise PackageError(
            f"The Hub could not be reached, or broke off ({type(error).__name__}). Check the connection; "
            "what was sent is completed when it is sent again."
        ) from error
    return str(address)


_REASONS: Final = {
    401: "the token is not valid",
    403: "this token may not write there",
    404: "there is no such owner, or the token may not see it",
    413: "the files are too large for this account",
    429: "too many requests; wait a while",
}
