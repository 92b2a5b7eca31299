"""After a frozen run: what its features say about the labels, while they are still warm."""

import logging
from collections.abc import Callable

from core.data.dataset import load_stored
from core.data.labels import load_check, save_check
from core.errors import DatasetError
from core.models.accel import Shelf
from core.settings.schema import RunSettings
from core.storage import explain
from core.training.history import Cancelled
from core.training.plan import views_of
from core.training.suspects import check_labels

_log = logging.getLogger(__name__)


def check_after(settings: RunSettings, should_stop: Callable[[], bool], shelf: Shelf) -> None:
    """Look through the labels of a run's data set if the run has left all that it takes in the feature cache.

    Once for each data set and backbone; of several backbones, the answer of the one that knows the classes best is
    kept. Whatever goes wrong is no matter of the run, which has ended, and goes into the log.
    """
    model = settings.model
    if not model.row.leaves_backbone or model.start != "imagenet" or 0 not in views_of(settings):
        return
    try:
        dataset = load_stored(settings.data.dataset)
        known = load_check(dataset)
        if known and known.dataset != dataset.id:  # it came with an edit
            known = None
        if known and known.backbone == model.backbone:
            return
        check = check_labels(settings, dataset, should_stop=should_stop, shelf=shelf)
        if known is None or check.accuracy >= known.accuracy:
            save_check(dataset, check)
    except (Cancelled, DatasetError) as error:  # too few pictures, or the data set was deleted meanwhile
        _log.info("labels were not checked: %s", error)
    except Exception as error:  # a boundary, as that of a run
        _log.warning("labels could not be checked: %s", explain(error) or error, exc_info=explain(error) is None)
