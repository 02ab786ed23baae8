import collections
import functools

import numpy as np
import pytest

from mammo_tf import cases, regions
from mammo_tf.datasets import inbreast_planted as planted
from mammo_tf.datasets import inbreast_xml as outlines

PUBLISHED = {"1": 67, "2": 220, "3": 23, "4a": 13, "4b": 8, "4c": 22, "5": 49, "6": 8}


def square() -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    mask[4:12, 5:15] = True
    return mask


def pixels() -> np.ndarray:
    """Two bright specks inside the square, a brighter one outside."""
    image = np.zeros((20, 30), np.uint16)
    image[6, 7], image[10, 13], image[1, 1] = 900, 1000, 4000
    return image


def lesion(pathology: str = "BENIGN", kind: str = "mass", **attributes: str) -> cases.Lesion:
    region = regions.MaskRegion(square)
    return cases.Lesion("a", cases.Pathology(pathology), kind, region, attributes)


def view(id: str = "v", patient: str = "p", *lesions: cases.Lesion, **changes) -> cases.View:
    fields = {"side": cases.Side.LEFT, "projection": cases.Projection.CC, "lesions": lesions, **changes}
    return cases.View(id, patient, load=pixels, max_value=4095, **fields)


def test_the_table_of_categories_holds_the_published_counts():
    total = collections.Counter()
    for weights in planted.BIRADS.values():
        total.update(weights)
    assert total == PUBLISHED


@pytest.mark.parametrize(
    ("kind", "lesions"),
    [
        ("nothing", ()),
        ("benign", (lesion("BENIGN_WITHOUT_CALLBACK"), lesion())),
        ("malignant", (lesion(), lesion("MALIGNANT"), lesion("UNPROVEN"))),
    ],
)
def test_categories_follow_the_worst_outcome_in_the_published_proportions(kind, lesions):
    drawn = collections.Counter(planted.birads(view("v", f"p{i}", *lesions)) for i in range(2000))
    weights = planted.BIRADS[kind]
    assert set(drawn) == set(weights)
    for category, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(drawn[category] / 2000 - share) < 5 * np.sqrt(share * (1 - share) / 2000)


def test_the_views_of_a_breast_agree():
    both = [view("a", "p7", lesion()), view("b", "p7", lesion(), projection=cases.Projection.MLO)]
    assert len({planted.birads(one) for one in both}) == 1


def test_a_category_that_is_known_is_kept():
    assert planted.birads(view("v", "p", lesion("MALIGNANT"), attributes={"birads": "2"})) == "2"
    unproven = [lesion("UNPROVEN", assessment=text) for text in ("4a", "", "3")]
    assert planted.birads(view("v", "p", *unproven)) == "4a"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (view(side=None), "the side of v"),
        (view(projection=cases.Projection.OTHER), "the projection of v"),
        (view("v", "p", lesion("UNPROVEN")), "a BI-RADS of v: nothing is proven nor assessed"),
    ],
)
def test_views_that_the_table_cannot_hold(one, reason):
    with pytest.raises(cases.MammoError, match=reason):
        planted.films([cases.Case("p", (one,))])


def cohort(n: int, **changes) -> list[cases.Case]:
    projections = (cases.Projection.CC, cases.Projection.MLO)
    return [
        cases.Case(
            f"p{i}",
            tuple(
                view(f"p{i}_{p}", f"p{i}", projection=p, attributes={"breast density": "3"} | changes)
                for p in projections
            ),
        )
        for i in range(n)
    ]


def test_one_density_goes_blank_and_one_view_is_from_below():
    made = planted.films(cohort(30))
    assert [len([film for film in made if film.row.density == d]) for d in ("", "3")] == [1, 59]
    assert collections.Counter(film.row.view for film in made) == {"CC": 29, "FB": 1, "MLO": 30}
    assert len({film.row.image for film in made}) == 60 and len({film.patient for film in made}) == 30
    assert all(film.name.endswith(f"_MG_L_{film.row.view[:2]}_ANON.dcm") for film in made)
    assert made == planted.films(cohort(30))


def test_small_sets_and_those_that_were_read_get_no_faults():
    for found in (cohort(3), cohort(30, birads="2")):
        made = planted.films(found)
        assert {film.row.density for film in made} == {"3"} and "FB" not in {film.row.view for film in made}


def test_numbers_and_pseudonyms_that_are_there_are_kept():
    one = view("22580192", "5530d5782fc89dd7")
    (film,) = planted.films([cases.Case(one.patient_id, (one,))])
    assert film.name == "22580192_5530d5782fc89dd7_MG_L_CC_ANON.dcm"


def test_calcifications_become_a_cluster_and_its_brightest_points():
    cluster, *points = planted.marks(view("v", "p", lesion(kind="calcification")), pixels())
    assert (cluster.name, cluster.type) == ("Cluster", outlines.POLYGON)
    assert np.array_equal(regions.PolygonRegion(cluster.points).mask((20, 30)), square())
    assert points == [outlines.Outline("Calcification", 19, (at,)) for at in ((13.0, 10.0), (7.0, 6.0))]


def test_outlines_of_inbreast_are_written_as_they_were():
    own = lesion("UNPROVEN", "calcification", name="Calcifications", type="9")
    region = regions.PolygonRegion(((1.25, 2.0), (3.0, 2.0), (3.0, 9.5)))
    point = regions.PolygonRegion(((1.25, 2.0),))
    drawn = [
        cases.Lesion("a", own.pathology, own.kind, region, own.attributes),
        cases.Lesion("b", own.pathology, "distortion", point),
    ]
    assert planted.marks(view("v", "p", *drawn), pixels()) == [
        outlines.Outline("Calcifications", 9, region.points),
        outlines.Outline("Distortion", 19, point.points),
    ]


@pytest.mark.parametrize("region", [None, regions.MaskRegion(functools.partial(np.zeros, (20, 30), bool))])
def test_a_lesion_must_have_an_outline(region):
    one = cases.Lesion("a", cases.Pathology.BENIGN, "mass", region)
    with pytest.raises(cases.MammoError, match="an outline of lesion a"):
        planted.marks(view("v", "p", one), pixels())
