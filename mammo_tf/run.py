"""One run: open the data, cut the examples, split, fit, predict, measure, write the record.

Whatever can be fitted is a `Method`; a paper is a tuple of `Run`s (`experiments/<key>.py`); `execute` is the loop.

    record = run.execute(ao2020.RUNS[0], run.Settings(budget=ao2020.BUDGETS["smoke"], dataset=cbis_ddsm))
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import pathlib
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mammo_tf import artifacts, audit, cases, datasets, describe, intake, labels, machine, measure, records
from mammo_tf.datasets import phantom
from mammo_tf.evaluation import thresholds

LOG = logging.getLogger("mammo_tf")


class Method(Protocol):
    """Whatever can be fitted.

    `fit` returns `predict(examples) -> (N, C) float32 probabilities, C >= 2`. The returned object may also carry
    `model`, `normalizer`, `history`, `best_epoch`, `val_reads`, `problems` and `save(folder)`, as
    `training.method.Fitted` does; what it lacks is left out of the run's folder.
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
        paper: key of the paper file.
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
        published: the paper's numbers for this row, by metric; not part of the hash.
    """

    paper: str
    name: str
    method: Callable[[Any], Method]
    data: Callable[[cases.Dataset, Any], Selection]
    split: Callable[..., cases.Splits]
    protocol: Rules
    policy: Callable[[str], labels.LabelPolicy]
    needs: tuple[Run, ...] = ()
    standin: Run | None = None
    pretrained: Callable[[], pathlib.Path] | None = None
    spec: Callable[[Any], phantom.PhantomSpec] | None = None
    published: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the command line decides.

    Attributes:
        budget: one of the paper file's.
        dataset: the format module.
        root: its folder; None stands for the phantom.
        seed: 0 to 2^32 - 1.
        out: where the runs' folders go.
        weights: "imagenet", "phantom" or a file; for runs that start from pre-trained weights.
        precision: "auto", "float32", "bfloat16" or "float16".
        resume: keep what is there: a finished run is returned, a stopped one goes on from its checkpoint.
        strict: stop at the first unreadable file.
        intensity: how DICOM values become gray values (`datasets.dicom`): "raw", "voi" or "minmax".
    """

    budget: Any
    dataset: types.ModuleType
    root: pathlib.Path | None = None
    seed: int = 0
    out: pathlib.Path = pathlib.Path("runs")
    weights: str | None = None
    precision: str = "auto"
    resume: bool = False
    strict: bool = False
    intensity: str = "raw"


def identity(run: Run, settings: Settings, fingerprint: str) -> str:
    """Eight digits for everything that decides the numbers; the budget counts after scaling.

    Counted are the run's description, the dataset's fingerprint, the settings, the hashes of what it needs, and the
    ALGORITHM_VERSION of every module that the paper file or this one imports, directly or not.
    """
    needs = [identity(need, settings, fingerprint) for need in run.needs]
    standin = run.standin if settings.weights == "phantom" else None
    decided = {
        "name": run.name,
        "method": run.method(settings.budget),
        "data": run.data,
        "split": run.split,
        "protocol": run.protocol,
        "policy": run.policy(settings.dataset.NAME),
        "versions": describe.versions([__name__, *map(_module, (run.method, run.data, run.split))]),
        "budget": settings.budget,
        "dataset": fingerprint,
        "seed": settings.seed,
        "weights": _weights_digest(run, settings),
        "precision": settings.precision,
        "spec": run.spec and run.spec(settings.budget),
        "standin": standin and identity(standin, _for_standin(settings), "phantom"),
    }
    return records.hash8(decided, needs)


def _module(call: Any) -> str:
    """The module of a function, a partial of one, or a callable value."""
    call = getattr(call, "func", call)
    return call.__module__ if hasattr(call, "__qualname__") else type(call).__module__


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
    parts = run.split(examples, settings.seed)
    audit.refuse_empty(parts, run.protocol.reported)
    inputs, weights = _inputs(run, settings, parts, dataset)
    shown = _shown(run, settings, dataset)
    context = cases.Context(
        seed=settings.seed,
        budget=settings.budget.name,
        folder=folder,
        precision=settings.precision,
        weights=weights,
        resume=settings.resume,
        inputs=inputs,
        dataset_kind=dataset.kind,
        strict=settings.strict,
        draw=artifacts.drawings(shown),
    )
    LOG.info("%s (%s) on %s, %s: %s", run.name, run.protocol.name, dataset.name, dataset.kind, audit.in_words(parts))
    if not settings.resume:
        artifacts.empty(folder)
    fitted = run.method(settings.budget).fit(parts.train, parts.val, context)
    ledger = audit.Ledger(folder / "reads.json")
    predictions, measured = measure.measure(run.protocol, parts, fitted, ledger, settings.budget.draws, settings.seed)
    claims = artifacts.write(folder, fitted, predictions, shown)
    audit.write_patients(folder, parts)
    record = records.Record(
        **_facts(run, settings, dataset, fitted),
        hash=digest,
        **measure.of_split(run.protocol, parts),
        **measured,
        problems=intake.listed((*dataset.problems, *problems, *getattr(fitted, "problems", ())), dataset.root),
        claims=claims,
        **machine.circumstances(started, getattr(fitted, "device", None)),
        folder=str(folder),
    )
    records.save(dataclasses.replace(record, folder=""), folder / "record.json")
    LOG.info("%s: %s", run.name, artifacts.summary(record))
    return record


def open_data(run: Run, settings: Settings) -> cases.Dataset:
    """The dataset of a run: the folder given, or the budget's phantom where none is."""
    budget, how = settings.budget, {"strict": settings.strict, "intensity": settings.intensity}
    spec, root = (run.spec(budget), None) if run.spec else (budget.phantom, settings.root)
    return datasets.open_dataset(settings.dataset, root, spec=spec, **how)


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


def _for_standin(settings: Settings) -> Settings:
    """One stand-in serves every seed and run; it is trained once."""
    return dataclasses.replace(settings, resume=True, weights=None, seed=0)


def _weights(run: Run, settings: Settings) -> pathlib.Path | None:
    """The file of the pre-trained weights that the run starts from, made or fetched where it must be."""
    if run.pretrained is None:
        return None
    if settings.weights == "phantom":
        record = execute(run.standin, _for_standin(settings))
        return pathlib.Path(record.folder) / "model.keras"
    if settings.weights in (None, "imagenet"):
        return run.pretrained()
    path = pathlib.Path(settings.weights)
    if not path.is_file():
        raise cases.DataError(path, "--weights names no file (and is neither imagenet nor phantom)")
    return path


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
        "class_names": list(policy.class_names),
        "budget": settings.budget.name,
        "seed": settings.seed,
        "weights": _weights_name(run, settings),
        "precision": getattr(fitted, "precision", "not stated"),
        "selection": getattr(select, "__name__", "none"),
    }


def _weights_name(run: Run, settings: Settings) -> str:
    if run.pretrained is None:
        return "scratch"
    names = {"phantom": "phantom_standin", None: "imagenet", "imagenet": "imagenet"}
    return names.get(settings.weights) or pathlib.Path(settings.weights).name


def _weights_digest(run: Run, settings: Settings) -> str | None:
    """The source of pre-trained weights: a file counts by its content, not by its name."""
    if run.pretrained is None or settings.weights == "phantom":
        return None
    return hashlib.sha256(_weights(run, settings).read_bytes()).hexdigest()[:16]


def _shown(run: Run, settings: Settings, dataset: cases.Dataset) -> artifacts.Shown:
    kind = "phantom, not patients" if dataset.kind == "phantom" else "real data"
    note = f"{run.name}, {run.protocol.name}: {dataset.name} ({kind}), budget {settings.budget.name}"
    return artifacts.Shown(note, run.policy(dataset.name).class_names, settings.budget.draws)
