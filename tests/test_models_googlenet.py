import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.models import blocks, googlenet

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FORMS = {"paper": googlenet.PAPER, "torchvision": googlenet.TORCHVISION}
each_form = pytest.mark.parametrize("variant", FORMS.values(), ids=FORMS.keys())
SIDE = 80  # feature maps of 40, 20, 10, 5 and 2


def build(net=googlenet.googlenet, shape=(SIDE, SIDE, 3), width=8, **arguments):
    x = keras.Input(shape)
    return keras.Model(x, net(x, width=width, **arguments))


def images(side=SIDE, count=2, channels=3):
    return np.random.default_rng(0).normal(size=(count, side, side, channels)).astype("float32")


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.fixture(scope="module")
def narrow():
    return {name: build(variant=variant) for name, variant in FORMS.items()}


@pytest.fixture(scope="module")
def auxiliary():
    net = functools.partial(googlenet.googlenet_with_auxiliaries, dropout=0.1)
    return {name: build(net, variant=variant) for name, variant in FORMS.items()}


@pytest.fixture(scope="module")
def full():
    return build(googlenet.googlenet_with_auxiliaries, shape=(224, 224, 3), width=64, classes=1000)


@pytest.fixture(scope="module")
def theirs():
    torchvision = functools.partial(googlenet.googlenet_with_auxiliaries, variant=googlenet.TORCHVISION)
    return build(torchvision, shape=(224, 224, 3), width=64, classes=1000)


def test_the_papers_form_has_the_parameters_of_table_1(full):
    def module(inputs, one, reduce3, three, reduce5, five, projection):
        kernels = inputs * (one + reduce3 + reduce5 + projection) + 9 * reduce3 * three + 25 * reduce5 * five
        return kernels + one + reduce3 + three + reduce5 + five + projection

    stem = 49 * 3 * 64 + 64 + 64 * 64 + 64 + 9 * 64 * 192 + 192
    third = module(192, 64, 96, 128, 16, 32, 32) + module(256, 128, 128, 192, 32, 96, 64)
    fourth = module(480, 192, 96, 208, 16, 48, 64) + module(512, 160, 112, 224, 24, 64, 64)
    fourth += module(512, 128, 128, 256, 24, 64, 64) + module(512, 112, 144, 288, 32, 64, 64)
    fourth += module(528, 256, 160, 320, 32, 128, 128)
    fifth = module(832, 256, 160, 320, 32, 128, 128) + module(832, 384, 192, 384, 48, 128, 128)
    main = stem + third + fourth + fifth + 1024 * 1000 + 1000
    auxiliary = sum(128 * (n + 1) + 2048 * 1024 + 1024 + 1024 * 1000 + 1000 for n in (512, 528))
    assert sum(layer.count_params() for layer in full.layers if not layer.name.startswith("aux")) == main == 6_998_552
    assert trainable(full) == main + auxiliary == 13_378_280


def test_torchvisions_form_has_torchvisions_parameters(theirs):
    """3x3 in place of 5x5 takes 16 weights a pair of channels away, a bias each becomes a gamma and a beta."""
    pairs = 16 * 32 + 32 * 96 + 16 * 48 + 2 * 24 * 64 + 32 * 64 + 2 * 32 * 128 + 48 * 128
    convolutions = [layer for layer in theirs.layers if isinstance(layer, keras.layers.Conv2D)]
    filters = sum(layer.filters for layer in convolutions if not layer.name.startswith("aux"))
    assert len(convolutions) == 57 + 2 and filters == 7_280
    auxiliary = sum(layer.count_params() for layer in theirs.layers if layer.name.startswith("aux")) - 4 * 128
    main = trainable(theirs) - auxiliary
    assert main == 6_998_552 - 16 * pairs + filters == 6_624_904
    assert trainable(theirs) == 13_004_888
    assert main - 998 * 1025 == 5_601_954  # with 2 classes


def test_feature_maps_have_the_sides_of_table_1(full):
    sides = {"stem_relu1": 112, "stem_pool1": 56, "stem_relu3": 56, "stem_pool2": 28, "inception3b": 28}
    sides |= {"stage3_pool": 14, "inception4e": 14, "stage4_pool": 7, "inception5b": 7}
    assert {name: full.get_layer(name).output.shape[1] for name in sides} == sides
    channels = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}
    assert {name: full.get_layer(f"inception{name}").output.shape[-1] for name in channels} == channels
    assert full.get_layer("aux1_pool").output.shape[1:] == (4, 4, 512)


def test_a_cut_off_last_window_counts():
    def pooled(rows, size):
        image = keras.Input((len(rows), 1, 1))
        x = blocks.halved(keras.layers.UpSampling2D((1, 4))(image), size, "p")
        return np.asarray(keras.Model(image, x)(np.float32(rows)[None, :, None, None]))[0, :, 0, 0].tolist()

    assert pooled([1, 2, 3, 4], 3) == [3, 4]
    assert pooled([1, 5, 3, 4, 2], 3) == [5, 4]
    assert pooled([1, 2, 3, 4, 5], 2) == [2, 4, 5]
    assert pooled([1, 2, 3, 4], 2) == [2, 4]


def plain(model, x):
    """The paper's net from table 1 by TensorFlow's functions and the model's weights: logits, dropout off."""

    def conv(x, name, stride=1):
        layer = model.get_layer(name)
        k = layer.kernel.shape[0] // 2
        x = tf.pad(x, [[0, 0], [k, k], [k, k], [0, 0]])
        return tf.nn.relu(tf.nn.conv2d(x, layer.kernel, stride, "VALID") + layer.bias)

    def pool(x):
        odd = [[0, 0], [0, 1 - x.shape[1] % 2], [0, 1 - x.shape[2] % 2], [0, 0]]
        return tf.nn.max_pool2d(tf.pad(x, odd, constant_values=-np.inf), 3, 2, "VALID")

    x = pool(conv(x, "stem_conv1", 2))
    x = pool(conv(conv(x, "stem_conv2"), "stem_conv3"))
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        x = pool(x) if module in ("4a", "5a") else x
        name = f"inception{module}_branch"
        last = conv(tf.nn.max_pool2d(x, 3, 1, "SAME"), f"{name}4_conv1")
        pairs = [conv(conv(x, f"{name}{b}_conv1"), f"{name}{b}_conv2") for b in (2, 3)]
        x = tf.concat([conv(x, f"{name}1_conv1"), *pairs, last], -1)
    head = model.get_layer("logits")
    return tf.reduce_mean(x, (1, 2)) @ head.kernel + head.bias


def test_the_papers_form_computes_what_table_1_says(narrow):
    model, start = narrow["paper"], narrow["paper"].get_weights()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.bias.assign(np.random.default_rng(1).uniform(-0.1, 0.1, layer.bias.shape))
    found = np.asarray(model(images()))
    assert np.abs(found[0] - found[1]).max() > 0.01
    np.testing.assert_allclose(found, plain(model, images()), atol=1e-5)
    model.set_weights(start)


def test_response_normalisation_is_krizhevskys():
    x = 30 * np.random.default_rng(0).normal(size=(1, 2, 3, 7)).astype("float32")
    layer = googlenet.LocalResponseNormalization()
    expected = tf.nn.local_response_normalization(x, depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)
    first = x[..., 0] / (2 + 1e-4 * (x[..., 0] ** 2 + x[..., 1] ** 2 + x[..., 2] ** 2)) ** 0.75
    np.testing.assert_allclose(layer(x)[..., 0], first, rtol=1e-5)


def test_response_normalisation_stands_where_figure_3_draws_it_and_a_saved_net_in_bfloat16_repeats_itself(tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(googlenet.googlenet_with_auxiliaries, variant=googlenet.Variant(lrn=True))
    finally:
        keras.config.set_dtype_policy(before)
    names = [layer.name for layer in model.layers]
    assert names[names.index("stem_pool1") + 1] == "stem_lrn1"
    assert names[names.index("stem_relu3") + 1 :][:3] == ["stem_lrn2", "stem_pool2_pad", "stem_pool2"]
    assert model.get_layer("inception5b").compute_dtype == "bfloat16"
    assert [output.dtype for output in model.outputs] == ["float32"] * 3
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    for found, expected in zip(again(images()), model(images()), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", FORMS)
def test_the_main_classifier_is_that_of_the_net_without_auxiliaries(name, narrow, auxiliary):
    alone, model = narrow[name], auxiliary[name]
    main, *others = model(images())
    np.testing.assert_allclose(main, alone(images()), atol=1e-6)
    assert [np.shape(a) for a in others] == [(2, 2)] * 2
    assert [layer.name for layer in model.layers if not layer.name.startswith("aux")][1:] == [
        layer.name for layer in alone.layers
    ][1:]
    assert {model.get_layer(f"aux{i}_dropout").rate for i in (1, 2)} == {0.7}


def test_dropout_is_an_argument_and_acts_in_training_alone(narrow, auxiliary):
    model = narrow["paper"]
    assert model.get_layer("dropout").rate == 0.4
    assert auxiliary["paper"].get_layer("dropout").rate == 0.1
    np.testing.assert_array_equal(model(images()), model(images()))
    assert not np.array_equal(model(images(), training=True), model(images(), training=True))


def test_names_are_stable_and_unique_and_each_relu_is_a_layer(narrow, full, theirs):
    for (name, model), wide in zip(narrow.items(), (full, theirs), strict=True):
        names = [layer.name for layer in model.layers[1:]]
        assert names == [layer.name for layer in wide.layers[1:] if not layer.name.startswith("aux")]
        assert len(set(names)) == len(names) and names[-3:] == ["pool", "dropout", "logits"]
        kinds = [type(layer).__name__ for layer in model.layers]
        assert kinds.count("Conv2D") == kinds.count("ReLU") == 57
        assert kinds.count("BatchNormalization") == (57 if name == "torchvision" else 0)
    norm = narrow["torchvision"].get_layer("inception4b_branch3_bn2")
    assert norm.epsilon == 1e-3 and not narrow["torchvision"].get_layer("inception4b_branch3_conv2").use_bias


@pytest.mark.parametrize("name", FORMS)
def test_one_seed_gives_one_net_and_another_seed_another(name, narrow):
    one, other = narrow[name].get_weights(), build(variant=FORMS[name], seed=1).get_weights()
    differs = [not np.array_equal(a, b) for a, b in zip(one, other, strict=True)]
    assert differs == [len(np.unique(a)) > 1 for a in one] and sum(differs) == 59  # norms and biases begin alike
    again = build(variant=FORMS[name]).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))


@each_form
def test_features_of_nine_channels_and_any_size_and_never_without_filters(variant):
    model = build(googlenet.googlenet_features, shape=(None, None, 9), width=2, variant=variant)
    assert model(images(64, channels=9)).shape == (2, 2, 2, 32)
    assert model(images(31, channels=9)).shape == (2, 1, 1, 32)  # the smallest
    filters = {layer.name: layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    assert filters["stem_conv3"] == 6 and filters["inception5b_branch1_conv1"] == 12
    assert filters["inception3a_branch3_conv1"] == 1  # 16 x 2 / 64 is a half


def test_signals_neither_die_nor_explode_at_the_start(full):
    features = keras.Model(full.input, full.get_layer("inception5b").output)
    assert 0.1 < np.asarray(features(images(224))).std() < 10


def test_an_image_too_small_for_the_5x5_average_is_refused():
    with pytest.raises(cases.MammoError, match=r"aux1 averages over 5x5, its feature map is 4x5"):
        build(googlenet.googlenet_with_auxiliaries, shape=(78, 80, 3), width=2)


def test_the_auxiliary_classifiers_train_beside_the_main_one(auxiliary):
    model = auxiliary["paper"]
    start = model.get_weights()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net = keras.Model(model.input, model.outputs)
    net.compile(keras.optimizers.SGD(0.01), [loss] * 3, loss_weights=[1.0, 0.3, 0.3], run_eagerly=True)
    before = {name: net.get_layer(name).kernel.numpy() for name in ("aux1_fc1", "aux2_conv1", "stem_conv1")}
    y = np.array([0, 1])
    assert np.isfinite(net.train_on_batch(images(), [y, y, y])).all()
    assert all(not np.array_equal(kernel, net.get_layer(name).kernel) for name, kernel in before.items())
    model.set_weights(start)
