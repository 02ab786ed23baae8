"""Tables of numbers beside each other: which rows, which cells."""

import math
import types

from mammo_tf import report_beside as beside
from mammo_tf.evaluation import intervals


def estimate(value, low=math.nan, high=math.nan):
    return intervals.Estimate(value, low, high, 10, "mean")


def record(run, protocol, claims, metrics=None, seed=0):
    return types.SimpleNamespace(run=run, protocol=protocol, claims=claims, metrics=metrics or {}, seed=seed)


EXPERIMENT = types.SimpleNamespace(
    RUNS=[types.SimpleNamespace(name="a", published={"x": 0.9}), types.SimpleNamespace(name="b", published={})],
    BESIDE=(
        beside.Beside(
            "Title",
            (
                beside.Column("paper", "published", "x"),
                beside.Column("leaky", "as_published", "x"),
                beside.Column("fair", "honest", "x"),
                beside.Column("gap", "gap", "x"),
                beside.Column("AUC", "honest", "auc"),
            ),
            ("note",),
        ),
        beside.Beside("Nobody has it", (beside.Column("y", "honest", "y"), beside.Column("p", "published", "x"))),
    ),
)


def test_cells_by_hand():
    group = [
        record("a", "as_published", {"x": estimate(0.8, 0.7, 0.9)}),
        record("a", "honest", {"x": estimate(0.5)}, {"auc": estimate(0.6, 0.5, 0.7)}),
        record("b", "honest", {"x": estimate(math.nan)}),
        record("a", "honest", {"x": estimate(0.4)}, seed=1),
        record("b", "as_published", {}, seed=1),
    ]
    (table,) = beside.tables(EXPERIMENT, group)
    assert table.title == "Title" and table.notes == ["note"]
    assert table.columns == ["run", "seed", "paper", "leaky", "fair", "gap", "AUC"]
    assert table.rows == [
        ["a", "0", "0.900", "0.800 [0.700, 0.900]", "0.500", "0.300", "0.600 [0.500, 0.700]"],
        ["b", "0", "", "n/a", "n/a", "n/a", "n/a"],
        ["a", "1", "0.900", "n/a", "0.400", "n/a", "n/a"],
    ]


def test_a_paper_that_asks_for_none_gets_none():
    assert beside.tables(types.SimpleNamespace(RUNS=[]), [record("a", "honest", {"x": estimate(1.0)})]) == []
