"""What the commands of `python -m core` do: each returns its result as JSON values and as text."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from core.data.dataset import Dataset
from core.data.edit import set_groups
from core.data.groups import count_groups, find_groups, groups_sentence
from core.data.ingest import Ingested, ingest
from core.data.reading.decode import decode_picture
from core.data.reading.layout import AUTO
from core.data.reading.report import as_csv
from core.data.sources import pictures_in
from core.errors import ImageError, RunError, SettingsError, TrainingError
from core.home import sweep_staging
from core.machine.devices import devices
from core.machine.facts import this_machine, usable_cores
from core.machine.process import PLAIN, tricks_wanted
from core.machine.speeds import WORKS, Speeds, load_peaks, load_speeds
from core.models.catalogue import BACKBONES
from core.models.weights import weights_status
from core.runs.example import find_run
from core.runs.life import identity, repeated
from core.runs.race import plan_race, submit
from core.runs.store import Run, RunStore
from core.runs.worker import work_off
from core.settings.scenarios import SCENARIOS
from core.settings.schema import DataSettings, ModelSettings, RunSettings
from core.training.plan import device_for
from core.training.weighting import weighting_sentence

if TYPE_CHECKING:  # statistics and models are slow to import: not before they are asked for
    from core.comparison.fairness import Outcome
    from core.inference.prediction_sets import SetRule
    from core.inference.predictor import Predictor

Result = tuple[dict[str, Any], str]
Say = Callable[[str], None]
"""Shows one line of progress."""
POLL_S = 0.3
OWNER_BEAT_S = 10.0


def data(
    where: str,
    settings: DataSettings,
    report: str = "text",
    draw: str | None = None,
    layout: str = AUTO,
    groups: str | None = None,
) -> Result:
    """Classes, counts by split, fingerprint, what was left out, and what may be wrong; or a row per file as CSV."""
    from core.data.health import find_problems

    if draw is not None:
        _draw(where, Path(draw))
    dataset = _bring(where, layout, groups).dataset
    grouped = count_groups([row.name for row in dataset.pictures], [row.subject for row in dataset.pictures])
    split = dataset.split(0, settings)
    findings = find_problems(dataset, split)
    counts = dataset.counts(split)
    values = {
        "dataset": dataset.id,
        "title": dataset.title,
        "classes": list(dataset.class_names),
        "counts": counts,
        "fingerprint": dataset.fingerprint,
        "split": split.hash,
        "read_as": dataset.read_as,
        "groups": {"by": dataset.grouped_by, **asdict(grouped)},
        "class_folders": [asdict(row) for row in dataset.class_folders],
        "skipped": [{"file": row.file, "reason": row.reason} for row in dataset.skipped],
        "ignored": [{"file": row.file, "reason": row.reason} for row in dataset.ignored],
        "notices": [*dataset.notices, *split.notices],
        "findings": [asdict(finding) for finding in findings],
    }
    if report == "csv":
        return values, as_csv(dataset)
    lines = [f"{dataset.title}: {len(dataset.pictures)} pictures, {len(dataset.class_names)} classes"]
    lines += [f"  read as {dataset.read_as}"] if dataset.read_as else []
    lines += [f"  groups by {dataset.grouped_by}: {groups_sentence(grouped)}"] if dataset.grouped_by else []
    lines += [f"  {part:5} " + ", ".join(f"{name} {n}" for name, n in row.items()) for part, row in counts.items()]
    lines += [f"  skipped {row.file}: {row.reason}" for row in dataset.skipped]
    if dataset.ignored:
        reasons = Counter(row.reason for row in dataset.ignored)
        lines.append("  ignored " + ", ".join(f"{number} ({reason})" for reason, number in reasons.items()))
    lines += [f"  {notice}" for notice in (*dataset.notices, *split.notices)]
    lines += [f"  {'warning' if finding.serious else 'note'}: {finding.sentence}" for finding in findings]
    return values, "\n".join(lines)


def _bring(where: str, layout: str, groups: str | None) -> Ingested:
    """A data set in the store, its pictures grouped where that is asked for."""
    ingested = ingest(where, layout=layout)
    if groups is None:
        return ingested
    return replace(ingested, dataset=set_groups(ingested.dataset, find_groups(ingested.dataset, groups)))


def _draw(where: str, folder: Path) -> None:
    """The built-in pictures as files, in a folder for each part and class."""
    from core.data.drawn.drawings import pictures

    if where != "builtin":
        raise SettingsError("--draw writes the built-in pictures; yours are files already.")
    try:
        for name, content in pictures(usable_cores()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as error:
        raise SettingsError(f"--draw is {folder.name!r}; no pictures can be written there{_why(error)}.") from error


def _why(error: OSError) -> str:
    """The system's reason in brackets, where it gives one."""
    return f" ({error.strerror})" if error.strerror else ""


def train(where: str, settings: RunSettings, say: Say, layout: str = AUTO, groups: str | None = None) -> Result:
    """One run, from data to record."""
    store, ingested = RunStore(), _bring(where, layout, groups)
    run = _work_off(store, _submit(store, [settings], ingested, as_race=False), say)[0]
    values = run_values(_finished(run))
    return values, "\n".join([_run_line(values), *_weighting(settings, ingested.dataset)])


def race(
    where: str,
    settings: RunSettings,
    scenarios: Sequence[str],
    seeds: Sequence[int],
    say: Say,
    layout: str = AUTO,
    groups: str | None = None,
) -> Result:
    """Several runs on the same data, and the verdict."""
    from core.comparison.verdict import BAND
    from core.runs.results import load_outcome

    store, ingested = RunStore(), _bring(where, layout, groups)
    plans = plan_race(settings, scenarios, seeds)
    runs = [_finished(run) for run in _work_off(store, _submit(store, plans, ingested, as_race=True), say)]
    verdict, text = _race_result([load_outcome(run.id) for run in runs], BAND)
    rows = [run_values(run) for run in runs]
    return {"race": runs[0].race, "runs": rows, "verdict": verdict}, "\n".join(
        [*map(_run_line, rows), *_weighting(plans[0], ingested.dataset), text]
    )


def _weighting(settings: RunSettings, dataset: Dataset) -> list[str]:
    """What class weights did, where they were asked for."""
    if settings.optim.class_weights == "none":
        return []
    counts = dataset.counts(dataset.split(settings.seed, settings.data))
    return [f"Class weights: {weighting_sentence(settings.optim.class_weights, counts)}"]


def _submit(store: RunStore, plans: Sequence[RunSettings], ingested: Ingested, *, as_race: bool) -> list[str]:
    """Queue runs that are this command's: whoever ends it ends them."""
    return submit(store, plans, ingested, as_race=as_race, owner=identity())


def _race_result(outcomes: "Sequence[Outcome]", band: float, report: str = "text") -> Result:
    """The verdict over a race, with every arm, every pair and who trained faster."""
    from core.comparison.folds import gather_folds, incomplete_seeds, question
    from core.comparison.race import race_verdict
    from core.comparison.race_report import race_as_csv, race_as_markdown
    from core.comparison.race_wording import accuracy_interval

    verdict = race_verdict(gather_folds(outcomes), band)
    left_out = incomplete_seeds([outcome.settings for outcome in outcomes])
    values = {**verdict.to_dict(), "question": question(outcomes), "left_out": left_out}
    if report != "text":
        return values, (race_as_markdown if report == "markdown" else race_as_csv)(verdict)
    pairs = [pair.sentence for pair in verdict.pairs] if len(verdict.pairs) > 1 else []
    arms = [f"{arm.label}: test accuracy {arm.mean:.1%} ({accuracy_interval(arm)})" for arm in verdict.arms]
    lines = [verdict.sentence, *arms, *pairs, *(pair.speed for pair in verdict.pairs if pair.speed)]
    return values, "\n".join([*lines, *filter(None, [values["question"]]), *left_out])


def compare(names: Sequence[str], band: float, report: str = "text") -> Result:
    """Finished runs side by side, with the verdict that the Compare page gives.

    Two runs are compared on their pictures; more are a race. CSV has a row per picture, of a race a row per pair.
    """
    from core.comparison.verdict import compare as compare_two
    from core.runs.record import load_record
    from core.runs.results import load_outcome
    from core.takehome.report import as_csv as pictures_as_csv
    from core.takehome.report import as_markdown

    store = RunStore()
    ids = [_finished(find_run(store, name)).id for name in names]
    if len(ids) < 2:
        raise RunError("A comparison needs two runs or more.")
    outcomes = [load_outcome(run) for run in ids]
    if len(ids) > 2:
        return _race_result(outcomes, band, report)
    records = (load_record(ids[0]), load_record(ids[1]))
    comparison = compare_two(outcomes[0], outcomes[1], band)
    values = comparison.to_dict()
    text = comparison.sentence
    if report == "markdown":
        text = as_markdown(comparison, records, [store.looks(record.test_part) for record in records])
    if report == "csv":
        if comparison.agreement is None:
            raise RunError(f"There is no table of pictures: {comparison.sentence}")
        text = pictures_as_csv(comparison, (outcomes[0], outcomes[1]), records[0].test_names)
    return {**values, "verdict": values["outcome"]}, text


def classify(
    run_id: str, pictures: Sequence[str], top: int, coverage: float | None = None, explain: str | None = None
) -> Result:
    """What a run's model says about picture files; unreadable ones are named and the others answered.

    Of a folder all pictures in it are classified, and those in its folders.

    Args:
        coverage: share of pictures whose true class is to be among those named; None names none.
        explain: folder that heat maps are written into.
    """
    from core.comparison.temperature import temperature_sentence
    from core.inference.prediction_sets import set_sentence
    from core.inference.predictor import Predictor
    from core.inference.values import answer_values, run_answers

    if top < 1:
        raise SettingsError(f"top is {top}; it must be at least 1.")
    run = _finished(RunStore().get(run_id))
    rule = None if coverage is None else _set_rule(run.id, coverage)
    predictor = Predictor.load(run.id)
    results: list[dict[str, Any]] = []
    lines = []
    for number, name in enumerate(_picture_files(pictures), 1):
        try:
            pixels = decode_picture(_read(name))
        except ImageError as error:
            results.append({"file": name, "error": str(error)})
            lines.append(f"{name}: skipped, it {error}")
            continue
        values = answer_values(predictor.record, name, predictor.predict([pixels])[0], top=top, rule=rule)
        line = f"{name}: " + ", ".join(f"{row['class']} {row['probability']:.1%}" for row in values["top"])
        if rule is not None:
            line += f"; at {rule.coverage:.0%}: {' or '.join(values['named']) or 'no class is likely enough'}"
        if explain is not None:
            values["heat_map"] = _write_heat_map(
                predictor, pixels, values["predicted"], Path(explain, f"{number:03}-{Path(name).stem}.png")
            )
        results.append(values)
        lines.append(line)
    if all("error" in row for row in results):
        raise ImageError("; ".join(lines))
    lines.append(temperature_sentence(predictor.record.temperature, predictor.record.split["val"]))
    lines += [set_sentence(rule)] if rule is not None else []
    return run_answers(predictor.record, results, rule), "\n".join(lines)


def _picture_files(names: Sequence[str]) -> list[str]:
    """These files, and of folders the pictures in them.

    Raises:
        ImageError: a folder holds no picture.
    """
    found: list[str] = []
    for name in names:
        inside = pictures_in(Path(name)) if name and Path(name).is_dir() else [Path(name)] if name else []
        if not inside:
            raise ImageError(f"There is no picture in {Path(name).name!r}." if name else "A picture has an empty name.")
        found += map(str, inside)
    return found


def _set_rule(run_id: str, coverage: float) -> "SetRule":
    from core.inference.prediction_sets import fit_sets
    from core.runs.record import load_predictions

    said = load_predictions(run_id)
    if said.val_probabilities is None or said.val_targets is None:
        raise RunError(f"The run {run_id} kept nothing about val, so no coverage can be promised; train it again.")
    return fit_sets(said.val_targets, said.val_probabilities, coverage)


def _write_heat_map(predictor: "Predictor", pixels: np.ndarray, predicted: str, path: Path) -> str:
    """The path, now of a PNG that shows what spoke for the predicted class."""
    from core.inference.explain import heat_map, overlay

    heat = heat_map(predictor, pixels, predictor.class_names.index(predicted))
    received = predictor.input_of(pixels).permute(1, 2, 0).numpy()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(overlay(received, heat, float(np.abs(heat).max()))).save(path)
    except OSError as error:
        raise SettingsError(
            f"--explain is {path.parent.name!r}; no picture can be written there{_why(error)}."
        ) from error
    return str(path)


def export(run_id: str, file: str, say: Say) -> Result:
    """A run's weights, preprocessing, ONNX, model card and a script that needs nothing of Thaw, in one zip."""
    from core.takehome.export import export_run

    run, target = _finished(RunStore().get(run_id)), Path(file)
    if not target.parent.is_dir():
        raise RunError(f"There is no folder {target.parent.name!r} to write {target.name} into.")
    export_run(run.id, target, say)
    size = target.stat().st_size
    said = f"{file}: {size / 1e6:.1f} MB. Unpack it and read README.md."
    return {"run": run.id, "file": file, "size_bytes": size}, said


def publish(run_id: str, repository: str, public: bool, say: Say) -> Result:
    """A packed run's files in a repository on the Hugging Face Hub; the token comes from `HF_TOKEN`."""
    from core.takehome.hub import publish_run

    run = _finished(RunStore().get(run_id))
    token = os.environ.get("HF_TOKEN", "")  # on a command line it would be seen by everybody on this computer
    address = publish_run(run.id, repository, token, public=public, on_progress=say)
    return {"run": run.id, "address": address}, address


def bring_back(file: str, say: Say) -> Result:
    """A zip that `export` has packed, here or elsewhere, as a run of this home folder."""
    from core.takehome.import_run import import_run

    run = import_run(RunStore(), Path(file), say)
    values = run_values(run)
    return values, _run_line(values)


def machine(again: bool) -> Result:
    """The machine, its peaks, and what was measured for the default backbone on each device; now if it never was."""
    here, backbone, cards = this_machine(), ModelSettings().backbone, devices()[:-1]
    peaks, speeds = load_peaks(), load_speeds(backbone)
    known = [(card, rates) for card in cards if (rates := load_speeds(backbone, card.kind))]
    if again or peaks is None or speeds is None or len(known) < len(cards):
        from core.training.probe import known_peaks, known_speeds

        peaks, speeds = known_peaks(again), known_speeds(backbone, again)
        known = [(card, known_speeds(backbone, again, device=card.kind)) for card in cards]
    values = {"machine": asdict(here), "peaks": asdict(peaks), "plain": not tricks_wanted()}
    values["backbones"] = {backbone: _speed_values(speeds)}
    lines = [f"{here}, torch {here.torch}", *(f"  {name:13} {value}" for name, value in peaks.rows())]
    lines += [] if tricks_wanted() else [f"  {PLAIN}"]
    lines += [f"  {BACKBONES[backbone].label}, {speeds.threads} threads, pictures per second:"]
    lines += [f"    forward fp32, {name}: {rate:.0f}" for name, rate in speeds.engines.items()]
    lines += _speed_lines(speeds)
    values["devices"] = [asdict(card) | {"backbones": {backbone: _speed_values(rates)}} for card, rates in known]
    for card, rates in known:
        lines += [f"{card} ({card.kind})", f"  {BACKBONES[backbone].label}, pictures per second:"]
        lines += _speed_lines(rates)
    return values, "\n".join(lines)


def _speed_values(speeds: Speeds) -> dict[str, Any]:
    chosen = {work: speeds.precision(work) for work in WORKS}
    return {**asdict(speeds), "precision": chosen, "engine": speeds.engine}


def _speed_lines(speeds: Speeds) -> list[str]:
    """A line for each kind of work: its speeds, and the precision that is chosen for them."""
    lines = []
    for work in WORKS:
        rates = ", ".join(f"{name} {rate:.0f}" for name, rate in speeds.by_precision(work).items())
        lines.append(f"    {work:13} {rates}: {speeds.precision(work)}")
    return lines


def list_runs() -> Result:
    """All runs, newest first; what dead processes have left behind goes."""
    store = RunStore()
    store.heal()
    sweep_staging()
    rows = [run_values(run) for run in store.runs()]
    return {"runs": rows}, "\n".join(map(_run_line, rows)) or "No runs yet. Try: python -m core train --data builtin"


def list_backbones() -> Result:
    """All networks, with their size and where their weights are."""
    rows, lines = [], []
    for spec in BACKBONES.values():
        status = weights_status(spec.name)
        row = {"name": spec.name, "label": spec.label, "stages": len(spec.stages), "features": spec.features}
        row |= {"weights": status.badge, "available": status.available, "forward_gflop": spec.forward_gflop}
        rows.append(row)
        lines.append(f"{spec.name:20} {spec.label:20} {status.badge}")
    return {"backbones": rows}, "\n".join(lines)


def run_values(run: Run) -> dict[str, Any]:
    """One run as JSON values: what it is, how it stands, and once it has finished what came out."""
    model = run.settings.model
    values = {"run": run.id, "number": run.number, "state": run.state, "scenario": model.scenario}
    values |= {"backbone": model.backbone, "seed": run.settings.seed, "data": run.dataset_title, "race": run.race}
    values |= {"fold": run.settings.data.fold, "folds": run.settings.data.folds}
    return {**values, "cause": run.cause, **(run.summary or {})}


def _run_line(values: dict[str, Any]) -> str:
    fold = f", fold {values['fold']} of {values['folds']}" if values["fold"] is not None else ""
    line = f"{values['run']}  {SCENARIOS[values['scenario']].label:22} "
    line += f"{values['backbone']}, seed {values['seed']}{fold}: "
    if values["state"] != "finished":
        return line + str(values["state"]) + (f" ({values['cause']})" if values["cause"] else "")
    parameters = values["parameters"]
    balanced = ""
    if values.get("class_weights") == "balanced" and values["balanced_accuracy"] is not None:
        balanced = f" (balanced {values['balanced_accuracy']:.1%})"
    return (
        f"{line}test accuracy {values['test_accuracy']:.1%}{balanced} in {values['duration_s']:.1f} s, "
        f"{parameters['trained']:,} of {parameters['total']:,} parameters trained"
        + "".join(f"\n  warning: {sentence}" for sentence in values.get("lacks", ()))
    )


def _work_off(store: RunStore, ids: list[str], say: Say) -> list[Run]:
    """Train these runs here, or watch while a running app's worker does; whatever ends us cancels what is left."""
    planned = [store.get(run).settings for run in ids]
    if any(load_speeds(one.model.backbone, device_for(one).kind) is None for one in planned):
        say("not measured here yet, so computed in a way that is safe everywhere: `machine` looks for a faster one")
    try:
        with _owning(store, ids):
            while any(store.get(run).is_active for run in ids):
                if not work_off(store, lambda: False, ids):
                    say("waiting for another run on this machine to end")
                    time.sleep(POLL_S)
    except BaseException:
        with suppress(Exception):  # what cannot be written now is healed: they belong to us
            for run in ids:
                store.cancel(run)
        raise
    return [store.get(run) for run in ids]


def _owning(store: RunStore, ids: list[str]) -> AbstractContextManager[None]:
    """Signs of life of this process, which these runs belong to, for those who cannot look it up: other machines."""

    def beat() -> None:
        with suppress(Exception):  # the next one may go through
            store.beat_owner(ids)

    return repeated(beat, OWNER_BEAT_S)


def _finished(run: Run) -> Run:
    if run.state == "finished":
        return run
    if run.state == "failed":
        raise TrainingError(run.cause or "The run failed.")
    raise RunError(f"The run {run.id} is {run.state}; only finished runs can be used.")


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError as error:
        raise ImageError("is not there") from error
    except (OSError, ValueError) as error:  # a name with a NUL in it is no OSError
        why = error.strerror if isinstance(error, OSError) else None
        raise ImageError(f"cannot be opened ({why or 'no possible name'})") from error
