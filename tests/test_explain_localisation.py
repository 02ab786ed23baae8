import numpy as np
import pytest
from scipy import ndimage
from sklearn import metrics

from mammo_tf import cases
from mammo_tf.explain import localisation

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(6, 12, 10))
MASKS = RNG.random((6, 12, 10)) < 0.3


def square():
    """A 4 x 4 map, and an ROI of its upper left quarter."""
    maps = np.zeros((1, 4, 4))
    maps[0, 0, 0], maps[0, 0, 1], maps[0, 1, 2], maps[0, 3, 3] = 1, 2, 3, -9
    masks = np.zeros((1, 4, 4), bool)
    masks[0, :2, :2] = True
    return maps, masks


def test_by_hand():
    maps, masks = square()
    found = {name: values.item() for name, values in localisation.scores(maps, masks).items()}
    # The 3 lies outside, the -9 does not point. Energy 1 + 4 of 1 + 4 + 9. Of the top 4 pixels 3 are clear, two of
    # them inside; the zeros share the last place, 2 inside of 12. Pairs: 2 beats 11 of 12 and 1 too; a 0 loses to
    # the 3, beats the -9 and ties with 10.
    dice = (2 + 2 / 12) / 4
    pairs = (11 + 11 + 2 * (1 + 10 / 2)) / 48
    expected = {"pointing": 0, "inside": 5 / 14, "dice": dice, "iou": dice / (2 - dice), "auc": pairs}
    assert found == pytest.approx(expected)
    chance = localisation.chance(masks)
    assert chance["pointing"].item() == chance["inside"].item() == chance["dice"].item() == 0.25
    assert chance["auc"].item() == 0.5 and list(chance) == list(found)


def test_tolerance_is_a_distance_in_pixels():
    maps, masks = square()
    hits = {t: localisation.scores(maps, masks, t)["pointing"].item() for t in (0, 0.9, 1, 2)}
    assert hits == {0: 0, 0.9: 0, 1: 1, 2: 1}
    grown = np.zeros((4, 4), bool)
    grown[:3, :3] = True
    grown[2, 2] = False  # sqrt 2 away
    assert np.array_equal(localisation.dilated(masks, 1)[0], grown)
    assert localisation.chance(masks, 1)["pointing"].item() == 0.5
    assert localisation.chance(masks, 1)["inside"].item() == 0.25  # only pointing has a tolerance


def test_dilation_is_by_a_disc():
    rows, columns = np.mgrid[-3:4, -3:4]
    for tolerance in (1, 1.5, 2, 3):
        disc = rows**2 + columns**2 <= tolerance**2
        expected = np.array([ndimage.binary_dilation(mask, disc) for mask in MASKS & (NOISE > 1)])
        assert np.array_equal(localisation.dilated(MASKS & (NOISE > 1), tolerance), expected)


def test_auc_is_that_of_scikit_learn_with_ties():
    maps = np.round(NOISE, 1)
    expected = [metrics.roc_auc_score(mask.ravel(), values.ravel()) for values, mask in zip(maps, MASKS, strict=True)]
    np.testing.assert_allclose(localisation.auc(maps, MASKS), expected, atol=1e-12)


def test_overlap_is_that_of_the_top_pixels():
    for values, mask in zip(NOISE, MASKS, strict=True):
        top = np.zeros(mask.size, bool)
        top[np.argsort(-values.ravel())[: mask.sum()]] = True
        both, either = (top & mask.ravel()).sum(), (top | mask.ravel()).sum()
        found = localisation.scores(values[None], mask[None])
        assert found["dice"].item() == pytest.approx(2 * both / (top.sum() + mask.sum()))
        assert found["iou"].item() == pytest.approx(both / either)
        assert found["iou"].item() == pytest.approx(metrics.jaccard_score(mask.ravel(), top))


def test_equal_pixels_share_the_last_places():
    maps, masks = np.zeros((1, 4, 4)), square()[1]
    assert localisation.overlap(maps, masks).item() == 0.25  # as noise
    maps[0, 3] = 1  # four clear ones, all outside
    assert localisation.overlap(maps, masks).item() == 0


def test_chance_is_what_noise_gives():
    mask = np.zeros((1, 6, 6), bool)
    mask[0, 1:4, 2:5] = True
    maps = RNG.random((4000, 6, 6))
    found = localisation.scores(maps, np.repeat(mask, 4000, axis=0), tolerance=1)
    for name, expected in localisation.chance(mask, tolerance=1).items():
        error = found[name].std() / np.sqrt(4000)
        assert found[name].mean() == pytest.approx(expected.item(), abs=4 * error)


def test_the_map_of_the_roi_is_perfect():
    found = localisation.scores(MASKS * 2.0, MASKS)
    for values in found.values():
        np.testing.assert_allclose(values, 1)


def test_where_nothing_can_be_asked_there_is_nan():
    masks = np.zeros((3, 4, 4), bool)
    masks[1], masks[2, 0, 0] = True, True
    maps = np.arange(48.0).reshape(3, 4, 4)
    found, chance = localisation.scores(maps, masks), localisation.chance(masks)
    for name in found:
        assert np.isnan(found[name][0]) and np.isnan(chance[name][0])
        assert np.isnan(found[name][1]) == np.isnan(chance[name][1]) == (name == "auc")
        assert np.isfinite(found[name][2]) and np.isfinite(chance[name][2])
    against = localisation.scores(-1 - maps, masks)
    assert np.isnan(against["pointing"]).all() and np.isnan(against["inside"]).all()
    assert np.isfinite(against["auc"][2])
    for values in (*localisation.scores(maps[:0], masks[:0]).values(), *localisation.chance(masks[:0]).values()):
        assert values.shape == (0,)


def test_what_does_not_fit_is_refused():
    with pytest.raises(cases.MammoError, match=r"maps are \(6, 12, 10\), masks \(6, 12, 9\)"):
        localisation.scores(NOISE, MASKS[..., 1:])
    with pytest.raises(cases.MammoError, match="0 pixels or more, found -1"):
        localisation.dilated(MASKS, -1)
