"""What the record in a zip may hold: everything a page shows or computes with has a kind, a range and a length.

The record was written by a stranger's Thaw, or by a stranger. Its numbers are believed only as far as they follow from
its predictions; its shape is checked here, whole.
"""

from dataclasses import fields
from typing import Any, Final, get_args

from jsonschema import Draft202012Validator

from core.data.dataset import SPLITS
from core.data.reading.limits import MAX_CLASS_NAME, MAX_CLASSES, MIN_CLASSES
from core.errors import PackageError
from core.machine.devices import DeviceKind
from core.machine.facts import Machine
from core.machine.speeds import Engine
from core.runs.record import RECORD_VERSION
from core.training.history import PHASES

MOST: Final = 1_000_000
"""Rows of any list."""


def _text(length: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": length}


def _pattern(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"\A(?:{pattern})\Z"}


def _list(items: dict[str, Any], most: int = MOST, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _object(optional: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    """These names, all of them unless they are optional, and no others."""
    return _named(properties, optional)


def _named(properties: dict[str, dict[str, Any]], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_HASH = _pattern("[0-9a-f]{64}")
_COUNT = {"type": "integer", "minimum": 0, "maximum": 10**15}
_AMOUNT = {"type": "number", "minimum": 0, "maximum": 1e15}
_NUMBER = {"type": "number", "minimum": -1e15, "maximum": 1e15}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_TENSOR_NAME = _pattern(r"[A-Za-z0-9_.]{1,200}")
_PRECISION = {"enum": ["fp32", "bf16"]}
_EPOCH = _object(
    epoch=_COUNT,
    stage={"enum": ["train", "probe"]},
    train_loss=_NUMBER,
    train_accuracy=_SHARE,
    val_loss=_NUMBER,
    val_accuracy=_SHARE,
    lr=_or_null(_AMOUNT),
    elapsed_s=_AMOUNT,
)
_LAYER = _object(name=_TENSOR_NAME, stage=_or_null(_COUNT), weights=_or_null(_AMOUNT), statistics=_or_null(_AMOUNT))
_RECORD = _object(
    optional=(
        "precision",
        "engine",
        "device",
        "head",
        "layers",
        "costs",
        "temperature",
        "files",
        "class_counts",
        "test_groups",
        "imported",
    ),
    version={"const": RECORD_VERSION},
    run=_pattern("[0-9a-f]{10}"),
    settings={"type": "object"},  # these have checks of their own
    dataset=_object(
        id=_pattern("[0-9a-z]{1,64}"),
        title=_text(255),
        kind=_pattern("[a-z]{1,20}"),
        fingerprint=_HASH,
        class_names=_list(_text(MAX_CLASS_NAME), MAX_CLASSES, MIN_CLASSES),
    ),
    split=_object(hash=_HASH, train=_COUNT, val=_COUNT, test=_COUNT),
    test_pictures=_list(_COUNT),
    test_contents=_list(_HASH),
    test_names=_list(_text(1024)),
    test_groups=_list(_text(64)),
    history=_list(_EPOCH, 100_000, 1),
    best_epoch=_COUNT,
    test_accuracy=_SHARE,
    val_accuracy=_SHARE,
    confusion=_list(_list(_COUNT, MAX_CLASSES), MAX_CLASSES),
    duration_s=_AMOUNT,
    timings=_named(dict.fromkeys(PHASES, _AMOUNT)),
    work={
        "type": "object",
        "propertyNames": _pattern("[a-z_]{1,40}"),
        "additionalProperties": _COUNT,
        "maxProperties": 20,
    },
    freeze_audit=_object(
        checked=_COUNT,
        changed=_list(_TENSOR_NAME, 10_000),
        hash_before=_HASH,
        hash_after=_HASH,
        bit_identical={"type": "boolean"},
        sentence=_text(2000),
    ),
    parameters=_object(total=_COUNT, trained=_COUNT, trained_share=_SHARE),
    weights=_object(origin=_text(200), sha256=_or_null(_HASH)),
    head_hash=_HASH,
    preprocessing={"type": "object"},  # as the settings
    machine=_named({spec.name: _text(200) if spec.type in (str, "str") else _COUNT for spec in fields(Machine)}),
    threads=_COUNT,
    precision=_object(features=_PRECISION, train=_PRECISION),
    engine={"enum": list(get_args(Engine))},
    device=_object(
        kind={"enum": list(get_args(DeviceKind))},
        name=_text(200),
        memory_bytes=_or_null(_COUNT),
        peak_bytes=_or_null(_COUNT),
    ),
    head=_or_null(_object(l2=_AMOUNT, path=_list(_list(_NUMBER, 2, 2), 1000), iterations=_COUNT)),
    layers=_list(_LAYER, 10_000),
    costs=_object(
        optional=("prediction_ms", "peak_memory_bytes", "changed_bytes"),
        prediction_ms=_or_null(_AMOUNT),
        peak_memory_bytes=_or_null(_AMOUNT),
        changed_bytes=_or_null(_AMOUNT),
    ),
    temperature=_or_null({"type": "number", "exclusiveMinimum": 0, "maximum": 100}),
    files={
        "type": "object",
        "propertyNames": _pattern(r"[a-z.]{1,40}"),
        "additionalProperties": _HASH,
        "maxProperties": 10,
    },
    class_counts=_object(optional=SPLITS, **dict.fromkeys(SPLITS, _list(_COUNT, MAX_CLASSES))),
    imported={"type": "boolean"},
)
_VALIDATOR: Final = Draft202012Validator(_RECORD)


def check_record_values(values: object) -> dict[str, Any]:
    """The JSON values of a record, if they have the shape of one.

    Raises:
        PackageError: they have not; it names the place, never what stands there.
    """
    error = next(iter(_VALIDATOR.iter_errors(values)), None)
    if error is not None:
        place = ".".join(str(step)[:40] for step in error.absolute_path) or "the whole"
        raise PackageError(f"The zip's record is not as Thaw writes it ({place}: {error.validator}).")
    assert isinstance(values, dict)
    return values
