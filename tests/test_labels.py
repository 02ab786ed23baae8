import collections
import math
import os
import pathlib

import numpy as np
import pytest

from mammo_tf import cases, labels
from mammo_tf.datasets import inbreast_tables

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
MALIGNANT, BENIGN, UNPROVEN = cases.Pathology.MALIGNANT, cases.Pathology.BENIGN, cases.Pathology.UNPROVEN


def lesion(pathology: str = "BENIGN", **attributes: str) -> cases.Lesion:
    return cases.Lesion("a", cases.Pathology(pathology), "mass", attributes=attributes)


def view(*lesions: cases.Lesion, **attributes: str) -> cases.View:
    load = np.zeros((2, 2), np.uint8).copy
    return cases.View("v", "p", None, cases.Projection.CC, load, 255, lesions=lesions, attributes=attributes)


def same(found: float, expected: float) -> bool:
    return found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize(
    ("pathology", "label"),
    [
        ("MALIGNANT", 1.0),
        ("BENIGN", 0.0),
        ("BENIGN_WITHOUT_CALLBACK", 0.0),
        ("NORMAL", 0.0),
        ("UNPROVEN", math.nan),
    ],
)
@pytest.mark.parametrize("policy", [labels.pathology, labels.mias_severity], ids=lambda policy: policy.name)
def test_the_pathology_of_a_lesion_and_of_a_view_with_it_alone(policy, pathology, label):
    assert same(policy.lesion(lesion(pathology)), label)
    assert same(policy.view(view(lesion(pathology))), label)
    assert policy.class_names == ("benign", "malignant")


@pytest.mark.parametrize(
    ("pathologies", "label"),
    [
        ((), 0.0),
        ((BENIGN, MALIGNANT), 1.0),
        ((BENIGN, BENIGN), 0.0),
        ((UNPROVEN, BENIGN), math.nan),  # it may be malignant
        ((UNPROVEN, MALIGNANT), 1.0),
    ],
)
def test_a_view_has_the_label_of_its_worst_lesion(pathologies, label):
    assert same(labels.pathology.view(view(*map(lesion, pathologies))), label)


@pytest.mark.parametrize(
    ("text", "number"),
    [("4a", 4), ("4B", 4), (" 4c ", 4), ("0", 0), ("6", 6), ("", math.nan), ("4d", math.nan), ("N/A", math.nan)],
)
def test_the_number_of_a_category(text, number):
    assert same(labels.birads_number(text), number)


CATEGORIES = [
    ("0", math.nan, math.nan),
    ("", math.nan, math.nan),
    ("1", 0.0, 0.0),
    ("2", 0.0, 0.0),
    ("3", 0.0, math.nan),
    ("4", 1.0, 1.0),
    ("4a", 1.0, 1.0),
    ("4b", 1.0, 1.0),
    ("4c", 1.0, 1.0),
    ("5", 1.0, 1.0),
    ("6", 1.0, 1.0),
]


@pytest.mark.parametrize(("text", "label", "label_without_3"), CATEGORIES)
def test_birads_of_a_lesion_of_its_view_and_of_a_view_that_has_its_own(text, label, label_without_3):
    for policy, expected in ((labels.birads_4_up, label), (labels.birads_4_up_drop_3, label_without_3)):
        one = lesion(assessment=text)
        assert same(policy.lesion(one), expected) and same(policy.view(view(one)), expected)
        assert same(policy.view(view(birads=text)), expected)


def test_a_lesion_without_an_assessment_has_no_birads_label():
    assert math.isnan(labels.birads_4_up.lesion(lesion()))


def test_the_worst_assessment_is_that_of_the_view_unless_the_view_has_its_own():
    two, three, five = (lesion(assessment=text) for text in "235")
    assert labels.birads_4_up.view(view(two, five)) == 1.0
    assert labels.birads_4_up.view(view(two, three)) == 0.0
    assert math.isnan(labels.birads_4_up_drop_3.view(view(two, three)))
    assert labels.birads_4_up_drop_3.view(view(three, five)) == 1.0
    assert labels.birads_4_up.view(view(five, birads="2")) == 0.0


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (labels.birads_4_up, {1.0: 13 + 8 + 22 + 49 + 8, 0.0: 67 + 220 + 23}),
        (labels.birads_4_up_drop_3, {1.0: 100, 0.0: 67 + 220, "left out": 23}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_published_inbreast_has_100_positives_in_410(policy, expected):
    rows = inbreast_tables.read(pathlib.Path(REAL) / "inbreast" / "INbreast.csv").rows
    found = [policy.view(view(birads=row.birads)) for row in rows]
    assert collections.Counter("left out" if math.isnan(label) else label for label in found) == expected
