"""Two-view examples: which breasts, which lesion of each view, where the crop lies, what is left out."""

import dataclasses
import functools
import os
import pathlib
import shutil

import cv2
import numpy as np
import pytest

from mammo_tf import cases, labels, regions
from mammo_tf.datasets import breasts, ddsm

MALIGNANT, BENIGN = cases.Pathology.MALIGNANT, cases.Pathology.BENIGN
CC, MLO = cases.Projection.CC, cases.Projection.MLO
LEFT, RIGHT = cases.Side.LEFT, cases.Side.RIGHT


def pixels():
    return np.arange(100 * 80, dtype=np.uint16).reshape(100, 80)


def load(mask):
    return mask


def disc(x, y, radius=5):
    return regions.CircleRegion(x, y, radius)


def lesion(id, region, pathology=BENIGN, kind="mass", part=None):
    return cases.Lesion(id, pathology, kind, region, part=part)


def view(id, side, projection, *lesions, spacing=None, patient="p1"):
    return cases.View(id, patient, side, projection, pixels, 65535, spacing, tuple(lesions), path=f"{id}.png")


def dataset(*views):
    patients = sorted({one.patient_id for one in views})
    found = tuple(cases.Case(p, tuple(v for v in views if v.patient_id == p)) for p in patients)
    return cases.Dataset("toy", "phantom", "", found)


def made(*views, **how):
    return breasts.breasts(dataset(*views), labels.pathology, **{"side": 20, **how})


def test_a_breast_is_one_example_with_cc_before_mlo_and_its_lesion_at_the_centre():
    examples, problems = made(
        view("b", LEFT, MLO, lesion("l2", disc(40, 60), MALIGNANT)),
        view("a", LEFT, CC, lesion("l1", disc(30, 50), MALIGNANT)),
        view("c", RIGHT, CC),
    )
    assert not problems
    (one,) = examples
    assert (one.id, one.patient_id, one.label, one.roi_id) == ("p1/LEFT", "p1", 1.0, "l1 l2")
    assert [v.projection for v in one.views] == [CC, MLO]
    assert [v.shape for v in one.views] == [(20, 20)] * 2
    np.testing.assert_array_equal(one.views[0].pixels(), pixels()[40:60, 20:40])  # centre (49.5, 29.5) in half pixels
    np.testing.assert_array_equal(one.views[1].pixels(), pixels()[50:70, 30:50])
    assert one.views[0].lesions[0].region.bounds() == (5, 5, 16, 16)  # the disc moved with the crop


def test_the_worst_lesion_counts_and_of_those_the_largest():
    examples, _ = made(
        view(
            "a",
            LEFT,
            CC,
            lesion("benign", disc(20, 20, 9)),
            lesion("small", disc(40, 40, 3), MALIGNANT),
            lesion("large", disc(60, 60, 6), MALIGNANT),
        ),
        view("b", LEFT, MLO, lesion("other", disc(50, 50), MALIGNANT)),
    )
    assert examples[0].label == 1.0 and examples[0].roi_id == "large other"
    assert [v.lesions[0].id for v in examples[0].views] == ["large", "other"]


def test_a_view_without_the_lesion_of_that_label_is_missing():
    views = (
        view("a", LEFT, CC, lesion("l1", disc(20, 20), MALIGNANT)),
        view("b", LEFT, MLO, lesion("l2", disc(50, 50), BENIGN)),
    )
    examples, problems = made(*views)
    assert not examples and problems[0].kind == "left out"
    assert "breast LEFT of p1: its lesion is marked in CC only" in problems[0].reason
    (twice,), _ = made(*views, views=breasts.repeat)
    assert [v.lesions[0].id for v in twice.views] == ["l1", "l1"] and twice.label == 1.0
    (alone,), _ = made(*views, views=breasts.single)
    assert len(alone.views) == 1


def test_the_crop_keeps_its_millimetres():
    # 750 pixels of 0.045 mm are 33.75 mm: 84 pixels of 0.4 mm, and 675 of 0.05 mm
    for spacing, side in ((0.4, 84), (0.05, 675), (None, 750)):
        one = view("a", LEFT, CC, lesion("l", disc(30, 50)), spacing=spacing)
        examples, _ = breasts.breasts(dataset(one), labels.pathology, views=breasts.single)
        assert examples[0].views[0].shape == (side, side)
        assert examples[0].views[0].spacing_mm == spacing


def test_crops_may_overhang_the_image():
    (one,), _ = made(view("a", LEFT, CC, lesion("l", disc(2, 3))), views=breasts.single)
    crop = one.views[0].pixels()
    assert crop.shape == (20, 20) and (crop[:6] == 0).all() and (crop[:, :7] == 0).all()
    np.testing.assert_array_equal(crop[7:, 8:], pixels()[:13, :12])


def test_the_centroid_of_masks_and_polygons():
    mask = np.zeros((100, 80), bool)
    mask[10:21, 30:35] = True
    one = view("a", LEFT, CC)
    assert breasts.centroid(regions.MaskRegion(functools.partial(load, mask)), one) == ((15.0, 32.0), 55.0)
    square = regions.PolygonRegion(((30, 10), (34, 10), (34, 20), (30, 20)))
    assert breasts.centroid(square, one) == ((15.0, 32.0), 55.0)
    inside = regions.WindowRegion(square, one, 5, 5)
    assert breasts.centroid(inside, view("w", LEFT, CC)) == ((10.0, 27.0), 55.0)
    with pytest.raises(cases.DataError, match="beside the image"):
        breasts.centroid(regions.WindowRegion(square, one, 90, 70), view("w", LEFT, CC))


def test_what_has_no_label_or_place_is_listed():
    examples, problems = made(
        view("a", LEFT, CC, lesion("l1", None), lesion("l2", disc(9, 9), cases.Pathology.UNPROVEN)),
        view("b", LEFT, MLO, lesion("cluster", disc(9, 9), kind="distortion")),
    )
    assert not examples
    reasons = [problem.reason for problem in problems]
    assert "lesion l1: the dataset does not say where it lies" in reasons
    assert any("label policy pathology leaves it out" in reason for reason in reasons)


def test_views_of_no_known_side_or_projection_stand_alone():
    other = cases.Projection.OTHER
    examples, _ = made(
        view("a", None, other, lesion("l1", disc(20, 20))),
        view("b", None, other, lesion("l2", disc(50, 50), MALIGNANT)),
        views=breasts.single,
    )
    assert [(e.id, e.label, len(e.views)) for e in examples] == [("p1/a", 0.0, 1), ("p1/b", 1.0, 1)]


def test_parts_are_kept_where_the_lesions_agree():
    both = (
        view("a", LEFT, CC, lesion("l1", disc(20, 20), part="test")),
        view("b", LEFT, MLO, lesion("l2", disc(20, 20), part="test")),
    )
    assert made(*both)[0][0].part == "test"
    mixed = (both[0], view("b", LEFT, MLO, lesion("l2", disc(20, 20), part="train")))
    assert made(*mixed)[0][0].part is None


def test_a_film_is_decoded_once_for_its_crop_whatever_asks_for_it():
    decoded = []

    def counting():
        decoded.append(1)
        return pixels()

    film = cases.View("counted", "p1", LEFT, CC, counting, 65535, lesions=(lesion("l", disc(30, 50)),))
    first, again = (made(film, views=breasts.single)[0][0].views[0] for _ in range(2))
    np.testing.assert_array_equal(first.pixels(), again.pixels())
    assert len(decoded) == 1 and first.shape == (20, 20)
    other = dataclasses.replace(dataset(film), fingerprint="another")
    breasts.breasts(other, labels.pathology, side=20, views=breasts.single)[0][0].views[0].pixels()
    assert len(decoded) == 2


@pytest.mark.skipif("MAMMO_TF_REAL_DATA" not in os.environ, reason="needs the published overlay of DDSM")
def test_the_published_overlay_of_ddsm_is_cut_round_its_centroid(tmp_path):
    """A real outline over a made-up film of its size, through the reader: 675 pixels of 0.05 mm are 33.75 mm."""
    source = pathlib.Path(os.environ["MAMMO_TF_REAL_DATA"]) / "ddsm"
    mask = cv2.imread(str(source / "B_3013_1.RIGHT_MLO_MALIGNANT0.mask.png"), cv2.IMREAD_UNCHANGED) > 0
    case = tmp_path / "cases/cancers/cancer_01/case3013"
    case.mkdir(parents=True)
    shutil.copy(source / "B_3013_1.RIGHT_MLO.OVERLAY", case)
    film = np.random.default_rng(0).integers(0, 4096, mask.shape).astype(np.uint16)
    cv2.imwrite(str(case / "B_3013_1.RIGHT_MLO.png"), film)
    size = f"LINES {mask.shape[0]} PIXELS_PER_LINE {mask.shape[1]} BITS_PER_PIXEL 12 RESOLUTION 50"
    facts = f"filename B-3013-1\nDIGITIZER LUMISYS\nSELECTED\nRIGHT_MLO {size} OVERLAY\n"
    (case / "B-3013-1.ics").write_text("ics_version 1.0\n" + facts)
    found, problems = breasts.breasts(ddsm.read(tmp_path), labels.pathology, views=breasts.single)
    (one,), (crop,) = found, found[0].views
    assert not problems and (one.label, crop.side, crop.projection, crop.shape) == (1.0, RIGHT, MLO, (675, 675))
    y, x = (int(np.ceil(np.nonzero(mask)[axis].mean() - 675 / 2)) for axis in (0, 1))
    padded = [np.pad(image, 675)[y + 675 : y + 1350, x + 675 : x + 1350] for image in (film, mask)]
    np.testing.assert_array_equal(crop.pixels(), padded[0])
    np.testing.assert_array_equal(crop.lesions[0].region.mask((675, 675)), padded[1])
