"""What the class of a drawn lesion can be told from: its shape, and nothing else."""

import dataclasses
import functools

import numpy as np
import pytest
from sklearn import linear_model, metrics, pipeline, preprocessing

from mammo_tf import cases
from mammo_tf.datasets import phantom, phantom_lesions
from tests import phantom_measures

KINDS = ("mass", "calcification")


def nuisance_aucs(kind: str, seeds: range, number: int) -> dict[str, float]:
    """The AUC of each nuisance, averaged over the seeds."""
    found = []
    for seed in seeds:
        rows = [phantom_measures.nuisances(kind, seed, i) for i in range(number)]
        malignant = np.arange(number) % 2
        found.append({name: metrics.roc_auc_score(malignant, [row[name] for row in rows]) for name in rows[0]})
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


@functools.cache
def reader(kind: str):
    """A fixed classifier of radial features, and what it learnt from lesions in noise."""
    features, malignant = examples(kind, seed=1, number=240)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(C=1.0))
    return model.fit(features, malignant)


def examples(kind: str, seed: int, number: int, *, plain: bool = False) -> tuple[np.ndarray, np.ndarray]:
    drawn = (phantom_measures.lesion(kind, seed, i, plain=plain, background=0.12) for i in range(number))
    return np.array([phantom_measures.radial_features(image, mask) for image, mask, _ in drawn]), (
        np.arange(number) % 2
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_nuisance_tells_the_classes_apart(kind):
    """One seed, 300 lesions: the standard error of an AUC of .5 is .033, and two of them are allowed for."""
    for name, auc in nuisance_aucs(kind, range(1), 300).items():
        assert abs(auc - 0.5) < 0.05 + 2 * 0.033, f"{name}: {auc:.3f}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_nuisance_tells_the_classes_apart_over_five_seeds(kind):
    """Size, box, brightness and sharpness each give .45 to .55; 5 x 1200 lesions, standard error .0075.

    Sharpness is the 10-90 % width across the rim of a mass, and height over slope of a speck. Brightness and slopes
    are as a reader of the image meets them. Over the contrast that a lesion was given, which no image tells, the
    spread in the outline and the steepest slope still follow the shape: that is what a shape does.
    """
    for name, auc in nuisance_aucs(kind, range(5), 1200).items():
        assert 0.45 < auc < 0.55, f"{name}: {auc:.3f}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_follows_the_shape(kind):
    """The same lesions without the signs of malignancy: the reader that told them apart is at chance."""
    features, malignant = examples(kind, seed=2, number=300)
    assert metrics.roc_auc_score(malignant, reader(kind).predict_proba(features)[:, 1]) > 0.75
    features, malignant = examples(kind, seed=2, number=300, plain=True)
    assert 0.42 < metrics.roc_auc_score(malignant, reader(kind).predict_proba(features)[:, 1]) < 0.58


def test_the_rim_of_a_mass_is_as_wide_as_it_was_told():
    """In both classes the 10-90 % width grows with `edge_mm`, and is the same share of it to 5 %."""
    shares = []
    for malignant in (0, 1):
        clear = [i for i in range(malignant, 160, 2) if not phantom_measures.lesion("mass", 3, i)[2].obscured]
        told = np.array([phantom_measures.lesion("mass", 3, i)[2].edge_mm for i in clear])
        measured = np.array([phantom_measures.rim_width(3, i) for i in clear])
        assert np.corrcoef(told, measured)[0, 1] > 0.8
        shares.append(np.median(measured / np.hypot(told, 0.16)))
    assert shares[0] == pytest.approx(shares[1], rel=0.05)


def test_plain_leaves_nothing_of_the_class():
    one = phantom_lesions.finding(np.random.default_rng(0), "mass", cases.Pathology.MALIGNANT, 90.0)
    plain = phantom_lesions.plain(one)
    assert (plain.signs, one.signs > 4, plain.radius_mm, plain.contrast) == (0, True, one.radius_mm, one.contrast)


def test_subtlety_is_contrast():
    found = [
        phantom_lesions.finding(np.random.default_rng(i), "mass", cases.Pathology.BENIGN, 90.0) for i in range(400)
    ]
    subtle, obvious = ([f.contrast for f in found if f.subtlety == value] for value in (1, 5))
    assert np.mean(obvious) > 1.5 * np.mean(subtle) and min(obvious) < max(subtle)


@pytest.mark.slow
def test_the_score_follows_the_spicules_in_whole_views():
    """The same, on masses cut out of whole views of the film look."""
    spec = phantom.PhantomSpec(patients=150, mass_fraction=1.0, seed=5)
    train = in_views(spec)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(C=1.0)).fit(*train)
    other = phantom.PhantomSpec(patients=150, mass_fraction=1.0, seed=6)
    features, malignant = in_views(other)
    assert metrics.roc_auc_score(malignant, model.predict_proba(features)[:, 1]) > 0.6
    features, malignant = in_views(dataclasses.replace(other, spicules=False))
    assert 0.42 < metrics.roc_auc_score(malignant, model.predict_proba(features)[:, 1]) < 0.58


def in_views(spec: phantom.PhantomSpec) -> tuple[np.ndarray, np.ndarray]:
    features, malignant = [], []
    for case in phantom.cases(spec):
        for view in case.views:
            pixels = view.pixels().astype(np.float32) / view.max_value if view.lesions else None
            for lesion in view.lesions:
                features.append(phantom_measures.radial_features(pixels, lesion.region.load()))
                malignant.append(lesion.pathology is cases.Pathology.MALIGNANT)
    return np.array(features), np.array(malignant)
