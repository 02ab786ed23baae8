"""What DDSM's writer holds and refuses."""

import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import ddsm, ddsm_lesions, ddsm_writer
from tests import ddsm_samples as samples

LEFT, RIGHT = cases.Side
CC, MLO, OTHER = cases.Projection


def a_view(**changes):
    fields = {"id": "x", "patient_id": "p", "side": LEFT, "projection": CC, "max_value": 4095, "spacing_mm": 0.1}
    return cases.View(**{**fields, "load": samples.pixels, **changes})


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        ([a_view(side=None)], "ddsm holds one CC and one MLO a side and case; x is"),
        ([a_view(projection=OTHER)], "one CC and one MLO"),
        ([a_view(), a_view(id="y")], "one CC and one MLO"),
        ([a_view(spacing_mm=None)], "ddsm needs the spacing of x"),
        ([a_view(lesions=(cases.Lesion("l", cases.Pathology.BENIGN, "mass"),))], "l is BENIGN mass without a region"),
    ],
)
def test_what_the_format_cannot_hold(views, reason, tmp_path):
    with pytest.raises(cases.MammoError, match=reason):
        ddsm.write([cases.Case("p", tuple(views))], tmp_path)


def test_cases_of_twelve_bits_come_from_the_other_hospitals(tmp_path):
    ddsm.write([cases.Case(f"p{i}", (a_view(patient_id=f"p{i}"),)) for i in range(12)], tmp_path)
    dataset = ddsm.read(tmp_path, strict=True)
    assert {view.attributes["digitizer"] for view in dataset.views} == {"LUMISYS at Wake Forest", "HOWTEK at ISMD"}
    assert all(np.array_equal(view.pixels(), samples.pixels()) and view.max_value == 4095 for view in dataset.views)
    assert np.isfinite(ddsm.as_density(dataset.views[0]).pixels()).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_border_filled_is_its_mask(seed):
    """Of one part without holes; of several it is their hull, and a single pixel becomes two."""
    noise = np.random.default_rng(seed).random((25, 20))
    blob = cv2.GaussianBlur(noise, (0, 0), 2.5) > np.quantile(cv2.GaussianBlur(noise, (0, 0), 2.5), 0.6)
    count, parts = cv2.connectedComponents(blob.astype(np.uint8), connectivity=4)
    for part in range(1, count):
        mask = ddsm_lesions.within(ddsm_writer.boundary(parts == part), blob.shape)
        holes_filled = ddsm_lesions.within(ddsm_writer.boundary(mask), blob.shape)
        assert np.array_equal(holes_filled, mask) and mask[parts == part].all()
    one = np.zeros((4, 5), bool)
    one[2, 3] = True
    assert np.argwhere(ddsm_lesions.within(ddsm_writer.boundary(one), one.shape)).tolist() == [[2, 2], [2, 3]]
    one[0, 0] = True
    both = ddsm_lesions.within(ddsm_writer.boundary(one), one.shape)
    assert both[2, 3] and both[0, 0] and both.sum() > 2
