import functools
import json

import numpy as np
import pytest
import scipy.ndimage
from sklearn import metrics

from mammo_tf import cases, regions
from mammo_tf.classical import handcrafted, huo, sahiner

SIDE = 72
CONTEXT = cases.Context(seed=0, budget="smoke", folder=None)
SAHINER = handcrafted.HandCrafted(
    functools.partial(sahiner.features, width=12, distances=(1, 4)), sahiner.learn, side=SIDE
)
HUO = handcrafted.HandCrafted(huo.features, huo.learn, side=SIDE)
Y, X = np.mgrid[:SIDE, :SIDE]


def blob(seed, spiky):
    """A disc of random place, size and contrast, with or without rays: its image, uint16, and its mask."""
    rng = np.random.default_rng(seed)
    y, x = (axis - SIDE / 2 - rng.uniform(-3, 3) for axis in (Y, X))
    far, turn, radius, arms = np.hypot(y, x), np.arctan2(y, x), rng.uniform(11, 15), rng.integers(7, 11)
    ray = np.abs((turn * arms / (2 * np.pi) + rng.random()) % 1 - 0.5) * 2 * np.pi / arms * far
    rays = np.exp(-0.5 * (ray / 1.2) ** 2) * (far < 2.2 * radius) if spiky else 0
    image = scipy.ndimage.gaussian_filter(np.where(far <= radius, 1.0, rays), 0.8)
    image = 0.3 + rng.uniform(0.2, 0.4) * image + rng.normal(0, 0.03, image.shape)
    return np.rint(np.clip(image, 0, 1) * 4095).astype(np.uint16), far <= radius


@functools.cache
def view(seed, spiky, outlined=True, spacing_mm=0.2):
    image, mask = blob(seed, spiky)
    region = regions.MaskRegion(lambda: mask) if outlined else None
    lesion = cases.Lesion(f"l{seed}", cases.Pathology.UNPROVEN, "mass", region)
    return cases.View(
        f"v{seed}", f"p{seed}", None, cases.Projection.OTHER, lambda: image, 4095, spacing_mm, lesions=(lesion,)
    )


def example(i, **how):
    """Every third one has two views, every fifth no outline."""
    views = tuple(view(2 * i + k, bool(i % 2), i % 5 != 0, **how) for k in range(2 if i % 3 == 0 else 1))
    return cases.Example(f"e{i}", f"p{i}", views, float(i % 2))


TRAIN, TEST = tuple(map(example, range(40))), tuple(map(example, range(40, 64)))
LABELS = np.array([e.label for e in TEST])


@functools.cache
def fitted(method):
    return method.fit(TRAIN, (), CONTEXT)


@pytest.mark.parametrize("method", [SAHINER, HUO])
def test_discs_are_told_from_stars(method):
    p = fitted(method)(TEST)
    assert p.shape == (24, 2) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert metrics.roc_auc_score(LABELS, p[:, 1]) > 0.9
    assert 0 < len(fitted(method).selected) <= len(fitted(method).names) and fitted(method).problems == ()


@pytest.mark.parametrize("method", [SAHINER, HUO])
def test_what_is_saved_and_loaded_gives_the_same_probabilities(method, tmp_path):
    path = fitted(method).save(tmp_path / "run")
    again = handcrafted.load(path.parent)
    np.testing.assert_array_equal(again(TEST[:4]), fitted(method)(TEST[:4]))
    assert again.selected == fitted(method).selected and again.names == fitted(method).names
    assert json.loads(path.read_text())["selected"] == list(again.selected)
    assert sorted(file.name for file in path.parent.iterdir()) == ["handcrafted.json", "handcrafted.npz"]


def test_views_are_averaged_and_each_is_a_training_case():
    both = next(e for e in TEST if len(e.views) == 2)
    single = [cases.Example(v.id, "p", (v,), both.label) for v in both.views]
    apart, together = fitted(HUO)(single), fitted(HUO)([both])
    np.testing.assert_allclose(together[0], apart.mean(axis=0), rtol=1e-6)
    exploded = [cases.Example(v.id, e.patient_id, (v,), e.label) for e in TRAIN for v in e.views]
    np.testing.assert_array_equal(HUO.fit(exploded, (), CONTEXT)(TEST[:5]), fitted(HUO)(TEST[:5]))
    assert fitted(HUO)([]).shape == (0, 2)


def test_the_mask_goes_with_window_and_resize():
    whole = view(0, False)
    image, mask, reasons = HUO.prepared(whole.window(6, 4, 60, 40))
    assert image.shape == mask.shape == (72, 48) and image.dtype == np.float64 and reasons == []
    expected = regions.scaled(blob(0, False)[1][6:66, 4:44], 72, 48)
    np.testing.assert_array_equal(mask, expected)
    assert image.min() >= 0 and image.max() <= 1 and image[mask].mean() > image[~mask].mean() + 0.1
    small = handcrafted.HandCrafted(huo.features, huo.learn, side=36).prepared(whole)
    blocks = blob(0, False)[0].reshape(36, 2, 36, 2).mean(axis=(1, 3)) / 4095
    np.testing.assert_allclose(small[0], blocks, atol=1e-6)


def test_of_several_lesions_the_one_nearest_the_middle_counts():
    near, far = regions.CircleRegion(34, 37, 5), regions.CircleRegion(10, 12, 8)
    lesions = tuple(cases.Lesion(str(r), cases.Pathology.UNPROVEN, "mass", r) for r in (None, far, near))
    seen = cases.View("v", "p", None, cases.Projection.CC, view(0, False).load, 4095, lesions=lesions)
    np.testing.assert_array_equal(HUO.prepared(seen)[1], near.mask((SIDE, SIDE)))


def test_without_an_outline_the_mass_is_grown_from_the_middle():
    truth = blob(1, False)[1]
    bare = HUO.prepared(view(1, False, outlined=False))[1]
    assert 2 * (bare & truth).sum() / (bare.sum() + truth.sum()) > 0.9
    ignoring = handcrafted.HandCrafted(huo.features, huo.learn, side=SIDE, outlined=False)
    np.testing.assert_array_equal(ignoring.prepared(view(1, False))[1], bare)


def test_an_outline_that_cannot_be_used_is_listed_and_made_up_for():
    away = view(2, True).window(0, 0, 10, 10)
    broken = cases.Lesion(
        "l", cases.Pathology.UNPROVEN, "mass", regions.MaskRegion(lambda: np.ones((3, 3), bool), "m")
    )
    shape = cases.View("odd", "p", None, cases.Projection.CC, view(0, False).load, 4095, lesions=(broken,))
    fit = HUO.fit(TRAIN, (), CONTEXT)
    p = fit([cases.Example("a", "p", (away,), 1.0), cases.Example("b", "p", (shape,), 0.0)])
    assert np.isfinite(p).all() and len(p) == 2
    reasons = [problem.reason for problem in fit.problems]
    assert "no pixel of the outline lies in the view" in reasons[0] and "cannot be read" in reasons[1]
    fit([cases.Example("a", "p", (away,), 1.0)])
    assert len(fit.problems) == 2  # each once


def failing(image, mask, spacing_mm):
    """Cannot measure the views of one training and one test example; one number of another is not finite."""
    found = huo.features(image, mask, spacing_mm)
    if image[0, 0] == MARKED[0]:
        raise cases.MammoError("too odd")
    if image[0, 0] == MARKED[1]:
        found["texture"] = np.nan
    return found


MARKED = [HUO.prepared(TRAIN[i].views[0])[0][0, 0] for i in (4, 8)]


def test_views_that_cannot_be_measured_get_medians_and_are_listed():
    method = handcrafted.HandCrafted(failing, huo.learn, side=SIDE)
    fit = method.fit(TRAIN, (), CONTEXT)
    assert [problem.path for problem in fit.problems] == [TRAIN[4].views[0].id, TRAIN[8].views[0].id]
    assert "too odd" in fit.problems[0].reason and "1 features that are not finite: texture" in fit.problems[1].reason
    names, rows, _ = method.measured(TRAIN)
    kept = np.array([list(row.values()) for row in rows if row])
    np.testing.assert_allclose(fit.medians, np.nanmedian(kept, axis=0))
    assert names == huo.FEATURES and rows.count({}) == 1 and len(rows) == sum(len(e.views) for e in TRAIN)
    np.testing.assert_allclose(fit([TRAIN[4]]), fit.learned(fit.medians[None]))


def unmeasurable(image, mask, spacing_mm):
    raise cases.MammoError("no")


def test_a_training_part_that_cannot_be_used_is_refused():
    with pytest.raises(cases.MammoError, match="none of 2 training views can be measured"):
        handcrafted.HandCrafted(unmeasurable, huo.learn).fit(TRAIN[1:3], (), CONTEXT)
    unknown = cases.Example("u", "p", TRAIN[0].views, float("nan"))
    with pytest.raises(cases.MammoError, match="0 or 1, found nan"):
        HUO.fit([*TRAIN[:3], unknown], (), CONTEXT)


def test_millimetres_need_a_spacing():
    def areas(spacing_mm):
        method = handcrafted.HandCrafted(sahiner.features, sahiner.learn, side=SIDE // 2, in_mm=True)
        _, rows, problems = method.measured([example(1, spacing_mm=spacing_mm)])
        return rows[0]["shape area"], problems

    known, unknown = areas(0.2), areas(None)
    assert known[0] == pytest.approx(blob(2, True)[1].sum() * 0.2**2, rel=0.1) and known[1] == []
    assert np.isnan(unknown[0]) and "not finite: shape area, shape perimeter" in unknown[1][0].reason


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("learned", "os.system", r"names 'os.system'; only what stands in mammo_tf.classical"),
        ("learned", "mammo_tf.classical.huo.Hybrid@0", "was written by mammo_tf.classical.huo.Hybrid@0, this is"),
        ("learned", "mammo_tf.classical.huo.Nothing", "not a saved hand-crafted method"),
        ("values", {}, "not a saved hand-crafted method"),
    ],
)
def test_a_file_that_names_something_else_is_refused(key, value, reason, tmp_path):
    path = fitted(HUO).save(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(cases.DataError, match=reason):
        handcrafted.load(tmp_path)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(cases.DataError, match="cannot be read"):
        handcrafted.load(tmp_path)
    fitted(HUO).save(tmp_path)
    (tmp_path / "handcrafted.npz").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(cases.DataError, match="not a saved"):
        handcrafted.load(tmp_path)


def test_a_method_has_a_stable_description():
    from mammo_tf import describe

    told = describe.describe(SAHINER)
    assert told["arguments"]["features"]["arguments"] == {"width": 12, "distances": [1, 4]}
    assert told["arguments"]["side"] == SIDE
