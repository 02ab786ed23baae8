import dataclasses
import functools
import pickle

import numpy as np
import pytest

from mammo_tf import cases, labels, regions
from mammo_tf.datasets import patches


def render(height, width):
    return np.arange(1, height * width + 1, dtype=np.uint16).reshape(height, width)


def box_mask(top, left, bottom, right):
    mask = np.zeros((60, 80), bool)
    mask[top:bottom, left:right] = True
    return mask


def no_file():
    raise cases.DataError("mask.dcm", "truncated")


def missing_file():
    raise FileNotFoundError(2, "No such file or directory", "gone.dcm")


def lesion(id, load=None, pathology=cases.Pathology.MALIGNANT, kind="mass"):
    return cases.Lesion(id, pathology, kind, load and regions.MaskRegion(load, f"{id}.dcm"), part="train")


def dataset(*lesions):
    load = functools.partial(render, 60, 80)
    view = cases.View("v1", "p1", None, cases.Projection.CC, load, 65535, lesions=lesions, path="v1.dcm")
    return cases.Dataset("synthetic", "phantom", "", (cases.Case("p1", (view,)),))


ONE = lesion("m1", functools.partial(box_mask, 20, 30, 30, 50))  # 10 rows, 20 columns, centre (25, 40)


def test_the_box_is_square_centred_and_padded_on_each_side():
    (example,), problems = patches.lesion_crops(dataset(ONE), labels.pathology, paddings=(0.2,))
    assert not problems
    assert (example.id, example.roi_id, example.patient_id, example.part) == ("m1/pad0.20", "m1", "p1", "train")
    assert example.label == 1.0
    pixels = example.views[0].pixels()  # side 20 * 1.4 = 28, from row 25 - 14 and column 40 - 14
    np.testing.assert_array_equal(pixels, render(60, 80)[11:39, 26:54])
    mask = example.views[0].lesions[0].region.mask(pixels.shape)
    np.testing.assert_array_equal(mask, box_mask(20, 30, 30, 50)[11:39, 26:54])
    assert example.views[0].lesions[0].region.bounds() == (9, 4, 19, 24)


def test_a_box_that_overhangs_is_filled_with_zero():
    corner = lesion("c", functools.partial(box_mask, 0, 0, 10, 10))
    (example,), _ = patches.lesion_crops(dataset(corner), labels.pathology, paddings=(0.5,))
    pixels = example.views[0].pixels()
    assert pixels.shape == (20, 20) and not pixels[:5].any() and not pixels[:, :5].any()
    np.testing.assert_array_equal(pixels[5:, 5:], render(60, 80)[:15, :15])


def test_one_example_per_padding_with_one_read_of_the_mask():
    reads = []

    def counted():
        reads.append(1)
        return box_mask(20, 30, 30, 50)

    found, _ = patches.lesion_crops(dataset(lesion("m", counted)), labels.pathology, paddings=(0.1, 0.2, 0.3))
    assert [e.id for e in found] == ["m/pad0.10", "m/pad0.20", "m/pad0.30"] and {e.roi_id for e in found} == {"m"}
    assert [e.views[0].pixels().shape[0] for e in found] == [24, 28, 32]
    assert len(reads) == 1


def test_a_crop_keeps_its_own_lesion_only():
    other = lesion("m2", functools.partial(box_mask, 22, 32, 28, 40), cases.Pathology.BENIGN)
    found, _ = patches.lesion_crops(dataset(ONE, other), labels.pathology)
    assert [[one.id for one in e.views[0].lesions] for e in found] == [["m1"], ["m2"]]
    assert [e.label for e in found] == [1.0, 0.0]


def test_shifts_are_bounded_stateless_and_differ_between_paddings():
    many = dataset(*(dataclasses.replace(ONE, id=f"m{i}") for i in range(40)))
    cut = functools.partial(patches.lesion_crops, policy=labels.pathology, paddings=(0.1, 0.2), shift=0.1)
    found, _ = cut(many, seed=4)
    moved = []
    for example in found:
        top, left, bottom, right = example.views[0].lesions[0].region.bounds()
        side = example.views[0].pixels().shape[0]
        moved.append(((side - top - bottom) / 2 / side, (side - left - right) / 2 / side))
    moved = np.array(moved)
    assert (
        np.abs(moved).max() <= 0.1 + 0.5 / 24 and np.abs(moved).max(axis=0).min() > 0.06
    )  # half a pixel of rounding
    assert len({tuple(row) for row in moved}) > 40
    alone, _ = cut(dataset(dataclasses.replace(ONE, id="m7")), seed=4)
    np.testing.assert_array_equal(alone[1].views[0].pixels(), found[15].views[0].pixels())
    other, _ = cut(many, seed=5)
    assert any((a.views[0].pixels() != b.views[0].pixels()).any() for a, b in zip(found, other, strict=True))


def test_what_is_left_out_is_listed():
    unknown = lesion("u", functools.partial(box_mask, 0, 0, 5, 5), cases.Pathology.UNPROVEN)
    nowhere, empty = lesion("n"), lesion("e", functools.partial(box_mask, 0, 0, 0, 0))
    calcification = lesion("c", functools.partial(box_mask, 0, 0, 5, 5), kind="calcification")
    everything = dataset(unknown, nowhere, empty, lesion("x", no_file), lesion("g", missing_file), calcification, ONE)
    found, problems = patches.lesion_crops(everything, labels.pathology)
    assert [e.id for e in found] == ["m1/pad0.20"]
    assert [(p.path, p.reason) for p in problems] == [
        ("v1.dcm", "lesion u: label policy pathology leaves it out (pathology UNPROVEN)"),
        ("v1.dcm", "lesion n: the dataset does not say where it lies"),
        ("e.dcm", "lesion e: the mask is empty: no pixel is set"),
        ("mask.dcm", "lesion x: truncated"),
        ("gone.dcm", "lesion g: No such file or directory"),
    ]


def test_circles_are_cropped_and_examples_pickle():
    disc = cases.Lesion("d", cases.Pathology.BENIGN, "mass", regions.CircleRegion(40.0, 30.0, 5.0))
    (example,), _ = patches.lesion_crops(dataset(disc), labels.pathology, paddings=(0.0,))
    again = pickle.loads(pickle.dumps(example))
    np.testing.assert_array_equal(again.views[0].pixels(), render(60, 80)[25:36, 35:46])


@pytest.mark.parametrize(
    "options", [{"paddings": ()}, {"paddings": (-0.1,)}, {"paddings": (0.2, 0.201)}, {"shift": 0.6}, {"shift": -0.1}]
)
def test_options_outside_their_ranges_are_refused(options):
    with pytest.raises(cases.MammoError, match=r"crops: (paddings|shift)"):
        patches.lesion_crops(dataset(ONE), labels.pathology, **options)
