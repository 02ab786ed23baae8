"""Which test sets printed digits allow: by brute force on small sets, the papers' own tables, our own report."""

import itertools
import math
import pathlib

import numpy as np
import pytest

from mammo_tf import cases, commands, records, tables
from mammo_tf.evaluation import forensics, metrics

ROOT = pathlib.Path(__file__).parent.parent
PAPERS = commands.load_experiments(ROOT / "experiments")


def printed(counts, names, digits=3):
    return {name: f"{float(metrics.OF_COUNTS[name](counts)):.{digits}f}" for name in names}


def counts_of(n, p, tp, tn):
    return metrics.Counts(tn=tn, fp=n - p - tn, fn=p - tp, tp=tp)


@pytest.mark.parametrize(
    ("text", "rounding", "low", "high"),
    [
        ("0.8676", "nearest", 0.86755, 0.86765),
        (".5", "nearest", 0.45, 0.55),
        ("0.500", "nearest", 0.4995, 0.5005),
        ("86.7%", "nearest", 0.8665, 0.8675),
        ("1.00", "nearest", 0.995, 1.005),
        ("0.97", "down", 0.97, 0.98),
        ("0.97", "either", 0.965, 0.98),
    ],
)
def test_what_digits_stand_for(text, rounding, low, high):
    found = forensics.Printed.read(text, rounding)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_cut_off_digits_leave_out_the_next_number():
    found = forensics.Printed.read("0.97", "down")
    assert found.fits(np.array([0.969, 0.97, 0.979999, 0.98])).tolist() == [False, True, True, False]
    half = forensics.Printed.read("0.437")
    assert half.fits(np.array([7 / 16])).all() and forensics.Printed.read("0.438").fits(np.array([7 / 16])).all()


@pytest.mark.parametrize("text", ["", "0,5", "abc", "1.2", "-0.1", "nan", "120%"])
def test_what_is_no_printed_number_is_refused(text):
    with pytest.raises(cases.MammoError, match="forensics"):
        forensics.Printed.read(text)


@pytest.mark.parametrize(
    "names",
    [
        ("accuracy", "recall"),
        ("accuracy", "balanced_accuracy"),
        ("precision", "recall", "f1"),
        ("recall", "specificity"),
    ],
)
def test_the_sets_are_those_of_brute_force(names):
    rows = [printed(counts_of(23, 9, *cell), names) for cell in ((6, 11), (8, 5))]
    expected = []
    for n in range(2, 31):
        for p in range(1, n):
            cells = list(itertools.product(range(p + 1), range(n - p + 1)))
            if all(any(same(printed_values(n, p, *cell, names), row) for cell in cells) for row in rows):
                expected.append((n, p))
    assert forensics.possible(rows, range(2, 31)) == expected
    assert (23, 9) in expected and len(expected) < 300


def printed_values(n, p, tp, tn, names):
    return {name: float(metrics.OF_COUNTS[name](counts_of(n, p, tp, tn))) for name in names}


def same(values, row):
    return all(
        not math.isnan(values[name]) and abs(values[name] - float(text)) <= 0.0005 + 1e-12
        for name, text in row.items()
    )


def test_matrices_of_a_known_set():
    row = printed(counts_of(107, 30, 26, 74), ("recall", "specificity"))
    assert forensics.matrices(row, 107, 30) == [(26, 74)]
    loose = forensics.matrices({"accuracy": "0.9"}, 10, 4)
    assert loose == [(3, 6), (4, 5)] or set(loose) == {(3, 6), (4, 5)}


@pytest.mark.parametrize(
    ("rows", "said"),
    [([], "no rows"), ([{}], "without numbers"), ([{"kappa": "0.9"}], "unknown metric 'kappa'"),
     ([{"accuracy": "x"}], "no number")],
)  # fmt: skip
def test_rows_that_are_none(rows, said):
    with pytest.raises(cases.MammoError, match=said):
        forensics.possible(rows, range(2, 9))
    with pytest.raises(cases.MammoError, match="rounding 'up'"):
        forensics.possible([{"accuracy": "0.5"}], range(2, 9), rounding="up")


FOUND = {
    ("lowresource2020", "Table 1, binary rows"): [(82, 20)],
    ("lowresource2020", "Table 2, rows without SMOTE"): [(136, 35), (136, 101)],
    ("lowresource2020", "Table 2, rows with SMOTE"): [(205, 94), (205, 111)],
    ("shen2019", "section 3.1.4, the ensemble on CBIS-DDSM"): [(376, p) for p in (79, 115, 165, 180, 230)],
    ("shen2019", "section 3.2.2, the ensemble on INbreast"): [(107, 30)],
    ("ao2020", "Table 1, validation part"): [(945, 441)],
}


def test_of_all_sets_up_to_1100_table_1_of_ao2020_allows_two_and_none_if_it_was_rounded():
    (group,) = PAPERS["ao2020"].PRINTED
    assert forensics.possible(group.rows, range(2, 1101), rounding="down") == [(944, 441), (945, 441)]
    assert forensics.possible(group.rows, range(2, 1101)) == []


@pytest.mark.parametrize("key", FOUND, ids=str)
def test_what_the_papers_printed_allows(key):
    """The smallest sets that fit; of the paper's own number of images, where it says it, all of them."""
    (group,) = [g for g in PAPERS[key[0]].PRINTED if g.title == key[1]]
    assert forensics.smallest(forensics.possible(group.rows, group.sizes, rounding=group.rounding)) == FOUND[key]


def test_every_printed_table_is_asked():
    assert {(key, g.title) for key, paper in PAPERS.items() for g in getattr(paper, "PRINTED", ())} == set(FOUND)


def test_the_sizes_of_the_papers_follow():
    """A third of 410, and a third of the 620 that SMOTE makes of them; a fifth of 410; a fifth of 4,725."""
    assert math.ceil(0.33 * 410) == 136 and math.ceil(0.33 * 620) == 205 and 410 // 5 == 82 and 4725 // 5 == 945
    without = PAPERS["lowresource2020"].PRINTED[1]
    found = forensics.possible(without.rows, range(2, 411))
    assert {n for n, _ in found} == {136, 272, 408} and (272, 70) in found


OURS = [r for r in records.load(ROOT / "results") if r.folds == 1 and len(r.class_names) == 2]


def test_our_own_report_is_possible():
    """What RESULTS.md prints of each run with one test part admits the part that the record names."""
    assert len(OURS) > 40
    for record in OURS:
        size = record.sizes[record.reported]
        row = {name: tables.number(record.metrics[name].value) for name in ("accuracy", "precision", "recall", "f1")}
        row = {name: text for name, text in row.items() if text != "n/a"}
        fits = forensics.possible([row], [size["examples"]], positives=[size["positives"]])
        assert fits == [(size["examples"], size["positives"])], (record.label, row, size)
        assert not forensics.possible([{**row, "accuracy": "0.0004"}], [size["examples"]])


def test_an_area_that_no_curve_through_the_point_has_is_ruled_out():
    """10 images, 5 positive, 4 right of either class: 16 of 25 pairs are won and 1 is lost, so 0.64 to 0.96."""
    row = {"recall": "0.8", "specificity": "0.8"}
    for text, fits in (("0.63", False), ("0.64", True), ("0.96", True), ("0.97", False)):
        assert ((10, 5) in forensics.possible([{**row, "auc": text}], [10])) is fits
    assert (10, 5) in forensics.possible([{"auc": "0.94"}], [10])  # 23.5 of 25: a tie
    assert forensics.possible([{"auc": "0.95"}], [10], positives=[5]) == []  # neither 23.5 nor 24 of 25


def test_the_areas_that_fit_are_those_of_all_scores():
    """Three positives, two negatives, three levels on either side of the cut: every point and area, no other."""
    labels, seen = np.array([1, 1, 1, 0, 0]), {}
    for scores in itertools.product(range(6), repeat=5):
        c = metrics.count(labels, np.array(scores) >= 3)
        seen.setdefault((int(c.tp), int(c.tn)), set()).add(round(12 * metrics.auc(labels, scores)))
    assert len(seen) == 12
    for (tp, tn), areas in seen.items():
        row = {"recall": f"{tp / 3:.6f}", "specificity": f"{tn / 2:.6f}"}
        fits = [k for k in range(13) if (5, 3) in forensics.possible([{**row, "auc": f"{k / 12:.6f}"}], [5])]
        assert set(fits) == areas
