import functools

import keras
import numpy as np
import pytest

from mammo_tf.models import alexnet, baseline, blocks, resnet

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Small enough for tests, the layers those of the full nets.
SMALL = {
    "baseline": functools.partial(baseline.baseline_cnn, width=4, fc=(8, 4)),
    "alexnet": functools.partial(alexnet.alexnet, width=4, fc=8),
    "resnet18": functools.partial(resnet.resnet18, width=4),
}
each_net = pytest.mark.parametrize("net", SMALL.values(), ids=SMALL.keys())


def build(net, side=64, **arguments):
    x = keras.Input((side, side, 3))
    return keras.Model(x, net(x, **arguments))


def images(side=64, count=2):
    return np.random.default_rng(0).normal(size=(count, side, side, 3)).astype("float32")


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_alexnet_has_the_parameters_of_the_one_tower_form():
    # convolutions 23,296 + 307,392 + 663,936 + 884,992 + 590,080; fully connected 37,752,832 + 16,781,312 + 8,194
    assert build(alexnet.alexnet, side=224).count_params() == 57_012_034


def test_resnet18_has_the_parameters_of_the_paper_with_two_classes():
    model = build(resnet.resnet18)  # 11,689,512 with 1000 classes; the head is 513 a class
    assert trainable(model) == 11_177_538 == 11_689_512 - 998 * 513
    assert model.count_params() - trainable(model) == 2 * 4_800  # moving mean and variance of 4,800 channels


def test_baseline_has_the_parameters_of_its_table():
    convolutions, norms = 896 + 9_248 + 9_248, 3 * 64
    full = 28 * 28 * 32 * 512 + 512, 512 * 128 + 128, 128 * 2 + 2
    assert trainable(build(baseline.baseline_cnn, side=224)) == convolutions + norms + sum(full) == 12_931_074


@each_net
@pytest.mark.parametrize("side", [64, 224])
def test_takes_both_sides_and_gives_finite_logits(net, side):
    found = build(net, side=side, classes=3)(images(side))
    assert found.shape == (2, 3)
    assert np.isfinite(found).all() and np.ptp(found) > 0


@each_net
def test_names_are_stable_unique_and_none_is_automatic(net):
    build(net)  # a net built before moves no name
    one, other = build(net), build(net, side=96)
    names = [layer.name for layer in one.layers[1:]]
    assert names == [layer.name for layer in other.layers[1:]]
    assert len(set(names)) == len(names)
    automatic = {keras.src.utils.naming.to_snake_case(type(layer).__name__) for layer in one.layers[1:]}
    assert not {name.rstrip("_0123456789") for name in names} & (automatic - {"flatten"})
    assert names[-1] == "logits"
    assert isinstance(one.layers[-1], keras.layers.Dense)
    assert one.layers[-1].activation is keras.activations.linear


@each_net
def test_relu_is_always_a_layer_of_its_own(net):
    layers = build(net).layers
    assert all(getattr(layer, "activation", keras.activations.linear) is keras.activations.linear for layer in layers)
    assert sum(isinstance(layer, keras.layers.ReLU) for layer in layers) >= 5


def test_the_names_that_others_rely_on():
    names = {name: [layer.name for layer in build(net).layers[1:]] for name, net in SMALL.items()}
    assert names["baseline"][:4] == ["block1_conv1", "block1_bn1", "block1_relu1", "block1_pool"]
    assert names["alexnet"][:4] == ["block1_conv1_pad", "block1_conv1", "block1_relu1", "block1_pool"]
    assert names["alexnet"][-5:] == ["fc1_relu", "fc2_dropout", "fc2", "fc2_relu", "logits"]
    assert {"stem_conv", "stage1_block1_conv1", "stage4_block2_relu2", "pool"} <= set(names["resnet18"])
    assert [n for n in names["resnet18"] if n.endswith("shortcut_conv")] == [
        f"stage{s}_block1_shortcut_conv" for s in (2, 3, 4)
    ]


@each_net
def test_one_seed_gives_one_net_and_another_seed_another(net):
    first = build(net, seed=7).get_weights()
    keras.layers.Dense(3).build((None, 5))  # whatever is drawn in between
    again, other = build(net, seed=7).get_weights(), build(net, seed=8).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    differs = [not np.array_equal(a, b) for a, b in zip(first, other, strict=True)]
    drawn = [len(np.unique(a)) > 1 for a in first]  # batch norms begin with ones and zeros
    assert differs == drawn and any(drawn)


def test_dropout_repeats_with_the_seed_too():
    def trained(seed):
        return np.asarray(build(SMALL["alexnet"], seed=seed)(images(), training=True))

    assert np.array_equal(trained(1), trained(1))


def test_layers_of_one_net_do_not_share_a_seed():
    model = build(SMALL["resnet18"])
    same_shape = [model.get_layer(f"stage1_block{b}_conv{i}").kernel.numpy() for b in (1, 2) for i in (1, 2)]
    assert all(not np.array_equal(a, b) for n, a in enumerate(same_shape) for b in same_shape[:n])


def test_initial_weights_follow_their_laws():
    kernel = build(resnet.resnet18).get_layer("stage3_block2_conv1").kernel.numpy()
    assert kernel.std() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)  # fan_out = 3 x 3 x 256
    fc1 = build(alexnet.alexnet, fc=64).get_layer("fc1")
    bound = (36 * 256) ** -0.5
    assert np.abs(fc1.kernel).max() == pytest.approx(bound, rel=0.001)
    assert 0.8 * bound < np.abs(fc1.bias).max() <= bound


@each_net
def test_logits_are_float32_under_mixed_precision(net):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(net)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.layers[-2].compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"
    full = build(net)
    full.set_weights(model.get_weights())
    np.testing.assert_allclose(model(images()), full(images()), atol=0.1)


@each_net
def test_a_saved_model_gives_the_same_logits(net, tmp_path):
    model = build(net)
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    np.testing.assert_array_equal(again(images()), model(images()))


@each_net
def test_the_loss_falls_within_five_steps(net):
    model = build(net)
    model.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = images(count=8), np.array([0, 1] * 4)
    losses = [model.train_on_batch(x, y) for _ in range(6)]
    assert np.isfinite(losses).all() and min(losses[1:]) < losses[0]


def test_padding_is_symmetric_where_a_convolution_strides():
    x = keras.Input((8, 8, 1))
    model = keras.Model(x, blocks.conv(x, blocks.Conv("c", 1, 3, stride=2, bias=False), seed=0))
    model.get_layer("c").set_weights([np.arange(9.0).reshape(3, 3, 1, 1)])
    image = np.zeros((1, 8, 8, 1), "float32")
    image[0, 0, 0] = 1  # the first window is centred on the first pixel: weight 4 of 0..8
    assert np.asarray(model(image))[0, :, :, 0].tolist() == [[4, 0, 0, 0]] + [[0] * 4] * 3


def test_a_strided_1x1_convolution_of_few_channels_is_subsampled_first_and_trains():
    """TensorFlow's own strided kernel corrupts memory there (see blocks): the process would die."""
    image = keras.Input((9, 9, 8))
    facts = blocks.Conv("shortcut", 16, 1, stride=2, bias=False)
    model = keras.Model(image, keras.layers.Flatten()(blocks.conv(image, facts, seed=0)))
    assert "shortcut_stride" in [layer.name for layer in model.layers]
    x = np.random.default_rng(0).standard_normal((4, 9, 9, 8), np.float32)
    kernel = model.get_layer("shortcut").kernel.numpy()[0, 0]
    np.testing.assert_allclose(
        model.predict_on_batch(x).reshape(4, 5, 5, 16), x[:, ::2, ::2] @ kernel, rtol=1e-4, atol=1e-5
    )
    model.compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=False)
    for _ in range(20):
        loss = model.train_on_batch(x, np.zeros((4, 400), np.float32))
    assert np.isfinite(loss)
