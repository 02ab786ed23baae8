import dataclasses
import functools
import pickle

import numpy as np
import pytest

from mammo_tf import cases, regions


def image() -> np.ndarray:
    """0 to 11 by rows, 3 x 4."""
    return np.arange(12, dtype=np.uint8).reshape(3, 4)


def view(**fields) -> cases.View:
    lesions = (
        cases.Lesion("here", cases.Pathology.BENIGN, "mass", regions.CircleRegion(x=2, y=1, radius=1)),
        cases.Lesion("somewhere", cases.Pathology.BENIGN, "calcification"),
    )
    base = cases.View("v", "p", cases.Side.LEFT, cases.Projection.CC, image, 255, lesions=lesions, path="v.png")
    return dataclasses.replace(base, **fields)


def example(id: str, patient: str) -> cases.Example:
    return cases.Example(id, patient, (), 0.0)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.zeros((2, 2), np.float32), r"float32 \(2, 2\)"),
        (np.zeros((2, 2, 3), np.uint8), r"uint8 \(2, 2, 3\)"),
        (np.zeros((0, 2), np.uint8), r"uint8 \(0, 2\)"),
    ],
)
def test_pixels_of_another_kind_are_refused_with_the_file(pixels, found):
    with pytest.raises(cases.DataError, match=rf"v\.png: expected uint8 or uint16 \(H, W\), found {found}"):
        view(load=pixels.copy).pixels()


def test_a_window_shows_its_box_and_its_lesions_move():
    crop = view().window(top=1, left=1, height=2, width=2)
    assert crop.pixels().tolist() == [[5, 6], [9, 10]]
    here, somewhere = crop.lesions
    assert here.region.bounds() == (-1, 0, 2, 3)
    assert here.region.mask((2, 2)).tolist() == [[True, True], [False, True]]
    assert somewhere.region is None
    assert (crop.id, crop.patient_id, crop.side, crop.max_value) == ("v", "p", cases.Side.LEFT, 255)
    assert view().window(0, 0, 1, 1, id="crop").id == "crop"


def test_a_window_over_the_border_is_filled_with_zero():
    crop = view().window(top=-1, left=2, height=3, width=3)
    assert crop.pixels().tolist() == [[0, 0, 0], [2, 3, 0], [6, 7, 0]]
    region = crop.lesions[0].region
    assert region.bounds() == (1, -1, 4, 2)
    assert region.mask((3, 3)).astype(int).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_a_window_of_a_window_is_one_window():
    outer = view().window(top=-1, left=-1, height=5, width=6)
    inner = outer.window(top=2, left=2, height=2, width=2)
    once = view().window(top=1, left=1, height=2, width=2)
    assert inner.pixels().tolist() == once.pixels().tolist() == [[5, 6], [9, 10]]
    twice, direct = inner.lesions[0].region, once.lesions[0].region
    assert twice.bounds() == direct.bounds() and np.array_equal(twice.mask((2, 2)), direct.mask((2, 2)))


def test_a_window_of_a_window_does_not_see_what_the_first_has_cut_off():
    narrow = view().window(top=0, left=0, height=1, width=1)
    wide = narrow.window(top=0, left=0, height=2, width=4)
    assert wide.pixels().tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]
    assert not wide.lesions[0].region.mask((2, 4)).any()


def test_a_window_survives_pickling():
    crop = view().window(top=1, left=1, height=2, width=2)
    again = pickle.loads(pickle.dumps(crop))
    assert again.pixels().tolist() == [[5, 6], [9, 10]]
    assert again.lesions[0].region.bounds() == (-1, 0, 2, 3)


@pytest.mark.parametrize("parts", [("train", "val"), ("train", "test"), ("val", "test")])
def test_a_patient_in_two_parts_is_refused_unless_the_leak_is_named(parts):
    one, other = parts
    dealt = {"train": (), "val": (), one: (example("a", "p"),), other: (example("b", "p"),)}
    with pytest.raises(cases.MammoError, match=rf"1 patient\(s\) stand in both {one} and {other}: p$"):
        cases.Splits(**dealt)
    leaky = cases.Splits(**dealt, leaks=("views of a patient on both sides",))
    assert [e.id for e in getattr(leaky, other)] == ["b"]


@pytest.mark.parametrize("leaks", [(), ("named",)])
def test_an_example_in_two_parts_is_refused_whatever_leak_is_named(leaks):
    deal = functools.partial(cases.Splits, fold=1, leaks=leaks)
    with pytest.raises(cases.MammoError, match=r"2 example\(s\) stand in both train and test: a, b"):
        deal((example("a", "p"), example("b", "q")), (), (example("b", "r"), example("a", "s")))
    assert deal((example("a", "p"),), (example("b", "q"),)).fold == 1


def test_errors_survive_the_way_back_from_a_worker():
    again = pickle.loads(pickle.dumps(cases.DataError("a.dcm", "truncated")))
    assert isinstance(again, cases.MammoError) and str(again) == "a.dcm: truncated"
    assert (again.path, again.reason) == ("a.dcm", "truncated")


def crop_to(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A resize rule that no other can be taken for: the top left, a tenth brighter, out of range at the top."""
    return (image[:height, :width] + 0.1).astype(np.float32)


def test_a_resized_view_is_uint16_with_full_scale_for_max_value():
    seen = view().resized(2, 3, crop_to)
    expected = np.rint((image()[:2, :3] / 255 + 0.1) * 65535)
    assert seen.pixels().dtype == np.uint16 and seen.pixels().tolist() == expected.tolist()
    assert (seen.max_value, seen.id, seen.shape) == (65535, "v", (2, 3))
    white = view(max_value=11).resized(3, 4, crop_to).pixels()
    assert white.max() == 65535 and white[2, 2] == 65535  # 11/11 + 0.1 and 10/11 + 0.1 are clipped


def test_a_resized_view_refuses_values_above_max_value():
    with pytest.raises(cases.DataError, match=r"v\.png: holds 11, above max_value 10"):
        view(max_value=10).resized(2, 2, crop_to).pixels()


@pytest.mark.parametrize(
    ("size", "spacing", "expected"),
    [((6, 8), 0.2, 0.1), ((6, 9), 0.2, None), ((300, 401), 0.2, 0.2 / np.sqrt(100 * 100.25)), ((6, 8), None, None)],
)
def test_a_resized_view_has_a_spacing_while_its_pixels_are_square(size, spacing, expected):
    assert view(spacing_mm=spacing).resized(*size, crop_to).spacing_mm == (expected and pytest.approx(expected))


def test_lesions_move_with_a_resized_view_and_through_a_window_of_it():
    seen = view().resized(6, 8, crop_to)
    here, somewhere = seen.lesions
    assert here.region.bounds() == (0, 2, 6, 8) and somewhere.region is None
    once = np.array([[0, 0, 1, 0], [0, 1, 1, 1], [0, 0, 1, 0]], bool)
    twice = np.kron(once, np.ones((2, 2), bool))
    assert np.array_equal(here.region.mask((6, 8)), twice)
    patch = seen.window(-1, 3, 4, 5)
    assert patch.load.view is seen and seen.load.view.id == "v"
    assert np.array_equal(patch.lesions[0].region.mask((4, 5)), np.vstack([np.zeros((1, 5), bool), twice[:3, 3:8]]))
    assert pickle.loads(pickle.dumps(patch)).lesions[0].region.bounds() == (1, -1, 7, 5)


def test_the_shape_of_a_cut_or_resized_view_needs_no_pixels():
    reads = []

    def load():
        reads.append(1)
        return image()

    base = view(load=load)
    assert base.window(0, 0, 7, 2).shape == (7, 2) and base.resized(5, 6, crop_to).shape == (5, 6) and not reads
    assert base.shape == base.shape == (3, 4) and len(reads) == 1
    assert base == view(load=load)  # what was looked up does not count


def test_dropped_patients_stand_in_the_split():
    assert cases.Splits((example("a", "p"),), (), dropped=("q",)).dropped == ("q",)
