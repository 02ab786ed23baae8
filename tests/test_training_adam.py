"""`adam`: the fused kernel takes the steps of Keras' optimizer and has its variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf.training import adam

SHAPES = ((3, 4), (4,), (2, 2, 1, 3))


def variables():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype(np.float32), name=f"w{i}") for i, shape in enumerate(SHAPES)]


def gradients(step):
    rng = np.random.default_rng(step + 1)
    return [tf.constant(rng.normal(size=shape) * 10.0 ** (i - 1), tf.float32) for i, shape in enumerate(SHAPES)]


def stepped(optimizer, steps=20, compiled=False):
    """The variables after some steps, as arrays."""
    trained = variables()
    optimizer.build(trained)

    def apply(grads):
        optimizer.apply(grads, trained)

    apply = tf.function(apply) if compiled else apply
    for step in range(steps):
        apply(gradients(step))
    return [np.asarray(v) for v in trained]


def decay():
    return keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=5, decay_rate=0.5, staircase=True)


def described(optimizer):
    """Name (without the optimizer's own, which counts on), shape and dtype of each variable."""
    return [(v.path.partition("/")[2], tuple(v.shape), v.dtype) for v in optimizer.variables]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": 0.01},
        {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
        {"learning_rate": 0.01, "clipnorm": 0.1, "weight_decay": 0.1},
    ],
    ids=["default", "betas", "clipped"],
)
def test_twenty_steps_are_those_of_keras(arguments, compiled):
    ours, theirs = adam.Adam(**arguments), keras.optimizers.Adam(**arguments)
    for mine, expected, before in zip(
        stepped(ours, compiled=compiled), stepped(theirs, compiled=compiled), variables(), strict=True
    ):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-5)
        assert np.abs(mine - before).max() > 0.01
    assert described(ours) == described(theirs)
    for mine, expected in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=3e-5, atol=1e-7)
    assert int(ours.iterations) == 20


def test_a_schedule_of_the_learning_rate_acts():
    ours, theirs = stepped(adam.Adam(decay())), stepped(keras.optimizers.Adam(decay()))
    constant = stepped(adam.Adam(0.05))
    for mine, expected, other in zip(ours, theirs, constant, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-5)
        assert np.abs(mine - other).max() > 0.1


def test_a_learning_rate_that_is_assigned_acts_in_a_compiled_step():
    trained = variables()
    optimizer = adam.Adam(0.1)
    optimizer.build(trained)
    step = tf.function(lambda grads: optimizer.apply(grads, trained))
    step(gradients(0))
    optimizer.learning_rate = 0.0
    before = [np.array(v) for v in trained]
    step(gradients(1))
    for old, variable in zip(before, trained, strict=True):
        np.testing.assert_array_equal(variable, old)


def kernels(optimizer):
    """How often the fused kernel stands in the graph of a step."""
    trained = variables()
    optimizer.build(trained)
    step = tf.function(lambda: optimizer.apply(gradients(0), trained))
    return sum(op.type == "ResourceApplyAdam" for op in step.get_concrete_function().graph.get_operations())


def test_one_kernel_a_variable_and_amsgrad_is_keras_own():
    assert kernels(adam.Adam(0.01)) == len(SHAPES)
    assert kernels(adam.Adam(0.01, amsgrad=True)) == kernels(keras.optimizers.Adam(0.01)) == 0
    ours, theirs = (stepped(one(0.01, amsgrad=True)) for one in (adam.Adam, keras.optimizers.Adam))
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_sparse_gradients_are_keras_own():
    results = []
    for make in (adam.Adam, keras.optimizers.Adam):
        table = keras.Variable(np.ones((5, 2), np.float32))
        optimizer = make(0.1)
        optimizer.build([table])
        sparse = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([0, 3]), tf.constant([5, 2]))
        for _ in range(3):
            optimizer.apply([sparse], [table])
        results.append(np.asarray(table))
    np.testing.assert_array_equal(*results)
    assert results[0][0, 0] < 0.9 and results[0][1, 0] == 1


def test_it_is_saved_and_read_as_itself():
    optimizer = adam.Adam(0.02, beta_1=0.8)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is adam.Adam and again.get_config() == optimizer.get_config()
