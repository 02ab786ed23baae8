import numpy as np
import pytest
from sklearn import metrics

from mammo_tf import cases
from mammo_tf.classical import forest, heatmap_regions

RNG = np.random.default_rng(0)
LABELS = np.arange(200) % 2
FEATURES = np.column_stack([LABELS + RNG.normal(size=200), RNG.normal(size=200)])


def test_the_defaults_are_the_papers():
    model = forest.forest(FEATURES, LABELS, 0).model
    assert (model.n_estimators, model.max_depth, model.min_samples_split) == (500, 9, 300)


def test_it_learns_what_is_there_and_the_seed_repeats_it():
    fits = [forest.forest(FEATURES[:100], LABELS[:100], seed, trees=30, min_samples_split=16) for seed in (0, 0, 1)]
    one, again, other = (fit(FEATURES[100:]) for fit in fits)
    assert one.shape == (100, 2) and one.dtype == np.float32
    np.testing.assert_allclose(one.sum(axis=1), 1, atol=1e-6)
    assert metrics.roc_auc_score(LABELS[100:], one[:, 1]) > 0.65
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_a_split_that_wants_more_images_than_there_are_leaves_the_share():
    p = forest.forest(FEATURES, LABELS, 0, trees=200)(FEATURES)
    assert np.ptp(p[:, 1]) == 0 and p[0, 1] == pytest.approx(0.5, abs=0.02)


def test_from_heatmaps_to_probabilities():
    heat = np.zeros((40, 6, 6, 5), np.float32)
    heat[..., 0] = 1
    for i in range(40):
        heat[i, 2:4, 1 : 3 + i % 3, 0] = 0.2
        heat[i, 2:4, 1 : 3 + i % 3, 1 if i % 2 else 2] = 0.8
    features, _ = heatmap_regions.features(heat)
    labels = np.arange(40) % 2
    smallest = forest.scaled_min_samples_split(40)
    assert smallest == 6
    p = forest.forest(features, labels, 0, trees=50, min_samples_split=smallest)(features)
    assert metrics.roc_auc_score(labels, p[:, 1]) == 1


def test_no_images_give_no_rows():
    fitted = forest.forest(FEATURES, LABELS, 0, trees=2)
    assert fitted(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    "features, labels, match",
    [
        (FEATURES[:3], [0, 1], r"\(2,\) labels for features \(3, 2\)"),
        (FEATURES[:2], [1, 1], r"labels \[1\]; expected 0 and 1"),
        (FEATURES[:2], [0, np.nan], "expected 0 and 1"),
        (FEATURES[:, 0], LABELS, r"features \(200,\); expected \(images, features\)"),
        (np.full((2, 2), np.nan), [0, 1], "4 of 4 features are not finite"),
    ],
)
def test_what_does_not_fit_is_refused(features, labels, match):
    with pytest.raises(cases.MammoError, match=match):
        forest.forest(features, labels, 0, trees=2)


def test_other_features_than_fitted_on_are_refused():
    with pytest.raises(cases.MammoError, match="3 features; it was fitted on 2"):
        forest.forest(FEATURES, LABELS, 0, trees=2)(np.zeros((1, 3)))
