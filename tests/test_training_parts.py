"""Classes, weights and fingerprints of a part of the data."""

import dataclasses

import keras
import numpy as np
import pytest
import sklearn.utils.class_weight

from mammo_tf import cases
from mammo_tf.training import parts
from tests import training_fakes as fakes

TRAIN = fakes.examples(28, 0)
FIVE = fakes.Pipeline().load(fakes.examples(18, 0, classes=5))


def test_balanced_factors_equal_scikit_learn():
    arrays = fakes.Pipeline().load([*TRAIN[:9], *TRAIN[10:28:2]])  # 14 of class 0, 4 of class 1
    found = parts.class_factors(arrays, "balanced")
    wanted = sklearn.utils.class_weight.compute_sample_weight("balanced", arrays.labels)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert parts.class_factors(arrays, None).tolist() == [1.0] * 18
    wanted = sklearn.utils.class_weight.compute_sample_weight("balanced", FIVE.labels)  # 4 4 4 3 3
    np.testing.assert_allclose(parts.class_factors(FIVE, "balanced", 5), wanted, rtol=1e-6)


def test_balanced_factors_count_sample_weights():
    arrays = fakes.Pipeline().load([dataclasses.replace(TRAIN[i], weight=w) for i, w in enumerate((3.0, 1.0, 5.0))])
    factors = parts.class_factors(arrays, "balanced")
    totals = [(factors * arrays.weights)[arrays.labels == label].sum() for label in (0, 1)]
    assert totals == pytest.approx([4.5, 4.5])


@pytest.mark.parametrize(
    ("labels", "needed", "message"),
    [
        ([0, 1, 2, 3], 5, "all 5 classes are needed, found 1 of class 0, 1 of class 1, .* and 0 of class 4"),
        ([3, 3], 2, "2 classes are needed, found .* 2 of class 3 and 0 of class 4"),
        ([0, 1, 5, np.nan], 2, "2 label.s. are no class number from 0 to 4"),
    ],
)
def test_labels_of_five_classes(labels, needed, message):
    with pytest.raises(cases.MammoError, match=f"validation part: {message}"):
        parts.check_labels("validation", np.array(labels, np.float32), 5, needed)


def test_a_validation_part_may_lack_a_class():
    parts.check_labels("validation", np.array([0, 4]), 5, 2)
    parts.check_labels("training", np.arange(5), 5)


def test_the_digest_sees_every_array():
    changed = [
        dataclasses.replace(FIVE, images=FIVE.images + 1),
        dataclasses.replace(FIVE, labels=FIVE.labels[::-1]),
        dataclasses.replace(FIVE, weights=FIVE.weights * 2),
        dataclasses.replace(FIVE, ids=FIVE.ids[::-1]),
        dataclasses.replace(FIVE, where=np.zeros((18, 3), np.int32)),
        dataclasses.replace(FIVE, where=np.ones((18, 3), np.int32)),
    ]
    assert len({parts.digest(arrays) for arrays in (FIVE, *changed)}) == 7
    assert parts.digest(FIVE) == parts.digest(dataclasses.replace(FIVE)) and parts.digest(FIVE)[:12] == "18 examples "


def test_the_digest_of_variables_sees_values_shapes_and_order():
    """Two nets built one after the other are the same, though Keras numbers their seed generators on."""
    one, two = keras.Variable(np.ones((2, 3))), keras.Variable(np.full((2, 3), 2.0))
    turned = keras.Variable(np.ones((3, 2)))
    found = [parts.digest_variables(variables) for variables in ([one, two], [two, one], [turned, two], [one])]
    assert len(set(found)) == 4
    nets = [fakes.model(seed) for seed in (3, 3, 4)]
    same, again, other = (parts.digest_variables(net.variables) for net in nets)
    assert same == again != other
