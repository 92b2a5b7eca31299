"""The training of one run as a script of plain PyTorch to read and to run: what this run did, and nothing it did not.

The script (`train.py.jinja`) travels in the zip beside `predict.py`, from which it takes how a picture is read, and
`pictures.csv`, which says by content what belongs to train, val and test. Its random numbers are its own, and it
computes in float32: it reaches the run's accuracy, not its bits.
"""

import csv
import io
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.augment.code import as_code
from core.data.dataset import Dataset, Split
from core.models.catalogue import count_frozen_stages, get_backbone
from core.models.weights import HUB
from core.runs.record import RunRecord
from core.takehome.plain import classifier_of, library_of
from core.takehome.scores import scores_of
from core.training.head import USUAL_L2
from core.training.plan import views_of

PARTS: Final = ("train", "val", "test")
TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # Python and Markdown, not HTML; what people typed goes through `core.takehome.card`
)


def pictures_csv(dataset: Dataset, split: Split) -> str:
    """A row per picture: part, class, SHA-256 of its file, name."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(("part", "class", "sha256", "name"))
    for part in PARTS:
        for index in split.part(part):
            picture = dataset.pictures[index]
            rows.writerow((part, dataset.class_names[picture.target], picture.content, picture.name))
    return file.getvalue()


def training_script(record: RunRecord) -> str:
    """The whole script; it needs torch, torchvision, and the library its backbone comes from."""
    settings, spec = record.settings, get_backbone(record.settings.model.backbone)
    scenario, optim = settings.model.row, settings.optim
    frozen = count_frozen_stages(settings.model, spec)
    library, network = library_of(spec.name)
    score, _ = scores_of(record)
    views = views_of(settings)
    return TEMPLATES.get_template("train.py.jinja").render(
        label=scenario.label,
        help=scenario.help,
        settings=settings,
        optim=optim,
        library=library,
        network=network,
        tag=HUB[spec.name].tag if spec.name in HUB else "",
        options=spec.timm_options,
        learnt=spec.learnt,
        packaged=spec.source == "package" and settings.model.start == "imagenet",
        head=classifier_of(spec.name),
        solves=scenario.solves_head,
        trains=scenario.takes_steps,
        balanced=optim.class_weights == "balanced",
        looks_frozen=scenario.only_looks_frozen,
        only=scenario.parameters,
        kept=settings.model.statistics == "kept",
        some=0 < frozen < len(spec.stages),
        by_stage=optim.stage_decay != 1 and frozen < len(spec.stages),
        trained_stages=spec.stages[frozen:],
        frozen_prefixes=[prefix for stage in spec.stages[:frozen] for prefix in stage],
        l2=record.head.l2 if record.head else USUAL_L2,
        views=len(views),
        augmented="view_transform" if _at_two_sizes(record) else "train_transform",
        epochs=optim.epochs,
        transforms=_transforms(record),
        right=score.right,
        total=score.total,
        interval=score.ends,
    )


def _transforms(record: RunRecord) -> str:
    """The transforms as code. A head is solved for at full size, also where training looks at smaller pictures."""
    settings, whole = record.settings, record.preprocessing
    small, full = (as_code(settings.augment, size) for size in (whole.at_size(settings.optim.train_size), whole))
    start = full.index("train_transform")
    if _at_two_sizes(record):
        training = small[start : small.index("eval_transform")]
        return training + full[start:].replace("train_transform", "view_transform").rstrip("\n")
    shown = small if settings.model.row.takes_steps else full
    return shown[start : shown.index("eval_transform")] + full[full.index("eval_transform") :].rstrip("\n")


def _at_two_sizes(record: RunRecord) -> bool:
    scenario = record.settings.model.row
    return scenario.solves_head and scenario.takes_steps and record.settings.optim.train_size is not None
