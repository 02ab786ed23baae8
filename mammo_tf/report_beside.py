"""Tables in which a row's numbers under both protocols, and the paper's, stand beside each other.

A paper file names them in `BESIDE`; each cell is a claim or a metric of the row's record.

    Beside("Ten folds", (Column("paper", "published", "cv"), Column("honest", "honest", "cv")), ("Means.",))
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mammo_tf import records
from mammo_tf.tables import Table, number, with_interval


@dataclasses.dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        head: its name.
        source: "published" (the paper's number), a protocol's name, or "gap": as_published minus honest.
        name: of the number: a key of `Run.published`, or of a record's claims or metrics.
    """

    head: str
    source: str
    name: str


@dataclasses.dataclass(frozen=True)
class Beside:
    """A table: its title, its columns, what is said below it."""

    title: str
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()


def tables(experiment: Any, group: Sequence[records.Record]) -> list[Table]:
    """Those of `BESIDE` for which a record of the group has a number."""
    published = {one.name: one.published for one in experiment.RUNS}
    found = []
    for beside in getattr(experiment, "BESIDE", ()):
        rows = []
        for run, seed in dict.fromkeys((r.run, r.seed) for r in group):
            of = {r.protocol: r for r in group if (r.run, r.seed) == (run, seed)}
            measured = [c for c in beside.columns if c.source != "published"]
            if any(_estimate(of.get(c.source), c.name) for c in measured):
                rows.append([run, number(seed), *(_cell(c, of, published[run]) for c in beside.columns)])
        if rows:
            heads = ["run", "seed", *(column.head for column in beside.columns)]
            found.append(Table(beside.title, heads, rows, list(beside.notes)))
    return found


def _cell(column: Column, of: Mapping[str, records.Record], published: Mapping[str, Any]) -> str:
    if column.source == "published":
        return number(published[column.name]) if column.name in published else ""
    if column.source == "gap":
        both = [_estimate(of.get(protocol), column.name) for protocol in ("as_published", "honest")]
        return number(both[0].value - both[1].value) if all(both) else "n/a"
    found = _estimate(of.get(column.source), column.name)
    if found is None or math.isnan(found.value):
        return "n/a"
    return number(found.value) if math.isnan(found.low) else with_interval(found)


def _estimate(record: records.Record | None, name: str) -> Any:
    return record and (record.claims.get(name) or record.metrics.get(name))
