"""Parity with pipelines of scikit-learn and imbalanced-learn as a reader would write them, and the method."""

import dataclasses
import functools
import importlib

import numpy as np
import pytest
from imblearn import over_sampling, pipeline
from sklearn import feature_selection, linear_model, metrics, preprocessing, svm

from mammo_tf import cases, describe
from mammo_tf.classical import lasso, margins, selected

RNG = np.random.default_rng(3)
LABELS = (np.arange(80) % 4 == 0).astype(int)
TABLE = RNG.normal(size=(80, 120)) * 10.0 ** RNG.integers(-3, 4, 120)
TABLE[:, [4, 11]] += 1.5 * TABLE[:, [4, 11]].std(axis=0) * LABELS[:, None]
TRAIN, TEST = slice(0, 60), slice(60, None)
ALPHA = 0.05
MODELS = {
    margins.linear_svm: svm.SVC(kernel="linear"),
    margins.rbf_svm: svm.SVC(kernel="rbf"),
    margins.logistic: linear_model.LogisticRegression(tol=1e-8, max_iter=10_000),
}


def theirs(classify, alpha, smote, seed):
    steps = [("scale", preprocessing.StandardScaler())]
    if alpha:
        lasso = linear_model.Lasso(alpha=alpha, max_iter=10_000)
        steps.append(("select", feature_selection.SelectFromModel(lasso, threshold=1e-12)))
    if smote:
        steps.append(("smote", over_sampling.SMOTE(random_state=seed)))
    return pipeline.Pipeline([*steps, ("classify", MODELS[classify])])


@pytest.mark.parametrize("smote", [False, True], ids=["plain", "smote"])
@pytest.mark.parametrize("alpha", [None, ALPHA], ids=["all", "lasso"])
@pytest.mark.parametrize("classify", MODELS, ids=["linear", "rbf", "logistic"])
def test_it_answers_as_a_pipeline_of_imbalanced_learn(classify, alpha, smote):
    recipe = selected.Recipe(classify, alpha, smote)
    learned = selected.learn(recipe, TABLE[TRAIN], LABELS[TRAIN], 7)
    expected = theirs(classify, alpha, smote, 7).fit(TABLE[TRAIN], LABELS[TRAIN]).decision_function(TABLE[TEST])
    np.testing.assert_allclose(learned(TABLE[TEST]), expected, atol=2e-3)
    assert learned.synthetic == (30 if smote else 0)  # 15 of 60 are of class 1
    assert learned.notes == ()


def test_the_lasso_keeps_what_differs_and_few_others():
    columns = selected.prepared(selected.Recipe(margins.logistic, 0.15), TABLE, LABELS)
    assert {4, 11} <= set(columns.columns.tolist()) and len(columns.columns) < 10
    ready = columns(TABLE)
    np.testing.assert_allclose(ready.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(ready.std(axis=0), 1, atol=1e-9)


def test_a_lasso_that_keeps_nothing_gives_way_to_correlations():
    learned = selected.learn(selected.Recipe(margins.linear_svm, 10.0, least=2), TABLE, LABELS, 0)
    correlations = [abs(np.corrcoef(column, LABELS)[0, 1]) for column in TABLE.T]
    assert learned.columns.columns.tolist() == sorted(np.argsort(correlations)[-2:].tolist())
    assert learned.notes == ("the Lasso kept no feature: the 2 with the largest correlations stand for it",)


def test_what_stops_early_is_noted(monkeypatch):
    monkeypatch.setattr(lasso, "ITERATIONS", 2)
    recipe = selected.Recipe(functools.partial(margins.linear_svm, iterations=3), 0.0011)
    notes = selected.learn(recipe, TABLE, LABELS, 0).notes
    assert notes == ("the Lasso was stopped after 2 iterations", "the linear SVM was stopped after 3 iterations")


def test_a_constant_feature_is_never_selected_and_does_no_harm():
    table = np.column_stack([np.full(80, 3.0), TABLE])
    columns = selected.prepared(selected.Recipe(margins.logistic, ALPHA), table, LABELS)
    plain = selected.prepared(selected.Recipe(margins.logistic, ALPHA), TABLE, LABELS)
    np.testing.assert_array_equal(columns.columns, plain.columns + 1)
    assert (selected.prepared(selected.Recipe(margins.logistic), table, LABELS)(table)[:, 0] == 0).all()


def test_synthetic_examples_lie_between_two_of_the_smaller_class():
    features, labels = selected.balanced(TABLE[:, :2], LABELS, 0)
    assert np.bincount(labels).tolist() == [60, 60] and (features[:80] == TABLE[:, :2]).all()
    few = TABLE[LABELS == 1, :2]
    for made in features[80:]:
        a, b = few[:, None], few[None, :]
        along = ((made - a) * (b - a)).sum(-1) / np.maximum(((b - a) ** 2).sum(-1), 1e-300)
        off = np.linalg.norm(a + np.clip(along, 0, 1)[..., None] * (b - a) - made, axis=-1)
        assert off.min() < 1e-6 * np.abs(few).max()


def test_few_examples_have_few_neighbours_and_one_has_none():
    labels = (np.arange(20) < 3).astype(int)
    assert len(selected.balanced(TABLE[:20], labels, 0)[0]) == 34
    with pytest.raises(cases.MammoError, match=r"has 1 example\(s\)"):
        selected.balanced(TABLE[:20], (np.arange(20) < 1).astype(int), 0)


def test_without_the_package_smote_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(cases.MammoError, match="pip install imbalanced-learn"):
        selected.balanced(TABLE, LABELS, 0)


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"least": 0}])
def test_a_recipe_out_of_range_is_refused(wrong):
    with pytest.raises(cases.MammoError, match="expected above 0, 1 or more"):
        selected.Recipe(margins.logistic, **wrong)


def test_other_features_than_learned_on_are_refused():
    learned = selected.learn(selected.Recipe(margins.logistic), TABLE, LABELS, 0)
    assert learned(np.zeros((0, 120))).shape == (0,)
    with pytest.raises(cases.MammoError, match=r"\(2, 3\); it was learned on 120"):
        learned(np.zeros((2, 3)))


EXAMPLES = tuple(
    cases.Example(f"image{i:02}", f"patient{i // 2}", (), float(LABELS[i]), roi_id=str(i)) for i in range(80)
)
BOTH = selected.Recipe(margins.linear_svm, ALPHA, smote=True)


def rows_of(examples):
    return TABLE[[int(example.roi_id) for example in examples]]


def table_features(context):
    return rows_of


def method(recipe=BOTH):
    return selected.Selected(table_features, recipe)


CONTEXT = cases.Context(seed=5, budget="smoke", folder=None)


def test_the_method_learns_from_the_training_part_alone():
    fitted = method().fit(EXAMPLES[TRAIN], EXAMPLES[TEST], CONTEXT)
    decisions = selected.learn(BOTH, TABLE[TRAIN], LABELS[TRAIN], 5)(TABLE[TEST])
    np.testing.assert_array_equal(fitted.decisions(EXAMPLES[TEST]), decisions)
    p = fitted(EXAMPLES[TEST])
    assert p.shape == (20, 2) and p.dtype == np.float32
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-decisions)), rtol=1e-6)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    assert metrics.roc_auc_score(LABELS[TEST], p[:, 1]) == metrics.roc_auc_score(LABELS[TEST], decisions)
    assert ((p[:, 1] >= 0.5) == (decisions >= 0)).all()
    assert fitted(()).shape == (0, 2) and fitted.problems == () and fitted.kept == len(fitted.learned.columns.mean)


def test_the_order_of_the_examples_does_not_matter_and_the_seed_repeats():
    shuffled = [EXAMPLES[i] for i in np.random.default_rng(0).permutation(60)]
    ways = [(EXAMPLES[TRAIN], 5), (shuffled, 5), (EXAMPLES[TRAIN], 6)]
    one, again, other = (
        method().fit(train, (), dataclasses.replace(CONTEXT, seed=seed))(EXAMPLES[TEST]) for train, seed in ways
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_what_stopped_early_is_a_problem_of_the_run(caplog):
    recipe = selected.Recipe(functools.partial(margins.linear_svm, iterations=3))
    fitted = method(recipe).fit(EXAMPLES[TRAIN], (), CONTEXT)
    said = "the linear SVM was stopped after 3 iterations"
    assert [problem.reason for problem in fitted.problems] == [said] and said in caplog.text


def test_the_method_has_a_stable_description():
    assert describe.text(method()) == describe.text(method()) != describe.text(method(selected.Recipe(BOTH.classify)))
