import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf.models import batch_norm

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FACTS = {"momentum": 0.9, "epsilon": 1e-5}


def pair(dtype="float32", channels=3, **more):
    """Keras' layer and ours with the same weights, far from their start."""
    layers = [
        kind(**FACTS, dtype=dtype, **more)
        for kind in (keras.layers.BatchNormalization, batch_norm.BatchNormalization)
    ]
    generator = np.random.default_rng(1)
    for layer in layers:
        layer.build((None, None, None, channels))
    values = [generator.uniform(0.5, 1.5, v.shape).astype("float32") for v in layers[0].weights]
    for layer in layers:
        layer.set_weights(values)
    return layers


def activations(shape=(4, 5, 6, 3)):
    return np.random.default_rng(2).normal(0.7, 2.0, shape).astype("float32")


def run(layer, x, training):
    """Output, gradients (x, gamma, beta) of a sum weighted unevenly, and weights after the call."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, "float32") * np.random.default_rng(3).normal(size=y.shape).astype("float32"))
    return y, tape.gradient(loss, [x, *layer.trainable_variables]), layer.get_weights()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (2, 1, 1, 3)])
def test_agrees_with_keras(training, shape):
    theirs, ours = (run(layer, activations(shape), training) for layer in pair())
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6, rtol=1e-6)
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=1e-5)
    for one, other in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6, rtol=1e-6)


def test_moving_variance_averages_the_biased_variance():
    layer = batch_norm.BatchNormalization(momentum=0.75)
    x = np.array([1.0, 3.0], "float32").reshape(2, 1, 1, 1)
    layer(x, training=True)  # mean 2, biased variance 1 (unbiased 2)
    assert float(layer.moving_mean[0]) == pytest.approx(0.25 * 2)
    assert float(layer.moving_variance[0]) == pytest.approx(0.75 * 1 + 0.25 * 1)


def test_a_single_pixel_has_no_variance_and_becomes_beta():
    _, layer = pair()
    before = layer.moving_variance.numpy()
    y = layer(activations((1, 1, 1, 3)), training=True)
    np.testing.assert_allclose(y[0, 0, 0], layer.beta, rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, 0.9 * before, rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("training", [False, True])
def test_half_precision_keeps_float32_statistics(policy, training):
    half = policy.removeprefix("mixed_")
    x = tf.cast(activations(), half)
    theirs, ours = pair(policy)
    expected, found = theirs(x, training=training), ours(x, training=training)
    assert found.dtype == half
    step = {"bfloat16": 2**-7, "float16": 2**-10}[half]
    np.testing.assert_allclose(tf.cast(found, "float32"), tf.cast(expected, "float32"), atol=step, rtol=step)
    for variable, other in zip(ours.weights, theirs.weights, strict=True):
        assert variable.dtype == "float32"
        np.testing.assert_allclose(variable, other, atol=1e-5, rtol=1e-5)


def test_weights_have_the_names_and_order_of_keras():
    theirs, ours = pair()
    assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]
    assert [v.name for v in ours.trainable_variables] == ["gamma", "beta"]


def test_a_frozen_layer_normalises_by_the_moving_statistics_and_keeps_them():
    _, layer = pair()
    expected, before = layer(activations(), training=False), layer.get_weights()
    layer.trainable = False
    np.testing.assert_array_equal(layer(activations(), training=True), expected)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


@pytest.mark.parametrize("more", [{"scale": False}, {"center": False}])
def test_gamma_and_beta_can_be_left_out(more):
    theirs, ours = pair(**more)
    np.testing.assert_allclose(ours(activations(), training=True), theirs(activations(), training=True), atol=1e-6)


@pytest.mark.parametrize("shape, more", [((8, 3), {}), ((4, 5, 6, 3), {"axis": 1})])
def test_other_shapes_and_axes_are_keras_own(shape, more):
    theirs = keras.layers.BatchNormalization(**FACTS, **more)
    ours = batch_norm.BatchNormalization(**FACTS, **more)
    np.testing.assert_array_equal(ours(activations(shape), training=True), theirs(activations(shape), training=True))


def test_is_one_fused_op_in_the_graph():
    _, layer = pair()
    traced = tf.function(lambda x: layer(x, training=True), autograph=False)
    graph = traced.get_concrete_function(tf.TensorSpec((4, 5, 6, 3))).graph
    assert [op.type for op in graph.get_operations()].count("FusedBatchNormV3") == 1


def model():
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 3, name="conv")(x)
    y = batch_norm.BatchNormalization(**FACTS, name="bn")(y)
    return keras.Model(x, keras.layers.GlobalAveragePooling2D(name="pool")(y))


@pytest.mark.parametrize("jit", [False, True])
def test_trains_alike_with_and_without_xla(jit):
    net, reference = model(), model()
    reference.set_weights(net.get_weights())
    x, y = activations((8, 8, 8, 3)), np.ones((8, 4), "float32")
    for one, compiled in ((net, jit), (reference, False)):
        one.compile("sgd", "mse", jit_compile=compiled, run_eagerly=one is reference)
        one.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(net.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_survives_saving_and_export(tmp_path):
    net = model()
    net(activations((4, 8, 8, 3)), training=True)
    x = activations((2, 8, 8, 3))
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert type(again.get_layer("bn")) is batch_norm.BatchNormalization
    np.testing.assert_array_equal(again(x), net(x))
    net.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(saved.serve(x), net(x), atol=1e-6)
