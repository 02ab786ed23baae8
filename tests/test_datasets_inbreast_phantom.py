"""The phantom through INbreast's writer and reader: what is kept, and the faults that are planted."""

import dataclasses
import pathlib

import numpy as np
import pytest

from mammo_tf import cases, datasets, labels
from mammo_tf.datasets import inbreast, phantom


@pytest.fixture(scope="module")
def cohort():
    small = phantom.PhantomSpec(patients=40, height=300, width=225, spacing_mm=0.8, seed=3)
    return inbreast.phantom_spec(small)


@pytest.fixture(scope="module")
def phantom_root(cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inbreast") / "phantom"
    datasets.write_phantom(inbreast, cohort, folder)
    return folder


def pairs(cohort, dataset) -> list[tuple[cases.View, cases.View]]:
    """Each view of the phantom with what was read of it: numbers go up in the order of writing."""
    made = [one for case in phantom.cases(cohort) for one in case.views]
    return list(zip(made, sorted(dataset.views, key=lambda one: one.id), strict=True))


def test_the_phantom_keeps_pixels_sides_views_and_patients(cohort, phantom_root):
    dataset = inbreast.read(phantom_root)
    assert dataset.kind == "phantom" and dataset.problems == () and dataset.repairs == ()
    assert len(dataset.cases) == 40 and cohort.look == "ffdm" and dataset.views[0].max_value == 4095
    found = pairs(cohort, dataset)
    assert len({(made.patient_id, read.patient_id) for made, read in found}) == 40
    for made, read in found:
        assert np.array_equal(made.pixels(), read.pixels()) and made.side is read.side
        assert made.spacing_mm == read.spacing_mm
    other = [read.attributes["view"] for made, read in found if made.projection is not read.projection]
    assert other == ["FB"] and sum(read.attributes["breast density"] == "" for _, read in found) == 1


def test_the_phantom_keeps_its_masks(cohort, phantom_root):
    types = []
    for made, read in pairs(cohort, inbreast.read(phantom_root)):
        wide = [one for one in read.lesions if one.kind != "calcification"]
        kinds = ["cluster" if one.kind == "calcification" else one.kind for one in made.lesions]
        assert [one.kind for one in wide] == kinds
        for before, after in zip(made.lesions, wide, strict=True):
            one, other = (lesion.region.mask(read.pixels().shape) for lesion in (before, after))
            assert 2 * (one & other).sum() > 0.97 * (one.sum() + other.sum())
            types.append((after.attributes["type"], len(after.region.points)))
        specks = [one for one in read.lesions if one.kind == "calcification"]
        assert bool(specks) == ("cluster" in kinds)
        assert all(one.attributes["type"] == "19" and len(one.region.points) == 1 for one in specks)
        assert read.path and bool(read.lesions) == (phantom_xml(read).is_file())
    assert {points for kind, points in types if kind == "9"} == {200} and {kind for kind, _ in types} == {"9", "15"}


def phantom_xml(view: cases.View) -> pathlib.Path:
    return pathlib.Path(view.path).parent.parent / "AllXML" / f"{view.id}.xml"


def test_the_categories_of_the_phantom_carry_its_outcomes(cohort, phantom_root):
    for made, read in pairs(cohort, inbreast.read(phantom_root)):
        outcome, birads = labels.pathology.view(made), read.attributes["birads"]
        assert birads in (("4b", "4c", "5", "6") if outcome == 1.0 else ("1", "2", "3", "4a"))


def test_the_same_cases_give_the_same_bytes(cohort, phantom_root, tmp_path):
    again = dataclasses.replace(cohort, patients=40)
    inbreast.write(phantom.cases(again), tmp_path, workers=1)
    written = sorted(path for path in phantom_root.rglob("*.*") if path.name != datasets.PHANTOM_MARKER)
    assert len(written) > 100
    for path in written:
        assert path.read_bytes() == (tmp_path / path.relative_to(phantom_root)).read_bytes()
