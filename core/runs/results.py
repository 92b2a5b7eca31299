"""Finished runs as the comparison wants them."""

from dataclasses import asdict

from core.comparison.fairness import Outcome
from core.runs.record import load_predictions, load_record


def load_outcome(run_id: str) -> Outcome:
    """What the comparison needs to know about one finished run.

    Raises:
        RunError: it has not finished, or its files are damaged.
    """
    record = load_record(run_id)
    predictions = load_predictions(run_id)
    return Outcome(
        run=record.run,
        label=record.settings.model.row.label,
        settings=record.settings,
        fingerprint=record.dataset.fingerprint,
        split_hash=record.split.hash,
        class_names=record.dataset.class_names,
        pictures=record.test_contents,
        targets=predictions.targets,
        probabilities=predictions.probabilities,
        timings=asdict(record.timings),
        duration_s=record.duration_s,
        head_hash=record.head_hash,
        weights_hash=record.weights.sha256,
        machine=str(record.machine),
        threads=record.threads,
        engine=record.engine,
        device=str(record.device),
        precision=asdict(record.precision),
        lacks=record.lacks,
        groups=record.test_groups,
        cached_features=record.work.get("features_from_cache", 0),
    )
