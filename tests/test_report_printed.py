import types

from mammo_tf import report_printed
from mammo_tf.evaluation import forensics


def test_pairs_are_counted_by_what_the_table_shows_of_them():
    rows = tuple({"accuracy": a} for a in ("0.866", "0.854", "0.732"))  # of 82: 71, 70, 60 right
    paper = types.SimpleNamespace(PRINTED=(forensics.Group("Table 1", rows, images=82),))
    table = report_printed.table(paper)
    assert table.rows == [["Table 1", "82", "3", "0", "2", "1"]]
    assert report_printed.table(types.SimpleNamespace()) is None


def test_numbers_that_fit_no_set_or_have_no_accuracy_are_left_out():
    impossible = forensics.Group("odd", ({"accuracy": "0.333"}, {"accuracy": "0.5"}), images=7)
    lone = forensics.Group("lone", ({"accuracy": "0.5"}, {"recall": "0.5"}), images=8)
    paper = types.SimpleNamespace(PRINTED=(impossible, lone))
    assert report_printed.table(paper) is None and report_printed.found(lone) == (0, [])
