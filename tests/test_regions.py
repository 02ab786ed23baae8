import functools
import math
import pickle

import cv2
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


def test_a_polygon_holds_every_pixel_that_its_outline_touches():
    triangle = regions.PolygonRegion(((1, 0), (4, 3), (1, 3)))
    assert triangle.mask((5, 6)).astype(int).tolist() == [
        [0, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert triangle.bounds() == (0, 1, 4, 5) == regions.box(triangle.mask((5, 6)))
    assert triangle.mask((5, 6)).dtype == bool


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (((2, 1),), [(1, 2)]),
        (((1.75, 0.75),), [(1, 2)]),
        (((0, 1), (2, 1)), [(1, 0), (1, 1), (1, 2)]),
        (((1, 0), (1, 0), (1, 1)), [(0, 1), (1, 1)]),
    ],
)
def test_points_and_lines_are_never_empty(points, expected):
    region = regions.PolygonRegion(points)
    assert [tuple(at) for at in np.argwhere(region.mask((3, 4)))] == expected
    assert pickle.loads(pickle.dumps(region)) == region


def test_a_polygon_over_the_border_loses_pixels_and_keeps_its_bounds():
    region = regions.PolygonRegion(((-5, -5), (1, -5), (1, 1), (-5, 1)))
    assert region.bounds() == (-5, -5, 2, 2)
    assert np.argwhere(region.mask((3, 4))).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert not regions.PolygonRegion(((9, 9), (12, 9), (9, 12))).mask((5, 5)).any()


def star(seed: int) -> np.ndarray:
    """A closed outline (n, 2) without crossings, of uneven radii, round about (30, 25)."""
    rng = np.random.default_rng(seed)
    turn = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radius = rng.uniform(6, 20, 12)
    return np.stack([30 + radius * np.cos(turn), 25 + radius * np.sin(turn)], axis=1) + rng.uniform(0, 1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_a_polygon_is_that_of_scikit_image_but_for_pixels_on_its_outline(seed):
    draw = pytest.importorskip("skimage.draw")
    points = star(seed)
    region = regions.PolygonRegion(tuple(map(tuple, points.tolist())))
    mask, other = region.mask((50, 60)), draw.polygon2mask((50, 60), points[:, ::-1])
    rim = np.zeros((50, 60), np.uint8)
    cv2.polylines(rim, [np.rint(points * 256).astype(np.int32)], True, 1, thickness=2, shift=8)
    assert (mask ^ other)[rim == 0].sum() == 0 and mask.sum() >= other.sum() > 100
    top, left, bottom, right = region.bounds()
    inner = regions.box(mask)
    assert top <= inner[0] <= top + 1 and left <= inner[1] <= left + 1
    assert bottom - 1 <= inner[2] <= bottom and right - 1 <= inner[3] <= right


@pytest.mark.parametrize("points", [(), ((math.nan, 0),), ((math.inf, 0),), ((0, 1e7),)])
def test_what_cannot_be_drawn_is_no_polygon(points):
    with pytest.raises(ValueError, match="expected points within 1048576 pixels"):
        regions.PolygonRegion(points)


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


def test_a_scaled_mask_needs_half_of_a_pixel():
    mask = np.zeros((4, 6), bool)
    mask[:2, :3] = True
    assert regions.scaled(mask, 2, 2).tolist() == [[True, False], [False, False]]
    assert regions.scaled(mask, 2, 3).tolist() == [[True, True, False], [False, False, False]]
    assert np.array_equal(regions.scaled(mask, 8, 12), np.kron(mask, np.ones((2, 2), bool)))
    assert np.array_equal(regions.scaled(mask, 8, 6), np.repeat(mask, 2, axis=0))
    assert np.array_equal(regions.scaled(mask, 8, 3), np.repeat(regions.scaled(mask, 4, 3), 2, axis=0))


@pytest.mark.parametrize("size", [(13, 9), (40, 9), (7, 70), (41, 53), (90, 100)])
def test_a_scaled_mask_is_that_of_exact_areas(size):
    """Each cell's cover summed up from a copy in which its edges fall between pixels: every pixel as size x size."""
    rng = np.random.default_rng(7)
    mask = np.zeros((37, 29), bool)
    mask[5:30, 3:29] = rng.random((25, 26)) < 0.5
    fine = np.kron(mask, np.ones(size, bool))
    cover = fine.reshape(size[0], 37, size[1], 29).mean(axis=(1, 3))
    found = regions.scaled(mask, *size)
    sure = abs(cover - 0.5) > 1e-3
    assert np.array_equal(found[sure], (cover > 0.5)[sure]) and found[cover == 0.5].all() and sure.mean() > 0.5


def test_a_scaled_mask_is_empty_only_where_it_was():
    point = np.zeros((64, 64), bool)
    point[41, 20] = True
    assert np.argwhere(regions.scaled(point, 8, 8)).tolist() == [[5, 2]]
    assert not regions.scaled(np.zeros((64, 64), bool), 8, 8).any()


@pytest.mark.parametrize("size", [(7, 5), (20, 31), (33, 90), (100, 40)])
def test_a_scaled_region_keeps_its_area_and_lies_in_its_bounds(size):
    rows, columns = np.ogrid[:50, :60]
    mask = ((rows - 27) / 14) ** 2 + ((columns - 33) / 19) ** 2 <= 1
    region = regions.ScaledRegion(regions.MaskRegion(mask.copy), view(), *size)
    found, (top, left, bottom, right) = region.mask(size), region.bounds()
    share = found.mean() / mask.mean()
    assert abs(share - 1) < 0.2 and found[top:bottom, left:right].sum() == found.sum()
    inner = regions.box(found)
    assert max(abs(a - b) for a, b in zip(inner, (top, left, bottom, right), strict=True)) <= max(
        1, size[0] // 50 + 1, size[1] // 60 + 1
    )


def no_pixels() -> np.ndarray:
    raise AssertionError("the image is decoded")


def test_a_scaled_mask_reads_the_mask_alone():
    blind = cases.View("v", "p", None, cases.Projection.CC, no_pixels, 255)
    region = regions.ScaledRegion(regions.MaskRegion(RING.copy, "mask.dcm"), blind, 6, 8)
    assert region.bounds() == (2, 2, 6, 8)
    assert np.array_equal(region.mask((6, 8)), np.kron(RING, np.ones((2, 2), bool)))


def test_a_scaled_region_knows_its_size_and_an_empty_mask():
    region = regions.ScaledRegion(regions.MaskRegion(RING.copy, "mask.dcm"), view(), 6, 8)
    with pytest.raises(cases.DataError, match=r"v: a region resized to \(6, 8\) has no mask of \(3, 4\)"):
        region.mask((3, 4))
    empty = regions.MaskRegion(functools.partial(np.zeros, (3, 4), bool), "mask.dcm")
    with pytest.raises(cases.DataError, match=r"mask\.dcm: the mask is empty"):
        regions.ScaledRegion(empty, view(), 6, 8).bounds()
