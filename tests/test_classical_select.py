import numpy as np
import pytest
from scipy import stats

from mammo_tf import cases
from mammo_tf.classical import select

RNG = np.random.default_rng(0)
N = 60
LABELS = np.arange(N) % 2
NOISE = RNG.normal(size=(N, 8))
FEATURES = NOISE + LABELS[:, None] * np.array([0, 2.5, 0, 1.5, 0, 0, 1.5, 0])


def wilks(features, labels, columns):
    """det W / det T straight from their definition."""
    if not columns:
        return 1.0
    x = features[:, list(columns)]
    total = (x - x.mean(axis=0)).T @ (x - x.mean(axis=0))
    within = sum(
        (x[labels == c] - x[labels == c].mean(axis=0)).T @ (x[labels == c] - x[labels == c].mean(axis=0))
        for c in np.unique(labels)
    )
    return np.linalg.det(within) / np.linalg.det(total)


def slow_f(features, labels, chosen, column):
    g, p = len(np.unique(labels)), len(chosen)
    if column in chosen:
        others = [c for c in chosen if c != column]
        ratio = wilks(features, labels, chosen) / wilks(features, labels, others)
        return (len(features) - g - p + 1) / (g - 1) * (1 / ratio - 1)
    ratio = wilks(features, labels, [*chosen, column]) / wilks(features, labels, chosen)
    return (len(features) - g - p) / (g - 1) * (1 / ratio - 1)


def slow_stepwise(features, labels, f_in, f_out):
    chosen = []
    for _ in range(100):
        f = {c: slow_f(features, labels, chosen, c) for c in range(features.shape[1])}
        if chosen and min(f[c] for c in chosen) < f_out:
            chosen.remove(min(chosen, key=f.get))
            continue
        outside = [c for c in f if c not in chosen and f[c] >= f_in]
        if not outside:
            return tuple(chosen)
        chosen.append(max(outside, key=f.get))
    raise AssertionError("went in circles")


@pytest.mark.parametrize("labels", [LABELS, np.arange(N) % 3])
def test_f_values_are_those_of_the_determinants(labels):
    total, within = select.scatter(FEATURES, labels)
    for chosen in ([], [1], [3, 1], [0, 6, 2, 1]):
        found = select.f_values(total, within, chosen, N, len(np.unique(labels)))
        np.testing.assert_allclose(found, [slow_f(FEATURES, labels, chosen, c) for c in range(8)], rtol=1e-8)


def test_the_first_f_is_that_of_the_analysis_of_variance():
    total, within = select.scatter(FEATURES, LABELS)
    expected = stats.f_oneway(FEATURES[LABELS == 0], FEATURES[LABELS == 1]).statistic
    np.testing.assert_allclose(select.f_values(total, within, [], N, 2), expected)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("f_in", "f_out"), [(3.84, 2.71), (1.0, 0.5), (1.0, 1.0)])
def test_the_steps_are_those_of_the_slow_way(seed, f_in, f_out):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6))  # correlated, so that some leave again
    labels = (features[:, 0] + features[:, 1] + rng.normal(size=40) > 0).astype(int)
    assert select.stepwise(features, labels, f_in=f_in, f_out=f_out) == slow_stepwise(features, labels, f_in, f_out)


def test_a_feature_leaves_when_two_others_have_made_it_needless():
    """c = a + b + noise is the best of the three alone; with a and b in, it says nothing."""
    rng = np.random.default_rng(3)
    labels = np.arange(400) % 2
    a, b = (rng.normal(size=400) + 0.8 * labels for _ in range(2))
    features = np.column_stack([a, b, a + b + rng.normal(size=400)])
    assert select.stepwise(features[:, [2]], labels) == (0,)
    total, within = select.scatter(features, labels)
    assert np.argmax(select.f_values(total, within, [], 400, 2)) == 2  # so it enters first
    assert sorted(select.stepwise(features, labels)) == [0, 1]


def test_it_finds_what_is_there_in_order_and_repeats_itself():
    found = select.stepwise(FEATURES, LABELS)
    assert found[0] == 1 and set(found) >= {1, 3, 6}
    assert found == select.stepwise(FEATURES.copy(), LABELS)
    assert select.stepwise(FEATURES, LABELS, most=2) == found[:2]


def test_scale_and_shift_change_nothing():
    changed = FEATURES * 10.0 ** np.arange(-4, 4) + 7
    assert select.stepwise(changed, LABELS) == select.stepwise(FEATURES, LABELS)


def test_copies_and_constants_do_not_enter():
    features = np.column_stack([FEATURES, FEATURES[:, 1], np.full(N, 0.1), FEATURES[:, 1] + 1e-3 * NOISE[:, 0]])
    found = set(select.stepwise(features, LABELS, f_in=0.1, f_out=0.05))
    assert len(found & {1, 8, 10}) == 1 and 9 not in found and len(found) > 4


def test_noise_may_leave_nothing_and_few_cases_end_it():
    assert select.stepwise(NOISE, LABELS, f_in=50) == ()
    few = np.random.default_rng(0).normal(size=(8, 30))
    assert len(select.stepwise(few, np.arange(8) % 2, f_in=0.1, f_out=0.05)) <= 5


@pytest.mark.parametrize(
    ("features", "labels", "f", "reason"),
    [
        (FEATURES, LABELS[1:], (4, 3), r"\(60, 8\) and labels \(59,\)"),
        (np.where(FEATURES > 2, np.nan, FEATURES), LABELS, (4, 3), "are not finite"),
        (FEATURES, np.ones(N), (4, 3), "one class only"),
        (FEATURES, LABELS, (3, 4), "0 < f_out <= f_in"),
    ],
)
def test_bad_input_is_named(features, labels, f, reason):
    with pytest.raises(cases.MammoError, match=reason):
        select.stepwise(features, labels, f_in=f[0], f_out=f[1])
