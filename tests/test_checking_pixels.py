"""The sample's measures, against answers by hand."""

import dataclasses
import math

import numpy as np
import pytest

from mammo_tf import cases, checking_pixels, regions


def view(pixels, *, id="v", max_value=255, spacing_mm=0.5, **changes):
    fields = {"side": cases.Side.LEFT, "projection": cases.Projection.CC, "load": lambda: pixels}
    return cases.View(id, "p", max_value=max_value, spacing_mm=spacing_mm, **{**fields, **changes})


def half(rows=80, columns=40, gray=200):
    """The left half bright."""
    pixels = np.zeros((rows, columns), np.uint8)
    pixels[:, : columns // 2] = gray
    return pixels


def lesion(kind, region):
    return cases.Lesion(f"{kind}_1", cases.Pathology.BENIGN, kind, region)


def test_gray_values_shares_and_sizes_by_hand():
    disc = regions.CircleRegion(x=10, y=10, radius=3)  # its box has 7 rows and columns
    lesions = (lesion("mass", disc), lesion("calcification", None))
    found, problems = checking_pixels.measure([view(half(), lesions=lesions)])
    assert problems == {} and found.images == 1 and found.sizes == (((80, 40), 1),)
    assert found.gray == (
        checking_pixels.Gray(8, 1, 0, 0, 0, 200, 200),
    )  # half of the pixels are 0: so is the median
    assert found.dark.median == 0.5 and found.mean_8bit == pytest.approx(100, abs=1)
    assert math.isnan(found.mean_8bit_error)
    assert found.lesions_mm == {"mass": checking_pixels.Range(3.5, 3.5, 3.5, 1)} and found.lesions_without_size == 1


def test_the_mean_is_on_the_scale_of_eight_bits_whatever_the_storage():
    eight, _ = checking_pixels.measure([view(half())])
    sixteen, _ = checking_pixels.measure([view(half().astype(np.uint16) * 257, max_value=65535)])
    assert eight.mean_8bit == pytest.approx(sixteen.mean_8bit, abs=0.01)
    assert sixteen.gray[0].bits == 16 and sixteen.gray[0].maximum == 200 * 257


def test_the_mean_of_several_images_has_its_standard_error():
    found, _ = checking_pixels.measure([view(np.full((9, 9), gray, np.uint8)) for gray in (10, 20, 30)])
    assert found.mean_8bit == pytest.approx(20) and found.mean_8bit_error == pytest.approx(10 / math.sqrt(3))


def test_images_of_different_bits_are_not_pooled():
    other = view(np.full((8, 8), 4000, np.uint16), max_value=4095, spacing_mm=None, lossy=True)
    odd = view(np.full((8, 8), 7, np.uint8), max_value=200)  # a scale that is no power of two
    found, _ = checking_pixels.measure([view(half()), other, odd])
    assert [(gray.bits, gray.images, gray.maximum) for gray in found.gray] == [(8, 2, 200), (12, 1, 4000)]
    assert found.spacings_mm == ((0.5, 2), (None, 1)) and found.lossy == 1


def test_values_of_fewer_bits_than_their_file_are_noticed_image_by_image():
    """12-bit values in files of 16 bits, one whose maximum is an eighth of the scale, and a true one."""
    views = [view(np.full((8, 8), gray, np.uint16), max_value=65535) for gray in (4095, 8191, 8192, 60000)]
    found, _ = checking_pixels.measure(views)
    assert found.gray[0].faint == 2 and found.gray[0].maximum == 60000


def test_what_cannot_be_read_is_a_problem_and_the_rest_is_measured():
    def broken():
        raise cases.MissingError("gone.png", "no such file")

    def forbidden():
        raise PermissionError(13, "Permission denied")

    above = view(np.full((4, 4), 5000, np.uint16), max_value=4095, path="above.png")
    locked = view(None, id="3", load=forbidden, path="locked.png")
    views = [view(None, id="1", load=broken), dataclasses.replace(above, id="2"), locked, view(half())]
    found, problems = checking_pixels.measure(views)
    assert found.images == 1
    assert {id: (problem.path, problem.kind) for id, problem in problems.items()} == {
        "1": ("gone.png", "missing"),
        "2": ("above.png", "unreadable"),
        "3": ("locked.png", "unreadable"),
    }
    assert all(word in problems["2"].reason for word in ("5000", "4095", "12 bits"))
    nothing, problems = checking_pixels.measure([view(None, load=broken)])
    assert nothing is None and len(problems) == 1


def test_few_images_are_in_memory_at_once(monkeypatch):
    """The views are read as the results are taken, not all at once."""
    monkeypatch.setattr(checking_pixels, "_WORKERS", 2)
    loaded = []
    views = [view(None, load=lambda i=i: (loaded.append(i), half())[1]) for i in range(40)]
    results = checking_pixels._in_threads(views)
    next(results)
    assert len(loaded) <= 4
    assert len(list(results)) == 39 and sorted(loaded) == list(range(40))


@pytest.mark.parametrize(("count", "indices"), [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (None, list(range(10)))])
def test_a_sample_is_spread_over_the_dataset(count, indices):
    assert checking_pixels.spread(range(10), count) == tuple(indices)


def test_the_breast_is_the_largest_bright_piece_with_a_margin():
    pixels = np.zeros((800, 640), np.uint16)
    pixels[200:600, :320] = 2000  # a quarter of the image
    plain = checking_pixels.breast_share(pixels)
    assert 0.25 < plain < 0.28  # the margin: about 1 % of the longer side
    pixels[40:80, 560:600] = 4000  # a marker
    assert checking_pixels.breast_share(pixels) == plain
    assert checking_pixels.breast_share(np.full((80, 80), 7, np.uint8)) == 0.0
    assert checking_pixels.breast_share(half(5, 4)) == 0.0  # smaller than the coarse grid


def test_two_images_leave_nothing_undefined():
    found, _ = checking_pixels.measure([view(half()), view(half(gray=90))])
    numbers = [value for value in dataclasses.asdict(found).values() if isinstance(value, float)]
    assert len(numbers) == 2 and all(math.isfinite(value) for value in numbers)
