import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf.models import blocks, squeezenet

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FORMS = {"1.0": squeezenet.V1_0, "1.1": squeezenet.V1_1, "keras": squeezenet.KERAS}
each_form = pytest.mark.parametrize("variant", FORMS.values(), ids=FORMS.keys())
# What the fire modules of table 1 squeeze to and expand to, twice each.
TABLE = ((16, 64), (32, 128), (48, 192), (64, 256))
POOLED = {"1.0": (4, 8), "1.1": (3, 5), "keras": (3, 5)}


def build(net=squeezenet.squeezenet, shape=(64, 64, 3), width=8, **arguments):
    x = keras.Input(shape)
    return keras.Model(x, net(x, width=width, **arguments))


features = functools.partial(build, squeezenet.squeezenet_features)


def images(height=64, width=64, count=2):
    return np.random.default_rng(0).normal(size=(count, height, width, 3)).astype("float32")


def differing(model):
    """The model, with biases that are not all zero and class maps that are partly above 0."""
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if layer.weights:
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    head = model.get_layer("logits")
    head.kernel.assign(rng.normal(0, 0.5, head.kernel.shape))
    return model


@pytest.fixture(scope="module")
def narrow():
    return {name: differing(build(variant=variant, classes=5)) for name, variant in FORMS.items()}


def counted(filters, kernel, classes=None):
    """Parameters by the table: (kernel^2 inputs + 1) filters for each convolution."""
    total, inputs = (kernel**2 * 3 + 1) * filters, filters
    for squeezed, expanded in TABLE:
        for _ in range(2):
            total += (inputs + 1) * squeezed + (squeezed + 1) * expanded + (9 * squeezed + 1) * expanded
            inputs = 2 * expanded
    return total + (0 if classes is None else (inputs + 1) * classes)


@pytest.mark.parametrize(
    "variant, stem, most, bare",
    [
        (squeezenet.V1_0, (96, 7), 1_248_424, 735_424),
        (squeezenet.V1_1, (64, 3), 1_235_496, 722_496),
        (squeezenet.KERAS, (64, 3), 1_235_496, 722_496),
    ],
    ids=FORMS.keys(),
)
def test_the_parameters_are_those_of_the_table(variant, stem, most, bare):
    full = build(width=64, classes=1000, variant=variant)
    assert full.count_params() == counted(*stem, classes=1000) == most
    assert features(width=64, variant=variant).count_params() == counted(*stem) == bare == most - 513_000
    assert all(weight.trainable for weight in full.weights)


@pytest.mark.parametrize(
    "name, side, stem, sides",
    [
        ("1.0", 224, 109, (54, 27, 13)),
        ("1.1", 224, 111, (55, 27, 13)),
        ("keras", 224, 111, (55, 27, 13)),
        ("1.0", 227, 111, (55, 27, 13)),
        ("1.1", 227, 113, (56, 28, 14)),
        ("keras", 227, 113, (56, 27, 13)),
    ],
)
def test_feature_maps_have_these_sides(name, side, stem, sides):
    model = features(shape=(side, side, 3), variant=FORMS[name])
    pools = ["stem_pool", *(f"fire{i}_pool" for i in POOLED[name])]
    assert [model.get_layer(pool).output.shape[1] for pool in pools] == list(sides)
    assert model.get_layer("stem_relu").output.shape[1] == stem
    assert model.output.shape == (None, sides[-1], sides[-1], 64)


def test_channels_are_those_of_the_table():
    model = features(shape=(None, None, 1), width=64)
    assert [model.get_layer(f"fire{i}").output.shape[-1] for i in range(2, 10)] == [128] * 2 + [256] * 2 + [
        384
    ] * 2 + [512] * 2
    assert model.get_layer("fire6_squeeze_relu").output.shape[-1] == 48


@pytest.mark.parametrize("name, least", [("1.0", 21), ("1.1", 17), ("keras", 31)])
def test_the_smallest_image_gives_one_pixel(name, least):
    assert features(shape=(least, least, 3), variant=FORMS[name]).output.shape[1:3] == (1, 1)
    with pytest.raises(ValueError):
        features(shape=(least - 1, least, 3), variant=FORMS[name])


def plain(model, name, x):
    """The net from the table by TensorFlow's functions and the model's weights: logits, dropout off."""

    def conv(x, layer, stride=1, padding="SAME"):
        layer = model.get_layer(layer)
        return tf.nn.relu(tf.nn.conv2d(x, layer.kernel, stride, padding) + layer.bias)

    def pool(x):
        if name != "keras":  # a last window that is cut off counts
            odd = [[0, 0], [0, 1 - x.shape[1] % 2], [0, 1 - x.shape[2] % 2], [0, 0]]
            x = tf.pad(x, odd, constant_values=-np.inf)
        return tf.nn.max_pool2d(x, 3, 2, "VALID")

    x = pool(conv(x, "stem_conv", 2, "VALID"))
    for i in range(2, 10):
        x = conv(x, f"fire{i}_squeeze_conv")
        x = tf.concat([conv(x, f"fire{i}_expand1_conv"), conv(x, f"fire{i}_expand3_conv")], axis=-1)
        if i in POOLED[name]:
            x = pool(x)
    return tf.reduce_mean(conv(x, "logits"), axis=(1, 2))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("shape", [(64, 64), (49, 70)])
def test_logits_equal_those_of_the_table_in_plain_operations(name, shape):
    model = differing(build(shape=(None, None, 3), classes=5, variant=FORMS[name]))
    x = images(*shape)
    expected = plain(model, name, x).numpy()
    assert (expected >= 0).all() and np.abs(expected[0] - expected[1]).max() > 1e-3
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-6)


def test_a_cut_off_last_window_counts_but_for_keras():
    def pooled(rows, variant):
        image = keras.Input((len(rows), 1, 1))
        x = squeezenet._Build(0, 8, variant).halved(keras.layers.UpSampling2D((1, 4))(image), "p")
        return np.asarray(keras.Model(image, x)(np.float32(rows)[None, :, None, None]))[0, :, 0, 0].tolist()

    assert pooled([1, 2, 3, 4], squeezenet.V1_1) == [3, 4]
    assert pooled([1, 2, 3, 4], squeezenet.KERAS) == [3]
    for variant in FORMS.values():
        assert pooled([1, 5, 3, 4, 2], variant) == [5, 4]


def test_ceil_or_not_is_the_same_net_where_no_window_is_cut_off():
    one, other = (features(shape=(None, None, 3), variant=v) for v in (squeezenet.V1_1, squeezenet.KERAS))
    np.testing.assert_array_equal(one(images(64, 64)), other(images(64, 64)))  # maps of 31, 15, 7
    assert one(images(67, 67)).shape[1:3] == (4, 4) and other(images(67, 67)).shape[1:3] == (3, 3)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@each_form
def test_names_are_stable_unique_and_none_is_automatic(variant):
    build(variant=variant)  # a net built before moves no name
    one, other = build(variant=variant), build(shape=(96, 80, 3), variant=variant)
    names = [layer.name for layer in one.layers[1:]]
    assert names == [layer.name for layer in other.layers[1:]]
    assert len(set(names)) == len(names)
    automatic = {keras.src.utils.naming.to_snake_case(type(layer).__name__) for layer in one.layers[1:]}
    assert not {name.rstrip("_0123456789") for name in names} & (automatic - {"dropout"})
    assert names[-4:] == ["dropout", "logits", "logits_relu", "logits_pool"]
    assert [n for n in names if n in squeezenet.FIRES] == list(squeezenet.FIRES)


def test_the_names_that_others_rely_on():
    names = [layer.name for layer in build().layers[1:]]
    assert names[:4] == ["stem_conv", "stem_relu", "stem_pool_pad", "stem_pool"]
    assert {"fire2_squeeze_conv", "fire2_squeeze_relu", "fire9_expand1_conv", "fire9_expand3_relu"} <= set(names)
    assert [n for n in names if n.endswith("_pool")] == ["stem_pool", "fire3_pool", "fire5_pool", "logits_pool"]
    old = [layer.name for layer in build(variant=squeezenet.V1_0).layers if layer.name.endswith("_pool")]
    assert old == ["stem_pool", "fire4_pool", "fire8_pool", "logits_pool"]
    assert not any(layer.name.endswith("_pad") for layer in build(variant=squeezenet.KERAS).layers)


def test_the_graph_is_flat_and_relu_a_layer_of_its_own(narrow):
    for model in narrow.values():
        assert not any(isinstance(layer, keras.Model) for layer in model.layers)
        linear = keras.activations.linear
        assert all(getattr(layer, "activation", linear) is linear for layer in model.layers)
        kinds = [type(layer).__name__ for layer in model.layers]
        assert kinds.count("Conv2D") == kinds.count("ReLU") == 26 and kinds.count("Concatenate") == 8


@each_form
def test_one_seed_gives_one_net_and_another_seed_another(variant):
    first = build(seed=7, variant=variant).get_weights()
    keras.layers.Dense(3).build((None, 5))  # whatever is drawn in between
    again, other = build(seed=7, variant=variant).get_weights(), build(seed=8, variant=variant).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    differs = [not np.array_equal(a, b) for a, b in zip(first, other, strict=True)]
    assert differs == [value.ndim == 4 for value in first]  # biases begin at zero


def test_initial_weights_follow_their_laws():
    model = build(width=64, classes=1000)
    kernel = model.get_layer("fire9_expand3_conv").kernel.numpy()
    assert np.abs(kernel).max() == pytest.approx((6 / (9 * 64)) ** 0.5, rel=1e-3)
    assert kernel.std() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.01)
    head = model.get_layer("logits").kernel.numpy()
    assert head.std() == pytest.approx(0.01, rel=0.01) and np.abs(head).max() > 0.03
    assert not any(layer.bias.numpy().any() for layer in model.layers if layer.weights)


def test_half_of_the_feature_map_is_dropped_in_training_by_the_seed():
    assert build().get_layer("dropout").rate == 0.5 and build(dropout=0.2).get_layer("dropout").rate == 0.2
    assert build().get_layer("dropout").seed == blocks.layer_seed(0, "dropout")

    def trained(seed):
        return np.asarray(differing(build(seed=seed))(images(), training=True))

    np.testing.assert_array_equal(trained(1), trained(1))
    assert not np.array_equal(trained(1), differing(build(seed=1))(images(), training=False))


def test_logits_are_float32_under_mixed_precision(narrow):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(classes=5)
    finally:
        keras.config.set_dtype_policy(before)
    model.set_weights(narrow["1.1"].get_weights())
    assert model.get_layer("dropout").compute_dtype == "bfloat16" and model.output.dtype == "float32"
    assert {layer.compute_dtype for layer in model.layers if layer.name.startswith("logits")} == {"float32"}
    expected = narrow["1.1"](images()).numpy()
    np.testing.assert_allclose(model(images()), expected, atol=0.05 * expected.max())


@each_form
def test_a_saved_model_gives_the_same_logits(variant, tmp_path):
    model = differing(build(variant=variant))
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    np.testing.assert_array_equal(again(images()), model(images()))


@pytest.mark.slow
def test_the_loss_falls_within_a_few_steps():
    model = build(classes=2)
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    x, y = images(count=8), np.array([0, 1] * 4)
    losses = [model.train_on_batch(x, y) for _ in range(12)]
    assert np.isfinite(losses).all() and min(losses[6:]) < losses[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_takes_any_number_of_channels_and_other_widths(channels):
    for width in (4, 1):
        model = build(shape=(40, 56, channels), width=width, classes=3)
        assert model.output_shape == (None, 3)
        assert model.get_layer("fire9_squeeze_conv").filters == max(1, width)
