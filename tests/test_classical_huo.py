import functools

import numpy as np
import pytest
import scipy.ndimage
from sklearn import metrics, neural_network

from mammo_tf import cases
from mammo_tf.classical import huo

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
FAR, TURN = np.hypot(Y, X), np.arctan2(Y, X)
DISC = FAR <= 18
NAMES = huo.FEATURES


def star(arms):
    """The disc with bright rays of 16 pixels."""
    ray = np.abs((TURN * arms / (2 * np.pi) + 0.25) % 1 - 0.5) * 2 * np.pi / arms * FAR
    return np.where(DISC, 1.0, np.exp(-0.5 * (ray / 1.5) ** 2) * (FAR < 34))


def seen(image, noise=0.03, seed=0):
    blurred = scipy.ndimage.gaussian_filter(image.astype(float), 0.7)
    return 0.2 + 0.5 * blurred + np.random.default_rng(seed).normal(0, noise, image.shape)


def test_a_disc_is_not_spiculated_and_a_star_is_the_more_the_more_arms():
    widths = [huo.spiculation(seen(star(arms) if arms else DISC), DISC) for arms in (0, 3, 8, 14)]
    assert widths[0] < 60 and widths[-1] > 180
    assert widths == sorted(widths)


def test_spiculation_is_free_of_brightness_contrast_and_quarter_turns():
    image = seen(star(7))
    width = huo.spiculation(image, DISC)
    assert huo.spiculation(3 * image + 5, DISC) == pytest.approx(width)
    assert huo.spiculation(np.rot90(image), np.rot90(DISC)) == pytest.approx(width)
    assert huo.spiculation(np.full((SIDE, SIDE), 0.3), DISC) == 360


def test_the_histogram_of_a_dome_lies_at_0_and_of_its_negative_at_180():
    for image, peak in ((-FAR, 0), (FAR, huo.BINS - 1)):
        histogram = huo.edge_histogram(image, DISC)
        assert histogram.shape == (huo.BINS,) and histogram.sum() == pytest.approx(1)
        assert np.argmax(histogram) == peak


def test_the_histogram_of_rings_about_the_centre_lies_at_90():
    """The gradient of the angle runs round the centre; off the cut it is at a right angle everywhere."""
    assert np.argmax(huo.edge_histogram(np.cos(TURN * 6), DISC)) in (huo.BINS // 2 - 1, huo.BINS // 2)


def test_half_widths_by_hand():
    assert huo.half_width(np.array([4.0, 2.0, 0.0, 0.0])) == pytest.approx(2 * 67.5)
    assert huo.half_width(np.array([4.0, 3.0, 1.0, 0.0])) == pytest.approx(2 * 90)
    assert huo.half_width(np.array([1.0, 4.0, 1.0, 0.0])) == pytest.approx(2 * (67.5 + 30))  # from the outer side
    assert huo.half_width(np.ones(4)) == 360


def test_blurring_dulls_the_edge():
    sharp = [huo.edge_sharpness(scipy.ndimage.gaussian_filter(DISC.astype(float), s), DISC) for s in (0, 1, 2, 4)]
    assert sharp == sorted(sharp, reverse=True) and sharp[0] > 3 * sharp[-1]


def test_the_sharpness_of_a_ramp_is_its_slope():
    assert huo.edge_sharpness(0.03 * X, DISC) == pytest.approx(0.03, rel=1e-3)


def test_the_gradient_beside_a_step_by_hand():
    """The kernel of the derivative is k g(k), g the Gaussian of sigma 1; half of it falls on the bright side."""
    dy, dx = huo._gradient((X > 0).astype(float))
    k = np.arange(1, 5)
    assert dx.max() == pytest.approx((k * np.exp(-(k**2) / 2)).sum() / np.sqrt(2 * np.pi), rel=1e-3)
    assert np.abs(dy).max() == pytest.approx(0, abs=1e-12)


def test_gray_level_contrast_and_texture_by_hand():
    image = np.where(DISC, 0.7, np.where(FAR <= 30, 0.4, 0.0))  # the ring reaches to 18 + 9 pixels
    found = huo.features(image, DISC)
    assert found["gray level"] == pytest.approx(0.7) and found["contrast"] == pytest.approx(0.3)
    assert found["texture"] == pytest.approx(0, abs=0.01)
    assert huo.features(image + 0.1 * np.sin(Y), DISC)["texture"] > 0.01
    assert tuple(found) == NAMES
    assert huo.contrast(np.ones((9, 9)), np.ones((9, 9))) == 0


def test_millimetres_change_slopes_alone():
    pixels, mm = huo.features(seen(DISC), DISC), huo.features(seen(DISC), DISC, 0.5)
    ratios = {name: mm[name] / pixels[name] for name in NAMES}
    assert ratios == pytest.approx({**dict.fromkeys(NAMES, 1), "sharpness": 2, "texture": 2})


@pytest.mark.parametrize("mask", [FAR < 1, FAR < 200, (Y < -40) & (X < -40)])
def test_small_full_and_cut_masks_have_finite_features(mask):
    assert np.isfinite(list(huo.features(seen(DISC), mask).values())).all()


@pytest.mark.parametrize("measure", [huo.spiculation, huo.edge_sharpness, huo.contrast, huo.features])
def test_bad_masks_are_named(measure):
    with pytest.raises(cases.MammoError, match="the mask is empty"):
        measure(seen(DISC), np.zeros_like(DISC))
    with pytest.raises(cases.MammoError, match=r"image and mask differ, \(96, 96\) and \(95, 96\)"):
        measure(seen(DISC), DISC[1:])


RNG = np.random.default_rng(0)
LABELS = np.arange(120) % 2
TABLE = RNG.normal(size=(120, 5)) * (30, 1, 0.1, 0.1, 1) + (100, 0, 0.5, 0.2, 3)
TABLE[:, 0] += 60 * LABELS
TABLE[:, 1] -= 2 * LABELS


def test_the_rule_leaves_its_share_of_the_benign_alone_and_says_the_same_of_all_others():
    fitted = huo.learn(TABLE, LABELS, NAMES, 0, cutoff=functools.partial(huo.specific, share=0.9))
    benign = np.sort(TABLE[LABELS == 0, 0])
    assert fitted.cutoff == benign[53]  # 54 of 60 lie at or below it
    above = TABLE[:, 0] > fitted.cutoff
    malignant = LABELS[above].sum()
    assert malignant > 10 and (above & (LABELS == 0)).sum() == 6
    np.testing.assert_allclose(fitted(TABLE)[above, 1], (malignant + 1) / (above.sum() + 2), rtol=1e-6)
    assert huo.specific(TABLE[:, 0], LABELS, 1.0) == benign[-1]


def test_the_balanced_cut_off_is_the_best_of_all():
    measure = TABLE[:, 0]
    rates, hits, cutoffs = metrics.roc_curve(LABELS, measure, drop_intermediate=False)
    best = cutoffs[np.argmax(hits - rates)]  # the lowest value that is called 1; the rule calls those above its own
    assert huo.balanced(measure, LABELS) == measure[measure < best].max()
    assert huo.learn(TABLE, LABELS, NAMES, 0).cutoff == huo.balanced(measure, LABELS)
    assert huo.balanced(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0])) == 1.0
    assert huo.balanced(np.ones(4), np.array([0, 1, 0, 1])) == 1.0  # nothing lies above it


def test_the_network_is_that_of_scikit_learn_on_what_the_rule_leaves():
    fitted = huo.learn(TABLE, LABELS, NAMES, 3)
    left = TABLE[:, 0] <= fitted.cutoff
    rest = TABLE[:, 1:]
    z = (rest - rest[left].mean(axis=0)) / rest[left].std(axis=0)
    network = neural_network.MLPClassifier(
        (3,), activation="logistic", solver="lbfgs", alpha=0.1, max_iter=1000, random_state=3
    ).fit(z[left], LABELS[left])
    np.testing.assert_allclose(fitted(TABLE)[left], network.predict_proba(z)[left], atol=1e-6)


def test_it_learns_and_the_seed_repeats_it():
    train, test = slice(0, 80), slice(80, None)
    fits = [huo.learn(TABLE[train], LABELS[train], NAMES, seed, cutoff=huo.specific) for seed in (0, 0, 1)]
    one, again, other = (fit(TABLE[test]) for fit in fits)
    assert one.shape == (40, 2) and one.dtype == np.float32
    np.testing.assert_allclose(one.sum(axis=1), 1, atol=1e-6)
    assert metrics.roc_auc_score(LABELS[test], one[:, 1]) > 0.85
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_where_the_rule_takes_all_of_a_class_the_network_learns_from_all():
    table = TABLE.copy()
    table[:, 0] = np.where(LABELS, 300, 50)
    fitted = huo.learn(table, LABELS, NAMES, 0)
    np.testing.assert_allclose(fitted.mean, table[:, 1:].mean(axis=0))
    np.testing.assert_allclose(fitted(table)[LABELS == 1, 1], 61 / 62)
    assert fitted.selected == NAMES


def test_bad_tables_are_named():
    with pytest.raises(cases.MammoError, match="spiculation among them"):
        huo.learn(TABLE[:, 1:], LABELS, NAMES[1:], 0)
    with pytest.raises(cases.MammoError, match="0 and 1, and both"):
        huo.learn(TABLE, np.ones(120), NAMES, 0)
    with pytest.raises(cases.MammoError, match=r"features \(120, 4\)"):
        huo.learn(TABLE, LABELS, NAMES, 0)(TABLE[:, 1:])
