"""One run: open the data, cut the examples, split, fit, predict, measure, write the record.

Whatever can be fitted is a `Method`; a paper is a tuple of `Run`s (`experiments/<key>.py`); there is one loop, `execute`.

    record = run.execute(ao2020.RUNS[0], run.Settings(budget=ao2020.BUDGETS["smoke"], dataset=cbis_ddsm))
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import shutil
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mammo_tf import artifacts, audit, cases, datasets, records
from mammo_tf.datasets import phantom, splits
from mammo_tf.evaluation import intervals, thresholds

LOG = logging.getLogger("mammo_tf")


class Method(Protocol):
    """Whatever can be fitted.

    `fit` returns `predict(examples) -> (N, C) float32 probabilities, C >= 2`. The returned object may also carry
    `model`, `normalizer`, `history`, `best_epoch`, `val_reads`, `problems` and `save(folder)` (`training.method.Fitted`);
    what it lacks is left out of the run's folder.
    """

    def fit(
        self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context, /
    ) -> Callable[[Sequence[cases.Example]], np.ndarray]: ...


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much a run may cost; a paper file adds its own columns (image side, widths, epochs)."""

    name: str
    phantom: phantom.PhantomSpec
    draws: int = 2000


@dataclasses.dataclass(frozen=True)
class Rules:
    """A named protocol: which part is reported, and what it lets leak.

    Attributes:
        name: "as_published" or "honest".
        reported: "val" or "test", the part that the table speaks of.
        leaks: the protocol's flaws in words, beside those of its split.
        threshold: rule of `evaluation.thresholds` that chooses the second operating point on validation.
    """

    name: str
    reported: str
    leaks: tuple[str, ...] = ()
    threshold: Callable[..., float] = thresholds.youden


Selection = tuple[Sequence[cases.Example], Sequence[cases.Problem]]


@dataclasses.dataclass(frozen=True)
class Run:
    """One row of a paper's table under one protocol.

    Attributes:
        name: the row, as `--only` takes it.
        method: budget -> Method.
        data: (dataset, budget) -> (examples, problems).
        split: (examples, seed) -> Splits.
        protocol: the rules it is run and reported under.
        policy: dataset name -> label policy.
        needs: runs trained before this one; their folders come as `Context.inputs`.
        standin: what `--weights phantom` means here: a run on another phantom whose net is the starting point.
        pretrained: the way to the weights that `--weights imagenet` means, or None where a run starts from scratch.
        spec: budget -> the phantom of this run, where it is not the budget's own.
        paper: the paper's numbers for this row, by metric, and `source`.
    """

    paper: str
    name: str
    method: Callable[[Any], Method]
    data: Callable[[cases.Dataset, Any], Selection]
    split: Callable[..., cases.Splits]
    protocol: Rules
    policy: Callable[[str], cases.LabelPolicy]
    needs: tuple[Run, ...] = ()
    standin: Run | None = None
    pretrained: Callable[[], pathlib.Path] | None = None
    spec: Callable[[Any], phantom.PhantomSpec] | None = None
    published: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line decides. `root` None stands for the phantom; `weights` is "imagenet", "phantom" or a file."""

    budget: Any
    dataset: types.ModuleType
    root: pathlib.Path | None = None
    seed: int = 0
    out: pathlib.Path = pathlib.Path("runs")
    weights: str | None = None
    precision: str = "auto"
    resume: bool = False
    strict: bool = False


def identity(run: Run, settings: Settings, fingerprint: str) -> str:
    """Eight digits for everything that decides the numbers; the budget counts after scaling.

    >>> len(records.hash8("a", 1))
    8
    """
    needs = [identity(need, settings, fingerprint) for need in run.needs]
    standin = run.standin if settings.weights == "phantom" else None
    decided = {
        "name": run.name,
        "method": run.method(settings.budget),
        "data": run.data,
        "split": run.split,
        "protocol": run.protocol,
        "policy": run.policy(settings.dataset.NAME).name,
        "budget": settings.budget,
        "dataset": fingerprint,
        "seed": settings.seed,
        "weights": settings.weights if run.pretrained or run.standin else None,
        "precision": settings.precision,
        "standin": standin and identity(standin, settings, "phantom"),
    }
    return records.hash8(decided, needs)


def execute(run: Run, settings: Settings) -> records.Record:
    """Does the run and writes its folder (`record.json`, predictions, history, model, figures).

    Raises:
        cases.MammoError: the data, the folder or the weights cannot be used; the message says which and why.
    """
    started = time.perf_counter()
    dataset = open_data(run, settings)
    _say_problems("read", dataset.problems)
    digest = identity(run, settings, dataset.fingerprint)
    folder = _folder(run, settings, dataset, digest)
    if settings.resume and (folder / "record.json").is_file():
        LOG.info("%s: already done in %s", run.name, folder)
        return records.load(folder / "record.json")[0]
    examples, problems = run.data(dataset, settings.budget)
    _say_problems("cut", problems)
    parts = run.split(examples, settings.seed)
    audit.refuse_empty(parts, run.protocol.reported)
    inputs, weights = _inputs(run, settings, parts, dataset)
    context = _context(settings, dataset, folder, inputs, weights)
    LOG.info("%s (%s) on %s, %s: %s", run.name, run.protocol.name, dataset.name, dataset.kind, _sizes_text(parts))
    fitted = run.method(settings.budget).fit(parts.train, parts.val, context)
    measured = _measure(run, settings, parts, fitted)
    problems = [*dataset.problems, *problems, *getattr(fitted, "problems", ())]
    facts = _facts(run, settings, dataset, digest, parts, problems)
    claims = artifacts.write(folder, fitted, measured.predictions, note=_note(facts), budget=settings.budget)
    record = records.Record(
        **facts, **measured.fields, claims=claims, **artifacts.circumstances(started), folder=str(folder)
    )
    records.save(dataclasses.replace(record, folder=""), folder / "record.json")
    LOG.info("%s: %s", run.name, artifacts.summary(record))
    return record


def open_data(run: Run, settings: Settings) -> cases.Dataset:
    """The dataset of a run: the folder given, or the budget's phantom where none is."""
    spec = run.spec(settings.budget) if run.spec else settings.budget.phantom
    root = None if run.spec else settings.root
    return datasets.open_dataset(settings.dataset, root, spec=spec, strict=settings.strict)


def _folder(run: Run, settings: Settings, dataset: cases.Dataset, digest: str) -> pathlib.Path:
    name = f"{run.name}-{run.protocol.name}-{dataset.name}-{dataset.kind}-{settings.budget.name}-s{settings.seed}-{digest}"
    folder = pathlib.Path(settings.out) / run.paper / name
    try:
        if folder.exists() and not settings.resume:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise cases.DataError(folder, f"the output folder cannot be written: {error.strerror}") from None
    return folder


def _say_problems(what: str, problems: Sequence[cases.Problem]) -> None:
    for problem in problems[:5]:
        LOG.warning("left out: %s: %s", problem.path, problem.reason)
    if len(problems) > 5:
        LOG.warning("left out while being %s: %d in all; the record lists them", what, len(problems))


def _sizes_text(parts: cases.Splits) -> str:
    return ", ".join(f"{name} {s['examples']} ({s['patients']} patients)" for name, s in audit.sizes(parts).items())


def _inputs(
    run: Run, settings: Settings, parts: cases.Splits, dataset: cases.Dataset
) -> tuple[dict[str, pathlib.Path], pathlib.Path | None]:
    """Folders of what the run needs, and the file of its pre-trained weights."""
    inputs = {}
    for need in run.needs:
        record = execute(need, dataclasses.replace(settings, resume=True))
        audit.refuse_shared_patients(pathlib.Path(record.folder), record.fingerprint, parts, dataset.fingerprint)
        inputs[need.name] = pathlib.Path(record.folder)
    return inputs, _weights(run, settings)


def _weights(run: Run, settings: Settings) -> pathlib.Path | None:
    if run.pretrained is None:
        return None
    if settings.weights == "phantom":
        record = execute(run.standin, dataclasses.replace(settings, resume=True, weights=None, seed=0))
        return pathlib.Path(record.folder) / "model.keras"
    if settings.weights in (None, "imagenet"):
        return run.pretrained()
    path = pathlib.Path(settings.weights)
    if not path.is_file():
        raise cases.DataError(path, "--weights names no file (and is neither imagenet nor phantom)")
    return path


def _context(settings: Settings, dataset: cases.Dataset, folder: pathlib.Path, inputs: Any, weights: Any) -> Any:
    return cases.Context(
        seed=settings.seed,
        budget=settings.budget.name,
        folder=folder,
        precision=settings.precision,
        weights=weights,
        resume=settings.resume,
        inputs=inputs,
        dataset_kind=dataset.kind,
        strict=settings.strict,
        draw=artifacts.drawings(dataset.kind),
    )


@dataclasses.dataclass(frozen=True)
class _Measured:
    predictions: artifacts.Predictions
    fields: Mapping[str, Any]


def _measure(run: Run, settings: Settings, parts: cases.Splits, fitted: Any) -> _Measured:
    """Predicts the reported part once and scores it; thresholds come from validation alone."""
    reported = getattr(parts, run.protocol.reported)
    validation = artifacts.Predictions.of(parts.val, fitted(parts.val))
    predictions = validation if reported is parts.val else artifacts.Predictions.of(reported, fitted(reported))
    threshold = run.protocol.threshold(validation.labels, validation.scores)
    evaluate = _Evaluate(predictions, settings)
    train_labels = np.array([example.label for example in parts.train])
    history = list(getattr(fitted, "history", ()))
    reads = getattr(fitted, "val_reads", 0) + 2 if reported is parts.val else 1  # + this one and the threshold's
    fields = {
        "metrics": evaluate(0.5),
        "tuned": evaluate(threshold),
        "threshold": float(threshold),
        "threshold_rule": run.protocol.threshold.__name__,
        "majority": intervals.majority_row(
            train_labels, predictions.labels, predictions.patients, draws=settings.budget.draws, seed=settings.seed
        ),
        "training": artifacts.training_facts(history, getattr(fitted, "best_epoch", None)),
        "test_reads": reads,
    }
    return _Measured(predictions, fields)


@dataclasses.dataclass(frozen=True)
class _Evaluate:
    predictions: artifacts.Predictions
    settings: Settings

    def __call__(self, threshold: float) -> dict[str, intervals.Estimate]:
        p, s = self.predictions, self.settings
        return intervals.evaluate(
            p.labels, p.scores, p.patients, threshold=threshold, draws=s.budget.draws, seed=s.seed
        )


def _facts(
    run: Run, settings: Settings, dataset: cases.Dataset, digest: str, parts: cases.Splits, problems: Sequence[Any]
) -> dict[str, Any]:
    """The fields of the record that are known without the fit."""
    policy = run.policy(dataset.name)
    method = run.method(settings.budget)
    select = getattr(method, "select", None)
    return {
        "paper": run.paper,
        "run": run.name,
        "protocol": run.protocol.name,
        "hash": digest,
        "dataset": dataset.name,
        "dataset_kind": dataset.kind,
        "fingerprint": dataset.fingerprint,
        "label_policy": policy.name,
        "class_names": list(policy.class_names),
        "budget": settings.budget.name,
        "seed": settings.seed,
        "weights": _weights_name(run, settings),
        "precision": settings.precision,
        "reported": run.protocol.reported,
        "sizes": audit.sizes(parts),
        "selection": getattr(select, "__name__", "none"),
        "leaks": [*parts.leaks, *run.protocol.leaks],
        "audit": audit.overlap(parts),
        "problems": [dataclasses.asdict(problem) for problem in problems],
    }


def _weights_name(run: Run, settings: Settings) -> str:
    if run.pretrained is None:
        return "scratch"
    return {"phantom": "phantom_standin", None: "imagenet"}.get(settings.weights, settings.weights)


def _note(facts: Mapping[str, Any]) -> str:
    kind = "phantom, not patients" if facts["dataset_kind"] == "phantom" else "real data"
    return f"{facts['dataset']} ({kind}), {facts['protocol']}, budget {facts['budget']}"
