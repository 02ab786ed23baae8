"""A table of cross-validation: the AUC of every fold, and how far the folds lie apart.

"There is a difference between each folds' results, this usually means that our model is unstable" (Kreiss,
"Result's assessment"): the spread is a result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mammo_tf import records
from mammo_tf.tables import Table, number

NOTE = (
    "sd: standard deviation between the folds. Folds share most of their training images, so it is no standard error "
    "of the mean."
)


def table(group: Sequence[records.Record]) -> Table | None:
    """Fold by fold, of the runs whose folds are few enough to print; None where there are none."""
    shown = [r for r in group if 2 <= len(r.per_fold.get("auc", ())) <= 10]
    if not shown:
        return None
    most = max(len(r.per_fold["auc"]) for r in shown)
    columns = ["run", "protocol", "seed", *(f"fold {k}" for k in range(most)), "mean", "sd", "least", "largest"]
    return Table("AUC of each fold", columns, [_row(r, most) for r in shown], [NOTE])


def _row(record: records.Record, most: int) -> list[str]:
    found = np.array(record.per_fold["auc"], float)
    each = [number(value) for value in found] + [""] * (most - len(found))
    told = (found.mean(), found.std(ddof=1), found.min(), found.max())
    return [record.run, record.protocol, number(record.seed), *each, *(number(float(value)) for value in told)]
