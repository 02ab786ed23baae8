"""Folds by hand, parity with a loop over pipelines, and the null test: noise is worth a half unless it leaks."""

import functools
import math

import numpy as np
import pytest
from imblearn import over_sampling, pipeline
from sklearn import feature_selection, linear_model, metrics, model_selection, preprocessing, svm

from mammo_tf import cases
from mammo_tf.classical import margins, selected, selected_folds
from mammo_tf.datasets import splits

SMALL = {"features": 800, "patients": ((40, 4), (20, 2)), "positive_breasts": 25}  # 200 images, 50 of them positive
ALPHA = 0.01
RECIPE = selected.Recipe(margins.linear_svm, ALPHA, smote=True)
THREE = functools.partial(selected_folds.kfold, folds=3)


def mean_over_seeds(protocol, recipe, seeds=3):
    """Balanced accuracy and AUC, the mean over noises and how far they are apart."""
    found = [selected_folds.scores(protocol(recipe, *selected_folds.noise(s, **SMALL), s)) for s in range(seeds)]
    table = np.array([[one.balanced_accuracy, one.auc] for one in found])
    return table.mean(axis=0), table.std(axis=0, ddof=1)


@pytest.mark.parametrize("classify", [margins.linear_svm, margins.logistic], ids=["linear", "logistic"])
def test_on_noise_the_published_way_finds_nearly_everything_and_the_honest_one_nothing(classify):
    recipe = selected.Recipe(classify, ALPHA, smote=True)
    published, _ = mean_over_seeds(selected_folds.as_published, recipe)
    honest, _ = mean_over_seeds(selected_folds.honest, recipe)
    assert (published > 0.9).all()
    np.testing.assert_allclose(honest, 0.5, atol=0.08)


def test_selection_before_the_split_alone_inflates_too_and_with_neither_nothing_does():
    lasso, _ = mean_over_seeds(selected_folds.as_published, selected.Recipe(margins.linear_svm, ALPHA))
    neither, _ = mean_over_seeds(selected_folds.as_published, selected.Recipe(margins.linear_svm))
    assert (lasso > 0.8).all()
    np.testing.assert_allclose(neither, 0.5, atol=0.08)


def test_what_is_there_is_found_by_the_honest_way():
    features, labels, groups = selected_folds.noise(0, **SMALL)
    features[:, :5] += 2 * labels[:, None]
    found = selected_folds.scores(selected_folds.honest(RECIPE, features, labels, groups, 0))
    assert found.auc > 0.9 and found.balanced_accuracy > 0.8 and found.folds == 10


def test_the_honest_folds_are_those_of_a_loop_over_pipelines():
    features, labels, groups = selected_folds.noise(1, **SMALL)
    features[:, :20] += labels[:, None]
    steps = [
        ("scale", preprocessing.StandardScaler()),
        ("select", feature_selection.SelectFromModel(linear_model.Lasso(alpha=ALPHA), threshold=1e-12)),
        ("smote", over_sampling.SMOTE(random_state=4)),
        ("classify", svm.SVC(kernel="linear")),
    ]
    fold = THREE(labels, groups, 4)
    expected = np.zeros(len(labels))
    for k in range(3):
        fitted = pipeline.Pipeline(steps).fit(features[fold != k], labels[fold != k])
        expected[fold == k] = fitted.decision_function(features[fold == k])
    found = selected_folds.honest(RECIPE, features, labels, groups, 4, deal=THREE)
    np.testing.assert_allclose(found.decisions, expected, atol=5e-3)
    scores = selected_folds.scores(found)
    aucs = [metrics.roc_auc_score(labels[fold == k], expected[fold == k]) for k in range(3)]
    assert scores.auc == pytest.approx(np.mean(aucs), abs=2e-3)
    assert (found.rows == np.arange(200)).all() and (found.folds == fold).all() and len(found.kept) == 3


def test_the_published_folds_are_those_of_cross_validation_after_everything():
    features, labels, groups = selected_folds.noise(2, **SMALL)
    ready = preprocessing.StandardScaler().fit_transform(features)
    ready = ready[:, linear_model.Lasso(alpha=ALPHA).fit(ready, labels).coef_ != 0]
    ready, classes = over_sampling.SMOTE(random_state=4).fit_resample(ready, labels)
    cv = model_selection.StratifiedKFold(10, shuffle=True, random_state=4)
    theirs = model_selection.cross_val_score(
        svm.SVC(kernel="linear"), ready, classes, cv=cv, scoring="balanced_accuracy"
    )
    found = selected_folds.as_published(RECIPE, features, labels, groups, 4)
    np.testing.assert_allclose(selected_folds.per_fold(found)["balanced_accuracy"], theirs, atol=0.04)
    assert selected_folds.scores(found).balanced_accuracy == pytest.approx(theirs.mean(), abs=0.005)
    assert (found.rows == -1).sum() == 100 and len(found.labels) == 300 and found.labels.mean() == 0.5
    assert set(found.kept.tolist()) == {ready.shape[1]}
    strangers = selected_folds.as_published(RECIPE, features, labels, np.arange(200), 4)
    np.testing.assert_array_equal(strangers.decisions, found.decisions)  # whose an image is does not matter there
    third = selected_folds.as_published(RECIPE, features, labels, groups, 4, deal=selected_folds.holdout)
    assert len(third.labels) == 99 and 0 < (third.rows == -1).sum() < 99


def test_the_folds_are_those_of_the_patients_of_a_run():
    """So that the method in the folds of a run is what `honest` computes."""
    _, labels, groups = selected_folds.noise(3, **SMALL)
    names = np.array([f"p{group:03}" for group in groups])
    ids = [f"i{i:03}" for i in range(len(labels))]
    examples = [cases.Example(i, n, (), float(y)) for i, n, y in zip(ids, names, labels, strict=True)]
    fold = selected_folds.kfold(labels, names, 8, folds=5)
    for parts in splits.patient_kfold(examples, 8, folds=5, val_fraction=0):
        assert {e.id for e in parts.test} == {ids[i] for i in np.flatnonzero(fold == parts.fold)}


@pytest.mark.parametrize("protocol", selected_folds.PROTOCOLS.values(), ids=selected_folds.PROTOCOLS)
def test_with_ids_the_order_does_not_matter_and_the_seed_repeats(protocol):
    features, labels, groups = selected_folds.noise(0, **SMALL)
    ids = np.array([f"i{i:03}" for i in range(len(labels))])
    order = np.random.default_rng(1).permutation(len(labels))
    one = protocol(RECIPE, features, labels, groups, 3, ids=ids, deal=THREE)
    other = protocol(RECIPE, features[order], labels[order], groups[order], 3, ids=ids[order], deal=THREE)
    again = protocol(RECIPE, features, labels, groups, 3, deal=THREE)
    seeded = protocol(RECIPE, features, labels, groups, 4, deal=THREE)
    np.testing.assert_array_equal(one.decisions, again.decisions)
    np.testing.assert_array_equal(one.decisions, other.decisions)
    real = other.rows >= 0
    np.testing.assert_array_equal(order[other.rows[real]], one.rows[real])
    assert not np.array_equal(one.folds, seeded.folds)


def test_patients_stay_together_and_every_fold_has_both_classes():
    _, labels, groups = selected_folds.noise(0, **SMALL)
    fold = selected_folds.kfold(labels, groups, 0)
    assert all(len(set(fold[groups == group])) == 1 for group in np.unique(groups))
    assert all(set(labels[fold == k]) == {0, 1} for k in range(10)) and set(fold) == set(range(10))


def test_the_papers_test_parts_have_136_and_205_images():
    alone = {n: selected_folds.holdout(np.zeros(n), np.arange(n), 0) for n in (410, 620)}
    assert {n: int((fold == 0).sum()) for n, fold in alone.items()} == {410: 136, 620: 205}
    _, labels, groups = selected_folds.noise(0, **SMALL)
    found = selected_folds.honest(
        selected.Recipe(margins.logistic), *selected_folds.noise(0, **SMALL), 0, deal=selected_folds.holdout
    )
    assert set(groups[found.rows]).isdisjoint(np.delete(groups, found.rows))
    scores = selected_folds.scores(found)
    assert scores.folds == 1 and math.isnan(scores.deviation) and 0.2 < scores.auc < 0.8
    assert (found.labels == labels[found.rows]).all()


def test_scores_by_hand():
    """Fold 0 calls 2 of 2 and 1 of 2 right, fold 1 everything; the fold's AUCs are 3/4 and 1."""
    labels = np.array([0, 0, 1, 1, 0, 1])
    decisions = np.array([-1, 0.5, 0.2, 3, -7, 0])
    found = selected_folds.OutOfFold(labels, decisions, np.array([0, 0, 0, 0, 1, 1]), np.arange(6), np.array([2, 3]))
    scores = selected_folds.scores(found)
    assert (scores.balanced_accuracy, scores.accuracy, scores.auc, scores.folds) == (0.875, 0.875, 0.875, 2)
    assert scores.deviation == pytest.approx(0.25 / math.sqrt(2)) == scores.auc_deviation


def test_a_fold_without_a_class_leaves_the_mean_undefined():
    found = selected_folds.OutOfFold(
        np.array([0, 1, 1]), np.array([-1.0, 1, 1]), np.array([0, 0, 1]), np.arange(3), np.array([1, 1])
    )
    scores = selected_folds.scores(found)
    assert math.isnan(scores.auc) and math.isnan(scores.balanced_accuracy) and scores.accuracy == 1


def test_the_noise_has_the_numbers_of_inbreast():
    features, labels, groups = selected_folds.noise(0, features=3)
    assert features.shape == (410, 3) and np.bincount(labels).tolist() == [310, 100]
    assert np.bincount(np.bincount(groups)).tolist() == [0, 0, 25, 0, 90]
    assert (labels[::2] == labels[1::2]).all() and (groups[::2] == groups[1::2]).all()
    again = selected_folds.noise(0, features=3)
    assert all((a == b).all() for a, b in zip((features, labels, groups), again, strict=True))


@pytest.mark.parametrize(
    "change, match",
    [
        ({"groups": np.zeros(3)}, r"\(3,\) groups"),
        ({"ids": ["a"] * 200}, "199 of 200 ids repeat"),
        ({"ids": ["a"]}, r"\(1,\) ids"),
        ({"deal": functools.partial(selected_folds.kfold, folds=61)}, "61 of them, but the rarer class has"),
    ],
)
def test_what_does_not_fit_is_refused(change, match):
    features, labels, groups = selected_folds.noise(0, **SMALL)
    given = {"groups": groups, "ids": None, **change}
    with pytest.raises(cases.MammoError, match=match):
        selected_folds.honest(RECIPE, features, labels, given.pop("groups"), 0, **given)
