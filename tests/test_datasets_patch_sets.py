import dataclasses
import functools
import pickle

import numpy as np
import pytest

from mammo_tf import cases, datasets, regions
from mammo_tf.datasets import cbis_ddsm, patch_sets, phantom, splits
from mammo_tf.pipeline import resize

SIZE = (120, 90)
PATCH = 24
NATIVE = (240, 270)  # a resized pixel is 2 rows, 3 columns


def box_mask(top, left, bottom, right):
    mask = np.zeros(NATIVE, bool)
    mask[top:bottom, left:right] = True
    return mask


def ramp():
    return np.arange(NATIVE[0] * NATIVE[1], dtype=np.uint32).reshape(NATIVE).astype(np.uint16)


def no_file():
    raise cases.DataError("mask.dcm", "truncated")


def no_pixels():
    raise AssertionError("the image is decoded")


MASS = functools.partial(box_mask, 100, 60, 140, 120)  # 50 to 70, 20 to 40 in the resized image
SPOT = functools.partial(box_mask, 200, 210, 210, 225)  # 100 to 105, 70 to 75


def lesion(id, load, pathology=cases.Pathology.MALIGNANT, kind="mass"):
    return cases.Lesion(id, pathology, kind, load and regions.MaskRegion(load, f"{id}.dcm"))


def view(*lesions, id="v1", load=ramp):
    return cases.View(id, "p1", None, cases.Projection.CC, load, 65535, 0.1, lesions, path=f"{id}.dcm")


TWO = (lesion("m", MASS), lesion("c", SPOT, cases.Pathology.BENIGN_WITHOUT_CALLBACK, "cluster"))
draw = functools.partial(patch_sets.sample, size=SIZE, patch=PATCH, seed=0)


def whole(*views):
    found = tuple(cases.Example(v.id, v.patient_id, (v,), 1.0, part="train") for v in views)
    return cases.Splits(found, ())


def cut(parts, sampling=patch_sets.PAPER_S10, seed=0):
    return patch_sets.sample_parts(parts, sampling, size=SIZE, patch=PATCH, resize=resize.area, seed=seed)


@pytest.mark.parametrize(
    ("pathology", "kind", "name"),
    [
        ("MALIGNANT", "mass", "malignant mass"),
        ("BENIGN", "mass", "benign mass"),
        ("BENIGN_WITHOUT_CALLBACK", "mass", "benign mass"),
        ("MALIGNANT", "calcification", "malignant calcification"),
        ("BENIGN", "cluster", "benign calcification"),
        ("UNPROVEN", "mass", None),
        ("NORMAL", "mass", None),
        ("MALIGNANT", "distortion", None),
    ],
)
def test_a_lesion_has_one_of_four_classes_or_none(pathology, kind, name):
    label = patch_sets.label_of(cases.Lesion("x", cases.Pathology(pathology), kind))
    assert label == (name and patch_sets.CLASSES.index(name)) and label != 0


def test_s1_centres_one_patch_on_each_roi_and_adds_one_of_background():
    drawn, problems = draw(view(*TWO), patch_sets.PAPER_S1)
    assert not problems
    assert [(p.id, p.label, p.roi) for p in drawn] == [
        ("v1/s1/m/0", 1, "m"),
        ("v1/s1/c/0", 4, "c"),
        ("v1/s1/bg/0", 0, ""),
        ("v1/s1/bg/1", 0, ""),
    ]
    assert (drawn[0].top, drawn[0].left, drawn[0].side) == (60 - 12, 30 - 12, PATCH)
    assert (drawn[1].top, drawn[1].left) == (102 - 12, 72 - 12)


@pytest.mark.parametrize(
    ("sampling", "count"),
    [(patch_sets.PAPER_S10, 20), (patch_sets.CODE_S10, 10), (patch_sets.CODE_S1, 1)],
)
def test_background_goes_by_roi_or_by_image(sampling, count):
    drawn, _ = draw(view(*TWO), sampling)
    assert sum(p.label == 0 for p in drawn) == count
    assert [sum(p.roi == id for p in drawn) for id in ("m", "c")] == [sampling.per_roi] * 2


def test_patches_overlap_their_own_roi_and_background_none():
    drawn, _ = draw(view(*TWO), patch_sets.PAPER_S10)
    masks = {"m": (50, 20, 70, 40), "c": (100, 70, 105, 75)}
    for patch in drawn:
        for id, (top, left, bottom, right) in masks.items():
            rows = min(bottom, patch.top + PATCH) - max(top, patch.top)
            columns = min(right, patch.left + PATCH) - max(left, patch.left)
            share = max(rows, 0) * max(columns, 0) / ((bottom - top) * (right - left))
            if patch.roi == id:
                assert share >= 0.9 - 0.05 * patch.eased
            elif patch.label == 0:
                assert share == 0


def test_what_is_drawn_hangs_on_seed_image_and_lesion_alone():
    both, _ = draw(view(*TWO), patch_sets.PAPER_S10)
    alone, _ = draw(view(TWO[1]), patch_sets.PAPER_S10)
    assert [p for p in both if p.roi == "c"] == [p for p in alone if p.roi == "c"]
    again, _ = draw(view(*TWO), patch_sets.PAPER_S10)
    assert again == both
    other = patch_sets.sample(view(*TWO), patch_sets.PAPER_S10, size=SIZE, patch=PATCH, seed=1)[0]
    elsewhere, _ = draw(view(*TWO, id="v2"), patch_sets.PAPER_S10)
    for found in (other, elsewhere):
        assert len({(p.top, p.left) for p in found} & {(p.top, p.left) for p in both}) < len(both) // 3


def test_masks_are_enough_unless_the_breast_is_asked_for():
    blind = view(*TWO, load=no_pixels)
    assert len(draw(blind, patch_sets.PAPER_S10)[0]) == 40
    assert cut(whole(blind))[0].train[0].views[0].shape == (PATCH, PATCH)
    with pytest.raises(AssertionError, match="decoded"):
        draw(blind, dataclasses.replace(patch_sets.PAPER_S10, min_breast=0.5))


def test_background_avoids_the_box_of_a_lesion_without_a_class():
    strange = lesion("d", MASS, kind="distortion")
    unproven = dataclasses.replace(TWO[1], pathology=cases.Pathology.UNPROVEN)
    drawn, problems = draw(view(strange, unproven), patch_sets.Sampling("s10", per_roi=200))
    assert len(drawn) == 200 and {p.label for p in drawn} == {0}
    assert not any(26 < p.top < 70 and -4 < p.left < 40 for p in drawn)
    assert [(p.path, p.reason, p.kind) for p in problems] == [
        ("v1.dcm", "lesion d: no class of patches for a distortion that is MALIGNANT", "left out"),
        ("v1.dcm", "lesion c: no class of patches for a cluster that is UNPROVEN", "left out"),
    ]


def test_a_lesion_that_cannot_be_placed_leaves_no_background():
    lesions = (TWO[0], lesion("x", no_file), lesion("n1", None), lesion("n2", None))
    drawn, problems = draw(view(*lesions), patch_sets.PAPER_S10)
    assert {p.roi for p in drawn} == {"m"} and len(drawn) == 10
    assert [(p.path, p.reason) for p in problems] == [
        ("mask.dcm", "lesion x: truncated"),
        ("v1.dcm", "2 lesions (n1, ...): the dataset does not say where it lies"),
        ("v1.dcm", "no background patches: they might show a lesion that cannot be placed"),
    ]


def test_an_empty_mask_is_named():
    _, problems = draw(view(lesion("e", functools.partial(box_mask, 0, 0, 0, 0))), patch_sets.PAPER_S1)
    assert (problems[0].path, problems[0].reason) == ("e.dcm", "lesion e: no pixel of it lies in the image")


def test_an_unreadable_image_gives_what_its_masks_give():
    rule = dataclasses.replace(patch_sets.PAPER_S1, min_breast=0.5)
    drawn, problems = draw(view(TWO[0], load=no_file), rule)
    assert [p.roi for p in drawn] == ["m"]
    assert [(p.path, p.reason) for p in problems] == [("mask.dcm", "no background patches: truncated")]


def test_examples_are_windows_of_one_resized_view_and_overhang_with_zero():
    corner = lesion("k", functools.partial(box_mask, 0, 0, 8, 12))
    parts, problems = cut(whole(view(corner)), patch_sets.PAPER_S1)
    first, second = parts.train
    assert not problems and first.views[0].load.view is second.views[0].load.view
    assert (first.id, first.label, first.roi_id, first.patient_id, first.part) == (
        "v1/s1/k/0",
        1.0,
        "k",
        "p1",
        "train",
    )
    assert (second.label, second.roi_id) == (0.0, "")
    pixels = first.views[0].pixels()
    image = np.rint(resize.area(ramp().astype(np.float32) / 65535, *SIZE) * 65535)
    assert not pixels[:10].any() and not pixels[:, :10].any()
    np.testing.assert_array_equal(pixels[10:, 10:], image[:14, :14])
    assert first.views[0].lesions[0].region.bounds() == (10, 10, 14, 14)
    assert np.array_equal(pickle.loads(pickle.dumps(first)).views[0].pixels(), pixels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"views": ()}, "1 examples have not one view: v1"),
        ({"id": "again"}, "1 images stand in several examples: v1"),
    ],
)
def test_examples_that_are_no_whole_images_are_refused(change, message):
    parts = whole(view(*TWO))
    odd = dataclasses.replace(parts.train[0], **change)
    with pytest.raises(cases.MammoError, match=message):
        cut(cases.Splits((odd,) if "views" in change else (*parts.train, odd), ()))


def test_sizes_are_positive():
    with pytest.raises(cases.MammoError, match=r"found \(0, 9\) and 8"):
        patch_sets.sample_parts(whole(), patch_sets.PAPER_S1, size=(0, 9), patch=8, resize=resize.area, seed=0)


@pytest.fixture(scope="module")
def films():
    spec = phantom.PhantomSpec(patients=14, height=256, width=192, spacing_mm=0.8)
    return datasets.open_dataset(cbis_ddsm, spec=spec)


def test_patches_of_the_phantom_follow_its_split_and_its_order_does_not_matter(films):
    examples = [
        cases.Example(v.id, v.patient_id, (v,), float(i), part=v.lesions[0].part)
        for case in films.cases
        for v, i in zip(case.views, [int(case.patient_id[-1]) % 2] * 9, strict=False)
    ]
    parts = splits.patient_holdout(examples, seed=0, fractions=(0.5, 0.25, 0.25))
    found, problems = patch_sets.sample_parts(
        parts, patch_sets.CODE_S10, size=(256, 192), patch=64, resize=resize.area, seed=0
    )
    assert not problems
    for name in ("train", "val", "test"):
        lesions = sum(len(e.views[0].lesions) for e in getattr(parts, name))
        labels = [e.label for e in getattr(found, name)]
        assert len(labels) == 10 * (lesions + len(getattr(parts, name)))
        assert labels.count(0.0) == 10 * len(getattr(parts, name))
        assert {e.patient_id for e in getattr(found, name)} == {e.patient_id for e in getattr(parts, name)}
    turned = dataclasses.replace(parts, train=parts.train[::-1])
    again, _ = patch_sets.sample_parts(
        turned, patch_sets.CODE_S10, size=(256, 192), patch=64, resize=resize.area, seed=0
    )
    places = [{e.id: (e.views[0].load.top, e.views[0].load.left) for e in some.train} for some in (found, again)]
    assert places[0] == places[1] and len(places[0]) == len(found.train)
    bright = found.train[0].views[0]
    assert bright.pixels().shape == (64, 64) and bright.lesions[0].region.mask((64, 64)).any()
