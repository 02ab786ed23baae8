"""Lesions of DDSM out of overlays."""

import dataclasses

import numpy as np
import pytest

from mammo_tf.datasets import ddsm
from mammo_tf.datasets import ddsm_overlay as overlays
from tests import ddsm_samples as samples


@pytest.fixture
def case(tmp_path):
    return samples.write_case(tmp_path / "cases" / "cancers" / "cancer_01" / "case3013")


def test_an_overlay_that_was_not_announced_is_used(case):
    ics = case / "B-3013-1.ics"
    ics.write_text(ics.read_text().replace(" OVERLAY", " NON_OVERLAY"))
    dataset = ddsm.read(case, strict=True)
    assert [repair.rule for repair in dataset.repairs] == ["overlay not announced"]
    assert len(dataset.views[1].lesions) == 1


def test_an_outline_beyond_its_film_ends_at_the_border(tmp_path):
    right = samples.write_case(
        tmp_path / "a", marked=(samples.abnormality(points=np.add(samples.SQUARE, (5, -4))),)
    )  # columns 7 to 9, rows -1 to 1
    dataset = ddsm.read(right, strict=True)
    (repair,) = dataset.repairs
    assert repair.rule == "outline beyond its film" and "6 of 9 points" in repair.what
    mask = np.zeros(samples.SHAPE, bool)
    mask[0:2, 7:9] = True
    assert np.array_equal(dataset.views[1].lesions[0].region.mask(samples.SHAPE), mask)
    far = samples.write_case(tmp_path / "b", marked=(samples.abnormality(points=np.add(samples.SQUARE, (0, 50))),))
    (problem,) = ddsm.read(far).problems
    assert "9 of 9 points lie beyond the film (12, 9) (rows, columns), too many" in problem.reason


def test_kinds_and_words_of_several_types(tmp_path):
    calc = overlays.LesionType("calcification", {"TYPE": "AMORPHOUS", "DISTRIBUTION": "CLUSTERED"})
    both = dataclasses.replace(
        samples.abnormality(), types=(calc, overlays.LesionType("mass", {"MARGINS": "OBSCURED"}))
    )
    other = dataclasses.replace(
        samples.abnormality(2, "UNPROVEN"), types=(overlays.LesionType("other", {"SHAPE": "X"}),)
    )
    (lesions,) = (
        v.lesions
        for v in ddsm.read(samples.write_case(tmp_path, marked=(both, other)), strict=True).views
        if v.lesions
    )
    assert [(one.kind, one.pathology) for one in lesions] == [("mass", "MALIGNANT"), ("other", "UNPROVEN")]
    assert lesions[0].attributes["lesion types"] == "calcification + mass"
    assert lesions[0].attributes["calc type"] == "AMORPHOUS" and lesions[0].attributes["mass margins"] == "OBSCURED"
    assert lesions[1].attributes["other shape"] == "X"
