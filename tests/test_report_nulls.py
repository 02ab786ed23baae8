"""The table of null tests, by hand; at the end of a paper's part of RESULTS.md and on the page."""

import types

from mammo_tf import page, report, report_nulls
from mammo_tf import run as runs
from tests import samples
from tests.test_null_records import a_null

LEAK = "crops of one ROI, and ROIs of one patient, stand in training and validation"


def an_experiment():
    rules = [runs.Rules("as_published", "val"), runs.Rules("honest", "test")]
    rows = [
        types.SimpleNamespace(name=name, protocol=r, published={})
        for name in ("baseline_cnn", "alexnet")
        for r in rules
    ]
    return types.SimpleNamespace(KEY="ao2020", RUNS=tuple(rows), DATASETS=(), __doc__="Ao and Zhang: a paper.")


def some():
    return [
        a_null(run="alexnet", aucs=(0.7, 0.71, 0.72), weights="phantom_standin"),
        a_null(kind="noise", seeds=(0, 0, 0)),
        a_null(),
        a_null(protocol="as_published", leaks=(LEAK, "no test part")),
        a_null(paper="another"),
        a_null(run="no row"),
    ]


def test_the_table_by_hand():
    (table,) = report_nulls.of(an_experiment(), some())
    leaks = "crops of one ROI, and ROIs of one patient, stand in ...; no test part"
    mean, demo = "0.500 [0.327, 0.673]", ("phantom cbis_ddsm", "demo")
    assert [tuple(row) for row in table.rows] == [
        ("baseline_cnn", "as_published", *demo, "labels", "3", mean, "yes", leaks),
        ("baseline_cnn", "honest", *demo, "labels", "3", mean, "yes", "none"),
        ("alexnet", "honest", *demo, "labels", "3", "0.710 [0.693, 0.727]", "no", "none"),
        ("baseline_cnn", "honest", *demo, "noise", "3", mean, "yes", "none"),
    ]
    assert len(table.columns) == 9
    notes = " ".join(table.notes)
    assert "0.5 is not within: alexnet (labels)." in notes and "stand-in for pre-trained weights: `alexnet`" in notes
    assert "One split for all deals, since nets of other runs learned on it: `baseline_cnn`." in notes
    assert report_nulls.of(an_experiment(), some()[::-1]) == [table]


def test_they_end_a_papers_part_and_nothing_is_said_where_there_are_none():
    experiments, found = {"ao2020": an_experiment()}, [samples.record()]
    plain = report.markdown(experiments, found)
    shown = report.markdown(experiments, found, some())
    assert "Null" not in plain and shown.startswith(plain)
    assert "### ao2020: null tests\n\n#### Null tests\n\n| run | protocol |" in shown
    assert report.markdown(experiments, found, [a_null(paper="another")]) == plain


def test_the_page_shows_them(tmp_path):
    page.write(tmp_path / "page.html", {"ao2020": an_experiment()}, [samples.record()], some())
    text = (tmp_path / "page.html").read_text()
    assert "<h3>Null tests</h3>" in text and "<td>0.710 [0.693, 0.727]</td><td>no</td>" in text
