import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peer

from mammo_tf import cases
from mammo_tf.evaluation import bootstrap, folds, intervals, metrics

KEYS = ("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "log_loss", "auc")


def cohort(seed=0, patients=60, views=3):
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 2, patients), views)
    noise = np.repeat(rng.normal(size=patients), views) + rng.normal(size=len(labels))
    names = np.repeat([f"p{i}" for i in range(patients)], views)
    return folds.Fold(labels, 1 / (1 + np.exp(0.6 - 1.2 * labels - noise)), names)


def dealt(fold, count):
    """Patients dealt to folds, as in a cross-validation."""
    part = np.array([int(name[1:]) % count for name in fold.patients])
    return [folds.Fold(*(np.asarray(a)[part == k] for a in fold)) for k in range(count)]


def same(one, two):
    return (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high), nan_ok=True)


def test_one_fold_gives_what_intervals_give():
    fold = cohort()
    found = folds.evaluate([fold], threshold=0.4)
    expected = intervals.evaluate(*fold, threshold=0.4)
    assert tuple(found) == KEYS
    for name in KEYS:
        assert same(found[name], expected[name])
        assert found[name].method == expected[name].method
        assert (found[name].n, found[name].patients) == (180, 60)


def test_the_value_is_the_mean_over_folds_and_the_method_says_so():
    parts = dealt(cohort(), 5)
    found = folds.evaluate(parts)
    aucs = [peer.roc_auc_score(fold.labels, fold.scores) for fold in parts]
    assert found["auc"].value == pytest.approx(np.mean(aucs))
    assert found["auc"].value != pytest.approx(metrics.auc(*cohort()[:2]))  # pooled
    assert found["auc"].method.startswith(f"mean over 5 folds (sd {np.std(aucs, ddof=1):.3f}), score interval")
    f1 = [peer.f1_score(fold.labels, fold.scores >= 0.5) for fold in parts]
    assert found["f1"].value == pytest.approx(np.mean(f1))
    assert folds.between(parts)["f1"] == pytest.approx((np.mean(f1), np.std(f1, ddof=1), 5))
    np.testing.assert_allclose(folds.per_fold(parts)["f1"], f1)
    assert (found["f1"].n, found["f1"].patients) == (180, 60)


@pytest.mark.parametrize("crossed", [True, False])
def test_the_interval_of_the_loss_is_that_of_a_slow_sum_over_patients(crossed):
    fold = cohort(patients=24)
    parts = dealt(fold, 3) if crossed else [fold, folds.Fold(fold[0], cohort(9, patients=24).scores, fold[2])]
    found = folds.evaluate(parts)["log_loss"]
    mean = np.mean([peer.log_loss(part.labels, part.scores) for part in parts])
    variance = 0.0
    for name in sorted(set(fold.patients)):
        total = 0.0
        for labels, scores, patients in parts:
            losses = -np.log(np.where(np.asarray(labels) == 1, scores, 1 - np.asarray(scores)))
            count = len(set(patients))
            mine = (losses - losses.mean())[np.asarray(patients) == name].sum() / (len(losses) * len(parts))
            total += mine * np.sqrt(count / (count - 1))
        variance += total**2
    half = stats.t.ppf(0.975, 23) * np.sqrt(variance) / mean
    assert (found.value, found.low, found.high) == pytest.approx((mean, mean * np.exp(-half), mean * np.exp(half)))


def test_the_interval_of_the_loss_agrees_with_a_bootstrap_over_patients():
    fold, names = cohort(patients=400), [f"p{i}" for i in range(400)]
    parts, total = dealt(fold, 4), 0.0
    weights = bootstrap.resample(400, 4000, seed=4)
    for part in parts:
        index = np.array([names.index(name) for name in part.patients])
        sums = bootstrap.sums(np.column_stack([metrics.log_losses(*part[:2]), np.ones(len(index))]), index, 400)
        drawn = weights @ sums
        total = total + drawn[:, 0] / drawn[:, 1] / 4
    found = folds.evaluate(parts)["log_loss"]
    assert (found.low, found.high) == pytest.approx(bootstrap.bounds(total)[:2], abs=0.006)


def test_folds_that_share_their_patients_add_no_certainty_and_folds_that_deal_them_do():
    fold = cohort(patients=100)
    one = folds.evaluate([fold])["accuracy"]
    five = folds.evaluate([fold] * 5)["accuracy"]
    assert same(one, five) and five.method.startswith("mean over 5 folds (sd 0.000)")
    crossed = folds.evaluate(dealt(fold, 5))["accuracy"]
    assert crossed.high - crossed.low == pytest.approx(one.high - one.low, rel=0.15)
    part = folds.evaluate(dealt(fold, 5)[:1])["accuracy"]
    assert (part.high - part.low) / (one.high - one.low) > 1.6  # sqrt(5) = 2.2


@pytest.mark.slow
def test_the_interval_of_a_fixed_scorer_covers_its_auc():
    rng, truth, covered = np.random.default_rng(0), stats.norm.cdf(1.2 / 2), 0
    labels, patients = np.repeat(np.arange(100) % 2, 4), np.repeat(np.arange(100), 4)
    for _ in range(200):
        noise = np.repeat(rng.normal(size=100), 4) + rng.normal(size=400)
        scores = 1 / (1 + np.exp(-1.2 * labels - noise))
        part = (patients // 2) % 5
        parts = [folds.Fold(labels[part == k], scores[part == k], patients[part == k]) for k in range(5)]
        found = folds.evaluate(parts)["auc"]
        covered += found.low <= truth <= found.high
    assert covered / 200 > 0.91  # 0.95 less 2.6 standard errors


def test_noise_pooled_over_folds_is_not_what_is_reported():
    rng = np.random.default_rng(0)
    parts, labels = [], np.array([0] * 20 + [1] * 20)
    for k in range(5):
        # a net's level follows its training share, which falls as the fold's own share rises
        chosen = labels if k != 2 else np.array([0] * 10 + [1] * 30)
        level = -0.05 * (chosen.mean() - 0.5)
        parts.append(folds.Fold(chosen, 0.5 + level * 20 + 0.01 * rng.normal(size=40), np.arange(40) + 40 * k))
    pooled = metrics.auc(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    found = folds.evaluate(parts)["auc"]
    assert pooled < 0.45 and found.low < 0.5 < found.high


def test_what_a_fold_leaves_undefined_is_told():
    negative = folds.Fold([0, 0], [0.1, 0.6], ["x", "y"])
    found = folds.evaluate([cohort(), negative])
    for name in ("recall", "auc", "balanced_accuracy"):
        assert math.isnan(found[name].value) and found[name].method == "undefined in 1 of 2 folds"
    assert found["specificity"].low < found["specificity"].value < found["specificity"].high
    small = [folds.Fold([0, 1], [0.1, 0.9], [f"a{k}", f"b{k}"]) for k in range(2)]
    rare = folds.evaluate(small)["auc"]
    assert rare.method.endswith("few positives (2 patients); few negatives (2 patients)")
    assert rare.value == rare.high == 1 and rare.low < 0.5


def test_few_patients_are_counted_over_the_union():
    fold = cohort(patients=60)
    parts = dealt(fold, 5)
    assert "few" not in folds.evaluate(parts)["auc"].method
    few = dealt(cohort(seed=1, patients=18), 3)
    positives = len({name for part in few for name, label in zip(part.patients, part.labels, strict=True) if label})
    assert positives < 10 and f"few positives ({positives} patients)" in folds.evaluate(few)["auc"].method
    assert "few" not in folds.evaluate(few)["accuracy"].method


def test_names_are_matched_not_positions():
    fold = cohort(patients=40)
    other = folds.Fold(*(np.asarray(a)[::-1] for a in fold))
    assert same(folds.evaluate([fold, other])["auc"], folds.evaluate([fold])["auc"])


@pytest.mark.parametrize(
    "parts, threshold, match",
    [
        ([], 0.5, "there are none"),
        ([([0, 1], [0.1, 0.2], "ab")], [0.5, 0.4], "2 thresholds for 1 folds"),
        ([([0, 1], [0.1, 0.2], ["a"])], 0.5, r"fold 0: \(1,\) patients for \(2,\) labels"),
        ([([0, 1], [0.1, 0.2], ["a", "b"]), ([0, 2], [0.1, 0.2], ["a", "b"])], 0.5, "fold 1: .* neither 0 nor 1"),
    ],
)
def test_what_does_not_fit_is_refused(parts, threshold, match):
    parts = [(y, s, list(p)) for y, s, p in parts]
    with pytest.raises(cases.MammoError, match=match):
        folds.evaluate(parts, threshold=threshold)


def test_the_difference_of_a_run_and_itself_is_0_and_swapping_flips_the_sign():
    one, other = dealt(cohort(), 3), dealt(cohort()._replace(scores=cohort(seed=9).scores), 3)
    same_run, p = folds.auc_difference(one, one)
    assert (same_run.value, same_run.low, same_run.high, p) == (0, 0, 0, 1)
    forth, p = folds.auc_difference(one, other)
    back, q = folds.auc_difference(other, one)
    assert (forth.value, forth.low, forth.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert p == pytest.approx(q) and (forth.n, forth.patients) == (180, 60)


def test_the_bounds_of_a_mean_and_of_a_difference_agree_with_a_bootstrap_over_patients():
    fold, names = cohort(patients=400), [f"p{i}" for i in range(400)]
    one, other = dealt(fold, 4), [fold._replace(scores=cohort(seed=9, patients=400).scores)]
    found, p = folds.auc_difference(one, other)
    weights = bootstrap.resample(400, 4000, seed=4)

    def drawn(parts):
        index = [np.array([names.index(name) for name in part.patients]) for part in parts]
        each = [bootstrap.auc_draws(f.labels, f.scores, i, weights) for f, i in zip(parts, index, strict=True)]
        return np.mean(each, axis=0)

    mean = folds.evaluate(one)["auc"]
    assert (mean.low, mean.high) == pytest.approx(bootstrap.bounds(drawn(one))[:2], abs=0.005)
    assert (found.low, found.high) == pytest.approx(bootstrap.bounds(drawn(one) - drawn(other))[:2], abs=0.006)
    z = found.value / np.std(drawn(one) - drawn(other))
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.03)


def test_a_clear_difference_over_folds_is_found():
    fold = cohort(patients=100)
    turned = fold._replace(scores=1 - fold.scores)
    found, p = folds.auc_difference(dealt(fold, 4), dealt(turned, 4))
    assert found.low > 0 and p < 1e-3


def test_a_difference_wants_the_same_patients():
    one = dealt(cohort(patients=24), 2)
    with pytest.raises(cases.MammoError, match="12 patients are scored in one run alone"):
        folds.auc_difference(one, one[:1])
