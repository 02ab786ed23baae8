import dataclasses

import numpy as np
import pytest
from matplotlib import colors

from mammo_tf import cases, figures, figures_bands
from mammo_tf.classical import rbst

Y, X = np.mgrid[:64, :48] - np.array([32, 12])[:, None, None]  # nearer to the left border than the band is wide
MASK = np.hypot(Y, X) <= 10
IMAGE = np.where(MASK, 1.0, 0.0)
BAND = rbst.straightened(IMAGE, MASK, width=8)
NOTE = "synthetic, not a patient"


def draw():
    return figures_bands.straightened(IMAGE, MASK, BAND, note=NOTE)


def test_it_draws_says_its_note_and_gives_the_same_bytes_twice():
    figure = draw()
    data = figures.to_png(figure)
    assert data[:4] == b"\x89PNG" and data == figures.to_png(draw())
    assert NOTE in figure.get_suptitle() and figures.to_array(figure).std() > 5


def test_the_band_lies_under_the_mass_on_the_same_gray_scale():
    above, below = draw().axes
    np.testing.assert_array_equal(above.images[0].get_array(), IMAGE)
    np.testing.assert_array_equal(below.images[0].get_array().mask, ~BAND.inside)
    assert not BAND.inside.all()
    assert above.images[0].get_clim() == below.images[0].get_clim() == (0, 1)
    assert below.get_facecolor() == colors.to_rgba(figures.COLOURS[5])


def test_rim_and_far_edge_are_where_they_are():
    above, _ = draw().axes
    rim = np.concatenate([path.vertices for path in above.collections[0].get_paths()])
    np.testing.assert_allclose(np.hypot(rim[:, 0] - 12, rim[:, 1] - 32), 10, atol=0.8)
    x, y = above.lines[0].get_data()
    np.testing.assert_allclose(np.hypot(x - 12, y - 32), 10 + 7.5, atol=0.8)
    assert (x[0], y[0]) == (x[-1], y[-1])  # closed


def test_a_number_above_stands_where_its_column_lies():
    above, below = draw().axes
    assert [text.get_text() for text in above.texts] == [text.get_text() for text in below.texts] == list("12345678")
    for place, column in zip(above.texts, below.texts, strict=True):
        at = int(column.get_position()[0])
        assert place.get_position() == (BAND.x[-1, at], BAND.y[-1, at])


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(cases.MammoError, match=r"image \(64, 48\) and mask \(63, 48\)"):
        figures_bands.straightened(IMAGE, MASK[1:], BAND)
    with pytest.raises(cases.MammoError, match="of different shapes"):
        figures_bands.straightened(IMAGE, MASK, dataclasses.replace(BAND, inside=BAND.inside[1:]))
