"""DDSM's reader: the phantom, cases made by hand, what is missing or damaged, densities and sources."""

import dataclasses
import logging
import shutil

import numpy as np
import pytest

from mammo_tf import cases, checking, datasets, labels
from mammo_tf.datasets import ddsm, phantom
from tests import ddsm_samples as samples

LEFT, RIGHT = cases.Side
CC, MLO, OTHER = cases.Projection


@pytest.fixture
def case(tmp_path):
    return samples.write_case(tmp_path / "cases" / "cancers" / "cancer_01" / "case3013")


@pytest.fixture(scope="module")
def spec():
    return samples.phantom_spec()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return samples.write_phantom(tmp_path_factory.mktemp("ddsm") / "phantom")


def test_the_phantom_keeps_pixels_masks_sides_and_outcomes(spec, root):
    dataset = ddsm.read(root, strict=True)
    assert (dataset.name, dataset.kind, dataset.problems) == ("ddsm", "phantom", ())
    made = phantom.cases(spec)
    assert len(made) == len(dataset.cases) == 30
    for one, other in zip(made, dataset.cases, strict=True):
        assert {(v.side, v.projection) for v in one.views} == {(v.side, v.projection) for v in other.views}
        for view in one.views:
            (read,) = (v for v in other.views if (v.side, v.projection) == (view.side, view.projection))
            assert np.array_equal(view.pixels(), read.pixels())
            assert (view.max_value, view.spacing_mm) == (read.max_value, read.spacing_mm)
            assert view.attributes["breast density"] == read.attributes["breast density"]
            assert labels.pathology.view(view) == labels.pathology.view(read)
            for before, after in zip(view.lesions, read.lesions, strict=True):
                assert (before.kind, before.pathology) == (after.kind, after.pathology)
                assert np.array_equal(*(lesion.region.mask(read.shape) for lesion in (before, after)))
                words = set(before.attributes.items())
                assert words <= set(after.attributes.items())


def test_the_phantom_is_opened_through_the_cache(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path))
    small = dataclasses.replace(spec, patients=2, look="ffdm", bits=12)
    dataset = datasets.open_dataset(ddsm, spec=small)
    assert dataset.kind == "phantom" and len(dataset.cases) == 2 and dataset.views[0].max_value == 65535
    assert datasets.open_dataset(ddsm, spec=small).fingerprint == dataset.fingerprint
    check = checking.examine(ddsm, dataset.root, strict=True)
    assert check.usable and check.tables.total.patients == 2 and check.tables.total.found == len(dataset.views)


def test_a_case_by_hand(case):
    dataset = ddsm.read(case.parents[3], strict=True)
    assert dataset.kind == "real" and dataset.repairs == () and len(dataset.fingerprint) == 16
    (one,) = dataset.cases
    left, right = one.views
    assert (one.patient_id, left.id, right.id) == ("B_3013", "B_3013_1.LEFT_CC", "B_3013_1.RIGHT_MLO")
    assert (left.side, left.projection, right.side, right.projection) == (LEFT, CC, RIGHT, MLO)
    assert (left.max_value, left.spacing_mm, left.lossy, left.lesions) == (4095, 0.05, False, ())
    assert right.attributes == {
        "breast density": "3",
        "digitizer": "LUMISYS at Wake Forest",
        "category": "cancers",
        "volume": "cancer_01",
    }
    for seed, view in enumerate(one.views):
        assert view.pixels().dtype == np.uint16 and np.array_equal(view.pixels(), samples.pixels(seed))
    (lesion,) = right.lesions
    assert (lesion.id, lesion.kind, lesion.pathology) == ("B_3013_1.RIGHT_MLO_1", "mass", cases.Pathology.MALIGNANT)
    assert lesion.attributes == {
        "assessment": "5",
        "subtlety": "3",
        "lesion types": "mass",
        "outlines": "1",
        "mass shape": "OVAL",
    }
    mask = np.zeros(samples.SHAPE, bool)
    mask[3:6, 2:5] = True
    assert np.array_equal(lesion.region.mask(samples.SHAPE), mask) and lesion.region.bounds() == (3, 2, 6, 5)


def test_the_size_of_a_film_is_known_before_it_is_decoded(case):
    for view in ddsm.read(case.parent).views:
        sealed = dataclasses.replace(view.load, load=None)  # would fail if it were called
        assert dataclasses.replace(view, load=sealed).shape == view.pixels().shape


def test_entries_are_the_overlays_and_the_films_without_one(case):
    samples.write_case(case.parents[2] / "normals" / "normal_02" / "case0005", "A-0005-1", marked=())
    rows = ddsm.entries(case.parents[3])
    assert [(row.image, row.patient_id, row.label, row.kind) for row in rows] == [
        ("A_0005_1.LEFT_CC", "A_0005", "NORMAL", ""),
        ("A_0005_1.RIGHT_MLO", "A_0005", "NORMAL", ""),
        ("B_3013_1.LEFT_CC", "B_3013", "", ""),
        ("B_3013_1.RIGHT_MLO", "B_3013", "MALIGNANT", "mass"),
    ]
    assert (rows[3].side, rows[3].view, rows[3].density) == ("RIGHT", "MLO", "3")
    (case / "B_3013_1.RIGHT_MLO.OVERLAY").write_text("junk")
    (case.parents[2] / "normals/normal_02/case0005/A-0005-1.ics").write_text("junk")
    assert [row.label for row in ddsm.entries(case.parents[3])] == ["", ""]  # the reader says why


def test_normal_cases_are_views_without_lesions(tmp_path):
    samples.write_case(tmp_path / "normals" / "case0005", "A-0005-1", marked=())
    dataset = ddsm.read(tmp_path, strict=True)
    for view in dataset.views:
        assert view.lesions == () and labels.pathology.view(view) == 0.0
        assert (view.attributes["category"], view.attributes["volume"]) == ("normals", "")


@pytest.mark.parametrize(
    ("break_it", "kind", "path", "reason"),
    [
        (
            lambda case: (case / "B_3013_1.LEFT_CC.LJPEG").unlink(),
            "missing",
            "B_3013_1.LEFT_CC.LJPEG",
            "no such file",
        ),
        (
            lambda case: samples.damaged(case, "B_3013_1.LEFT_CC.LJPEG"),
            "unreadable",
            "B_3013_1.LEFT_CC.LJPEG",
            "truncated",
        ),
        (
            lambda case: (case / "B_3013_1.RIGHT_MLO.OVERLAY").unlink(),
            "missing",
            "B_3013_1.RIGHT_MLO.OVERLAY",
            "its case file says that lesions are marked",
        ),
        (
            lambda case: samples.damaged(case, "B_3013_1.RIGHT_MLO.OVERLAY"),
            "unreadable",
            "MLO.OVERLAY",
            "abnormality 1",
        ),
        (
            lambda case: shutil.copy(case / "B_3013_1.LEFT_CC.LJPEG", case / "B_3013_1.LEFT_MLO.LJPEG"),
            "left out",
            "B_3013_1.LEFT_MLO.LJPEG",
            "not in its case file",
        ),
        (
            lambda case: shutil.copy(case / "B_3013_1.LEFT_CC.LJPEG", case / "C_0001_1.LEFT_CC.LJPEG"),
            "left out",
            "C_0001_1.LEFT_CC.LJPEG",
            "no case file C-0001-1.ics",
        ),
        (
            lambda case: (case / "C-0001-1.ics").write_text("x"),
            "unreadable",
            "C-0001-1.ics",
            "case C_0001_1: not a case",
        ),
    ],
)
def test_what_cannot_be_used_is_listed_or_raised(case, break_it, kind, path, reason):
    break_it(case)
    dataset = ddsm.read(case)
    (problem,) = dataset.problems
    assert problem.kind == kind and problem.path.endswith(path) and reason in problem.reason
    assert 1 <= len(dataset.views) <= 2
    with pytest.raises(cases.DataError, match=reason):
        ddsm.read(case, strict=True)


def test_films_of_an_unreadable_case_file_are_listed_once(case):
    (case / "B-3013-1.ics").write_text("x")
    with pytest.raises(cases.DataError, match=r"B-3013-1\.ics: .*not a case file of DDSM.*none of the 1 cases can"):
        ddsm.read(case)


def test_a_case_file_of_another_name_is_mended(case):
    ics = case / "B-3013-1.ics"
    ics.write_text(ics.read_text().replace("filename B-3013-1", "filename B-3031-1"))
    dataset = ddsm.read(case, strict=True)
    assert [repair.rule for repair in dataset.repairs] == ["name of a case"]
    assert dataset.views[1].attributes["digitizer"] == "LUMISYS at Wake Forest"


def test_two_scans_of_a_case_are_one_patient(tmp_path):
    samples.write_case(tmp_path / "a", "B-3013-1")
    samples.write_case(tmp_path / "b", "B-3013-2")
    (case,) = ddsm.read(tmp_path, strict=True).cases
    assert case.patient_id == "B_3013" and len(case.views) == 4


def test_no_tree_at_all(tmp_path):
    with pytest.raises(cases.DataError, match=r"the folder is empty; looked for names such as B-3013-1\.ics"):
        ddsm.read(tmp_path)
    (tmp_path / "a.txt").write_text("")
    for call in (ddsm.read, ddsm.entries):
        with pytest.raises(cases.DataError, match="no case file of DDSM"):
            call(tmp_path)


def test_density_as_gray(case):
    view = ddsm.read(case).views[0]
    dense = ddsm.as_density(view)
    found = dense.pixels()
    density = np.clip((view.pixels() - 4096.99) / -1009.01, 0.05, 4)
    assert found.dtype == np.uint16 and dense.max_value == 65535
    assert np.abs(found - (4 - density) / 3.95 * 65535).max() < 1
    assert np.all(np.diff(found.ravel()[np.argsort(view.pixels().ravel())].astype(int)) >= 0)  # bright stays bright
    for changed in ({"attributes": {"digitizer": "AGFA"}}, {"max_value": 255}):
        with pytest.raises(cases.MammoError, match="its density needs the gray values of a known digitizer"):
            ddsm.as_density(dataclasses.replace(view, **changed))


def test_mixed_sources_are_counted_and_said(case, caplog):
    top = case.parents[2]
    assert ddsm.mixed_sources(ddsm.read(top)) == ""
    samples.write_case(top / "normals" / "case3014", "B-3014-1", marked=())
    assert ddsm.mixed_sources(ddsm.read(top)) == "" and not caplog.records
    samples.write_case(top / "normals" / "case0005", "D-4005-1", marked=())
    path = top / "normals" / "case0005" / "D-4005-1.ics"
    path.write_text(path.read_text().replace("LUMISYS LASER", "HOWTEK"))
    with caplog.at_level(logging.WARNING, logger="mammo_tf"):
        dataset = ddsm.read(top)
    assert ddsm.sources(dataset) == {
        ("HOWTEK at ISMD", "normals"): 2,
        ("LUMISYS at Wake Forest", "cancers"): 2,
        ("LUMISYS at Wake Forest", "normals"): 2,
    }
    said = "normal 2 by HOWTEK at ISMD; 2 by LUMISYS at Wake Forest; others 2 by LUMISYS at Wake Forest"
    assert ddsm.mixed_sources(dataset).endswith(f"were digitised by other machines: {said}")
    assert [record.message for record in caplog.records] == [ddsm.mixed_sources(dataset)]
