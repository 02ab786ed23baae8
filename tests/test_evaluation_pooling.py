"""Breasts and cases made of images: every rule by hand, and against a loop over a table."""

import types

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import pooling


def images():
    """Patient p: left 0.2, 0.6 (positive), right 0.5; q: right 0.1, 0.3; in no order."""
    return types.SimpleNamespace(
        ids=("p-l-cc", "q-r-cc", "p-r-cc", "p-l-mlo", "q-r-mlo"),
        patients=np.array(["p", "q", "p", "p", "q"]),
        breasts=np.array(["p LEFT", "q RIGHT", "p RIGHT", "p LEFT", "q RIGHT"]),
        labels=np.array([0, 0, 0, 1, 0]),
        scores=np.array([0.2, 0.1, 0.5, 0.6, 0.3]),
    )


@pytest.mark.parametrize(
    ("rule", "breasts", "people"),
    [
        ("mean", [0.4, 0.5, 0.2], [1.3 / 3, 0.2]),
        ("max", [0.6, 0.5, 0.3], [0.6, 0.3]),
        ("noisy_or", [1 - 0.8 * 0.4, 0.5, 1 - 0.9 * 0.7], [1 - 0.8 * 0.4 * 0.5, 1 - 0.9 * 0.7]),
        ("mean_then_max", [0.4, 0.5, 0.2], [0.5, 0.2]),
    ],
)
def test_by_hand(rule, breasts, people):
    found = pooling.pool(images(), "breast", rule)
    assert found.ids == ("p LEFT", "p RIGHT", "q RIGHT") and found.patients.tolist() == ["p", "p", "q"]
    assert found.scores == pytest.approx(breasts) and found.labels.tolist() == [1, 0, 0]
    assert found.images.tolist() == [2, 1, 2]
    found = pooling.pool(images(), "case", rule)
    assert found.ids == ("p", "q") and found.scores == pytest.approx(people) and found.labels.tolist() == [1, 0]


def test_a_unit_of_one_image_is_that_image_under_every_rule():
    rng = np.random.default_rng(0)
    names = np.array([f"p{i:02d} LEFT" for i in range(20)])
    one = types.SimpleNamespace(
        ids=names, patients=np.char.replace(names, " LEFT", ""), breasts=names, labels=rng.integers(0, 2, 20)
    )
    one.scores = rng.random(20)
    for level in pooling.LEVELS:
        for rule in pooling.RULES:
            found = pooling.pool(one, level, rule)
            assert found.scores == pytest.approx(one.scores) and found.labels.tolist() == one.labels.tolist()


def test_what_needs_no_breast_does_without():
    unknown = images()
    unknown.breasts = None
    for rule in ("mean", "max", "noisy_or"):
        expected = pooling.pool(images(), "case", rule).scores
        assert pooling.pool(unknown, "case", rule).scores == pytest.approx(expected)
    for level, rule in (("case", "mean_then_max"), ("breast", "mean")):
        with pytest.raises(cases.MammoError, match=r"breast of 5 of 5 images is unknown \(p-l-cc"):
            pooling.pool(unknown, level, rule)
    some = images()
    some.breasts[3] = ""
    with pytest.raises(cases.MammoError, match=r"breast of 1 of 5 images is unknown \(p-l-mlo"):
        pooling.pool(some, "breast")


def test_what_cannot_be_pooled():
    with pytest.raises(cases.MammoError, match="levels are breast, case"):
        pooling.pool(images(), "view")
    with pytest.raises(cases.MammoError, match="rules mean, max, noisy_or, mean_then_max"):
        pooling.pool(images(), "case", "median")
    shared = images()
    shared.breasts[:] = "LEFT"
    with pytest.raises(cases.MammoError, match="breast LEFT stands with several patients"):
        pooling.pool(shared, "breast")
    logits = images()
    logits.scores = logits.scores * 9
    with pytest.raises(cases.MammoError, match="noisy_or takes probabilities"):
        pooling.pool(logits, "case", "noisy_or")
    classes = images()
    classes.labels[0] = 2
    with pytest.raises(cases.MammoError, match="1 of 5 labels are neither 0 nor 1"):
        pooling.pool(classes, "case", "max")
