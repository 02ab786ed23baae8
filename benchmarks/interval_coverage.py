"""How often do the 95 % intervals cover? Studies with a known truth, simulated, measured by the code of the suite.

A patient has 1, 2 or 4 views, with correlation rho between two of hers. Of 4, a positive patient has two views of
the breast with the lesion and two of the other; a negative patient has only negative ones. AUC: binormal scores, as
many negative as positive patients (`auc`), four times as many (`auc_rare`), or scores of six values (`auc_coarse`).
`folds`: the mean AUC over five folds of patients. `difference`: of two nets whose errors correlate by 1/2, on the
same patients; `gap`: of two nets on as many other patients each; `accuracy_difference`: of two nets' accuracies.
`proportion`: such as recall; `proportion_folds`: its mean over five folds; `balanced`: balanced accuracy; `precision`
and `f1`: of an answer whose two rates are alike. `log_loss`: by the AUC, of scores that say what they should.

    python benchmarks/interval_coverage.py            # writes mammo_tf/evaluation/coverage.csv; long, see --processes
    python benchmarks/interval_coverage.py --table    # the tables of docs/evidence.md from that file
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import dataclasses
import functools
import itertools
import math
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy import stats

from mammo_tf import tables
from mammo_tf.evaluation import auc_bounds, bootstrap, coverage, delong, means, wilson

VIEWS = ((1, 0.3), (2, 0.3), (2, 0.8), (4, 0.3), (4, 0.8))  # views of a patient, rho
PATIENTS = (10, 15, 20, 30, 50, 100, 200)
AUCS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.97)
PAIRS = ((0.7, 0.7), (0.7, 0.6), (0.8, 0.8), (0.9, 0.8), (0.9, 0.9), (0.95, 0.9), (0.97, 0.97))
GAPS = ((0.7, 0.7), (0.9, 0.8), (0.95, 0.9), (0.97, 0.97))
PROPORTIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97)
DRAWS, MOST_DRAWN = 500, 50  # of each bootstrap; of one AUC it is left out where there are more patients
FOLDS = 5
COUNTED = ("proportion", "proportion_folds", "balanced", "precision", "f1", "accuracy_difference")
Bounds = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One kind of study; `value` is the truth, or those of the two nets."""

    kind: str
    value: tuple[float, ...]
    patients: int
    views: int
    rho: float

    @property
    def key(self) -> tuple[str, ...]:
        """As the file names it."""
        return (self.kind, self.text, str(self.patients), str(self.views), str(self.rho))

    @property
    def text(self) -> str:
        return " - ".join(f"{v:g}" for v in self.value)


def cells() -> list[Cell]:
    found = []
    for kind, values in (("auc", AUCS), ("auc_rare", (0.7, 0.9, 0.97)), ("auc_coarse", (0.7, 0.9, 0.97))):
        found += [Cell(kind, (v,), *rest) for v in values for rest in _rest()]
    found += [Cell("folds", (v,), n, *rest) for v in (0.6, 0.8, 0.9, 0.97) for n, *rest in _rest() if n >= 15]
    found += [Cell("difference", pair, *rest) for pair in PAIRS for rest in _rest()]
    found += [Cell("gap", pair, *rest) for pair in GAPS for rest in _rest()]
    found += [Cell("proportion", (v,), *rest) for v in PROPORTIONS for rest in _rest()]
    found += [Cell("proportion_folds", (v,), n, *rest) for v in PROPORTIONS for n, *rest in _rest() if n >= 15]
    found += [
        Cell(kind, (v,), *rest) for kind in ("balanced", "precision", "f1") for v in PROPORTIONS for rest in _rest()
    ]
    found += [Cell("accuracy_difference", pair, *rest) for pair in PAIRS for rest in _rest()]
    return found + [Cell("log_loss", (v,), *rest) for v in AUCS for rest in _rest()]


def _rest() -> Iterable[tuple[int, int, float]]:
    return [(n, views, rho) for n in PATIENTS for views, rho in VIEWS]


@dataclasses.dataclass(frozen=True)
class Design:
    """Who has which views: labels (N,), patients (N,), fold of each example (N,)."""

    labels: np.ndarray
    patients: np.ndarray
    folds: np.ndarray

    @property
    def count(self) -> int:
        return int(self.patients.max()) + 1


def design(cell: Cell) -> Design:
    negatives = cell.patients * (4 if cell.kind == "auc_rare" else 1)
    positive = [1] * min(cell.views, 2) + [0] * max(cell.views - 2, 0)
    labels = [positive] * cell.patients + [[0] * cell.views] * negatives
    number = np.repeat(np.arange(len(labels)), cell.views)
    within = np.concatenate([np.arange(cell.patients), np.arange(negatives)])
    folds = (within % FOLDS if cell.kind == "folds" else np.zeros(len(labels), int)).repeat(cell.views)
    return Design(np.array(labels).ravel(), number, folds)


def errors(rng: np.random.Generator, made: Design, rho: float) -> np.ndarray:
    """Standard normal (N,), correlated by rho within a patient."""
    shared = rng.normal(size=made.count)[made.patients]
    return math.sqrt(rho) * shared + math.sqrt(1 - rho) * rng.normal(size=len(shared))


def shift(auc: float) -> float:
    return math.sqrt(2) * float(stats.norm.ppf(auc))


def truth(auc: float, made: Design, rho: float, levels: np.ndarray | None = None) -> float:
    """The expected AUC: pairs within a patient, who shares an effect, are won more often than others."""
    each = []
    for fold in np.unique(made.folds):
        rows = made.folds == fold
        labels, patients = made.labels[rows] == 1, made.patients[rows]
        counts = [np.bincount(patients[labels == k], minlength=made.count) for k in (True, False)]
        within = float(counts[0] @ counts[1]) / (counts[0].sum() * counts[1].sum())
        each.append((1 - within) * _won(auc, 0.0, levels) + within * _won(auc, rho, levels))
    return float(np.mean(each))


@functools.cache
def _coarse(auc: float, rho: float) -> float:
    """P(x > y) + P(x = y) / 2 of scores cut at LEVELS, correlated by rho, by a large sample."""
    rng = np.random.default_rng(0)
    shared, x, y = rng.normal(size=(3, 4_000_000))
    x, y = (math.sqrt(rho) * shared + math.sqrt(1 - rho) * one for one in (x, y))
    x, y = np.digitize(x + shift(auc), LEVELS), np.digitize(y, LEVELS)
    return float((x > y).mean() + (x == y).mean() / 2)


LEVELS = np.array([-0.5, 0.3, 1.0, 1.6, 2.4])


def _won(auc: float, rho: float, levels: np.ndarray | None) -> float:
    if levels is not None:
        return _coarse(auc, rho)
    return float(stats.norm.cdf(shift(auc) / math.sqrt(2 * (1 - rho))))


def study(cell: Cell, made: Design, rng: np.random.Generator) -> dict[str, Bounds]:
    """The intervals of one simulated study, by method."""
    alone = {"proportion": _proportion, "proportion_folds": _over_folds, "accuracy_difference": _accuracies}
    alone |= dict.fromkeys(("balanced", "precision", "f1"), _of_answers)
    if cell.kind in alone:
        return alone[cell.kind](cell, rng)
    if cell.kind in ("gap", "log_loss"):
        return {"gap": _gap, "log_loss": _log_loss}[cell.kind](cell, made, rng)
    scores = [made.labels * shift(cell.value[0]) + errors(rng, made, cell.rho)]
    if cell.kind == "difference":
        scores = [made.labels * shift(v) + e for v, e in zip(cell.value, _two(rng, made, cell.rho), strict=True)]
    if cell.kind == "auc_coarse":
        scores = [np.digitize(scores[0], LEVELS).astype(float)]
    found = [_influence(made, one) for one in scores]
    if cell.kind == "difference":
        return {"score": auc_bounds.difference(*found), "normal": _normal(*found), "logit": _on_logits(*found)}
    bounds = {"score": auc_bounds.single(found[0]), "logit": auc_bounds.logit(found[0])}
    if cell.kind in ("auc", "folds") and cell.patients <= MOST_DRAWN:
        bounds["bootstrap"] = bootstrap.bounds(_drawn(made, scores[0], rng))[:2]
    if cell.kind == "auc":
        views = dataclasses.replace(made, patients=np.arange(len(made.labels)))
        bounds["logit, views apart"] = auc_bounds.logit(_influence(views, scores[0]))
    return bounds


def _gap(cell: Cell, made: Design, rng: np.random.Generator) -> dict[str, Bounds]:
    """Of two nets that score other patients, who are drawn apart."""
    scores = [made.labels * shift(value) + errors(rng, made, cell.rho) for value in cell.value]
    apart = [dataclasses.replace(made, patients=made.patients + made.count * k) for k in (0, 1)]
    found = [_influence(of, one, 2 * made.count) for of, one in zip(apart, scores, strict=True)]
    drawn = [_drawn(made, one, rng) for one in scores]
    bounds = {"score": auc_bounds.difference(*found), "normal": _normal(*found)}
    return {**bounds, "bootstrap": bootstrap.bounds(drawn[0] - drawn[1])[:2]}


def _influence(made: Design, scores: np.ndarray, patients: int = 0) -> delong.Influence:
    rows = [made.folds == fold for fold in np.unique(made.folds)]
    return delong.influence([(made.labels[r], scores[r], made.patients[r]) for r in rows], patients or made.count)


def _normal(one: delong.Influence, other: delong.Influence) -> Bounds:
    """Difference -+ 1.96 standard errors."""
    variance = one.variance + other.variance - 2 * delong.covariance(one, other)
    half = auc_bounds.Z95 * math.sqrt(max(variance, 0)) if variance == variance else math.nan
    return one.value - other.value - half, one.value - other.value + half


def _on_logits(one: delong.Influence, other: delong.Influence) -> Bounds:
    """Whether the logits' test tells the two apart, as an interval: the truth is in it where p >= 0.05."""
    p = auc_bounds.p_on_logits(one, other)
    return (math.nan, math.nan) if p != p else (-1.0, 1.0) if p >= 0.05 else (1.0, 1.0)


def _drawn(made: Design, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mean AUC of every draw of patients."""
    weights = bootstrap.resample(made.count, DRAWS, int(rng.integers(2**31)))
    total = 0.0
    for fold in np.unique(made.folds):
        rows = made.folds == fold
        total = total + bootstrap.auc_draws(made.labels[rows], scores[rows], made.patients[rows], weights)
    return total / len(np.unique(made.folds))


def _proportion(cell: Cell, rng: np.random.Generator) -> dict[str, Bounds]:
    index = np.arange(cell.patients).repeat(cell.views)
    made = Design(np.ones(len(index), int), index, np.zeros(len(index), int))
    right = (errors(rng, made, cell.rho) < stats.norm.ppf(cell.value[0])).astype(float)
    found = wilson.ratios([(right, np.ones(len(right)), index)], cell.patients)
    apart = wilson.ratios([(right, np.ones(len(right)), np.arange(len(right)))], len(right))
    sums = bootstrap.sums(right[:, None], index, cell.patients)[:, 0]
    drawn = bootstrap.resample(cell.patients, DRAWS, int(rng.integers(2**31))) @ sums / len(right)
    methods = {"wilson": wilson.bounds(found), "wilson, views apart": wilson.bounds(apart)}
    return {**methods, "bootstrap": bootstrap.bounds(drawn)[:2]}


def _over_folds(cell: Cell, rng: np.random.Generator) -> dict[str, Bounds]:
    """The mean of a proportion over five folds of patients."""
    index = np.arange(cell.patients).repeat(cell.views)
    made = Design(np.ones(len(index), int), index, index % FOLDS)
    right = (errors(rng, made, cell.rho) < stats.norm.ppf(cell.value[0])).astype(float)
    rows = [made.folds == fold for fold in range(FOLDS)]
    found = wilson.ratios([(right[r], np.ones(r.sum()), index[r]) for r in rows], cell.patients)
    return {"wilson": wilson.bounds(found)}


def _accuracies(cell: Cell, rng: np.random.Generator) -> dict[str, Bounds]:
    """Of two nets on the same patients, whose errors correlate by 1/2."""
    index = np.arange(cell.patients).repeat(cell.views)
    made = Design(np.ones(len(index), int), index, np.zeros(len(index), int))
    right = [
        (e < stats.norm.ppf(v)).astype(float) for v, e in zip(cell.value, _two(rng, made, cell.rho), strict=True)
    ]
    both = [wilson.ratios([(one, np.ones(len(one)), index)], made.count) for one in right]
    gain = right[0] - right[1]
    drawn = bootstrap.resample(made.count, DRAWS, int(rng.integers(2**31)))
    drawn = drawn @ bootstrap.sums(gain[:, None], index, made.count)[:, 0] / len(gain)
    found = wilson.ratios([(gain, np.ones(len(gain)), index)], made.count)
    bounds = {"wilson": wilson.bounds_of_difference(*both), "student": means.student(found)}
    return {**bounds, "bootstrap": bootstrap.bounds(drawn)[:2]}


def _two(rng: np.random.Generator, made: Design, rho: float) -> list[np.ndarray]:
    """Errors of two nets, (N,) each, correlated by 1/2."""
    first = errors(rng, made, rho)
    return [math.sqrt(0.5) * first + math.sqrt(0.5) * errors(rng, made, rho) for _ in range(2)]


def _of_answers(cell: Cell, rng: np.random.Generator) -> dict[str, Bounds]:
    """Both rates alike: so balanced accuracy, precision and F1 are too, where half of the patients are positive.

    Balanced accuracy takes how many are for granted; precision and F1 do not, and a patient is positive by chance.
    """
    patients = np.arange(2 * cell.patients)
    index = patients.repeat(cell.views)
    chosen = patients < cell.patients if cell.kind == "balanced" else rng.random(len(patients)) < 0.5
    positive = chosen[index]
    made = Design(positive.astype(int), index, np.zeros(len(index), int))
    right = errors(rng, made, cell.rho) < stats.norm.ppf(cell.value[0])
    if cell.kind == "balanced":
        each = [wilson.ratios([(right * of, of.astype(float), index)], made.count) for of in (positive, ~positive)]
        return {"wilson": wilson.bounds_of_mean(*each)}
    said = right == positive
    hits = (positive & said).astype(float)
    counted = (hits, said.astype(float)) if cell.kind == "precision" else (2 * hits, positive.astype(float) + said)
    return {"wilson": wilson.bounds(wilson.ratios([(*counted, index)], made.count))}


def _log_loss(cell: Cell, made: Design, rng: np.random.Generator) -> dict[str, Bounds]:
    """Of the mean over patients' sums: the bootstrap, and Student's interval, plain and of the logarithm."""
    losses = np.logaddexp(0, -_margins(cell, made, errors(rng, made, cell.rho)))
    drawn = bootstrap.resample(made.count, DRAWS, int(rng.integers(2**31)))
    drawn = drawn @ bootstrap.sums(np.column_stack([losses, np.ones(len(losses))]), made.patients, made.count)
    found = wilson.ratios([(losses, np.ones(len(losses)), made.patients)], made.count)
    low, high = means.student(found)
    logs = tuple(found.value * math.exp((end - found.value) / found.value) for end in (low, high))
    return {
        "student, log": logs,
        "student": (low, high),
        "bootstrap": bootstrap.bounds(drawn[:, 0] / drawn[:, 1])[:2],
    }


def _margins(cell: Cell, made: Design, noise: np.ndarray) -> np.ndarray:
    """Log-odds of the true class by Bayes' rule, were both classes equally frequent, (N,)."""
    apart = shift(cell.value[0])
    return np.where(made.labels == 1, 1, -1) * apart * (made.labels * apart + noise - apart / 2)


@functools.cache
def _expected_log_loss(apart: float) -> float:
    """Of one example: its margin is normal with mean apart^2 / 2 and deviation apart, whatever its class."""
    at, weights = np.polynomial.hermite_e.hermegauss(200)
    losses = np.logaddexp(0, -(apart**2 / 2 + apart * at))
    return float(weights @ losses / math.sqrt(2 * math.pi))


def simulate(cell: Cell, studies: int) -> list[dict[str, object]]:
    """A line of `coverage.csv` for each method. An interval that is not there does not cover."""
    made = design(cell)
    rng = np.random.default_rng([int(1000 * v) for v in (*cell.value, cell.patients, cell.views, cell.rho)])
    levels = LEVELS if cell.kind == "auc_coarse" else None
    if cell.kind == "log_loss":
        values = [_expected_log_loss(shift(v)) for v in cell.value]
    else:
        values = [v if cell.kind in COUNTED else truth(v, made, cell.rho, levels) for v in cell.value]
    true = values[0] - values[1] if len(values) > 1 else values[0]
    found: dict[str, list[Bounds]] = {}
    for _ in range(studies):
        for method, bounds in study(cell, made, rng).items():
            found.setdefault(method, []).append(bounds)
    lines = []
    for method, bounds in found.items():
        if cell.kind == "difference" and method == "logit" and len(set(cell.value)) > 1:
            continue  # a test of no difference says nothing of another one
        low, high = np.array(bounds).T
        covers = float(((low <= true + 1e-12) & (true - 1e-12 <= high)).mean())
        width = "" if cell.kind == "difference" and method == "logit" else f"{np.nanmean(high - low):.4f}"
        row = (cell.kind, method, cell.text, cell.patients, cell.views, cell.rho, studies, f"{covers:.4f}", width)
        lines.append(dict(zip(coverage.COLUMNS, row, strict=True)))
    return lines


def summary(lines: Sequence[dict[str, str]]) -> list[tables.Table]:
    """Where each interval leaves 93 to 97 %: least and largest coverage over the rest, by patients and by value."""
    made = []
    for what, title in (("patients", "by patients of a class"), ("value", "by the true value")):
        for kinds in (
            ("auc", "auc_rare", "auc_coarse", "folds"),
            ("difference", "gap"),
            COUNTED[:-1],
            COUNTED[-1:],
            ("log_loss",),
        ):
            mine = [line for line in lines if line["kind"] in kinds]
            heads = sorted({line[what] for line in mine}, key=lambda text: (len(text.split()), _first(text)))
            rows = []
            for kind, method in dict.fromkeys((line["kind"], line["method"]) for line in mine):
                of = [line for line in mine if (line["kind"], line["method"]) == (kind, method)]
                each = [_range([line for line in of if line[what] == head]) for head in heads]
                rows.append([kind, method, _outside(of), *each])
            columns = ["kind", "interval", "cells outside 93 to 97 %", *heads]
            made.append(tables.Table(f"{', '.join(kinds)}: {title}", columns, rows))
    return made


def _first(text: str) -> float:
    return float(text.split()[0])


def _range(of: Sequence[dict[str, str]]) -> str:
    if not of:
        return ""
    found = [100 * float(line["coverage"]) for line in of]
    return f"{min(found):.1f} to {max(found):.1f}"


def _outside(of: Sequence[dict[str, str]]) -> str:
    below = sum(float(line["coverage"]) < coverage.LEAST for line in of)
    above = sum(float(line["coverage"]) > coverage.MOST for line in of)
    return f"{below} below, {above} above, of {len(of)}"


def main(arguments: Sequence[str] | None = None, do: Callable[[Cell, int], list] = simulate) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--kind", action="append", help="only these kinds; the others' lines stay")
    parser.add_argument("--table", action="store_true", help="print the tables of the file that is there")
    options = parser.parse_args(arguments)
    if options.table:
        print("\n".join(itertools.chain.from_iterable(tables.markdown(table) for table in summary(coverage.rows()))))
        return
    wanted = [cell for cell in cells() if not options.kind or cell.kind in options.kind]
    kept = [row for row in coverage.rows() if row["kind"] not in {c.kind for c in wanted}] if options.kind else []
    part = coverage.FILE.with_suffix(".part")  # what a stopped call has done
    done = read(part) if part.is_file() else []
    known = {_key(row) for row in done}
    wanted = [cell for cell in wanted if cell.key not in known]
    with concurrent.futures.ProcessPoolExecutor(options.processes) as pool, part.open("a", newline="") as file:
        writer = csv.DictWriter(file, coverage.COLUMNS, lineterminator="\n")
        for lines in pool.map(functools.partial(do, studies=options.studies), wanted):
            writer.writerows(lines)
            file.flush()
    found = [*kept, *read(part)]
    order = {cell.key: i for i, cell in enumerate(cells())}
    with coverage.FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, coverage.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(found, key=lambda row: order[_key(row)]))
    part.unlink()
    print(f"{len(found)} lines in {coverage.FILE}")


def read(path: pathlib.Path) -> list[dict[str, str]]:
    """Lines without a header."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file, coverage.COLUMNS))


def _key(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("kind", "value", "patients", "views", "rho"))


if __name__ == "__main__":
    main()
