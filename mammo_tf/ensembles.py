"""Ensembles of one net trained again and again, as in Yi et al. 2017 (section 3: "trained 100 networks").

A member is the net's run with a seed of its own, so members can be trained one by one, on several machines, and
resumed; `reuse.Ensemble` averages what they predict. `curve` is a hook of `run.Run.after`: how the numbers grow with
the number of members.

    members = tuple(dataclasses.replace(row, name=f"member_{k}", method=Member(row.method, k)) for k in range(1, 8))
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, figures, figures_comparisons
from mammo_tf.evaluation import combine, compare, intervals
from mammo_tf.training import around

ALGORITHM_VERSION = 1
FILE = "ensemble.csv"
METRICS = ("auc", "accuracy", "log_loss")
_STEP = 1_000_003  # between the seeds of two members; a prime, so that seeds 0, 1, 2, ... of the command share none


@dataclasses.dataclass(frozen=True)
class Member:
    """budget -> a method that is fitted with a seed of its own.

    Attributes:
        make: budget -> the method.
        number: of the member; 0 is the method as it stands.
    """

    make: Callable[[Any], Any]
    number: int

    def __call__(self, budget: Any) -> Seeded:
        return Seeded(self.make(budget), self.number)


@dataclasses.dataclass(frozen=True)
class Seeded(around.Around):
    """A method fitted with another seed: of weights, order, augmentation and dropout; the split keeps the run's."""

    inner: Any
    number: int

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Any:
        seed = (context.seed + _STEP * self.number) % 2**32
        return self.inner.fit(train, val, dataclasses.replace(context, seed=seed))


def part(needs: Sequence[Any], text: str) -> tuple[Any, ...]:
    """The members that "A:B" names, A to B - 1, as a slice does; what several processes or machines share out.

    Raises:
        cases.MammoError: not of that form, or nobody is left.

    >>> part("abcd", "1:3"), part("abcd", "2:")
    (('b', 'c'), ('c', 'd'))
    """
    first, colon, last = text.partition(":")
    if not colon or any(end and not end.isdigit() for end in (first, last)):
        raise cases.MammoError(f"--members {text}: expected A:B, such as 0:25")
    chosen = tuple(needs[int(first or 0) : int(last) if last else None])
    if not chosen:
        raise cases.MammoError(f"--members {text}: there are members 0 to {len(needs) - 1}")
    return chosen


def sizes(count: int) -> list[int]:
    """Numbers of members that the curve shows: all up to 10, then about ten more in equal ratios.

    >>> sizes(8), sizes(100)[9:]
    ([1, 2, 3, 4, 5, 6, 7, 8], [10, 13, 16, 20, 25, 32, 40, 50, 63, 79, 100])
    """
    ratios = np.rint(np.geomspace(10, count, 11)).astype(int).tolist() if count > 10 else []
    return sorted({*range(1, min(count, 10) + 1), *ratios})


def curve(done: Any) -> dict[str, intervals.Estimate]:
    """Hook: AUC, accuracy and log-loss of the first k members, with intervals, as `ensemble.csv` and `ensemble.png`.

    Claims: what the average of all adds to the AUC of its first member (paired), and the mean of the members' AUCs.
    """
    p, names = done.predictions, done.fitted.members
    each = np.stack([net(p.examples) for net in done.fitted.nets])
    counts = sizes(len(each))
    done.ledger.read(done.reported, len(counts) + len(each))  # each size of the curve, each member alone
    rows = []
    for k in counts:
        scores = combine.average(each[:k])[:, 1].astype(float)
        found = intervals.evaluate(p.labels, scores, p.patients)
        rows.append((k, {name: found[name] for name in METRICS}))
    write(done.folder / FILE, rows)
    figures.save(figures_comparisons.ensemble(rows, note=done.shown.note), done.folder / "ensemble.png")
    together, first = combine.average(each)[:, 1].astype(float), each[0, :, 1].astype(float)
    gain = compare.compare(p.labels, together, first, p.patients)
    alone = [intervals.auc(p.labels, one[:, 1].astype(float), p.patients).value for one in each]
    spread = intervals.Estimate(float(np.mean(alone)), min(alone), max(alone), len(names), "mean; least and largest")
    return {"ensemble_auc_gain": gain.auc, "ensemble_member_auc": spread}


Row = tuple[int, dict[str, intervals.Estimate]]


def write(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """One row a number of members: value, low and high of each metric."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["members", *(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high"))])
        for count, found in rows:
            numbers = [getattr(found[name], end) for name in METRICS for end in ("value", "low", "high")]
            table.writerow([count, *(f"{number:.6g}" for number in numbers)])
