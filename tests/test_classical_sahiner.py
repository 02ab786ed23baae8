import numpy as np
import pytest
from skimage import filters
from sklearn import discriminant_analysis, metrics

from mammo_tf import cases
from mammo_tf.classical import huo, morphology, rbst, sahiner, select, texture

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
FAR, TURN = np.hypot(Y, X), np.arctan2(Y, X)
DISC = FAR <= 16
NOISE = np.random.default_rng(0).normal(0, 0.05, (SIDE, SIDE))
RAYS = np.where(DISC, 1.0, (np.sin(12 * TURN) > 0.5) * 1.0) + NOISE
RINGS = np.where(DISC, 1.0, (np.sin(FAR) > 0.5) * 1.0) + NOISE


def test_the_names_are_unique_and_say_which_kind():
    names = list(sahiner.features(RAYS, DISC))
    kinds = [name.split()[0] for name in names]
    assert {kind: kinds.count(kind) for kind in kinds} == {"SGLD": 8 * 4 * 4, "RLS": 5 * 2 * 2, "shape": 15}


def test_the_features_are_those_of_their_modules():
    found = sahiner.features(RAYS, DISC, 0.5, width=12, distances=(2,))
    band = rbst.straightened(RAYS, DISC, width=12).values
    of_band = texture.cooccurrence_features(texture.levels_of(band, 32), 32, distances=(2,))
    assert found["SGLD energy, distance 2, 90 degrees"] == of_band["energy, distance 2, 90 degrees"]
    across = texture.levels_of(np.abs(filters.sobel_h(band)), 32)
    runs = texture.run_length_features(across, 32, angles=(90,))
    assert (
        found["RLS run percentage, 90 degrees of the gradient across the margin"]
        == runs["run percentage, 90 degrees"]
    )
    assert found["shape area"] == morphology.features(DISC, 0.5)["area"]
    assert found["shape contrast"] == huo.contrast(RAYS, DISC)


def test_rays_vary_along_the_margin_and_rings_across_it():
    """In the band rays are columns: at 90 degrees, across the margin, gray values change less than at 0 degrees."""
    along, across = (f"SGLD inertia, distance 4, {angle} degrees" for angle in (0, 90))
    rays, rings = sahiner.features(RAYS, DISC), sahiner.features(RINGS, DISC)
    assert rays[along] > 1.5 * rays[across] and rings[across] > 1.5 * rings[along]


def test_a_mask_that_has_no_margin_or_too_short_a_one_is_named():
    with pytest.raises(cases.MammoError, match="the mask is empty"):
        sahiner.features(RAYS, np.zeros_like(DISC))
    with pytest.raises(cases.MammoError, match="no pairs at distance 16"):
        sahiner.features(RAYS, DISC, width=12, distances=(16,))


RNG = np.random.default_rng(1)
LABELS = (np.arange(90) % 3 == 0).astype(int)
TABLE = RNG.normal(size=(90, 20)) * 10.0 ** RNG.integers(-3, 4, 20)
TABLE[:, [4, 11]] += 1.5 * TABLE[:, [4, 11]].std(axis=0) * LABELS[:, None]
NAMES = tuple(f"f{i}" for i in range(20))


def test_the_discriminant_is_that_of_scikit_learn_on_the_selected_features():
    fitted = sahiner.learn(TABLE, LABELS, NAMES, 0)
    columns = list(select.stepwise(TABLE, LABELS))
    assert fitted.selected == tuple(f"f{column}" for column in columns) and {"f4", "f11"} <= set(fitted.selected)
    expected = discriminant_analysis.LinearDiscriminantAnalysis().fit(TABLE[:, columns], LABELS)
    np.testing.assert_allclose(fitted(TABLE), expected.predict_proba(TABLE[:, columns]), atol=1e-6)


def test_it_learns_from_the_training_part_alone():
    train, test = slice(0, 60), slice(60, None)
    fitted = sahiner.learn(TABLE[train], LABELS[train], NAMES, 0, most=2)
    assert len(fitted.selected) == 2
    p = fitted(TABLE[test])
    assert p.shape == (30, 2) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert metrics.roc_auc_score(LABELS[test], p[:, 1]) > 0.85
    np.testing.assert_array_equal(p[:5], fitted(TABLE[60:65]))  # one mass does not change another's answer


def test_where_nothing_can_be_told_all_score_the_share(caplog):
    fitted = sahiner.learn(TABLE, LABELS, NAMES, 0, f_in=1e6)
    np.testing.assert_allclose(fitted(TABLE)[:, 1], 1 / 3, rtol=1e-6)
    assert fitted.selected == () and "all masses score alike" in caplog.text


def test_bad_tables_are_named():
    with pytest.raises(cases.MammoError, match=r"features \(90, 20\) for 19 names"):
        sahiner.learn(TABLE, LABELS, NAMES[1:], 0)
    with pytest.raises(cases.MammoError, match="labels 0 and 1"):
        sahiner.learn(TABLE, LABELS + 1, NAMES, 0)
    with pytest.raises(cases.MammoError, match="it was learned on 20"):
        sahiner.learn(TABLE, LABELS, NAMES, 0)(TABLE[:, 1:])
