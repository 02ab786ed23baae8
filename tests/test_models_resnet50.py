import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.models import resnet50


def build(net, shape=(64, 96, 3), **arguments):
    x = keras.Input(shape)
    return keras.Model(x, net(x, **arguments))


def noise(*shape, scale=1.0):
    return scale * np.random.default_rng(0).standard_normal(shape, np.float32)


@pytest.fixture(scope="module")
def full():
    return build(resnet50.resnet50_features, shape=(None, None, 3))


@pytest.fixture(scope="module")
def old():
    return build(resnet50.resnet50, shape=(None, None, 3), width=16, compat="keras2.0")


def test_the_features_have_the_parameters_of_keras_applications(full):
    def conv_bn(kernel, channels, filters):
        """A convolution with bias; gamma, beta, mean and variance of its batch norm."""
        return kernel**2 * channels * filters + filters + 4 * filters

    def stage(channels, filters, units):
        first = conv_bn(1, channels, filters) + conv_bn(1, channels, 4 * filters)
        others = (units - 1) * conv_bn(1, 4 * filters, filters)
        return first + others + units * (conv_bn(3, filters, filters) + conv_bn(1, filters, 4 * filters))

    stages = stage(64, 64, 3) + stage(256, 128, 4) + stage(512, 256, 6) + stage(1024, 512, 3)
    assert full.count_params() == conv_bn(7, 3, 64) + stages == 23_587_712


def test_features_equal_those_of_keras_applications(full):
    theirs = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 96, 3))
    ours = {layer.name: layer for layer in full.layers[1:]}
    assert [layer.name for layer in theirs.layers[1:]] == list(ours)
    rng = np.random.default_rng(0)
    for layer in theirs.layers[1:]:
        for mine, variable in zip(ours[layer.name].weights, layer.weights, strict=True):
            if variable.name != "kernel":
                mine.assign(rng.uniform(0.5, 1.5, variable.shape))
            variable.assign(mine)
    x = noise(1, 64, 96, 3)
    found, expected = np.asarray(full(x)), np.asarray(theirs(x))
    assert expected.shape == (1, 2, 3, 2048) and expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (ours[layer.name].epsilon, ours[layer.name].momentum) == (layer.epsilon, layer.momentum)


def test_kernels_start_glorot_uniform_and_biases_at_zero(old):
    layer = old.get_layer("conv5_block1_2_conv")
    bound = (6 / (9 * 128 + 9 * 128)) ** 0.5
    assert np.abs(layer.kernel).max() == pytest.approx(bound, rel=1e-3)
    assert not layer.bias.numpy().any()


def test_keras20_pads_the_stem_as_keras_2_did(old):
    conv = old.get_layer("conv1_conv")
    conv.bias.assign(np.linspace(-0.2, 0.2, 16))
    stem = keras.Model(old.input, old.get_layer("pool1_pool").output)
    x = noise(2, 64, 64, 3)
    # `same` at stride 2 and kernel 7 pads an even side by 5: 2 before, 3 after
    padded = np.pad(x, [(0, 0), (2, 3), (2, 3), (0, 0)])
    y = tf.nn.conv2d(padded, conv.kernel, strides=2, padding="VALID") + conv.bias
    y = tf.nn.relu(y / np.sqrt(1 + 1e-3))  # a fresh batch norm: mean 0, variance 1
    np.testing.assert_allclose(stem(x), tf.nn.max_pool2d(y, 3, 2, "VALID"), atol=1e-5)
    assert stem(x).shape == (2, 15, 15, 16)
    norms = [layer for layer in old.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 53 and {layer.epsilon for layer in norms} == {1e-3}


def test_a_whole_image_gives_36x28_features_and_a_patch_7x7(full, old):
    for model, channels in ((full, 2048), (old, 512)):
        features = keras.Model(model.input, model.get_layer("conv5_block3_out").output)
        assert features.compute_output_shape((1, 1152, 896, 3)) == (1, 36, 28, channels)
        assert features.compute_output_shape((1, 224, 224, 3)) == (1, 7, 7, channels)


def test_another_compat_is_refused():
    with pytest.raises(cases.MammoError, match=r"compat is 'keras2'; known are None and 'keras2\.0'"):
        build(resnet50.resnet50, width=4, compat="keras2")


def test_the_names_of_keras20_are_complete_and_distinct(full, old):
    names = resnet50.KERAS20
    for model in (full, old):
        assert set(names) == {layer.name for layer in model.layers if layer.weights} - {"logits"}
    assert len(set(names.values())) == len(names) == 106  # 53 convolutions, 53 batch norms
    assert names["conv1_conv"] == "conv1" and names["conv1_bn"] == "bn_conv1"
    assert names["conv2_block1_0_conv"] == "res2a_branch1" and names["conv2_block1_1_bn"] == "bn2a_branch2a"
    assert names["conv4_block6_3_conv"] == "res4f_branch2c" and names["conv5_block3_2_bn"] == "bn5c_branch2b"


def test_the_top_prefixes_name_the_last_46_of_177_layers(old):
    # Keras 2.0 had no padding layers; its net ended in a 7x7 pool, and the patch net added pool, dropout, classifier.
    names = [layer.name for layer in old.layers]
    assert not any("pad" in name or "stride" in name for name in names)
    names[-2:-1] = ["avg_pool", "pool", "dropout"]
    assert len(names) == 177
    learned = [name for name in names[-46:] if name not in ("avg_pool", "pool", "dropout")]
    assert learned[0] == "conv4_block6_1_conv"
    assert learned == [name for name in names if name.startswith(resnet50.TOP_PREFIXES)]


def test_fewer_units_are_a_shorter_net_with_the_same_names_and_output():
    short = build(resnet50.resnet50, shape=(64, 64, 3), width=4, units=(1, 1, 2, 1), classes=5)
    names = [layer.name for layer in short.layers]
    assert {name.rpartition("_")[0] for name in names if name.endswith("_out")} == {
        "conv2_block1",
        "conv3_block1",
        "conv4_block1",
        "conv4_block2",
        "conv5_block1",
    }
    assert short.output_shape == (None, 5)
    assert short.get_layer("conv5_block1_out").output.shape == (None, 2, 2, 128)
    opened = [name for name in names if name.startswith(resnet50.top_prefixes((1, 1, 2, 1)))]
    assert opened[0] == "conv4_block2_1_conv" and opened[-1] == "logits"
    assert not any(name.startswith("conv4_block1") for name in opened)


def test_the_top_prefixes_of_the_papers_net_are_its_constant():
    assert resnet50.top_prefixes() == resnet50.TOP_PREFIXES == ("conv4_block6", "conv5_", "logits")
    assert resnet50.top_prefixes((1, 1, 1, 1)) == ("conv4_block1", "conv5_", "logits")


def test_as_many_units_as_stages_are_wanted():
    with pytest.raises(ValueError, match="shorter"):
        build(resnet50.resnet50_features, width=4, units=(1, 1, 1))


@pytest.mark.slow
def test_a_narrow_net_trains_and_its_logits_are_float32_in_bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(resnet50.resnet50, width=4, classes=5)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("conv5_block3_out").compute_dtype == "bfloat16" and model.output.dtype == "float32"
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    assert np.isfinite(model.train_on_batch(noise(2, 64, 96, 3), np.array([0, 4])))
