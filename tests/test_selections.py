"""Table 2's numbers of fitted folds, by hand, and those of noise."""

import types

import numpy as np
import pytest

from mammo_tf import artifacts, cases, selections
from mammo_tf.classical import margins, selected, selected_folds
from mammo_tf.datasets import splits
from tests import test_classical_selected_first as before

RECIPE = selected.Recipe(margins.linear_svm, smote=True, keep=0.4)


def done(parts, fitted):
    p = artifacts.Predictions.of(parts.test, fitted(parts.test), parts.fold)
    return types.SimpleNamespace(parts=parts, fitted=fitted, predictions=p, budget=None)


def as_published(recipe=RECIPE):
    return [done(*pair) for pair in zip(*before.fits(recipe), strict=True)]


def honest(recipe=RECIPE):
    dealt = splits.patient_kfold(before.EXAMPLES, before.SEED, folds=before.FOLDS, val_fraction=0)
    method = selected.Selected(lambda context: before.measure, recipe)
    return [done(parts, method.fit(parts.train, (), before.context())) for parts in dealt]


@pytest.mark.parametrize("name", ["as_published", "honest"])
def test_the_numbers_are_those_of_arrays(name):
    folds = {"as_published": as_published, "honest": honest}[name]()
    patients = np.array([e.patient_id for e in before.EXAMPLES])
    way, arrays = selected_folds.PROTOCOLS[name], (before.TABLE, before.LABELS, patients, before.SEED)

    def deal(labels, groups, seed):
        return selected_folds.kfold(labels, groups, seed, folds=before.FOLDS)

    whole, one = way(RECIPE, *arrays, deal=deal), way(RECIPE, *arrays, deal=selected_folds.holdout)
    found, each = selections.table2(folds), selected_folds.per_fold(whole)
    assert found["cv_balanced_accuracy"].value == pytest.approx(each["balanced_accuracy"].mean())
    assert found["cv_balanced_accuracy"].low == pytest.approx(each["balanced_accuracy"].min())
    assert found["cv_deviation"].value == pytest.approx(each["balanced_accuracy"].std(ddof=1))
    assert found["cv_auc"].high == pytest.approx(each["auc"].max())
    assert found["features_kept"].value == whole.kept.mean()
    expected = selected_folds.scores(one)
    assert found["holdout_accuracy"].value == pytest.approx(expected.accuracy)
    assert found["holdout_balanced_accuracy"].value == pytest.approx(expected.balanced_accuracy)
    assert found["holdout_auc"].value == pytest.approx(expected.auc)
    made = (before.LABELS == 0).sum() - (before.LABELS == 1).sum()
    said = f"{made} of {before.COUNT + made} images are synthetic"
    assert (said in found["cv_balanced_accuracy"].method) == (name == "as_published")
    assert found["cv_balanced_accuracy"].n == before.COUNT + (made if name == "as_published" else 0)


def test_noise_is_worth_nothing_in_honest_folds_and_something_before_the_split():
    leaky, fair = (selections.on_noise(folds(), count=6) for folds in (as_published, honest))
    assert leaky["noise_balanced_accuracy"].low > 0.75 > fair["noise_balanced_accuracy"].high
    assert fair["noise_balanced_accuracy"].low <= 0.5 <= fair["noise_balanced_accuracy"].high
    assert fair["noise_auc"].low <= 0.5 <= fair["noise_auc"].high and "6 noises" in fair["noise_auc"].method
    assert selections.on_noise(honest(), count=1) == {}


def test_the_order_of_the_examples_does_not_matter():
    folds = honest()
    for one in folds:
        one.parts = cases.Splits(one.parts.train[::-1], (), one.parts.test, one.parts.fold)
    assert {k: e.as_dict() for k, e in selections.table2(folds).items()} == {
        k: e.as_dict() for k, e in selections.table2(honest()).items()
    }
