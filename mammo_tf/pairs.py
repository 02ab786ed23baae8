"""What a paper compares, measured: pairs of rows on the same patients, classes of a patch net, four flips.

Tables as in `report`, which puts them into its sections; the predictions beside the records are read for the pairs.

    table = pairs.comparisons_table(shen2019, group)
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import artifacts, cases, records
from mammo_tf.evaluation import compare, differences, folds, holm, intervals, wilson
from mammo_tf.tables import Table, number, p_text, with_interval


@dataclasses.dataclass(frozen=True)
class Pair:
    """One row minus another on the same examples, or (a flaw of the comparison) on two test parts.

    Attributes:
        metric: "AUC", or "accuracy" where there are more than two classes; says where the parts are two.
        difference: with its paired interval; from both intervals where the parts are two.
        p: two-sided; NaN where the parts are two.
    """

    metric: str
    difference: intervals.Estimate
    p: float


def comparisons_table(experiment: Any, group: Sequence[records.Record]) -> Table | None:
    """Each comparison of the paper file (`COMPARISONS`) whose two rows were run, under each protocol.

    Two rows of which one is tested on another part (`OTHER_TEST_PART`: pairs of protocol and row) are not paired.

    The paper's own difference stands beside it for real data at budget `paper` alone.
    """
    rows = []
    published = {run.name: run.published for run in experiment.RUNS}
    elsewhere = getattr(experiment, "OTHER_TEST_PART", ())
    with_paper = all(r.dataset_kind == "real" and r.budget == "paper" for r in group)
    for claim, one, other in getattr(experiment, "COMPARISONS", ()):
        for first, second in _matched(group, one, other):
            apart = ((first.protocol, one) in elsewhere) != ((first.protocol, other) in elsewhere)
            if found := unpaired(first, second) if apart else paired(first, second):
                theirs = number(_published(published.get(one, {}), published.get(other, {}), found.metric))
                cells = [with_interval(found.difference), found.p, verdict(found.difference)]
                named = [claim, f"{one} - {other}", first.protocol, number(first.seed), found.metric]
                rows.append([*named, *([theirs] if with_paper else []), *cells])
    rows = _corrected(rows)
    columns = ["the paper's claim", "rows", "protocol", "seed", "metric", *(["paper"] if with_paper else [])]
    columns += ["measured difference", "p", "p, Holm", "says"]
    notes = [
        "Paired differences on the same examples, 95 % intervals over patients (score intervals with clustered "
        "DeLong for AUCs and their means over splits, Wilson's for accuracies). p, Holm: corrected for the "
        "comparisons of the same protocol and seed; `says` goes by it, and by the interval where there is no p."
    ]
    if any(row[4].endswith("parts") for row in rows):
        notes.append(
            "Of two test parts the difference is not paired: its interval is made of both (MOVER), without p."
        )
    if with_paper:
        notes.append("`n/a` in the column of the paper: it gives no such pair of numbers.")
    return Table("What the paper compares", columns, rows, notes) if rows else None


def _corrected(rows: Sequence[list]) -> list[list[str]]:
    """The rows with p as text, p after Holm's correction over those of one protocol and seed, and what it leaves."""
    found = []
    adjusted = holm.within([row[-2] for row in rows], [(row[2], row[3]) for row in rows])
    for row, p in zip(rows, adjusted, strict=True):
        kept = (
            row[-1] if math.isnan(p) or p < 0.05 or row[-1] not in ("higher", "lower") else f"{row[-1]}, not by Holm"
        )
        found.append([*row[:-2], p_text(row[-2]), p_text(float(p)), kept])
    return found


def _matched(group: Sequence[records.Record], one: str, other: str) -> list[tuple[records.Record, records.Record]]:
    by_row = {(r.run, r.protocol, r.seed): r for r in group}
    pairs = [(r, by_row.get((other, r.protocol, r.seed))) for r in group if r.run == one]
    return [(first, second) for first, second in pairs if second]


def _published(one: Mapping[str, Any], other: Mapping[str, Any], metric: str) -> float | None:
    """The paper's difference, of like with like: plain numbers, or those of four flips where only they are given."""
    for key in ("accuracy",) if metric == "accuracy" else ("auc", "auc_four_flips"):
        if one.get(key) is not None and other.get(key) is not None:
            return one[key] - other[key]
    return None


def verdict(difference: intervals.Estimate) -> str:
    """ "higher", "lower" or "not told apart", by the interval; "no interval" where there is none."""
    if math.isnan(difference.low) or math.isnan(difference.high):
        return "no interval"
    return "higher" if difference.low > 0 else "lower" if difference.high < 0 else "not told apart"


def unpaired(one: records.Record, other: records.Record) -> Pair:
    """The difference of two AUCs on different examples, taken as independent."""
    return Pair("AUC, two test parts", difference(one.metrics["auc"], other.metrics["auc"]), math.nan)


def paired(one: records.Record, other: records.Record) -> Pair | None:
    """The difference of two records; None where the predictions of one are not at hand.

    Raises:
        cases.MammoError: they were made on different examples.
    """
    files = [predictions_file(record) for record in (one, other)]
    if None in files:
        return None
    several = one.folds > 1 or other.folds > 1
    return of_predictions(*map(artifacts.read_predictions, files), several=several)[0]


def of_predictions(a: artifacts.Predictions, b: artifacts.Predictions, *, several: bool | None = None) -> list[Pair]:
    """AUC and accuracy of a minus b; of more than two classes the accuracy alone.

    Of several folds (`several`, where tables cannot tell) they are means on the same patients, never pooled scores.

    Raises:
        cases.MammoError: they were made on different examples.
    """
    if max(a.classes, b.classes) > 2:
        return [_of_classes(a, b)]
    if not (max(len(set(p.folds)) for p in (a, b)) > 1 if several is None else several):
        found = compare.compare(*compare.aligned(a, b))
        return [Pair("AUC", found.auc, found.auc_p), Pair("accuracy", found.accuracy, found.accuracy_p)]
    found, p = folds.auc_difference(folds_of(a), folds_of(b))
    return [Pair("AUC", found, p), _of_answers(a, b, found.n)]


def _of_answers(a: artifacts.Predictions, b: artifacts.Predictions, n: int) -> Pair:
    """Accuracy of the likeliest class, a mean over folds where there are several."""
    union = np.unique(a.patients)
    ratios = [wilson.ratios(right(one, union), len(union)) for one in (a, b)]
    return Pair("accuracy", differences.proportions(*ratios, n, len(union)), wilson.p_of_difference(*ratios))


def right(p: artifacts.Predictions, union: np.ndarray) -> list[wilson.Counted]:
    """Which answers are right, fold by fold, for `wilson.ratios`; `union` are the sorted patients."""
    answers = (p.scores >= 0.5).astype(int) if p.classes == 2 else p.probabilities.argmax(axis=1)
    hits = (answers == p.labels).astype(float)
    each = [np.flatnonzero(p.folds == fold) for fold in np.unique(p.folds)]
    return [(hits[rows], np.ones(len(rows)), np.searchsorted(union, p.patients[rows])) for rows in each]


def difference(one: intervals.Estimate, other: intervals.Estimate) -> intervals.Estimate:
    """one - other, with an interval from both intervals (MOVER; Zou and Donner 2008, doi:10.1002/sim.3095).

    It takes the two as independent; parts that share patients make it too wide, not too narrow. Marks of the two
    methods ("few positives", "degenerate") pass to the result.
    """
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    marks = dict.fromkeys(mark for e in (one, other) for mark in e.method.split("; ")[1:])
    method = "; ".join(["MOVER of two 95 % intervals", *marks])
    return intervals.Estimate(value, low, high, one.n + other.n, method)


def predictions_file(record: records.Record) -> pathlib.Path | None:
    """The table of a record's predictions: in the run's folder, or beside the kept record."""
    folder = pathlib.Path(record.folder)
    found = (path for path in (folder / f"{record.label}.csv", folder / "predictions.csv") if path.is_file())
    return next(found, None) if record.folder else None


def _of_classes(a: artifacts.Predictions, b: artifacts.Predictions) -> Pair:
    """Accuracy alone; both were scored on the same patches."""
    if a.classes != b.classes:
        raise cases.MammoError(f"compare: the runs have {a.classes} and {b.classes} classes")
    known = [dict(zip(p.ids, zip(p.patients, p.labels, strict=True), strict=True)) for p in (a, b)]
    if known[0].keys() != known[1].keys():
        raise cases.MammoError("compare: the runs were scored on different patches; a paired test needs one set")
    if differ := sum(known[0][id] != known[1][id] for id in known[0]):
        raise cases.MammoError(
            f"compare: patients or labels of {differ} of {len(a.ids)} patches differ between the runs"
        )
    return _of_answers(a, b, len(a.ids))


def folds_of(p: artifacts.Predictions) -> list[folds.Fold]:
    """Labels, scores and patients of every fold."""
    return [folds.Fold(f.labels, f.scores, f.patients) for f in map(p.of_fold, np.unique(p.folds))]


def classes_table(group: Sequence[records.Record]) -> Table | None:
    """Recall of every class of the nets with more than two, and the AUC of its probability against the rest."""
    several = [r for r in group if len(r.class_names) > 2]
    if not several:
        return None
    names, rows = list(several[0].class_names), []
    for r in several:
        recalls = [r.metrics.get(f"recall: {name}") for name in names]
        for what, found in (("recall", recalls), ("AUC", _class_aucs(r, len(names)))):
            if found:
                rows.append([r.run, r.protocol, number(r.seed), what, *map(with_interval, found)])
    columns = ["run", "protocol", "seed", "metric", *names]
    notes = [
        "recall: share of a class's patches that are called it. AUC: of the class's probability, its patches against "
        f"all others. A guess that knows nothing has AUCs of 0.5, and its {len(names)} recalls add up to 1."
    ]
    return Table("Patch nets, class by class", columns, rows, notes)


def _class_aucs(record: records.Record, classes: int) -> list[intervals.Estimate]:
    """Of each class against the rest, clustered by patient; empty where the predictions are not at hand."""
    file = predictions_file(record)
    if file is None:
        return []
    p = artifacts.read_predictions(file)
    return [intervals.auc((p.labels == k).astype(int), p.probabilities[:, k], p.patients) for k in range(classes)]


def parts_table(group: Sequence[records.Record]) -> Table | None:
    """AUC on validation and on the reported part; of four flips, with what they add, where they were predicted."""
    rows = []
    for r in group:
        if r.validation:
            claims = (r.claims.get("auc_four_flips"), r.claims.get("auc_flip_gain"))
            shown = [r.validation.get("auc"), r.metrics["auc"], *claims]
            rows.append([r.run, r.protocol, r.reported, number(r.seed), *map(with_interval, shown)])
    columns = ["run", "protocol", "part", "seed", "AUC, validation", "AUC", "AUC, four flips"]
    return (
        Table("Validation beside the reported part", [*columns, "what the flips add (paired)"], rows)
        if rows
        else None
    )


def operating_table(group: Sequence[records.Record]) -> Table | None:
    """The runs whose reported part is not the one that chose the threshold."""
    rows = []
    for r in group:
        if r.reported == "test" and r.tuned:
            found = [with_interval(r.tuned[n]) for n in ("recall", "specificity", "balanced_accuracy", "accuracy")]
            rows.append([r.run, r.protocol, number(r.seed), r.threshold_rule, number(r.threshold), *found])
    columns = ["run", "protocol", "seed", "rule", "threshold", "recall", "specificity", "balanced accuracy"]
    return Table("At the threshold chosen on validation", [*columns, "accuracy"], rows) if rows else None


def claims_table(group: Sequence[records.Record]) -> Table | None:
    """What else the paper claims: how soon a net converges, where its saliency lies."""
    rows, names = [], ("saliency_rim_share", "uniform_rim_share", "saliency_rim_gain")
    saliency = any(name in r.claims for r in group for name in names)
    for r in group:
        if r.training or any(name in r.claims for name in names):
            soon = f"{number(r.training.get('epochs_to_95'))} of {number(r.training.get('epochs'))}"
            share = [with_interval(r.claims.get(name)) for name in names] if saliency else []
            rows.append([r.run, r.protocol, number(r.seed), soon, *share])
    columns = ["run", "protocol", "seed", "epochs to 95 % of the best"]
    columns += ["saliency in the rim band", "a uniform map", "gain over uniform"] if saliency else []
    return Table("Other claims, measured", columns, rows) if any(_told(row[3:]) for row in rows) else None


def _told(cells: Sequence[str]) -> bool:
    return any(not cell.startswith("n/a") for cell in cells)


def named_claims_table(experiment: Any, group: Sequence[records.Record]) -> Table | None:
    """The claims that a paper file words in `CLAIMS` (record's name -> (claim, what counts for it)), as measured."""
    rows = []
    for name, (claim, expected) in getattr(experiment, "CLAIMS", {}).items():
        for r in group:
            if found := r.claims.get(name):
                rows.append([claim, expected, r.run, r.protocol, number(r.seed), with_interval(found), str(found.n)])
    columns = ["claim", "would be", "run", "protocol", "seed", "measured", "n"]
    return Table("Claims of the paper, measured", columns, rows) if rows else None


def picked_table(experiment: Any, group: Sequence[records.Record]) -> Table | None:
    """Which of the rows that were run has the lowest loss on validation, and which on test (`PICKED`).

    `PICKED` is question -> rows; two at least, of one split, are needed. A choice by the test part is a leak: beside
    it stands what a choice by validation would have taken, and what each has on the reported part.
    """
    rows = []
    for question, names in getattr(experiment, "PICKED", {}).items():
        for protocol, seed in sorted({(r.protocol, r.seed) for r in group}):
            of = [r for r in group if r.run in names and (r.protocol, r.seed) == (protocol, seed) and r.validation]
            if len(of) < 2 or len({r.split for r in of}) != 1:
                continue
            for part, where in (("validation", "validation"), (of[0].reported, "metrics")):
                best = min(of, key=lambda r: (getattr(r, where)["log_loss"].value, r.run))
                shown = [getattr(best, where)["log_loss"], best.metrics["log_loss"], best.metrics["auc"]]
                among = f"{question}, of {len(of)} rows"
                rows.append([among, protocol, number(seed), part, best.run, *map(with_interval, shown)])
    columns = ["choice", "protocol", "seed", "lowest loss on", "row", "its loss there", "its loss", "its AUC"]
    return Table("What a choice by validation and by test takes", columns, rows) if rows else None
