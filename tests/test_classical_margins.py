import numpy as np
import pytest
from sklearn import linear_model, svm

from mammo_tf import cases
from mammo_tf.classical import margins

RNG = np.random.default_rng(0)
LABELS = (np.arange(60) % 3 == 0).astype(int)
NARROW = RNG.normal(size=(60, 5)) + LABELS[:, None]
WIDE = RNG.normal(size=(60, 300)) + 0.1 * LABELS[:, None]
NEW = {5: RNG.normal(size=(40, 5)), 300: RNG.normal(size=(40, 300))}


def test_the_widest_margin_between_two_points_is_known():
    """Of -1 and 1 on a line the machine with margins through both is f(x) = x."""
    fitted = margins.linear_svm(np.array([[-1.0, 0.0], [1.0, 0.0]]), [0, 1], 0)
    np.testing.assert_allclose(fitted.weights, [1, 0], atol=1e-6)
    np.testing.assert_allclose(fitted([[0.0, 7.0], [2.0, 0.0]]), [0, 2], atol=1e-6)
    assert fitted.stopped == ""


@pytest.mark.parametrize("features", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize(
    "classify, theirs",
    [
        (margins.linear_svm, svm.SVC(kernel="linear")),
        (margins.rbf_svm, svm.SVC(kernel="rbf")),
        (margins.logistic, linear_model.LogisticRegression(tol=1e-8, max_iter=10_000)),
    ],
    ids=["linear", "rbf", "logistic"],
)
def test_the_dual_forms_answer_as_scikit_learn_does(classify, theirs, features):
    new = NEW[features.shape[1]]
    found = classify(features, LABELS, 0)(new)
    assert found.shape == (40,) and found.dtype == np.float64
    np.testing.assert_allclose(found, theirs.fit(features, LABELS).decision_function(new), atol=2e-3)


@pytest.mark.parametrize("classify", [margins.linear_svm, margins.logistic])
def test_c_is_that_of_scikit_learn(classify):
    soft = np.linalg.norm(classify(NARROW, LABELS, 0, c=1e-3).weights)
    assert soft < 0.5 * np.linalg.norm(classify(NARROW, LABELS, 0).weights)


def test_gamma_may_be_given():
    theirs = svm.SVC(kernel="rbf", gamma=0.7).fit(NARROW, LABELS)
    found = margins.rbf_svm(NARROW, LABELS, 0, gamma=0.7)
    np.testing.assert_allclose(found(NEW[5]), theirs.decision_function(NEW[5]), atol=2e-3)


@pytest.mark.parametrize("classify", [margins.linear_svm, margins.rbf_svm, margins.logistic])
def test_a_fit_ends_at_its_bound_and_says_so(classify):
    assert "was stopped after 3 iterations" in classify(NARROW, LABELS, 0, iterations=3).stopped


@pytest.mark.parametrize("features", [NARROW, WIDE], ids=["narrow", "wide"])
def test_coordinates_in_the_space_that_is_spanned_keep_every_product(features):
    coordinates, basis = margins.spanned_by(features)
    assert coordinates.shape[1] == min(features.shape) == basis.shape[1]
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-8)
    np.testing.assert_allclose(coordinates @ basis.T, features, atol=1e-8)


@pytest.mark.parametrize("classify", [margins.linear_svm, margins.rbf_svm, margins.logistic])
def test_features_that_are_all_zero_part_nothing(classify):
    scores = classify(np.zeros((6, 9)), [0, 1] * 3, 0)(np.zeros((2, 9)))
    assert np.isfinite(scores).all() and np.ptp(scores) == 0


@pytest.mark.parametrize(
    "features, labels, more, match",
    [
        (NARROW[:3], [0, 1], {}, r"features \(3, 5\) and labels \(2,\)"),
        (NARROW[:3, :0], [0, 1, 0], {}, r"expected \(N, F\) and \(N,\), F >= 1"),
        (np.full((2, 2), np.nan), [0, 1], {}, "4 of 4 features are not finite"),
        (NARROW[:2], [1, 1], {}, r"labels \[1\]; expected 0 and 1"),
        (NARROW[:2], [0.0, 0.5], {}, "expected 0 and 1"),
        (NARROW[:2], [0, 1], {"c": 0}, "expected c > 0"),
        (NARROW[:2], [0, 1], {"iterations": 0}, "0 iterations"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(features, labels, more, match):
    with pytest.raises(cases.MammoError, match=match):
        margins.linear_svm(features, labels, 0, **more)
