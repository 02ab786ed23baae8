"""Fitted before the split, fold by fold: the same numbers as on arrays; the deal; what is refused."""

import dataclasses
import pathlib

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.classical import margins, selected, selected_first, selected_folds
from tests import training_fakes as fakes

FOLDS, SEED = 4, 3
RNG = np.random.default_rng(1)
COUNT = 60
TABLE = RNG.standard_normal((COUNT, 90))
LABELS = (np.arange(COUNT) // 2 % 4 == 0).astype(float)
EXAMPLES = tuple(
    dataclasses.replace(e, id=f"e{i:03d}", patient_id=f"p{i // 2}", label=LABELS[i])
    for i, e in enumerate(fakes.examples(COUNT, 0, shape=(8, 6)))
)
RECIPES = {
    "all": selected.Recipe(margins.linear_svm),
    "lasso": selected.Recipe(margins.logistic, keep=0.4),
    "smote": selected.Recipe(margins.rbf_svm, smote=True),
    "both": selected.Recipe(margins.linear_svm, smote=True, keep=0.4),
}


def measure(examples):
    return TABLE[[int(example.id[1:]) for example in examples]]


def method(recipe):
    return selected_first.SelectedFirst(lambda context: measure, recipe, FOLDS)


def context(leaked=(), **more):
    return cases.Context(seed=SEED, budget="", folder=pathlib.Path(), leaked=leaked, **more)


def fits(recipe, examples=EXAMPLES):
    parts = selected_first.kfold(examples, SEED, folds=FOLDS, smote=recipe.smote, leak="all of it")
    return parts, [method(recipe).fit(p.train, (), context(p.test)) for p in parts]


@pytest.mark.parametrize("name", RECIPES)
def test_the_folds_of_a_run_are_those_of_arrays(name):
    recipe = RECIPES[name]
    whole = selected_folds.as_published(
        recipe, TABLE, LABELS, np.arange(COUNT), SEED, deal=lambda y, g, s: selected_folds.kfold(y, g, s, folds=FOLDS)
    )
    for part, fitted in zip(*fits(recipe, EXAMPLES[::-1]), strict=True):
        here = whole.folds == part.fold
        rows = [int(example.id[1:]) for example in part.test]
        assert rows == whole.rows[here & (whole.rows >= 0)].tolist()
        np.testing.assert_allclose(fitted.decisions(part.test), whole.decisions[here & (whole.rows >= 0)], atol=1e-9)
        np.testing.assert_allclose(fitted.decisions_there, whole.decisions[here], atol=1e-9)
        np.testing.assert_array_equal(fitted.labels_there, whole.labels[here])
        assert fitted.kept == whole.kept[part.fold] and fitted.recipe == recipe and fitted.seed == SEED


def test_synthetic_images_fill_the_folds_up_and_are_no_examples():
    parts, fitted = fits(RECIPES["both"])
    made = sum(len(f.labels_there) for f in fitted) - COUNT
    assert made == (LABELS == 0).sum() - (LABELS == 1).sum()
    assert sorted(e.id for p in parts for e in p.test) == sorted(e.id for e in EXAMPLES)
    assert all(p.leaks == ("all of it",) and not p.val for p in parts)
    for f in fitted:
        assert f.learned.synthetic == made and abs(f.labels_there.mean() - 0.5) < 0.06


def test_without_smote_the_deal_is_that_of_examples():
    parts = selected_first.kfold(EXAMPLES, SEED, folds=FOLDS, smote=False, leak="x")
    expected = selected_folds.kfold(LABELS.astype(int), np.arange(COUNT), SEED, folds=FOLDS)
    assert [[int(e.id[1:]) for e in p.test] for p in parts] == [
        np.flatnonzero(expected == k).tolist() for k in range(FOLDS)
    ]


def test_a_test_part_that_is_no_fold_is_refused():
    parts = selected_first.kfold(EXAMPLES, SEED, folds=FOLDS, smote=False, leak="x")
    for wrong in ((), parts[0].test[:-1], (*parts[0].test, parts[1].test[0])):
        rest = tuple(e for e in EXAMPLES if e not in wrong)
        with pytest.raises(cases.MammoError, match="are no fold of 4"):
            method(RECIPES["all"]).fit(rest, (), context(wrong))


@pytest.mark.parametrize(
    ("examples", "leak", "said"),
    [(EXAMPLES, "", "name it"), ((*EXAMPLES, EXAMPLES[0]), "x", "ids repeat"), (EXAMPLES[:4], "x", "rarer class")],
)
def test_a_deal_that_cannot_be(examples, leak, said):
    with pytest.raises(cases.MammoError, match=said):
        selected_first.kfold(examples, SEED, folds=FOLDS, smote=False, leak=leak)
