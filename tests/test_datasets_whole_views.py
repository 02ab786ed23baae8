"""`whole_views`: two films of one exposure, official parts, labels; the counts of the published tables."""

import os
import pathlib

import numpy as np
import pytest

from mammo_tf import cases, labels
from mammo_tf.datasets import cbis_ddsm, whole_views

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
MALIGNANT, BENIGN = cases.Pathology.MALIGNANT, cases.Pathology.BENIGN
LEFT, CC = cases.Side.LEFT, cases.Projection.CC


def black():
    return np.zeros((4, 4), np.uint8)


def lesion(id, kind="mass", pathology=BENIGN, part="train"):
    return cases.Lesion(id, pathology, kind, part=part)


def view(id, *lesions, patient="p", side=LEFT, projection=CC, **attributes):
    return cases.View(
        id, patient, side, projection, black, 255, lesions=lesions, attributes=attributes, path=f"{id}.png"
    )


def examples(*views):
    """(examples by id, path and reason of what was left out)."""
    dataset = cases.Dataset("cbis_ddsm", "phantom", "", (cases.Case("p", views),))
    found, problems = whole_views.whole_views(dataset, labels.pathology)
    return {e.id: e for e in found}, {p.path: p.reason for p in problems}


def test_two_films_of_one_exposure_are_one_example_with_the_lesions_of_both():
    mass, calc = lesion("m"), lesion("c", "calcification", MALIGNANT)
    found, problems = examples(view("first", mass), view("second", calc))
    (example,) = found.values()
    assert example.id == example.roi_id == "first" and example.views[0].lesions == (mass, calc)
    assert (example.label, example.part) == (1.0, "train")  # the second film has the malignant lesion
    assert problems == {"second.png": "the exposure of first, which has its lesions"}


@pytest.mark.parametrize(
    "other",
    [
        view("other", lesion("c", "calcification"), patient="q"),
        view("other", lesion("c", "calcification"), side=cases.Side.RIGHT),
        view("other", lesion("c", "calcification"), projection=cases.Projection.MLO),
        view("other", lesion("m2", "mass")),  # two films of masses are two exposures of the breast
        view("other"),
        view("other", lesion("c", "calcification", part="test")),
    ],
)
def test_films_that_may_be_of_two_exposures_stay_two(other):
    found, problems = examples(view("first", lesion("m")), other)
    assert list(found) == ["first", "other"] and not problems


def test_films_of_a_side_that_is_not_known_are_never_merged():
    films = view("a", lesion("m"), side=None), view("b", lesion("c", "calcification"), side=None)
    assert len(examples(*films)[0]) == 2


def test_a_third_film_joins_only_where_its_kind_is_new():
    films = view("a", lesion("m")), view("b", lesion("c", "calcification")), view("d", lesion("m2"))
    found, problems = examples(*films)
    assert list(found) == ["a", "d"] and list(problems) == ["b.png"]


def test_a_view_without_a_label_or_in_both_parts_is_listed():
    unproven = view("u", lesion("l", pathology=cases.Pathology.UNPROVEN))
    both = view("b", lesion("x"), lesion("y", "calcification", part="test"))
    found, problems = examples(unproven, both)
    assert not found
    assert problems == {
        "u.png": "label policy pathology leaves it out",
        "b.png": "its lesions stand in both official parts",
    }


def test_the_part_is_that_of_the_lesions_else_of_the_view():
    found, _ = examples(
        view("a", lesion("m", part="test")), view("b", part="train"), view("c"), view("d", lesion("n", part=None))
    )
    assert {id: e.part for id, e in found.items()} == {"a": "test", "b": "train", "c": None, "d": None}
    assert found["b"].label == 0.0  # no lesion is a negative view


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_training_part_of_cbis_ddsm_has_2458_films_of_2420_exposures():
    films = {}
    for i, row in enumerate(cbis_ddsm.entries(pathlib.Path(REAL) / "cbis_ddsm")):
        facts = (row.patient_id, cases.Side(row.side), cases.Projection(row.view))
        found = lesion(f"{row.image}/{i}", row.kind, cases.Pathology(row.label), row.part)
        films.setdefault((row.image, *facts), []).append(found)
    views = tuple(
        view(image, *found, patient=patient, side=side, projection=projection)
        for (image, patient, side, projection), found in films.items()
    )
    dataset = cases.Dataset("cbis_ddsm", "real", "", (cases.Case("all", views),))
    training = [v for v in views if whole_views.official_parts(v) == {"train"}]
    found, problems = whole_views.whole_views(dataset, labels.pathology)
    assert len(training) == 2458
    assert sum(e.part == "train" for e in found) == 2420
    assert len(found) + len(problems) == len(views) == 3103
    assert {p.reason.partition(" of ")[0] for p in problems} == {"the exposure"}
