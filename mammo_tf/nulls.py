"""The null test of a run: labels dealt anew to patients, the whole run again, many times.

With labels that mean nothing an honest AUC is 1/2 on average, whatever the net; where it is not, something of the
test part reached the training. What a protocol that leaks reaches on such labels is what its leak is worth.

Each deal has a seed of its own for the split and the method too: one seed deals the same places of the sorted
positives and negatives to the test part whatever the labels, and a fixed scorer then misses 1/2 over all deals (0.41
in a test). AUC is that of a record, so the mean over folds where there are several, and never pooled.

    found = run_null(row, settings, count=20)
    found.mean, found.error, found.holds
"""

from __future__ import annotations

import dataclasses
import logging
import math
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, records, run

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")
COUNT, CLASSICAL = 20, 200  # of a net, and of a method that trains none
ERRORS = 3.0  # standard errors by which the mean may miss 1/2


@dataclasses.dataclass(frozen=True)
class Permuted:
    """`Run.data` with the labels of patients dealt anew.

    Attributes:
        data: the run's own.
        seed: of the deal.
    """

    data: Callable[..., Any]
    seed: int

    def __call__(self, dataset: cases.Dataset, budget: Any) -> run.Selection:
        examples, problems = self.data(dataset, budget)
        return permuted(examples, self.seed), problems


def permuted(examples: Sequence[cases.Example], seed: int) -> tuple[cases.Example, ...]:
    """The examples, each with the label that another patient had; all of a patient's have one.

    A patient is positive where any of her examples is, as splits have it; so many patients stay positive.

    Raises:
        cases.MammoError: a label is neither 0 nor 1.
    """
    if odd := [example.id for example in examples if example.label not in (0.0, 1.0)]:
        raise cases.MammoError(f"null: {len(odd)} examples have labels other than 0 and 1: {', '.join(odd[:3])}")
    names = sorted({example.patient_id for example in examples})
    positive = {example.patient_id for example in examples if example.label == 1}
    dealt = np.random.default_rng([seed, len(names)]).permutation([float(name in positive) for name in names])
    labels = dict(zip(names, map(float, dealt), strict=True))
    return tuple(dataclasses.replace(example, label=labels[example.patient_id]) for example in examples)


@dataclasses.dataclass(frozen=True)
class Null:
    """What a run reaches on labels that mean nothing.

    Attributes:
        run, protocol, dataset, dataset_kind, budget: of the run.
        aucs: one a deal of labels.
        leaks: what the protocol names.
    """

    run: str
    protocol: str
    dataset: str
    dataset_kind: str
    budget: str
    aucs: tuple[float, ...]
    leaks: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        return float(np.mean(self.aucs))

    @property
    def error(self) -> float:
        """Standard error of the mean, NaN for one deal."""
        return float(np.std(self.aucs, ddof=1)) / math.sqrt(len(self.aucs)) if len(self.aucs) > 1 else math.nan

    @property
    def holds(self) -> bool:
        """Whether 1/2 lies within ERRORS standard errors of the mean."""
        return bool(abs(self.mean - 0.5) <= ERRORS * self.error + 1e-12)

    def as_json(self) -> dict[str, Any]:
        """All of it, with mean, error and verdict."""
        return {**dataclasses.asdict(self), "mean": self.mean, "error": self.error, "holds": self.holds}


def run_null(one: run.Run, settings: run.Settings, count: int | None = None) -> Null:
    """Executes a run on `count` deals of labels, with seeds from the settings' on, and keeps their AUCs.

    They go to `<out>/null/<label of the run's last seed>.json`.

    The runs' own folders are removed. Nets that it needs from earlier runs keep the labels that they learned by, as
    stand-ins do.

    Args:
        one: the run; of two classes.
        settings: as for `run.execute`.
        count: of deals; None for COUNT, or CLASSICAL where no net is trained.

    Raises:
        cases.MammoError: as `run.execute`; fewer than two deals; more than two classes.
    """
    trains = bool(getattr(one.method(settings.budget), "stages", ()))
    count = count or (COUNT if trains else CLASSICAL)
    if count < 2 or (one.classes and len(one.classes) > 2):
        raise cases.MammoError(f"null: {one.name}, {count} deals: two at least are needed, of a run of two classes")
    out = pathlib.Path(settings.out) / "null"
    aucs, record = [], None
    for number in range(count):
        dealt = dataclasses.replace(one, data=Permuted(one.data, number), after=(), together=(), published={})
        record = run.execute(dealt, dataclasses.replace(settings, out=out, seed=settings.seed + number))
        aucs.append(record.metrics["auc"].value)
        shutil.rmtree(record.folder, ignore_errors=True)
    facts = (record.run, record.protocol, record.dataset, record.dataset_kind, record.budget)
    found = Null(*facts, tuple(aucs), tuple(record.leaks))
    records.write_json(records.plain(found.as_json()), out / f"{record.label}.json")
    LOG.info("null: %s (%s): mean AUC %.3f, standard error %.3f", one.name, found.protocol, found.mean, found.error)
    return found
