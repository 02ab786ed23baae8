import keras
import numpy as np
import pytest

from mammo_tf.models import vgg


def build(net, shape=(64, 32, 3), **arguments):
    x = keras.Input(shape)
    return keras.Model(x, net(x, **arguments))


@pytest.fixture(scope="module")
def full():
    return build(vgg.vgg16_features)


def test_the_features_have_the_parameters_of_the_paper(full):
    def block(channels, filters, count):
        """`count` 3x3 convolutions with biases, the first from `channels`."""
        return 9 * channels * filters + filters + (count - 1) * (9 * filters * filters + filters)

    expected = block(3, 64, 2) + block(64, 128, 2) + block(128, 256, 3) + block(256, 512, 3) + block(512, 512, 3)
    assert full.count_params() == expected == 14_714_688


def test_features_equal_those_of_keras_applications(full):
    theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 32, 3))
    for layer in theirs.layers:
        if layer.weights:
            full.get_layer(layer.name).set_weights(layer.get_weights())
    assert {layer.name for layer in theirs.layers[1:]} <= {layer.name for layer in full.layers}
    x = np.random.default_rng(0).normal(size=(2, 64, 32, 3)).astype("float32")
    found, expected = np.asarray(full(x)), np.asarray(theirs(x))
    assert expected.shape == (2, 2, 1, 512) and expected.std() > 0
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_each_relu_is_a_layer_and_no_activation_hides_in_a_convolution():
    model = build(vgg.vgg16, width=4)
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convs) == 13 and all(layer.activation is keras.activations.linear for layer in convs)
    names = [layer.name for layer in model.layers]
    assert names[1:6] == ["block1_conv1", "block1_relu1", "block1_conv2", "block1_relu2", "block1_pool"]
    assert names[-3:] == ["block5_pool", "pool", "logits"]


def test_kernels_start_he_normal_and_biases_at_zero(full):
    layer = build(vgg.vgg16_features, width=32).get_layer("block5_conv2")
    assert layer.kernel.numpy().std() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert not layer.bias.numpy().any()


def test_the_top_prefixes_name_the_last_11_of_22_layers():
    # Keras 2.0: the input, 13 convolutions with their ReLUs inside, 5 pools, average pool, dropout, classifier.
    names = [layer.name for layer in build(vgg.vgg16, width=4).layers if "relu" not in layer.name]
    names.insert(-1, "dropout")
    assert len(names) == 22
    learned = [name for name in names[-11:] if name not in ("pool", "dropout")]
    assert learned[0] == "block4_conv1"
    assert learned == [name for name in names if name.startswith(vgg.TOP_PREFIXES)]
