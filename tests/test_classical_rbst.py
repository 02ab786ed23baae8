import numpy as np
import pytest
import scipy.signal

from mammo_tf import cases
from mammo_tf.classical import rbst

SIDE, CENTRE, RADIUS = 161, 80, 30
Y, X = np.mgrid[:SIDE, :SIDE] - CENTRE
FAR = np.hypot(Y, X)
DISC = FAR <= RADIUS


def star(arms):
    """A disc with thin bright rays away from it."""
    ray = np.abs((np.arctan2(Y, X) * arms / (2 * np.pi) + 0.25) % 1 - 0.5) * 2 * np.pi / arms * FAR
    return np.where(DISC, 1.0, np.exp(-0.5 * (ray / 1.5) ** 2))


def test_the_band_round_a_disc_keeps_its_distance():
    """On an image of the distance to the centre each row is constant: 30 pixels and half of one more, row by row."""
    band = rbst.straightened(FAR, DISC, width=40)
    assert band.values.shape[1] == pytest.approx(2 * np.pi * RADIUS, rel=0.08)  # an outline in steps is a bit longer
    np.testing.assert_allclose(
        band.values, RADIUS + 0.5 + np.arange(40)[:, None] + np.zeros_like(band.values), atol=0.8
    )
    np.testing.assert_allclose(np.hypot(band.y - CENTRE, band.x - CENTRE), band.values, atol=0.02)
    assert band.inside.all()


@pytest.mark.parametrize("arms", [5, 9])
def test_the_arms_of_a_star_stand_upright(arms):
    band = rbst.straightened(star(arms), DISC, width=40)
    rows = [np.tile(band.values[row], 2) for row in (5, 20, 35)]
    places = []
    for row in rows:
        peaks, _ = scipy.signal.find_peaks(row, prominence=0.5, distance=5)
        peaks = {peak % band.values.shape[1] for peak in peaks}
        assert len(peaks) == arms
        places.append(sorted(peaks))
    assert np.abs(np.array(places[0]) - np.array(places[2])).max() <= 4  # they keep their column
    along, across = np.abs(np.diff(band.values, axis=0)).mean(), np.abs(np.diff(band.values, axis=1)).mean()
    assert across > 2 * along


def test_turning_the_image_turns_the_columns():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(SIDE, SIDE))
    mask = (np.hypot(Y / 1.3, X) <= RADIUS) | ((np.abs(Y) < 6) & (X > 0) & (X < 45))
    one = rbst.straightened(image, mask, width=10, columns=300, smoothing=0)
    other = rbst.straightened(np.rot90(image), np.rot90(mask), width=10, columns=300, smoothing=0)
    turned = SIDE - 1 - one.x, one.y  # where a quarter turn brings the places of the band
    gaps = np.hypot(other.y[:, :, None] - turned[0][:, None], other.x[:, :, None] - turned[1][:, None]).min(axis=2)
    assert np.quantile(gaps, 0.95) < 0.75


def test_normals_are_outward_unit_vectors():
    outline = rbst.margin(DISC)
    away = rbst.normals(outline)
    np.testing.assert_allclose(np.hypot(*away.T), 1.0)
    radial = (outline - CENTRE) / np.hypot(*(outline - CENTRE).T)[:, None]
    assert (away * radial).sum(axis=1).min() > 0.98


def test_the_largest_part_counts_and_holes_do_not():
    mask = DISC.copy()
    mask[75:85, 75:85] = False
    mask[2:6, 2:6] = True
    np.testing.assert_array_equal(rbst.margin(mask), rbst.margin(DISC))


def test_a_mass_at_the_border_says_what_lies_outside():
    band = rbst.straightened(FAR[:, CENTRE:], DISC[:, CENTRE:], width=20)
    assert not band.inside.all() and band.inside.any() and np.isfinite(band.values).all()
    assert not band.inside[band.x < 0].any()


@pytest.mark.parametrize(
    ("mask", "width", "reason"),
    [
        (np.zeros_like(DISC), 4, "the mask is empty"),
        (DISC[1:], 4, r"image and mask differ, \(161, 161\) and \(160, 161\)"),
        (DISC, 0, "at least 1 pixel, found 0"),
    ],
)
def test_bad_input_is_named(mask, width, reason):
    with pytest.raises(cases.MammoError, match=reason):
        rbst.straightened(FAR, mask, width=width)
