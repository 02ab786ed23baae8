import functools
import pickle

import numpy as np
import pytest

from mammo_tf import cases, regions

RING = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]], bool)


def image() -> np.ndarray:
    """0 to 11 by rows, 3 x 4."""
    return np.arange(12, dtype=np.uint8).reshape(3, 4)


def view() -> cases.View:
    return cases.View("v", "p", None, cases.Projection.CC, image, 255)


def test_the_box_round_a_mask():
    assert regions.box(RING) == (1, 1, 3, 4)
    assert regions.box(np.ones((2, 5), bool)) == (0, 0, 2, 5)
    assert all(type(edge) is int for edge in regions.box(RING))
    with pytest.raises(ValueError, match="no pixel"):
        regions.box(np.zeros((2, 2), bool))


def test_a_mask_knows_its_box_and_its_image():
    region = regions.MaskRegion(RING.copy, "mask.dcm")
    assert region.bounds() == (1, 1, 3, 4)
    assert np.array_equal(region.mask((3, 4)), RING)
    with pytest.raises(cases.DataError, match=r"mask\.dcm: the mask is \(3, 4\), its image \(4, 3\)"):
        region.mask((4, 3))
    with pytest.raises(cases.DataError, match=r"mask\.dcm: the mask is empty"):
        regions.MaskRegion(functools.partial(np.zeros, (2, 2), bool), "mask.dcm").bounds()


def test_a_disc_holds_its_rim():
    disc = regions.CircleRegion(x=2, y=1, radius=1)
    assert disc.mask((4, 5)).astype(int).tolist() == [
        [0, 0, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert disc.bounds() == (0, 1, 3, 4) == regions.box(disc.mask((4, 5)))


def test_a_disc_over_the_border_keeps_its_bounds_and_loses_pixels():
    disc = regions.CircleRegion(x=0, y=0, radius=1)
    assert disc.bounds() == (-1, -1, 2, 2)
    assert disc.mask((2, 2)).tolist() == [[True, True], [True, False]]
    assert regions.CircleRegion(x=1.5, y=0.5, radius=0.75).bounds() == (-1, 0, 3, 4)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 1, 2, 2), [[1, 2], [5, 6]]),
        ((-1, -1, 2, 3), [[0, 0, 0], [0, 0, 1]]),
        ((2, 3, 2, 2), [[11, 0], [0, 0]]),
        ((5, 0, 1, 2), [[0, 0]]),
        ((0, -9, 2, 3), [[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_what_overhangs_is_cut_as_zero(box, expected):
    found = regions.cut(image(), *box)
    assert found.tolist() == expected and found.dtype == np.uint8


def test_a_region_seen_through_a_window_moves_with_it():
    seen = regions.WindowRegion(regions.MaskRegion(RING.copy), view(), top=1, left=-1)
    assert seen.bounds() == (0, 2, 2, 5)
    assert seen.mask((3, 5)).astype(int).tolist() == [[0, 0, 0, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    assert np.array_equal(pickle.loads(pickle.dumps(seen)).mask((3, 5)), seen.mask((3, 5)))


def test_a_region_beside_the_window_has_bounds_outside_and_an_empty_mask():
    seen = regions.WindowRegion(regions.CircleRegion(x=3, y=0, radius=0.5), view(), top=1, left=0)
    assert seen.bounds() == (-2, 2, 1, 5) and not seen.mask((2, 2)).any()
