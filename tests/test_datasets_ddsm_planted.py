"""Names, folders and faults of a written DDSM."""

import collections
import dataclasses

import numpy as np
import pytest

from mammo_tf import cases, datasets
from mammo_tf.datasets import ddsm, ddsm_planted, ljpeg, phantom
from mammo_tf.datasets import ddsm_files as files
from tests import ddsm_samples as samples


@pytest.fixture(scope="module")
def spec():
    return samples.phantom_spec()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return samples.write_phantom(tmp_path_factory.mktemp("ddsm") / "phantom")


def test_the_phantom_has_the_categories_and_faults_of_the_original(root):
    dataset = ddsm.read(root)
    outcomes = collections.defaultdict(set)
    for case in dataset.cases:
        (category,) = {view.attributes["category"] for view in case.views}
        outcomes[category].add(frozenset(lesion.pathology for view in case.views for lesion in view.lesions))
    assert set(outcomes) == set(files.CATEGORIES) and outcomes["normals"] == {frozenset()}
    assert all(cases.Pathology.MALIGNANT in found for found in outcomes["cancers"])
    assert all(cases.Pathology.MALIGNANT not in found for found in outcomes["benigns"])
    assert outcomes["benign_without_callbacks"] == {frozenset([cases.Pathology.BENIGN_WITHOUT_CALLBACK])}
    assert {view.attributes["digitizer"] for view in dataset.views} == {"DBA at MGH"}
    lesions = [lesion for view in dataset.views for lesion in view.lesions]
    assert {lesion.attributes["outlines"] for lesion in lesions} == {"1", "2"}
    assert {"mass", "calcification", "mass + calcification"} == {x.attributes["lesion types"] for x in lesions}
    assert {repair.rule for repair in dataset.repairs} <= {
        "rows and columns turned",
        "number of outlines",
        "overlay not announced",
    }


@pytest.mark.parametrize("fault", ["TURNED", "ABOVE", "UNANNOUNCED", "TWO_TYPES", "CORES", "PROMISED"])
def test_each_fault_in_every_place_changes_no_pixel_and_no_mask(fault, spec, tmp_path, monkeypatch):
    for name in ("TURNED", "ABOVE", "UNANNOUNCED", "TWO_TYPES", "CORES", "PROMISED"):
        monkeypatch.setattr(ddsm_planted, name, float(name == fault))
    made = phantom.cases(dataclasses.replace(spec, patients=3))
    ddsm.write(made, tmp_path)
    dataset = ddsm.read(tmp_path, strict=True)
    lesions = [lesion for view in dataset.views for lesion in view.lesions]
    marked = [view for view in dataset.views if view.lesions]
    found = collections.Counter(repair.rule for repair in dataset.repairs)
    expected = {
        "TURNED": {"rows and columns turned": len(dataset.views)},
        "UNANNOUNCED": {"overlay not announced": len(marked)},
        "PROMISED": {"number of outlines": len(lesions)},
    }
    assert found == expected.get(fault, {})
    assert {x.attributes["outlines"] for x in lesions} == ({"2"} if fault == "CORES" else {"1"})
    assert any("+" in x.attributes["lesion types"] for x in lesions) == (fault == "TWO_TYPES")
    predictors = {ljpeg.read_header(view.path).predictor for view in dataset.views}
    assert predictors == ({7} if fault == "ABOVE" else {1})
    for one, other in zip(made, dataset.cases, strict=True):
        views = sorted(one.views, key=lambda v: (v.side, v.projection))
        for before, after in zip(views, sorted(other.views, key=lambda v: (v.side, v.projection)), strict=True):
            assert np.array_equal(before.pixels(), after.pixels())
            for a, b in zip(before.lesions, after.lesions, strict=True):
                assert a.kind == b.kind and np.array_equal(*(x.region.mask(after.shape) for x in (a, b)))


def test_the_same_cases_give_the_same_bytes_and_what_was_read_keeps_its_names(spec, root, tmp_path):
    ddsm.write(phantom.cases(spec), tmp_path / "again", workers=1)
    written = sorted(path for path in root.rglob("*.*") if path.name != datasets.PHANTOM_MARKER)
    assert len(written) > 60
    for path in written:
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(root)).read_bytes()
    first = ddsm.read(root)
    ddsm.write(first.cases, tmp_path / "copy")
    second = ddsm.read(tmp_path / "copy", strict=True)
    assert second.repairs == ()  # faults are planted once
    for one, other in zip(first.views, second.views, strict=True):
        assert (one.id, one.attributes, len(one.lesions)) == (other.id, other.attributes, len(other.lesions))
        assert np.array_equal(one.pixels(), other.pixels())
        for a, b in zip(one.lesions, other.lesions, strict=True):
            assert dict(a.attributes) | {"outlines": "1"} == b.attributes
