"""An MLflow server: a run of its own for each race, and below it one for each run of Thaw's.

What was begun and not ended is found by its tag and gone on with, so that nothing stands there twice.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import SettingsError, StorageError
from core.storage import explain
from core.tracking.address import shown_address
from core.tracking.values import Measured

if TYPE_CHECKING:
    from mlflow.entities import Run as Remembered

EXPERIMENT: Final = "Thaw"
"""Where runs go unless `MLFLOW_EXPERIMENT_NAME`, MLflow's own variable, names another place."""
_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # minutes else: who exports comes again anyway
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
METRICS_AT_ONCE, PARAMETERS_AT_ONCE = 1000, 100
"""That MLflow takes."""
_LONGEST: Final = {"params": 6000, "tags": 5000}
_DIGEST: Final = 36


class TrackerAway(StorageError):
    """Start the MLflow server; what is missing there is sent then."""


class Remote:
    """What is asked of the server. Every call may raise TrackerAway: it does not answer, or refuses."""

    def __init__(self, address: str) -> None:
        """Raises SettingsError where MLflow's client is not installed."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise SettingsError("MLflow's client is not installed: pip install 'thaw-lab[mlflow]'.") from error
        self._address, self._client = address, MlflowClient(tracking_uri=address)
        self._place = ""

    def begin(self, tag: tuple[str, str], title: str, start_s: float, parent: str | None = None) -> tuple[str, bool]:
        """The run that carries a tag, begun if there is none; its id, and whether it has ended.

        Args:
            start_s: seconds since the epoch.
            parent: the id of the run that it stands below.
        """
        with self._answering():
            place = self._experiment()
            found = self._client.search_runs([place], f"tags.`{tag[0]}` = '{tag[1]}'", max_results=1)
            if found:
                return found[0].info.run_id, _has_ended(found[0])
            tags = {tag[0]: tag[1], "mlflow.source.name": "Thaw", **({"mlflow.parentRunId": parent} if parent else {})}
            begun = self._client.create_run(place, start_time=round(1000 * start_s), tags=tags, run_name=title)
            return str(begun.info.run_id), False

    def tell(
        self, run: str, parameters: Mapping[str, str], metrics: Sequence[Measured], tags: Mapping[str, str]
    ) -> None:
        """Add values to a run; those that are there already stay."""
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(name, value[: _LONGEST["params"]]) for name, value in parameters.items()]
        points = [Metric(one.name, one.value, round(1000 * one.at_s), one.step) for one in metrics]
        labels = [RunTag(name, value[: _LONGEST["tags"]]) for name, value in tags.items()]
        with self._answering():
            self._client.log_batch(run, tags=labels)
            for start in range(0, len(params), PARAMETERS_AT_ONCE):
                self._client.log_batch(run, params=params[start : start + PARAMETERS_AT_ONCE])
            for start in range(0, len(points), METRICS_AT_ONCE):
                self._client.log_batch(run, metrics=points[start : start + METRICS_AT_ONCE])

    def tell_data(self, run: str, title: str, fingerprint: str, split: str) -> None:
        """Name the data set that a run learnt from."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset(name=title, digest=fingerprint[:_DIGEST], source_type="thaw", source=f"split {split}")
        with self._answering():
            self._client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", "train, val and test")])])

    def keep(self, run: str, file: Path) -> None:
        """Put a file beside a run, in place of one of that name."""
        with self._answering():
            self._client.log_artifact(run, str(file))

    def end(self, run: str, status: str, end_s: float) -> None:
        """`status`: FINISHED, FAILED or KILLED, as MLflow calls them."""
        with self._answering():
            self._client.set_terminated(run, status, end_time=round(1000 * end_s))

    def _experiment(self) -> str:
        if not self._place:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
            known = self._client.get_experiment_by_name(name)
            self._place = known.experiment_id if known else self._client.create_experiment(name)
        return self._place

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Whatever MLflow's client, or what it sends through, raises means that nothing can be sent now."""
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            yield
        except (MlflowException, RequestException, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, RequestException) and (ours := explain(error)):
                raise ours from error
            code = getattr(error, "error_code", "")
            why = f" ({code})" if code and code != "INTERNAL_ERROR" else ""
            raise TrackerAway(
                f"The MLflow server {shown_address(self._address)} does not take runs{why}; they stay here and are "
                "sent when it does."
            ) from error


def _has_ended(run: "Remembered") -> bool:
    return str(run.info.status) != "RUNNING"
