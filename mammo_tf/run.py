"""One run: open the data, cut the examples, split, fit, predict, measure, write the record.

Whatever can be fitted is a `Method`; a paper is a tuple of `Run`s (`experiments/<key>.py`); `execute` is the loop.

    record = run.execute(ao2020.RUNS[0], run.Settings(budget=ao2020.BUDGETS["smoke"], dataset=cbis_ddsm))
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mammo_tf import artifacts, audit, cases, certificates, intake, machine, measure, records, run_settings
from mammo_tf.rows import (  # noqa: F401 - the values of a paper file, under one name
    AtBudget,
    Budget,
    Method,
    Rules,
    Run,
    Selection,
    Settings,
    for_standin,
    identity,
    module_of,
    open_data,
    weights_file,
    weights_name,
)

LOG = logging.getLogger("mammo_tf")
NEEDS_FILE = records.NEEDS_FILE


@dataclasses.dataclass(frozen=True)
class Done:
    """One fitted split, as the hooks of `Run.after` see it.

    Attributes:
        folder: where its files go.
        fitted: what `Method.fit` returned.
        parts: the split that it was fitted on (after `Run.sample`).
        predictions: of the reported part.
        inputs: folders of what the run needed, by name.
        shown: what a figure says of the run.
        ledger: counts how often labels are scored.
        reported: name of the part.
        budget: of the run.
    """

    folder: pathlib.Path
    fitted: Any
    parts: cases.Splits
    predictions: artifacts.Predictions
    inputs: Mapping[str, pathlib.Path]
    shown: artifacts.Shown
    ledger: audit.Ledger
    reported: str
    budget: Any


@dataclasses.dataclass(frozen=True)
class _Job:
    """A run with everything that its splits share."""

    run: Run
    settings: Settings
    dataset: cases.Dataset
    folder: pathlib.Path
    shown: artifacts.Shown
    weights: pathlib.Path | None
    single: bool


def execute(run: Run, settings: Settings) -> records.Record:
    """Does the run and writes its folder (`record.json`, predictions, history, model, figures).

    Raises:
        cases.MammoError: the data, the folder or the weights cannot be used; the message says which and why.
    """
    started = time.perf_counter()
    dataset = open_data(run, settings)
    intake.say("read", dataset.problems)
    digest = identity(run, settings, dataset.fingerprint)
    label = records.label(run.name, run.protocol.name, dataset, settings.budget.name, settings.seed)
    folder = artifacts.make_folder(pathlib.Path(settings.out) / run.paper / f"{label}-{digest}")
    if settings.resume and (folder / "record.json").is_file():
        LOG.info("%s: already done in %s", run.name, folder)
        return records.load(folder / "record.json")[0]
    examples, problems = intake.readable(*run.data(dataset, settings.budget), strict=settings.strict)
    intake.say("cut", problems)
    splits = run.splits(examples, settings.budget, settings.seed)
    for parts in splits:
        audit.refuse_empty(parts, run.protocol.reported)
    before = time.perf_counter()
    needs = {n.name: execute(n, dataclasses.replace(settings, resume=True)) for n in run.needed(settings.budget)}
    weights = _weights(run, settings)
    started += time.perf_counter() - before  # what others need is their own cost
    inputs = [_inputs(needs, dataset, parts) for parts in splits]
    if not settings.resume:
        artifacts.empty(folder)
    beside = {name: os.path.relpath(record.folder, folder) for name, record in needs.items()}
    records.write_json(beside, folder / NEEDS_FILE)
    run_settings.write(run, settings, folder)
    job = _Job(run, settings, dataset, folder, _shown(run, settings, dataset), weights, len(splits) == 1)
    LOG.info(
        "%s (%s) on %s, %s: %s", run.name, run.protocol.name, dataset.name, dataset.kind, audit.in_words(splits[0])
    )
    fits = [_fit(job, parts, given) for parts, given in zip(splits, inputs, strict=True)]
    return _record(job, splits, fits, _Told(digest, started, problems, needs))


@dataclasses.dataclass(frozen=True)
class _Fit:
    """One fitted split: the method's result, what was learned from, what was predicted, claims, files left out.

    `given` and `watched` name the parts that the method got to fit on and to look at.
    """

    fitted: Any
    parts: cases.Splits
    scored: measure.Scored
    claims: Mapping[str, Any]
    problems: tuple[cases.Problem, ...]
    done: Done
    given: tuple[str, ...]
    watched: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Told:
    """What a record says that no fit knows."""

    digest: str
    started: float
    problems: Sequence[cases.Problem]
    needs: Mapping[str, records.Record]


def _fit(job: _Job, parts: cases.Splits, inputs: Mapping[str, pathlib.Path]) -> _Fit:
    """Fits and predicts one split; its files go to the run's folder, or to `fold<k>` below it."""
    run, settings = job.run, job.settings
    folder = job.folder if job.single else artifacts.make_folder(job.folder / f"fold{parts.fold}")
    sampled, problems = run.sample(parts, settings.budget, settings.seed) if run.sample else (parts, ())
    intake.say("sampled", problems)
    context = cases.Context(
        seed=settings.seed,
        budget=settings.budget.name,
        folder=folder,
        precision=settings.precision,
        weights=job.weights,
        resume=settings.resume,
        inputs=inputs,
        dataset_kind=job.dataset.kind,
        strict=settings.strict,
        draw=artifacts.drawings(job.shown),
        watch=sampled.test if run.protocol.watched else (),
        leaked=sampled.test if run.protocol.fits_test else (),
    )
    fitted = run.method(settings.budget).fit(sampled.train, sampled.val, context)
    intake.compare_mean(getattr(fitted, "normalizer", None), run.known_means, job.dataset)
    ledger = audit.Ledger(folder / "reads.json")
    scored = measure.predict(run.protocol, sampled, fitted, ledger)
    audit.write_patients(folder, parts)
    artifacts.write_fitted(folder, fitted, job.shown, run.takes)
    done = Done(
        folder, fitted, sampled, scored.reported, inputs, job.shown, ledger, run.protocol.reported, settings.budget
    )
    hooks = (_saliency,) if run.after is None else run.after
    claims = {name: claim for hook in hooks for name, claim in hook(done).items()}
    scored = dataclasses.replace(scored, test_reads=ledger.count(run.protocol.reported))
    got = (("train", sampled.train), ("val", sampled.val), ("test", context.leaked))
    given, watched = tuple(name for name, some in got if some), ("test",) if context.watch else ()
    left_out = (*problems, *getattr(fitted, "problems", ()))
    return _Fit(fitted, sampled, scored, claims, left_out, done, given, watched)


def _saliency(done: Done) -> dict[str, Any]:
    return artifacts.saliency(done.folder, done.fitted, done.predictions, done.shown)


def _record(job: _Job, splits: Sequence[cases.Splits], fits: Sequence[_Fit], told: _Told) -> records.Record:
    """Measures the fits together, writes predictions and figures, and keeps the record."""
    run, settings, dataset = job.run, job.settings, job.dataset
    predictions, measured = measure.measure(run.protocol, [fit.scored for fit in fits], job.shown, settings.seed)
    artifacts.write_predictions(job.folder / "predictions.csv", predictions)
    artifacts.draw_predictions(job.folder, predictions, measured["metrics"], job.shown)
    left_out = [problem for fit in fits for problem in fit.problems]
    over_all = [hook([fit.done for fit in fits]) for hook in run.together]
    record = records.Record(
        **_facts(run, settings, dataset, fits[0].fitted),
        hash=told.digest,
        **measure.of_splits(run.protocol, splits, [fit.parts for fit in fits]),
        **measured,
        needs={name: record.hash for name, record in told.needs.items()},
        problems=intake.listed((*dataset.problems, *told.problems, *left_out), dataset.root),
        claims={**fits[0].claims, **{name: claim for found in over_all for name, claim in found.items()}},
        **machine.circumstances(told.started, getattr(fits[0].fitted, "device", None)),
        folder=str(job.folder),
    )
    certificate = certificates.issue(record, [fit.parts for fit in fits], fits[0].given, fits[0].watched)
    record = dataclasses.replace(record, certificate=certificate)
    records.save(dataclasses.replace(record, folder=""), job.folder / "record.json")
    LOG.info("%s: %s", run.name, artifacts.summary(record))
    return record


def _inputs(
    needs: Mapping[str, records.Record], dataset: cases.Dataset, parts: cases.Splits
) -> dict[str, pathlib.Path]:
    """Folders of what a split needs: of the same fold where a need has several.

    Raises:
        cases.MammoError: a need has learned from patients whom this split validates or tests on.
    """
    folders = {}
    for name, record in needs.items():
        whole = pathlib.Path(record.folder)
        fold = whole / f"fold{parts.fold}"
        folders[name] = fold if fold.is_dir() else whole
        audit.refuse_shared_patients(folders[name], record.fingerprint, parts, dataset.fingerprint)
    return folders


def _weights(run: Run, settings: Settings) -> pathlib.Path | None:
    """The file of the pre-trained weights that the run starts from, made or fetched where it must be."""
    if run.pretrained is not None and settings.weights == "phantom":
        record = execute(run.standin, for_standin(settings))
        return pathlib.Path(record.folder) / "model.keras"
    return weights_file(run, settings)


def _facts(run: Run, settings: Settings, dataset: cases.Dataset, fitted: Any) -> dict[str, Any]:
    """The fields of the record that say what was run."""
    policy = run.policy(dataset.name)
    select = getattr(run.method(settings.budget), "select", None)
    return {
        "paper": run.paper,
        "run": run.name,
        "protocol": run.protocol.name,
        "dataset": dataset.name,
        "dataset_kind": dataset.kind,
        "fingerprint": dataset.fingerprint,
        "intensity": settings.intensity,
        "repairs": intake.counted(dataset.repairs),
        "label_policy": policy.name,
        "class_names": list(run.classes or policy.class_names),
        "budget": settings.budget.name,
        "seed": settings.seed,
        "weights": weights_name(run, settings),
        "precision": getattr(fitted, "precision", "not stated"),
        "selection": getattr(select, "__name__", "none"),
    }


def _shown(run: Run, settings: Settings, dataset: cases.Dataset) -> artifacts.Shown:
    kind = "phantom, not patients" if dataset.kind == "phantom" else "real data"
    note = f"{run.name}, {run.protocol.name}: {dataset.name} ({kind}), budget {settings.budget.name}"
    return artifacts.Shown(note, run.classes or run.policy(dataset.name).class_names, settings.budget.draws)
