"""Maps fitted on validation: against scikit-learn, against brute force, and never on the patients reported."""

import numpy as np
import pytest
from scipy import special
from sklearn import base, frozen
from sklearn import calibration as peer_calibration
from sklearn import isotonic as peer_isotonic
from sklearn import metrics as peer

from mammo_tf import cases
from mammo_tf.evaluation import intervals, metrics, recalibration
from tests.test_evaluation_clustered import cohort


def overconfident(seed, prefix, patients=150):
    """Probabilities whose logits are three times too large, and moved."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=patients)
    labels = (rng.random(patients) < special.expit(z)).astype(int)
    return labels, special.expit(3 * z + 0.5), [f"{prefix}{i}" for i in range(patients)]


def test_temperature_is_the_best_of_a_fine_grid():
    labels, scores, _ = overconfident(0, "v")
    grid = np.exp(np.linspace(np.log(0.1), np.log(20), 4001))
    logits = special.logit(scores)
    losses = [metrics.log_loss(labels, special.expit(logits / t)) for t in grid]
    found = recalibration.temperature(labels, scores)
    assert found.value == pytest.approx(grid[np.argmin(losses)], rel=2e-3) and found.value > 2
    assert metrics.log_loss(labels, found(scores)) <= min(losses) + 1e-9
    assert found([0.5, 0.9]) == pytest.approx([0.5, special.expit(np.log(9) / found.value)])


class Logits(base.ClassifierMixin, base.BaseEstimator):
    """A fitted net for scikit-learn: its input is its answer."""

    classes_ = np.array([0, 1])

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def decision_function(self, X):
        return X[:, 0]

    def predict(self, X):
        return (X[:, 0] > 0).astype(int)


def test_platt_is_that_of_scikit_learn():
    labels, scores, _ = overconfident(1, "v")
    x = special.logit(scores)[:, None]
    peer = peer_calibration.CalibratedClassifierCV(frozen.FrozenEstimator(Logits()), method="sigmoid", ensemble=False)
    found, others = recalibration.platt(labels, scores), np.linspace(0.02, 0.98, 25)
    expected = peer.fit(x, labels).predict_proba(special.logit(others)[:, None])[:, 1]
    assert found(others) == pytest.approx(expected, abs=2e-4)
    assert found([special.expit(2.0)]) == pytest.approx([special.expit(found.intercept + 2 * found.slope)])


def test_perfectly_told_classes_leave_platt_finite():
    found = recalibration.platt([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert 0 < found.slope < 10
    assert found([0.1, 0.9]).tolist() == pytest.approx([1 / 4, 3 / 4], abs=0.06)  # 1 / (N + 2), (P + 1) / (P + 2)


def test_isotonic_is_that_of_scikit_learn_and_rises():
    labels, scores, _ = cohort()
    peer = peer_isotonic.IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    grid = np.linspace(0, 1, 201)
    found = recalibration.isotonic(labels, scores)
    assert found(grid) == pytest.approx(peer.predict(grid)) and (np.diff(found(grid)) >= 0).all()
    assert hash(found) == hash(recalibration.isotonic(labels, scores))


@pytest.mark.parametrize("name", recalibration.FITS)
def test_what_validation_fits_mends_the_reported_part(name):
    validation, reported = overconfident(2, "v", 1000), overconfident(3, "t", 1000)
    found = recalibration.recalibrate(validation, reported, recalibration.FITS[name], draws=200)
    assert found.map == recalibration.FITS[name](*validation[:2])
    assert found.scores == pytest.approx(found.map(reported[1]))
    assert found.gain.value == pytest.approx(found.after["brier"].value - found.before["brier"].value)
    assert found.gain.high < 0 and found.after["ece"].value < 0.6 * found.before["ece"].value
    before = intervals.evaluate(*reported)
    edge = metrics.EPSILON
    assert found.before["log_loss"].value == pytest.approx(peer.log_loss(*reported[:2]))
    assert found.after["log_loss"].value == pytest.approx(
        peer.log_loss(reported[0], np.clip(found.scores, edge, 1 - edge))
    )
    if name != "isotonic":
        assert metrics.auc(reported[0], found.scores) == pytest.approx(before["auc"].value)


def test_patients_of_both_parts_and_one_class_are_refused():
    validation, reported = overconfident(2, "v", 30), overconfident(3, "t", 30)
    mixed = (*validation[:2], [*validation[2][:-1], "t7"])
    with pytest.raises(cases.MammoError, match=r"1 patients stand in validation .* \(t7\)"):
        recalibration.recalibrate(mixed, reported)
    for fit in recalibration.FITS.values():
        with pytest.raises(cases.MammoError, match="2 examples of class 0 and 0 of class 1"):
            fit([0, 0], [0.1, 0.2])
        with pytest.raises(cases.MammoError, match="no probabilities"):
            fit([0, 1], [0.1, 1.2])
