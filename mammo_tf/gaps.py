"""as_published minus honest: what a protocol is worth, with an interval that knows which patients both scored.

Both runs' patients are put together; who stands in both reported parts makes the two numbers go together, who stands
in one does not (`folds.influence`, `wilson.ratios` over the union). So where both protocols score the same patients
the gap is paired, where they score others it is not, and the table says which.

    table = gaps.table(group)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mammo_tf import artifacts, pairs, records
from mammo_tf.evaluation import auc_bounds, differences, folds, holm, intervals, wilson
from mammo_tf.tables import NOT_TRUSTED, Table, number, p_text, with_interval

NOTES = (
    "Gap = as_published - honest. Patients whom both protocols score, of all that either does, pair the two numbers "
    "(clustered covariance, MOVER of both intervals). From two intervals: no predictions are kept, so that the two "
    "are taken as independent, as the macro AUC of several classes always is.",
    "p: of the AUC's gap; p, Holm: for the gaps here of the same seed. Both tell the protocols apart, not why.",
)


@dataclasses.dataclass(frozen=True)
class Gap:
    """as_published - honest of one run.

    Attributes:
        auc, accuracy: with their intervals.
        p: two-sided, of the AUC; NaN where the predictions are not at hand.
        both, either: patients whom both protocols score, and either does; -1 where that is not known.
    """

    auc: intervals.Estimate
    accuracy: intervals.Estimate
    p: float
    both: int = -1
    either: int = -1

    @property
    def pairing(self) -> str:
        """ "paired, 40 of 40", "in part, 3 of 80", "unpaired, 0 of 80", "from two intervals"."""
        if self.both < 0:
            return "from two intervals"
        word = "paired" if self.both == self.either else "in part" if self.both else "unpaired"
        return f"{word}, {self.both} of {self.either}"


def gap(published: records.Record, honest: records.Record) -> Gap:
    """The gap of one run; from the intervals of both records where the predictions of one are not at hand."""
    files = [pairs.predictions_file(record) for record in (published, honest)]
    independent = {n: pairs.difference(published.metrics[n], honest.metrics[n]) for n in ("auc", "accuracy")}
    if None in files:
        return Gap(independent["auc"], independent["accuracy"], math.nan)
    scored = [artifacts.read_predictions(file) for file in files]
    names = [set(p.patients) for p in scored]
    union = np.array(sorted(names[0] | names[1]))
    both = len(names[0] & names[1])
    pairing = "paired" if both == len(union) else "partly paired" if both else "unpaired"
    ratios = [wilson.ratios(pairs.right(p, union), len(union)) for p in scored]
    n = sum(len(p.labels) for p in scored)
    accuracy = differences.proportions(*ratios, n, len(union), pairing)
    if any(p.classes > 2 for p in scored):
        return Gap(independent["auc"], accuracy, math.nan, both, len(union))
    found = [folds.influence(pairs.folds_of(p), union) for p in scored]
    auc = differences.aucs(*found, n, len(union), pairing)
    return Gap(auc, accuracy, auc_bounds.p_of_difference(*found), both, len(union))


def matched(group: Sequence[records.Record]) -> list[tuple[records.Record, records.Record]]:
    """The records of each run and seed under both protocols, in the order of the group."""
    of = {(r.run, r.protocol, r.seed): r for r in group}
    keys = dict.fromkeys((r.run, r.seed) for r in group)
    found = [[of.get((run, name, seed)) for name in ("as_published", "honest")] for run, seed in keys]
    return [(one, other) for one, other in found if one and other]


def table(group: Sequence[records.Record]) -> Table | None:
    """as_published | honest | gap of AUC and accuracy, run by run."""
    rows, found = [], [(one, other, gap(one, other)) for one, other in matched(group)]
    adjusted = holm.within([g.p for *_, g in found], [one.seed for one, *_ in found])
    for (one, other, g), p in zip(found, adjusted, strict=True):
        row: list[Any] = [one.run, number(one.seed), g.pairing]
        for name, difference in (("auc", g.auc), ("accuracy", g.accuracy)):
            row += [with_interval(one.metrics[name]), with_interval(other.metrics[name]), with_interval(difference)]
            row += [p_text(g.p), p_text(p)] if name == "auc" else []
        rows.append(row)
    columns = ["run", "seed", "patients in both", "AUC as_published", "AUC honest", "AUC gap", "p", "p, Holm"]
    columns += ["accuracy as_published", "accuracy honest", "accuracy gap"]
    starred = any("*" in cell for row in rows for cell in row)
    notes = [*NOTES, *([NOT_TRUSTED] if starred else [])]
    return Table("The gap between the protocols", columns, rows, notes) if rows else None


def made_of(group: Sequence[records.Record]) -> Table | None:
    """What of each gap choosing the epoch on the reported part can explain, and how much is shared with training."""
    rows = [[one.run, number(one.seed), *_reasons(one, other)] for one, other in matched(group)]
    columns = ["run", "seed", "best - last", "val - test", "siblings", "same patient"]
    notes = [
        "best - last (as_published): accuracy that choosing the epoch on the reported part adds to the last epoch's. "
        "val - test (honest): what the same choice promises on validation and does not keep on test. siblings, same "
        "patient (as_published): share of the reported crops whose ROI, or patient, also has a crop in training."
    ]
    return Table("What a gap may come from", columns, rows, notes) if rows else None


def _reasons(published: records.Record, honest: records.Record) -> list[str]:
    t, promised = published.training, honest.training.get("val_accuracy")  # None without a validation part
    share = published.audit.get(published.reported, {})
    return [
        number(t["val_accuracy"] - t["last_val_accuracy"]) if t and published.reported == "val" else "n/a",
        number(promised - honest.metrics["accuracy"].value) if promised is not None else "n/a",
        number(share.get("roi_share")),
        number(share.get("patient_share")),
    ]
