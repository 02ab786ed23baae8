import numpy as np
import pytest
from scipy import stats

from mammo_tf import cases
from mammo_tf.explain import dream_measures

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(4, 40, 30))
RAMP = np.add.outer(np.arange(40.0), np.arange(30.0))[None]


def test_correlation_is_pearsons():
    other = NOISE + RNG.normal(size=NOISE.shape)
    expected = [stats.pearsonr(a.ravel(), b.ravel()).statistic for a, b in zip(NOISE, other, strict=True)]
    np.testing.assert_allclose(dream_measures.correlation(NOISE, other), expected, atol=1e-12)
    np.testing.assert_allclose(dream_measures.correlation(NOISE, 3 - 2 * NOISE), -1, atol=1e-12)
    assert np.isnan(dream_measures.correlation(NOISE, np.ones_like(NOISE))).all()


def test_roughness_is_0_for_smooth_1_for_noise_2_for_a_chess_board():
    chess = np.where(RAMP % 2 == 0, 1.0, -1.0)
    assert dream_measures.roughness(chess)[0] == pytest.approx(2 * 1199 / 1200)
    np.testing.assert_allclose(dream_measures.roughness(NOISE), 1, atol=0.1)
    assert dream_measures.roughness(RAMP)[0] < 0.01
    np.testing.assert_allclose(dream_measures.roughness(5 - 7 * NOISE), dream_measures.roughness(NOISE))
    assert np.isnan(dream_measures.roughness(np.ones((1, 3, 3)))[0])


def test_roughness_by_a_plain_loop():
    image = NOISE[0, :4, :5]
    pairs = [(image[i, j], image[i + 1, j]) for i in range(3) for j in range(5)]
    pairs += [(image[i, j], image[i, j + 1]) for i in range(4) for j in range(4)]
    steps = sum((a - b) ** 2 for a, b in pairs)
    expected = 19 * steps / (2 * len(pairs) * ((image - image.mean()) ** 2).sum())
    assert dream_measures.roughness(image[None])[0] == pytest.approx(expected)


def test_adding_up_noisy_maps_makes_them_smoother_and_the_measure_says_so():
    singles = RAMP / RAMP.std() + 3 * RNG.normal(size=(50, 40, 30))
    total = dream_measures.roughness(singles.sum(axis=0, keepdims=True))[0]
    assert total < 0.3 < 0.8 < dream_measures.roughness(singles).min()


def test_concentration_is_half_the_relative_mean_difference():
    values = np.abs(NOISE[0, :6, :5]).ravel()
    gini = np.abs(values[:, None] - values[None]).mean() / (2 * values.mean())
    assert dream_measures.concentration(NOISE[:1, :6, :5])[0] == pytest.approx(gini)
    spot = np.zeros((2, 5, 5))
    spot[0, 2, 2] = -9
    found = dream_measures.concentration(spot)
    assert found[0] == pytest.approx(24 / 25) and np.isnan(found[1])


def test_energy_inside_a_region_by_hand():
    maps = np.array([[[2.0, 0.0], [-1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    masks = np.array([[[1, 0], [1, 0]], [[1, 1], [1, 0]]])
    share, area = dream_measures.inside(maps, masks)
    assert share[0] == pytest.approx(5 / 6) and np.isnan(share[1])
    assert area.tolist() == [0.5, 0.75]


def test_pointing_counts_ties_and_looks_at_strength():
    maps = np.array([[[1.0, -3.0], [2.0, 0.0]]] * 2 + [[[1.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    masks = np.array([[[0, 1], [0, 0]], [[1, 0], [1, 1]], [[1, 1], [0, 1]], [[1, 1], [1, 1]]])
    np.testing.assert_allclose(dream_measures.pointing(maps, masks), [1, 0, 2 / 3, np.nan])


def test_changes_of_features_are_dream_less_start():
    def mean_inside(image, mask):
        return image[mask].mean()

    starts, dreams = NOISE[:3], NOISE[1:]
    masks = np.zeros(starts.shape, bool)
    masks[:, 3:9, 4:8] = True
    found = dream_measures.feature_changes(starts, dreams, masks, {"inside": mean_inside})
    expected = dreams[:, 3:9, 4:8].mean(axis=(1, 2)) - starts[:, 3:9, 4:8].mean(axis=(1, 2))
    assert list(found) == ["inside"]
    np.testing.assert_allclose(found["inside"], expected)


def test_no_maps_give_no_numbers():
    none, masks = np.zeros((0, 4, 4)), np.zeros((0, 4, 4), bool)
    for found in (
        dream_measures.roughness(none),
        dream_measures.concentration(none),
        dream_measures.correlation(none, none),
        dream_measures.pointing(none, masks),
        *dream_measures.inside(none, masks),
    ):
        assert found.shape == (0,)


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(cases.MammoError, match=r"roughness: expected \(N, H, W\), found \(40, 30\)"):
        dream_measures.roughness(NOISE[0])
    with pytest.raises(cases.MammoError, match=r"maps are \(4, 40, 30\) and \(2, 40, 30\)"):
        dream_measures.correlation(NOISE, NOISE[:2])
    with pytest.raises(cases.MammoError, match=r"masks \(4, 40, 29\)"):
        dream_measures.inside(NOISE, NOISE[..., 1:] > 0)
