"""What a paper prints beside what was measured: its numbers, which of their differences it shows, ours minus theirs.

tables = report_paper.tables(experiment)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mammo_tf import records, report_printed
from mammo_tf.tables import Table, number, with_interval


def numbers(experiment: Any) -> Table:
    """The paper's own numbers, one row a run; of a paper without any, its rows."""
    rows: dict[str, Sequence[str]] = {}
    keys = list(dict.fromkeys(key for run in experiment.RUNS for key in run.published))
    if not keys:
        names = dict.fromkeys(run.name for run in experiment.RUNS if not getattr(run, "extra", False))
        return Table("The paper's numbers", ["run", "paper"], [[name, "prints none"] for name in names])
    for run in experiment.RUNS:
        if run.published:
            rows[run.name] = [run.name, *(number(run.published.get(key)) for key in keys)]
    return Table("The paper's numbers", ["run", *(key.replace("_", " ") for key in keys)], list(rows.values()))


def tables(experiment: Any) -> list[Table]:
    """What the paper prints, and which of its differences that can show."""
    return [table for table in (numbers(experiment), report_printed.table(experiment)) if table]


def difference(experiment: Any, group: Sequence[records.Record]) -> Table | None:
    """Measured minus paper; only for real data at budget `paper`."""
    published = {run.name: run.published for run in experiment.RUNS}
    rows = []
    for r in group:
        if r.dataset_kind != "real" or r.budget != "paper" or r.run not in published:
            continue
        theirs = {"accuracy": published[r.run].get("val_accuracy"), **published[r.run]}
        for name, v in theirs.items():
            if (ours := _measured(r, name)) and v is not None:
                rows.append([r.run, r.protocol, name, number(v), with_interval(ours), number(ours.value - v)])
    columns = ["run", "protocol", "metric", "paper", "measured", "measured - paper"]
    return Table("Difference to the paper", columns, rows) if rows else None


def _measured(r: records.Record, name: str) -> Any:
    """The estimate that stands beside a published number; None where the number is no metric of a run.

    Sensitivity and specificity are those at the threshold that validation chose. An average over flips has them in
    its own AUC, other nets in a claim.
    """
    if name in ("accuracy", "precision", "recall", "f1", "auc", "loss"):
        return r.metrics.get("log_loss" if name == "loss" else name)
    if name == "auc_four_flips":
        return r.claims.get(name) or r.metrics.get("auc")
    return r.tuned.get({"sensitivity": "recall", "specificity": "specificity"}.get(name, ""))
