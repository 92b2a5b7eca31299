"""Pictures of patients, who are groups, and data sets of them."""

from pathlib import Path

from helpers import KINDS, noise, write_files

from core.data.dataset import Dataset
from core.data.health import Finding, find_problems
from core.data.ingest import ingest
from core.data.pictures import Picture


def patients(count: int = 6, each: int = 3, folder: str = "{kind}/patient{patient}_{view}.png") -> dict[str, bytes]:
    """Drawn pictures of all classes, some of every patient."""
    return {
        folder.format(kind=kind, patient=patient, view=view): noise(place, patient, view)
        for place, kind in enumerate(KINDS)
        for patient in range(count)
        for view in range(each)
    }


def bring(tmp_path: Path, files: dict[str, bytes], layout: str = "auto") -> Dataset:
    return ingest(write_files(tmp_path / "pictures", files), layout=layout).dataset


def finding(dataset: Dataset, kind: str) -> Finding:
    return next(found for found in find_problems(dataset, dataset.split(0)) if found.kind == kind)


def listing(names: list[str], **values) -> Dataset:
    """A data set without pixels, of the classes that the names begin with."""
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    known = {"id": "0" * 16, "title": "listing", "kind": "folder", "fingerprint": "0" * 64, "decode_s": 0.0}
    rest = {"skipped": (), "ignored": (), "added": "2026-01-01T00:00:00+00:00"}
    pictures = [
        Picture(
            name=name,
            target=classes.index(name.split("/")[0]),
            given=None,
            content=name,
            group=name,
            place=(0, 1, 1),
        )
        for name in names
    ]
    return Dataset(**known, **rest, class_names=classes, pictures=tuple(pictures), **values)
