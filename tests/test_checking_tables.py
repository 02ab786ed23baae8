"""Tables counted by hand."""

import pytest

from mammo_tf import checking_tables
from mammo_tf.datasets import about


def entry(image, patient, label, kind="mass", part="train", **changes):
    return about.Entry(image, patient, label, kind, part=part, **{"side": "LEFT", "view": "CC", **changes})


# Three patients, four images, six rows: `a` holds both classes, `p2` stands in both parts with the same view.
ENTRIES = (
    entry("a", "p1", "MALIGNANT", density="2"),
    entry("a", "p1", "BENIGN_WITHOUT_CALLBACK"),
    entry("b", "p2", "BENIGN", density="3"),
    entry("c", "p2", "BENIGN", "calcification", "test", density="2"),
    entry("c", "p2", "BENIGN", "calcification", "test"),
    entry("d", "p3", "", "", "", side="", view="MLO"),
)


def of(known):
    return about.About("A dataset", "somewhere", "free", "nobody", "tree", known)


def counts(tables, group):
    return {one.value: (one.rows, one.images, one.patients, one.found) for one in tables.counts if one.group == group}


def test_every_group_by_hand():
    tables = checking_tables.count(ENTRIES, of({}), frozenset({"a", "d", "elsewhere"}))
    total = tables.total
    assert (total.rows, total.images, total.patients, total.found) == (6, 4, 3, 2)
    assert counts(tables, "class") == {
        "BENIGN": (3, 2, 1, 0),
        "BENIGN_WITHOUT_CALLBACK": (1, 1, 1, 1),
        "MALIGNANT": (1, 1, 1, 1),
        "(not said)": (1, 1, 1, 1),
    }
    assert counts(tables, "kind") == {
        "calcification": (2, 1, 1, 0),
        "mass": (3, 2, 2, 1),
        "(no lesion)": (1, 1, 1, 1),
    }
    assert counts(tables, "kind and part") == {
        "calcification test": (2, 1, 1, 0),
        "mass train": (3, 2, 2, 1),
        "(not said)": (1, 1, 1, 1),
    }
    assert counts(tables, "view") == {"LEFT CC": (5, 3, 2, 1), "MLO": (1, 1, 1, 1)}
    assert list(counts(tables, "density")) == ["2", "3", "(not said)"]
    assert tables.both_classes == ("a",) and tables.both_parts == ("p2",)


def test_the_rows_of_a_group_add_up():
    tables = checking_tables.count(ENTRIES, of({}))
    for group in {one.group for one in tables.counts}:
        assert sum(rows for rows, *_ in counts(tables, group).values()) == len(ENTRIES)


def test_a_group_of_which_nothing_is_said_is_left_out():
    bare = [about.Entry("a", "p", "BI-RADS 2"), about.Entry("b", "p", "BI-RADS 5")]
    tables = checking_tables.count(bare, of({}))
    assert {one.group for one in tables.counts} == {"class"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rows", 6),
        ("images", 4),
        ("patients", 3),
        ("cases", 3),
        ("rows of mass train", 3),
        ("images of test", 1),
        ("patients of mass", 2),
        ("BENIGN", 3),
        ("BENIGN of calcification test", 2),
        ("MALIGNANT of calcification test", 0),
        ("patients in both parts", 1),
        ("views in both parts", 1),
        ("films", None),
        ("BI-RADS 5", None),
    ],
)
def test_numbers_by_their_published_names(name, expected):
    assert checking_tables.number(name, ENTRIES) == expected
    (one,) = checking_tables.count(ENTRIES, of({name: 7})).published
    assert (one.name, one.published, one.here) == (name, 7, expected)


def test_unknown_patients_are_no_patient():
    rows = [about.Entry("a", "", "x"), about.Entry("b", "", "x"), about.Entry("c", "p", "x")]
    tables = checking_tables.count(rows, of({}))
    assert tables.total.patients == 1 and tables.without_patient == 2 and tables.both_parts == ()
    assert checking_tables.number("cases", rows) == 1 and checking_tables.number("cases", rows[:2]) is None
