"""The Lasso as a selection: scikit-learn's weights at an alpha, and the number of features that is asked for."""

import numpy as np
import pytest
from sklearn import linear_model, preprocessing

from mammo_tf import cases
from mammo_tf.classical import lasso, margins, selected

RNG = np.random.default_rng(5)
LABELS = (RNG.random(80) < 0.3).astype(int)
NOISE = preprocessing.StandardScaler().fit_transform(RNG.standard_normal((80, 300)))
# Features that go together, as those of a net do.
ALIKE = preprocessing.StandardScaler().fit_transform(
    np.maximum(
        RNG.standard_normal((80, 12)) @ RNG.standard_normal((12, 300)) + 0.5 * RNG.standard_normal((80, 300)), 0
    )
)


def kept(found):
    return np.count_nonzero(found[:-1])


@pytest.mark.parametrize("alpha", [0.02, 0.2])
def test_at_an_alpha_the_weights_are_those_of_scikit_learn(alpha):
    found = lasso.weights(NOISE, LABELS, alpha=alpha)
    expected = linear_model.Lasso(alpha=alpha, max_iter=lasso.ITERATIONS).fit(NOISE, LABELS).coef_
    np.testing.assert_allclose(found[:-1], expected, atol=1e-10)
    assert found[-1] == 0


@pytest.mark.parametrize("features", [NOISE, ALIKE], ids=["noise", "alike"])
@pytest.mark.parametrize("keep", [0.1, 0.53, 0.85])
def test_about_so_many_features_stay_as_are_asked_for(features, keep):
    found = lasso.weights(features, LABELS, keep=keep)
    assert abs(kept(found) - keep * len(LABELS)) <= 1
    again = lasso.weights(features, LABELS, keep=keep)
    np.testing.assert_array_equal(found, again)


def test_what_stays_is_a_solution_at_some_alpha():
    """At the solution |X'r| / N is alpha where a weight is not 0, and no larger elsewhere (Karush, Kuhn, Tucker)."""
    found = lasso.weights(NOISE, LABELS, keep=0.4)[:-1]
    rest = LABELS - LABELS.mean() - NOISE @ found
    pull = np.abs(NOISE.T @ rest) / len(LABELS)
    chosen = found != 0
    alpha = pull[chosen].mean()
    np.testing.assert_allclose(pull[chosen], alpha, rtol=1e-8)
    assert pull[~chosen].max() <= alpha * (1 + 1e-8)
    descended = lasso.weights(NOISE, LABELS, alpha=alpha)[:-1]
    np.testing.assert_allclose(descended, found, atol=2e-3)


def test_labels_that_no_feature_goes_with_keep_none():
    assert kept(lasso.weights(np.zeros((6, 4)), np.array([0, 1, 0, 1, 0, 1]), keep=0.5)) == 0


def test_features_that_repeat_each_other_do_no_harm():
    """One for all of them: a net's channels that answer in one image alone are the same feature once standardised."""
    table = np.hstack([np.zeros((80, 5)), ALIKE, -ALIKE, ALIKE])
    found = lasso.weights(table, LABELS, keep=0.5)
    np.testing.assert_array_equal(found[5:305], lasso.weights(ALIKE, LABELS, keep=0.5)[:-1])
    assert not found[:5].any() and not found[305:].any() and abs(kept(found) - 40) <= 1


def test_a_path_that_ends_too_soon_is_told():
    few = NOISE[:, :12]
    found = lasso.weights(few, LABELS, keep=0.5)
    assert kept(found) == 12 and found[-1] == lasso.ENDED
    recipe = selected.Recipe(margins.linear_svm, keep=0.5)
    assert selected.learn(recipe, few, LABELS, 0).notes == ("the path of the Lasso ended with 12 features",)


@pytest.mark.parametrize("how", [{}, {"alpha": 0.1, "keep": 0.5}])
def test_one_of_alpha_and_keep_is_needed(how):
    with pytest.raises(cases.MammoError, match="expected one of them"):
        lasso.weights(NOISE, LABELS, **how)
