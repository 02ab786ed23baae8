import functools

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import alexnet, dog, googlenet, inception_v3, resnet50, two_view, vgg

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

GOOGLENET = functools.partial(googlenet.googlenet_features, width=8)
BACKBONES = {  # small enough for tests, the layers those of the full nets
    "alexnet": functools.partial(alexnet.alexnet_features, width=4, fc=32, dropout=0.1),
    "vgg16": functools.partial(vgg.vgg16_features, width=4),
    "googlenet": GOOGLENET,
    "inception_v3": functools.partial(inception_v3.inception_v3_features, width=4),
    "resnet50": functools.partial(resnet50.resnet50_features, width=4, units=(1, 1, 1, 1)),
}
each_backbone = pytest.mark.parametrize("name", BACKBONES)
each_pair = pytest.mark.parametrize(  # two branches of Inception V3 take seconds to build
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "inception_v3")) for name in BACKBONES]
)
SMALL_TOP = two_view.Top((8,), 0.1)


def sides(name):
    return 80 if name == "inception_v3" else 64


def parallel(name="googlenet", **arguments):
    x = keras.Input((sides(name), sides(name), 1))
    facts = {"features": BACKBONES[name], "dog": dog.sigmas_at(sides(name))}
    return keras.Model(x, two_view.one_view(x, **{**facts, **arguments}))


def multi_modal(name="googlenet", side=None, **arguments):
    side = side or sides(name)
    x = keras.Input((side, side, 2))
    facts = {"features": BACKBONES[name], "dog": dog.sigmas_at(side), "top": SMALL_TOP}
    return keras.Model(x, two_view.multi_modal(x, **{**facts, **arguments}))


def images(channels, side=64, count=2):
    return np.random.default_rng(0).normal(size=(count, side, side, channels)).astype("float32")


@pytest.fixture(scope="module")
def one():
    """The parallel net by backbone, each built when it is first asked for."""
    return functools.cache(parallel)


@pytest.fixture(scope="module")
def both():
    """The multi-modal net by backbone."""
    return functools.cache(multi_modal)


FIRST = {
    "alexnet": "block1_conv1",
    "vgg16": "block1_conv1",
    "googlenet": "stem_conv1",
    "inception_v3": "stem_conv1",
    "resnet50": "conv1_conv",
}


@each_backbone
def test_each_backbone_sees_nine_channels_and_gives_float32_logits(name, one):
    model = one(name)
    assert model.get_layer("dog").output.shape[-1] == 9
    assert model.get_layer(FIRST[name]).kernel.shape[2] == 9
    assert model.output_shape == (None, 2) and model.output.dtype == "float32"
    found = np.asarray(model(images(1, sides(name))))
    assert np.isfinite(found).all() and np.abs(found[0] - found[1]).max() > 0
    assert [layer.name for layer in model.layers[-2:]] == ["dropout", "logits"]
    assert model.get_layer("dropout").rate == 0.1


def test_without_a_filter_bank_the_net_is_that_of_one_channel():
    x = keras.Input((64, 64, 1))
    plain = keras.Model(x, googlenet.googlenet(x, width=8, seed=3, dropout=0.1))
    model = parallel(dog=None, seed=3)
    assert [layer.name for layer in model.layers[1:]] == [layer.name for layer in plain.layers[1:]]
    np.testing.assert_array_equal(model(images(1)), plain(images(1)))


def test_alexnets_features_are_alexnet_without_its_logits():
    x = keras.Input((64, 64, 9))
    facts = {"width": 4, "fc": 16, "seed": 2}
    whole, features = (keras.Model(x, net(x, **facts)) for net in (alexnet.alexnet, alexnet.alexnet_features))
    assert [layer.name for layer in whole.layers[1:]] == [layer.name for layer in features.layers[1:]] + ["logits"]
    assert features.output_shape == (None, 16)
    logits = whole.get_layer("logits")
    np.testing.assert_allclose(whole(images(9)), logits(features(images(9))), atol=1e-6)


@pytest.mark.parametrize("side, left", [(32, 1), (33, 2), (64, 2)])
def test_resnet50_leaves_a_pixel_of_32(side, left):
    x = keras.Input((side, side, 9))
    assert BACKBONES["resnet50"](x).shape == (None, left, left, 128)


@each_pair
def test_the_multi_modal_net_is_one_flat_graph_of_two_branches_and_a_top(name, one, both):
    model = both(name)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    names = [layer.name for layer in model.layers[1:]]
    assert len(set(names)) == len(names)
    assert names[-5:] == ["views", "fc1", "fc1_relu", "fc1_dropout", "logits"]
    branch = [layer.name for layer in one(name).layers[1:-2]]
    for view in ("cc", "mlo"):
        own = [layer.name for layer in model.layers if layer.name.startswith(f"{view}_")]
        assert own == [f"{view}_{layer}" for layer in ["view", *branch]]


@each_pair
def test_the_multi_modal_net_has_about_twice_the_parameters(name, one, both):
    """Exactly: twice those of a branch, and a top that sees both vectors."""
    head = one(name).get_layer("logits")
    branch = one(name).count_params() - head.count_params()
    features = head.kernel.shape[0]
    assert both(name).count_params() == 2 * branch + (2 * features * 8 + 8) + (8 * 2 + 2)
    assert 1.95 < both(name).count_params() / one(name).count_params() < 2.15


@each_pair
def test_each_branch_is_the_parallel_net_on_its_own_view(name, one, both):
    model = both(name)
    x = images(2, sides(name))
    vectors = keras.Model(model.input, model.get_layer("views").output)(x)
    last = one(name).get_layer("dropout").input
    single = keras.Model(one(name).input, last)
    for index, view in enumerate(("cc", "mlo")):
        for layer in single.layers[1:]:
            layer.set_weights(model.get_layer(f"{view}_{layer.name}").get_weights())
        expected = np.asarray(single(x[..., index : index + 1]))
        found = np.asarray(vectors)[:, index * expected.shape[1] :][:, : expected.shape[1]]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@each_pair
def test_the_branches_draw_weights_of_their_own(name, both):
    model = both(name)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    kernels = {layer.name: layer.kernel.numpy() for layer in convolutions}
    first = {name: kernel for name, kernel in kernels.items() if name.startswith("cc_")}
    assert len(kernels) == 2 * len(first) > 0
    assert not any(np.array_equal(kernel, kernels[f"mlo{name[2:]}"]) for name, kernel in first.items())


def test_one_seed_gives_one_net_and_another_seed_another():
    one, again, other = (multi_modal("alexnet", seed=seed) for seed in (4, 4, 5))
    pairs = zip(one.get_weights(), again.get_weights(), other.get_weights(), strict=True)
    assert all(np.array_equal(a, b) and not np.array_equal(a, c) for a, b, c in pairs)
    dropped = [np.asarray(model(images(2), training=True)) for model in (one, again)]
    np.testing.assert_array_equal(*dropped)


def test_a_saved_net_gives_the_same_logits(both, one, tmp_path):
    for model, channels in ((both("alexnet"), 2), (one("resnet50"), 1)):
        model.save(tmp_path / "net.keras")
        again = keras.saving.load_model(tmp_path / "net.keras")
        assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
        np.testing.assert_array_equal(again(images(channels)), model(images(channels)))


def test_in_bfloat16_the_filter_bank_sees_float32_and_the_logits_are_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = multi_modal("vgg16")
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("mlo_view").output.dtype == "float32"
    assert model.get_layer("mlo_block1_conv1").compute_dtype == "bfloat16"
    assert model.get_layer("views").output.dtype == "bfloat16" and model.output.dtype == "float32"
    x = images(2)
    bank = keras.Model(model.input, model.get_layer("mlo_dog").output)(x)
    expected = dog.DoGFilterBank(dog.sigmas_at(64))(x[..., 1:])
    np.testing.assert_array_equal(bank, keras.ops.cast(expected, "bfloat16"))


def test_one_step_trains_both_branches():
    model = multi_modal("alexnet")
    model.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    names = ("cc_block1_conv1", "mlo_block1_conv1", "fc1", "logits")
    before = {name: model.get_layer(name).kernel.numpy() for name in names}
    assert np.isfinite(model.train_on_batch(images(2, count=4), np.array([0, 1, 0, 1])))
    assert all(not np.array_equal(kernel, model.get_layer(name).kernel) for name, kernel in before.items())


def test_no_gradient_of_one_branch_reaches_the_other_view(both):
    """A branch's vector does not move with the other channel."""
    model = both("vgg16")
    vectors = keras.Model(model.input, [model.get_layer(f"{view}_pool").output for view in two_view.VIEWS])
    x = images(2)
    other = x + np.array([0, 1], "float32")
    (cc, mlo), (cc_after, mlo_after) = vectors(x), vectors(other)
    np.testing.assert_array_equal(cc, cc_after)
    assert not np.array_equal(mlo, mlo_after)


def test_hidden_layers_of_the_top_are_as_many_as_named():
    names = [layer.name for layer in multi_modal("vgg16", top=two_view.Top((), 0.3), classes=3).layers]
    assert names[-3:] == ["views", "dropout", "logits"]
    model = multi_modal("vgg16", top=two_view.Top((8, 4), 0.3), classes=3)
    assert [layer.name for layer in model.layers][-4:] == ["fc2", "fc2_relu", "fc2_dropout", "logits"]
    assert model.output_shape == (None, 3) and model.get_layer("fc2_dropout").rate == 0.3


def test_another_number_of_channels_and_a_tensor_that_is_no_input_are_refused():
    image = keras.Input((64, 64, 3))
    with pytest.raises(cases.MammoError, match=r"a keras\.Input of 2 channels, found \(None, 64, 64, 3\)"):
        two_view.multi_modal(image, features=BACKBONES["vgg16"])
    image = keras.layers.Rescaling(2.0)(keras.Input((64, 64, 2)))
    with pytest.raises(cases.MammoError, match=r"multi_modal: x must be a keras\.Input"):
        two_view.multi_modal(image, features=BACKBONES["vgg16"])
