import csv
import math

import numpy as np
import pytest

from mammo_tf import cases, labels
from mammo_tf.datasets import folder, phantom

GRAY = np.array([[0, 1, 2], [40, 50, 255]], np.uint8)


def test_what_is_written_is_read(tmp_path):
    made = phantom.cases(phantom.PhantomSpec(patients=12, height=96, width=72, spacing_mm=2.0, seed=5, look="ffdm"))
    folder.write(made, tmp_path)
    dataset = folder.read(tmp_path)
    origins = {f"{view.id.replace('/', '_')}.png": view for case in made for view in case.views}
    assert dataset.problems == dataset.repairs == () and {view.id for view in dataset.views} == set(origins)
    for view in dataset.views:
        origin = origins[view.id]
        assert (view.patient_id, view.side, view.projection) == (origin.patient_id, origin.side, origin.projection)
        assert (view.max_value, view.spacing_mm) == (4095, 2.0)
        assert np.array_equal(view.pixels(), origin.pixels())
        assert view.attributes["breast density"] == origin.attributes["breast density"]
        if len(origin.lesions) == 1:
            (one,), (lesion,) = origin.lesions, view.lesions
            assert (lesion.pathology, lesion.kind, lesion.part) == (one.pathology, one.kind, one.part)
            assert np.array_equal(lesion.region.mask((96, 72)), one.region.mask((96, 72)))
        label = folder.label_of_view(view)
        assert math.isnan(label) or label == labels.pathology.view(origin)


def test_the_table_is_written_as_people_write_theirs(tmp_path):
    views = [cases.View(f"v{i}", f"p{i}", cases.Side.LEFT, cases.Projection.CC, GRAY.copy, 255) for i in range(300)]
    folder.write([cases.Case("p", tuple(views))], tmp_path)
    raw = (tmp_path / "images.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbffile;patient_id;label;side;view;bits") and raw.count(b"\r\n") == 301
    rows = list(csv.DictReader(raw.decode("utf-8-sig").splitlines(), delimiter=";"))
    assert {row["side"] for row in rows} == {"LEFT", "left", "L", " l"} and {row["view"] for row in rows} == {
        "CC",
        "cc",
    }
    assert 1 <= sum(row["label"] == "" for row in rows) <= 15  # one in fifty
    dataset = folder.read(tmp_path)
    assert {(view.side, view.projection) for view in dataset.views} == {(cases.Side.LEFT, cases.Projection.CC)}
    assert dataset.views[0].pixels().dtype == np.uint8
    again = tmp_path / "again"
    folder.write([cases.Case("p", tuple(views))], again, workers=3)
    assert (again / "images.csv").read_bytes() == raw


def test_an_image_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "v.png").mkdir()
    view = cases.View("v", "p", None, cases.Projection.CC, GRAY.copy, 255)
    with pytest.raises(cases.DataError, match=r"v\.png: cannot be written"):
        folder.write([cases.Case("p", (view,))], tmp_path)
