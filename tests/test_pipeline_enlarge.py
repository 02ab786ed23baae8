"""Altered copies as examples of their own: how many, of whom, and what is in them."""

import dataclasses

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.pipeline import augment, build, enlarge, normalize, resize
from tests import training_fakes as fakes

AUGMENT = augment.Augment(flip_horizontal=True, contrast=(0.5, 1.5), brightness=(-0.2, 0.2), noise=0.02)
EXAMPLES = fakes.examples(7, 0, shape=(12, 10))  # four of class 0, three of class 1


def of(augmented=AUGMENT, shape=(12, 10), **numbers):
    return enlarge.Enlargement(shape, augmented, **numbers)


def pixels(example):
    return example.views[0].pixels()


def test_each_class_has_a_factor_and_parts_of_one_are_dealt_out():
    found = of(factors=(2.0, 3.5))(EXAMPLES, 0)
    labels = [e.label for e in found]
    assert (labels.count(0), labels.count(1)) == (8, round(3 * 3.5)) and found[:7] == EXAMPLES
    assert sorted(of(factors=(2.0, 3.5)).copies(3, 1, seed=0)) == [2, 2, 3]  # 10 - 3 = 7 copies of 3 images
    assert len({e.id for e in found}) == len(found) and {"e0+1", "e1+2"} <= {e.id for e in found}


def test_310_and_100_images_become_those_of_the_report():
    e = of(factors=(3104 / 310, 1992 / 100))
    copies = [e.copies(count, label, seed=5) for label, count in enumerate((310, 100))]
    assert [len(found) + found.sum() for found in copies] == [3104, 1992]
    assert set(copies[0]) == {9, 10} and set(copies[1]) == {18, 19}


def test_totals_are_the_same_whatever_the_number_of_images():
    for some in (EXAMPLES, EXAMPLES[:5]):
        labels = [e.label for e in of(totals=(9, 6))(some, 1)]
        assert (labels.count(0), labels.count(1)) == (9, 6)
    with pytest.raises(cases.MammoError, match="4 images of class 0 cannot be enlarged to 3"):
        of(totals=(3, 6))(EXAMPLES, 1)


def test_a_copy_keeps_patient_label_and_region_and_loses_its_lesions():
    lesion = cases.Lesion("l", cases.Pathology.BENIGN, "mass")
    view = dataclasses.replace(EXAMPLES[0].views[0], lesions=(lesion,), spacing_mm=0.1)
    copy = of(factors=(2, 2)).altered(dataclasses.replace(EXAMPLES[0], views=(view,)), 0, 1)
    assert (copy.id, copy.patient_id, copy.label, copy.roi_id) == ("e0+1", "pe0", 0.0, "e0")
    assert copy.views[0].lesions == () and copy.views[0].spacing_mm is None
    with_region = dataclasses.replace(EXAMPLES[1], roi_id="r")
    assert of(factors=(2, 2)).altered(with_region, 0, 1).roi_id == "r"


def test_a_copy_depends_on_seed_image_and_number_alone():
    e = of(factors=(3, 3))
    alone = e(EXAMPLES[3:4], 4)
    together = {x.id: x for x in e(EXAMPLES[::-1], 4)}
    for copy in alone[1:]:
        np.testing.assert_array_equal(pixels(copy), pixels(together[copy.id]))
    seen = [pixels(e.altered(EXAMPLES[i], seed, number)) for i, seed, number in ((3, 4, 1), (3, 4, 2), (3, 5, 1))]
    assert not np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[0], seen[2])


def test_what_is_drawn_is_what_the_augmentation_says():
    plain = enlarge.Enlargement((12, 10), augment.Augment(), factors=(2, 2))
    np.testing.assert_array_equal(pixels(plain.altered(EXAMPLES[0], 0, 1)), pixels(EXAMPLES[0]))
    brighter = of(augment.Augment(brightness=(0.25, 0.25)), factors=(2, 2)).altered(EXAMPLES[0], 0, 1)
    expected = np.minimum(pixels(EXAMPLES[0]) / 65535 + 0.25, 1.0)
    np.testing.assert_allclose(pixels(brighter) / 65535, expected, atol=2e-5)
    flips = of(augment.Augment(flip_horizontal=True), factors=(2, 2))
    found = [pixels(flips.altered(EXAMPLES[0], seed, 1)) for seed in range(8)]
    ways = [
        np.array_equal(x, pixels(EXAMPLES[0])) + 2 * np.array_equal(x, pixels(EXAMPLES[0])[:, ::-1]) for x in found
    ]
    assert set(ways) == {1, 2}


def test_copies_have_the_size_of_the_net_and_are_decoded_once(monkeypatch):
    monkeypatch.setattr(enlarge.cache, "_MEMORY", type(enlarge.cache._MEMORY)())
    calls = []
    inner = EXAMPLES[0].views[0].load
    view = dataclasses.replace(EXAMPLES[0].views[0], load=lambda: calls.append(1) or inner())
    made = of(shape=(6, 5), factors=(4, 4))([dataclasses.replace(EXAMPLES[0], views=(view,))], 0)
    arrays = build.Pipeline((6, 5), normalize.per_image).load(made[1:])
    assert arrays.images.shape == (3, 6, 5) and len(calls) == 1
    plain = of(augment.Augment(), shape=(6, 5), factors=(2, 2)).altered(EXAMPLES[0], 0, 1)
    expected = resize.area((pixels(EXAMPLES[0]) / 65535).astype(np.float32), 6, 5)
    np.testing.assert_allclose(pixels(plain) / 65535, expected, atol=2e-5)


def test_images_of_two_sources_are_told_apart():
    other = dataclasses.replace(EXAMPLES[1], views=(dataclasses.replace(EXAMPLES[1].views[0], id="e0"),))
    one, two = (of(augment.Augment(), factors=(2, 2), source=name) for name in "ab")
    assert not np.array_equal(pixels(one.altered(EXAMPLES[0], 0, 1)), pixels(two.altered(other, 0, 1)))


@pytest.mark.parametrize("numbers", [{}, {"factors": (2, 2), "totals": (9, 9)}, {"factors": (0.5, 2)}])
def test_numbers_that_make_no_sense_are_refused(numbers):
    with pytest.raises(cases.MammoError, match="enlarge: "):
        of(**numbers)


def test_an_image_without_a_label_is_refused():
    odd = dataclasses.replace(EXAMPLES[2], label=float("nan"))
    with pytest.raises(cases.MammoError, match="1 examples have no label 0 or 1, or not one view: e2"):
        of(factors=(2, 2))([*EXAMPLES[:2], odd], 0)


def test_values_beyond_the_storage_name_their_file():
    view = dataclasses.replace(EXAMPLES[0].views[0], max_value=255, path="some/file.dcm", id="beyond")
    copy = of(factors=(2, 2)).altered(dataclasses.replace(EXAMPLES[0], views=(view,)), 0, 1)
    with pytest.raises(cases.DataError, match=r"some/file.dcm.*above max_value 255"):
        pixels(copy)
