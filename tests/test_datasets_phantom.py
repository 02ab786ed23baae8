import dataclasses
import functools
import pickle

import cv2
import numpy as np
import pytest
from sklearn import metrics

from mammo_tf import cases, labels
from mammo_tf.datasets import phantom, phantom_anatomy

SMALL = phantom.PhantomSpec(patients=12, height=300, width=225, spacing_mm=0.8)


@functools.cache
def small_views() -> tuple[cases.View, ...]:
    return tuple(view for case in phantom.cases(SMALL) for view in case.views)


@functools.cache
def many_patients() -> tuple[phantom.Patient, ...]:
    """Of five seeds."""
    specs = [phantom.PhantomSpec(seed=seed) for seed in range(11, 16)]
    return tuple(phantom.patient(spec, index) for spec in specs for index in range(1200))


def test_a_view_is_the_same_in_any_order_and_after_pickling():
    views = small_views()[:3]
    forward = [view.pixels() for view in views]
    backward = [pickle.loads(pickle.dumps(view)).pixels() for view in reversed(views)]
    for one, other in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(forward[0], forward[1])


def test_patients_do_not_depend_on_their_number_but_on_the_seed():
    few = phantom.cases(dataclasses.replace(SMALL, patients=3))
    assert [v.id for c in few for v in c.views] == [v.id for c in phantom.cases(SMALL)[:3] for v in c.views]
    other = dataclasses.replace(SMALL, seed=1)
    assert phantom.patient(other, 0) != phantom.patient(SMALL, 0)


@pytest.mark.parametrize(
    ("look", "bits", "max_value"), [("film", None, 65535), ("ffdm", None, 4095), ("ffdm", 14, 16383)]
)
def test_pixels_have_a_dark_background_and_fit_their_bits(look, bits, max_value):
    spec = dataclasses.replace(SMALL, look=look, bits=bits)
    view = phantom.cases(spec)[0].views[0]
    pixels = view.pixels()
    assert (pixels.shape, pixels.dtype, view.max_value) == ((300, 225), np.uint16, max_value)
    assert view.max_value * 0.4 < pixels.max() <= view.max_value
    air = phantom_anatomy.skin_distance(_outline(spec, 0, view), spec.grid) == 0
    air = air[:, ::-1] if view.side is cases.Side.RIGHT else air
    assert np.median(pixels[air]) < 0.06 * view.max_value < np.median(pixels[~air])


def test_every_mask_lies_in_the_breast_and_holds_the_centre():
    count = 0
    for case, index in zip(phantom.cases(SMALL), range(SMALL.patients), strict=True):
        for view in case.views:
            inside = phantom_anatomy.skin_distance(_outline(SMALL, index, view), SMALL.grid) > 0
            inside = inside[:, ::-1] if view.side is cases.Side.RIGHT else inside
            for lesion in view.lesions:
                mask = lesion.region.mask((300, 225))
                assert mask.any() and not (mask & ~inside).any()
                assert cv2.connectedComponents(mask.astype(np.uint8))[0] == 2
                count += 1
    assert count > 12


def test_both_views_show_a_lesion_equally_far_from_the_nipple():
    compared = 0
    for who in many_patients()[:500]:
        for breast in who.breasts:
            for i, finding in enumerate(breast.findings):
                for view in breast.views:
                    nipple = breast.anatomy.outline(view.projection).nipple
                    found = np.hypot(*np.subtract(view.centres_mm[i], nipple))
                    assert abs(found - finding.distance_mm) <= 2.001
                    compared += 1
    assert compared > 800


def test_the_mask_lies_at_the_true_centre():
    view = next(view for view in small_views() if view.lesions)
    index = int(view.patient_id[2:]) - 1
    breast = next(b for b in phantom.patient(SMALL, index).breasts if b.side is view.side)
    x, y = next(v.centres_mm[0] for v in breast.views if v.projection is view.projection)
    rows, columns = np.nonzero(view.lesions[0].region.load())
    column = 224 - columns.mean() if view.side is cases.Side.RIGHT else columns.mean()
    assert abs((column + 0.5) * 0.8 - x) < 1.0 and abs((rows.mean() + 0.5) * 0.8 - y) < 1.0


@pytest.mark.parametrize("kind", ["mass", "calcification"])
def test_nothing_but_the_signs_tells_the_classes_apart(kind):
    """Position, density, dose and marker among them; five seeds, some 5000 masses and 1400 clusters."""
    rows, malignant = _truths(kind)
    for name, values in rows.items():
        auc = metrics.roc_auc_score(malignant, values)
        assert (auc > 0.9) if name == "signs" else (0.45 < auc < 0.55), f"{name}: {auc:.3f}"


def test_the_cohort_has_the_shares_it_names():
    patients = many_patients()
    breasts = [b for p in patients for b in p.breasts]
    findings = [f for b in breasts for f in b.findings]
    masses = [f for f in findings if f.kind == "mass"]
    malignant = np.mean([f.pathology is cases.Pathology.MALIGNANT for f in masses])
    assert sum(len(b.views) for b in breasts) / len(patients) == pytest.approx(2.09, abs=0.03)
    assert len(masses) / len(findings) == pytest.approx(0.77, abs=0.02)
    assert malignant == pytest.approx(0.46, abs=0.02)
    for kind in ("mass", "calcification"):
        assert np.mean([p.part[kind] == "test" for p in patients]) == pytest.approx(0.2, abs=0.02)
    assert any(f.pathology is cases.Pathology.BENIGN_WITHOUT_CALLBACK for f in findings)
    assert {len(b.findings) for b in breasts} == {0, 1, 2}
    assert np.mean([len(b.findings) for b in breasts]) == pytest.approx(1.02, abs=0.03)  # next to none finds no room


def test_some_patients_stand_in_both_official_parts_but_never_within_a_kind():
    """In CBIS-DDSM 31 of 1566 patients do, 2.0 %, once masses and calcifications are pooled."""
    found = [who for who in many_patients() if any(breast.findings for breast in who.breasts)]
    both = [who for who in found if len({f.kind for breast in who.breasts for f in breast.findings}) == 2]
    apart = [who for who in both if who.part["mass"] != who.part["calcification"]]
    assert len(apart) / len(found) == pytest.approx(31 / 1566, abs=0.006)
    parts: dict[tuple[str, str], set[str | None]] = {}
    for case in phantom.cases(dataclasses.replace(SMALL, patients=400)):
        for lesion in (lesion for view in case.views for lesion in view.lesions):
            parts.setdefault((case.patient_id, lesion.kind), set()).add(lesion.part)
    assert {len(some) for some in parts.values()} == {1}
    pooled = {id: {p for (other, _), some in parts.items() for p in some if other == id} for id, _ in parts}
    assert 1 <= sum(len(some) == 2 for some in pooled.values()) <= 20


def test_some_views_hold_benign_and_malignant_lesions():
    mixed = [
        breast
        for who in many_patients()
        for breast in who.breasts
        if len({f.pathology is cases.Pathology.MALIGNANT for f in breast.findings}) == 2
    ]
    assert len(mixed) > 100


def test_lesions_speak_the_words_of_cbis_ddsm():
    lesions = [
        lesion for case in phantom.cases(phantom.PhantomSpec(patients=60)) for v in case.views for lesion in v.lesions
    ]
    for lesion in lesions:
        own = {"mass shape", "mass margins"} if lesion.kind == "mass" else {"calc type", "calc distribution"}
        assert set(lesion.attributes) == own | {"assessment", "subtlety"}
        assert lesion.attributes["subtlety"] in set("12345") and lesion.part in ("train", "test")
        assert 0 <= labels.birads_number(lesion.attributes["assessment"]) <= 5
    assert {lesion.kind for lesion in lesions} == {"mass", "calcification"}


@pytest.mark.parametrize(("switch", "kind"), [("spicules", "mass"), ("cluster_shape", "calcification")])
def test_a_counterfactual_changes_the_image_only_at_the_lesions_of_its_kind(switch, kind):
    spec = dataclasses.replace(SMALL, patients=40)
    view, index = _alone(spec, kind)
    other = {v.id: v for v in phantom.cases(dataclasses.replace(spec, **{switch: False}))[index].views}[view.id]
    changed = view.pixels() != other.pixels()
    near = cv2.dilate(view.lesions[0].region.load().astype(np.uint8), np.ones((45, 45), np.uint8)) > 0
    assert changed.any() and not (changed & ~near).any()
    np.testing.assert_array_equal(view.lesions[0].region.load(), other.lesions[0].region.load())
    untouched = {"spicules": "cluster_shape", "cluster_shape": "spicules"}[switch]
    same = {v.id: v for v in phantom.cases(dataclasses.replace(spec, **{untouched: False}))[index].views}[view.id]
    np.testing.assert_array_equal(view.pixels(), same.pixels())


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"look": "tomo"}, "look is one of film, ffdm"),
        ({"look": "ffdm", "bits": 16}, "12, 13, 14 bits, found 16"),
        ({"height": 50, "width": 50}, "at least 100 x 75 mm"),
        ({"mass_fraction": 1.2}, "mass_fraction"),
    ],
)
def test_a_wrong_value_is_named(field, message):
    with pytest.raises(cases.MammoError, match=message):
        phantom.PhantomSpec(**field)


def _outline(spec: phantom.PhantomSpec, index: int, view: cases.View) -> phantom_anatomy.Outline:
    breast = next(b for b in phantom.patient(spec, index).breasts if b.side is view.side)
    return breast.anatomy.outline(view.projection)


def _alone(spec: phantom.PhantomSpec, kind: str) -> tuple[cases.View, int]:
    """The first view whose one lesion is a malignant one of that kind, and its patient's index."""
    for index, case in enumerate(phantom.cases(spec)):
        for view in case.views:
            kinds = [(lesion.kind, lesion.pathology) for lesion in view.lesions]
            if kinds == [(kind, cases.Pathology.MALIGNANT)]:
                return view, index
    raise AssertionError("no such view")


def _truths(kind: str) -> tuple[dict[str, list[float]], list[bool]]:
    rows, malignant = [], []
    for who in many_patients():
        for breast in who.breasts:
            for i, f in enumerate(breast.findings):
                if f.kind != kind:
                    continue
                view = breast.views[0]
                row = {
                    name: getattr(f, name)
                    for name in ("radius_mm", "contrast", "edge_mm", "aspect", "parts", "obscured")
                }
                row |= {"signs": f.signs / f.parts, "distance": f.distance_mm, "subtlety": f.subtlety}
                row |= {"x": view.centres_mm[i][0], "y": view.centres_mm[i][1]}
                row |= {"density": int(breast.anatomy.density), "thickness": breast.anatomy.thickness_mm}
                row |= {
                    "kind of marker": view.exposure.mark.kind == "box",
                    "contrast of view": view.exposure.contrast,
                }
                row |= {
                    "dose": view.exposure.dose,
                    "marker": len(view.exposure.mark.text),
                    "bare edge": len(view.exposure.mark.bare_edge),
                }
                row |= {"side": breast.side is cases.Side.LEFT, "view": view.projection is cases.Projection.CC}
                row |= {"lesions": len(breast.findings), "part": who.part[kind] == "test"}
                rows.append(row)
                malignant.append(f.pathology is cases.Pathology.MALIGNANT)
    return {name: [row[name] for row in rows] for name in rows[0]}, malignant
