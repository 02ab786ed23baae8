import numpy as np
import pytest

from mammo_tf.evaluation import delong


def views_of_patients(rng, patients, views, *, shared=1.0, gap=1.2):
    """Binormal scores: each patient has one label, and an effect that all her views share."""
    labels = np.repeat(np.arange(patients) % 2, views)
    effect = np.repeat(rng.normal(size=patients), views) * shared
    scores = gap * labels + effect + rng.normal(size=patients * views)
    return labels, scores, np.repeat(np.arange(patients), views)


def plain_delong(labels, scores):
    """DeLong et al. 1988 by its definition, with loops over all pairs."""
    x, y = scores[labels == 1], scores[labels == 0]
    psi = (x[:, None] > y).astype(float) + 0.5 * (x[:, None] == y)
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    return psi.mean(), v10.var(ddof=1) / len(x) + v01.var(ddof=1) / len(y)


def obuchowski(labels, scores, patients):
    """Obuchowski 1997 by its definition, patient by patient, for one set of scores."""
    x, y = scores[labels == 1], scores[labels == 0]
    auc, m, n = plain_delong(labels, scores)[0], len(x), len(y)
    deviation = {}
    for g in np.unique(patients):
        mine = patients == g
        d10 = sum(((s > y) + 0.5 * (s == y)).mean() - auc for s in scores[mine & (labels == 1)])
        d01 = sum(((x > s) + 0.5 * (x == s)).mean() - auc for s in scores[mine & (labels == 0)])
        deviation[g] = (d10, d01)
    i10, i01 = (len(np.unique(patients[labels == k])) for k in (1, 0))
    s10 = i10 / (i10 - 1) * sum(a * a for a, _ in deviation.values()) / m
    s01 = i01 / (i01 - 1) * sum(b * b for _, b in deviation.values()) / n
    s11 = len(deviation) / (len(deviation) - 1) * sum(a * b for a, b in deviation.values())
    return s10 / m + s01 / n + 2 * s11 / (m * n)


@pytest.mark.parametrize("digits", [1, 8])
def test_one_example_a_patient_gives_plain_delong(digits):
    labels, scores, _ = views_of_patients(np.random.default_rng(0), 90, 1)
    scores = np.round(scores, digits)
    aucs, covariance = delong.auc_covariance(labels, scores[None], np.arange(90))
    expected = plain_delong(labels, scores)
    assert aucs[0] == pytest.approx(expected[0]) and covariance[0, 0] == pytest.approx(expected[1])


def test_several_examples_a_patient_give_obuchowski():
    rng = np.random.default_rng(1)
    patients = rng.integers(0, 25, 120)
    labels, scores = (
        rng.integers(0, 2, 120),
        np.round(rng.normal(size=120), 1),
    )  # both classes in one patient, and ties
    _, covariance = delong.auc_covariance(labels, scores[None], patients)
    assert covariance[0, 0] == pytest.approx(obuchowski(labels, scores, patients))


def test_covariance_of_a_sum_of_two():
    labels, scores, patients = views_of_patients(np.random.default_rng(2), 40, 3)
    both = np.stack([scores, -scores])
    aucs, covariance = delong.auc_covariance(labels, both, patients)
    assert aucs.sum() == pytest.approx(1)
    np.testing.assert_allclose(covariance, covariance[0, 0] * np.array([[1, -1], [-1, 1]]))


def test_copies_of_every_example_leave_the_clustered_variance():
    """Views that repeat each other add nothing: plain DeLong halves its variance, the clustered form keeps it."""
    labels, scores, patients = views_of_patients(np.random.default_rng(3), 80, 1)
    _, once = delong.auc_covariance(labels, scores[None], patients)
    twice = [np.tile(a, 2) for a in (labels, scores, patients)]
    _, clustered = delong.auc_covariance(twice[0], twice[1][None], twice[2])
    assert clustered[0, 0] == pytest.approx(once[0, 0])
    assert plain_delong(twice[0], twice[1])[1] < 0.52 * once[0, 0]


def test_a_missing_class_or_a_lone_patient_has_no_variance():
    scores = np.array([[0.1, 0.2, 0.3]])
    aucs, covariance = delong.auc_covariance(np.array([1, 1, 1]), scores, np.arange(3))
    assert np.isnan(aucs).all() and np.isnan(covariance).all()
    aucs, covariance = delong.auc_covariance(np.array([0, 0, 1]), scores, np.arange(3))
    assert aucs[0] == 1 and np.isnan(covariance).all()
