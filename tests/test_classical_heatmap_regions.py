import numpy as np
import pytest
from scipy import ndimage

from mammo_tf import cases
from mammo_tf.classical import heatmap_regions

WORKED = np.array(
    [
        [0.9, 0.6, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.4],
        [0.0, 0.0, 0.0, 0.8],
        [0.5, 0.0, 0.0, 0.6],
    ]
)


def of_worked(cutoff):
    return dict(zip(heatmap_regions.FEATURES, heatmap_regions.regional(WORKED, cutoff), strict=True))


def stack(channel, heat):
    """One image (1, u, v, 5) with `heat` in a channel and the rest background."""
    out = np.zeros((1, *heat.shape, 5))
    out[0, ..., channel] = heat
    out[0, ..., 0] = 1 - heat
    return out


def test_the_worked_example():
    # >= 0.3: two cells above, three at the right (a column: coordinates -1, 0, 1, variance 2/3), one below
    found = of_worked(0.3)
    assert (found["regions"], found["total_area"], found["area"]) == (3, 6, 3)
    assert found["major_axis_length"] == pytest.approx(4 * np.sqrt(2 / 3)) and found["eccentricity"] == pytest.approx(
        1
    )
    assert found["mean_intensity"] == pytest.approx(0.6) and found["max_intensity"] == 0.8
    # >= 0.5: of two regions of two cells the one of mean 0.75, not 0.7; variance 1/4, length 4 * 1/2
    found = of_worked(0.5)
    assert (found["regions"], found["total_area"], found["area"]) == (3, 5, 2)
    assert found["mean_intensity"] == pytest.approx(0.75) and found["major_axis_length"] == pytest.approx(2)
    # >= 0.7: two single cells, 0.9 and 0.8
    assert list(of_worked(0.7).values()) == pytest.approx([2, 2, 1, 0, 0, 0.9, 0.9])
    assert list(of_worked(0.95).values()) == [0] * 7


def test_cells_that_touch_at_a_corner_are_one_region():
    diagonal = np.eye(3) * 0.6
    assert heatmap_regions.regional(diagonal, 0.5)[:3] == (1, 3, 3)


def test_against_plain_counts_and_moments_on_random_maps():
    rng = np.random.default_rng(0)
    for _ in range(20):
        heat = ndimage.gaussian_filter(rng.random((14, 18)), 1.5)
        heat = (heat - heat.min()) / np.ptp(heat)
        found = dict(zip(heatmap_regions.FEATURES, heatmap_regions.regional(heat, 0.5), strict=True))
        labels, count = ndimage.label(heat >= 0.5, structure=np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())[1:]
        assert (found["regions"], found["total_area"], found["area"]) == (count, sizes.sum(), sizes.max())
        cells = np.argwhere(labels == 1 + np.argmax(sizes))
        small, large = np.linalg.eigvalsh(np.cov(cells.T, bias=True))
        assert found["major_axis_length"] == pytest.approx(4 * np.sqrt(large))
        assert found["eccentricity"] == pytest.approx(np.sqrt(1 - small / large))
        assert found["mean_intensity"] == pytest.approx(heat[tuple(cells.T)].mean())
        assert found["max_intensity"] == heat[tuple(cells.T)].max()


def test_flips_and_turns_change_nothing():
    heat = np.random.default_rng(3).random((9, 9))
    expected = heatmap_regions.regional(heat, 0.7)
    for turned in (heat[::-1], heat[:, ::-1], heat.T):
        assert heatmap_regions.regional(turned, 0.7) == pytest.approx(expected)


def test_features_stand_by_map_and_cutoff_under_their_names():
    x, names = heatmap_regions.features(stack(3, WORKED))
    assert x.shape == (1, 140) and x.dtype == np.float64 and len(set(names)) == 140
    row = dict(zip(names, x[0], strict=True))
    assert row["malignant_calcification >= 0.3: total_area"] == row["malignant >= 0.3: total_area"] == 6
    assert row["malignant_calcification >= 0.7: regions"] == 2
    assert not any(value for name, value in row.items() if name.startswith(("malignant_mass", "benign")))


def test_the_malignant_map_is_the_sum_of_both_kinds():
    both = np.zeros((1, 2, 2, 5))
    both[0, 0, 0] = [0.3, 0.4, 0, 0.3, 0]
    both[0, 1:, :, 0] = both[0, 0, 1, 0] = 1
    row = dict(zip(heatmap_regions.names(), heatmap_regions.features(both)[0][0], strict=True))
    assert row["malignant >= 0.5: max_intensity"] == pytest.approx(0.7)
    assert row["malignant_mass >= 0.5: area"] == row["malignant_calcification >= 0.5: area"] == 0


def test_empty_heatmaps_give_zeros_and_none_give_no_rows():
    assert not heatmap_regions.features(np.zeros((3, 5, 4, 5)))[0].any()
    assert heatmap_regions.features(np.zeros((0, 5, 4, 5)))[0].shape == (0, 140)


def test_a_full_map_is_one_region():
    x, names = heatmap_regions.features(np.ones((1, 2, 3, 1)), {"all": (0,)}, (1.0,))
    expected = [1, 6, 6, 4 * np.sqrt(2 / 3), np.sqrt(1 - (1 / 4) / (2 / 3)), 1, 1]
    assert x[0].tolist() == pytest.approx(expected) and names[2] == "all >= 1: area"


@pytest.mark.parametrize(
    "change, match",
    [
        ({"heatmaps": np.zeros((4, 4, 5))}, r"\(4, 4, 5\); expected \(images, rows, columns, classes\)"),
        ({"heatmaps": np.full((1, 2, 2, 5), 1.5)}, r"20 of 20 probabilities are not in \[0, 1\]"),
        ({"maps": {"mass": (5,)}}, r"map mass wants channels \(5,\) of 5"),
        ({"maps": {"mass": ()}}, "map mass wants channels"),
        ({"cutoffs": (0.5, 0.0)}, r"cutoffs \[0.0\] are not in \(0, 1\]"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    with pytest.raises(cases.MammoError, match=match):
        heatmap_regions.features(**{"heatmaps": np.zeros((1, 2, 2, 5)), **change})
