import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import combine


def answers(members, examples=5, classes=2, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size=(members, examples))


def test_the_average_is_the_mean_over_members():
    p = answers(3, classes=5)
    out = combine.average(p)
    assert out.shape == (5, 5) and out.dtype == np.float32
    np.testing.assert_allclose(out, (p[0] + p[1] + p[2]) / 3, rtol=1e-6)
    np.testing.assert_allclose(combine.average(p[[2, 0, 1]]), out, rtol=1e-6)
    np.testing.assert_allclose(combine.average(p[:1]), p[0].astype(np.float32))


def test_the_ensemble_of_augmented_predictions_is_the_mean_over_all_its_passes():
    passes = answers(12).reshape(3, 4, 5, 2)  # members, flips
    ensemble = combine.average(np.stack([combine.four_flips(flips) for flips in passes]))
    np.testing.assert_allclose(ensemble, combine.average(passes.reshape(12, 5, 2)), rtol=1e-6)


def test_rounding_to_float32_is_no_fault():
    assert combine.average([[[np.nextafter(np.float32(1), np.float32(2)), 0.0]]]).tolist() == [
        [1.0000001192092896, 0.0]
    ]


def test_a_flip_too_few_is_refused():
    with pytest.raises(cases.MammoError, match="3 answers for each image; expected 4"):
        combine.four_flips(answers(3))


@pytest.mark.parametrize(
    "p, match",
    [
        (np.full((5, 2), 0.5), r"\(5, 2\); expected \(members, examples, classes\)"),
        (np.full((0, 5, 2), 0.5), "expected"),
        (np.ones((2, 5, 1)), "expected"),
        ([[[1.5, -0.5]]], r"2 of 2 probabilities are not in \[0, 1\]"),
        ([[[np.nan, 0.5]]], r"1 of 2 probabilities are not in \[0, 1\]"),
        ([[[0.5, 0.4], [0.5, 0.5]]], "1 of 2 answers do not sum to 1"),
    ],
)
def test_what_is_no_probability_is_refused(p, match):
    with pytest.raises(cases.MammoError, match=match):
        combine.average(p)


def test_members_in_another_order_are_brought_to_the_first_ones():
    p = answers(2, examples=3)
    stacked = combine.aligned(["abc", "cab"], [p[0], p[1]])
    np.testing.assert_array_equal(stacked[0], p[0])
    np.testing.assert_array_equal(stacked[1], p[1][[1, 2, 0]])


@pytest.mark.parametrize(
    "ids, match",
    [
        (["abc", "abd"], r"1 of the 3 examples of the first member are not among those of member 1 \(c"),
        (["abc", "aab"], "1 example ids repeat within member 1"),
        (["abc", "ab"], r"member 1 has 2 ids and answers \(3, 2\); the first has \(3, 2\)"),
        (["abc"], "1 lists of ids and 2 of answers"),
    ],
)
def test_members_on_other_examples_are_refused(ids, match):
    with pytest.raises(cases.MammoError, match=match):
        combine.aligned(ids, list(answers(2, examples=3)))


def test_members_of_other_classes_are_refused():
    with pytest.raises(cases.MammoError, match=r"answers \(3, 5\); the first has \(3, 2\)"):
        combine.aligned(["abc", "abc"], [answers(1, 3)[0], answers(1, 3, classes=5)[0]])
