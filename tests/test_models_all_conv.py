import functools

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import all_conv, all_conv_heads, blocks, vgg

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TOPS = {
    "vgg": all_conv_heads.VggTop(((8, 1),)),
    "resnet": all_conv_heads.ResnetTop((((8, 8, 16), 2),)),
    "fc": all_conv_heads.FcTop(2, (8, 4)),
}
VGG = functools.partial(vgg.vgg16_features, width=2)


def features(x, *, seed=0, padding=0):
    """A backbone of stride 2 that pads nothing: 12 pixels to 3, 20 to 7, 16 to 5."""
    x = blocks.conv(x, blocks.Conv("block1_conv1", 4, 3, padding=padding), seed=seed)
    x = blocks.batch_norm(x, "block1_bn1")
    x = blocks.relu(x, "block1_relu1")
    x = blocks.max_pool(x, 2, 2, "block1_pool")
    x = blocks.conv(x, blocks.Conv("block2_conv1", 8, 3, padding=padding), seed=seed)
    return blocks.relu(x, "block2_relu1")


def patch_net(backbone=features, shape=(12, 12, 3), *, dropout=0.0, seed=1):
    x = keras.Input(shape)
    y = keras.layers.GlobalAveragePooling2D(name="pool")(backbone(x, seed=seed))
    if dropout:
        y = blocks.dropout(y, dropout, "dropout", seed=seed)
    return keras.Model(x, blocks.logits(y, 5, seed=seed))


def whole(shape=(20, 16, 3), *, backbone=features, **arguments):
    x = keras.Input(shape)
    return keras.Model(x, all_conv.whole_image(x, backbone=backbone, **arguments))


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def at(model, name, x):
    return np.asarray(keras.Model(model.input, model.get_layer(name).output)(x))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("backbone, side, pool", [(features, 12, 3), (VGG, 64, 2)], ids=["valid", "vgg16"])
def test_on_one_patch_the_heatmap_is_the_patch_nets_output(backbone, side, pool):
    patch = patch_net(backbone, (side, side, 3), dropout=0.5)
    net = all_conv.heatmap_net(patch, pool=pool, input_shape=(side, side, 3))
    x = images(3, side, side, 3)
    expected = np.asarray(patch(x))
    assert np.ptp(expected) > 0.01
    assert net.output.shape == (None, 1, 1, 5)
    np.testing.assert_allclose(at(net, "heatmap_logits", x)[:, 0, 0], expected, atol=1e-5)
    np.testing.assert_allclose(np.asarray(net(x))[:, 0, 0], softmax(expected), atol=1e-5)


@pytest.mark.parametrize(
    "backbone, shape, pool", [(features, (20, 16, 3), 3), (VGG, (128, 96, 3), 2)], ids=["valid", "vgg16"]
)
def test_on_an_image_it_is_the_head_on_each_window_of_the_feature_map(backbone, shape, pool):
    patch = patch_net(backbone, (64, 64, 3))
    net = all_conv.heatmap_net(patch, pool=pool, input_shape=shape)
    x = images(2, *shape)
    maps = np.asarray(keras.Model(net.input, net.get_layer("heatmap_pool").input)(x))
    kernel, bias = patch.get_layer("logits").get_weights()
    found = at(net, "heatmap_logits", x)
    assert (
        found.shape[1:3] == (maps.shape[1] - pool + 1, maps.shape[2] - pool + 1) and found.shape[1] != found.shape[2]
    )
    for i, j in np.ndindex(*found.shape[1:3]):
        window = maps[:, i : i + pool, j : j + pool].mean(axis=(1, 2))
        np.testing.assert_allclose(found[:, i, j], window @ kernel + bias, atol=1e-5)


def test_without_padding_it_is_the_patch_net_on_each_patch_of_the_image():
    patch = patch_net()
    net = all_conv.heatmap_net(patch, pool=3, input_shape=(20, 16, 3))
    x = images(2, 20, 16, 3)
    found = at(net, "heatmap_logits", x)
    assert found.shape == (2, 5, 3, 5)
    for i, j in np.ndindex(5, 3):
        np.testing.assert_allclose(found[:, i, j], patch(x[:, 2 * i : 2 * i + 12, 2 * j : 2 * j + 12]), atol=1e-5)


def test_with_padding_it_is_not():
    patch = patch_net(functools.partial(features, padding=1))
    net = all_conv.heatmap_net(patch, pool=6, input_shape=(20, 16, 3))
    x = images(1, 20, 16, 3)
    assert np.abs(at(net, "heatmap_logits", x)[:, 2, 1] - patch(x[:, 4:16, 2:14])).max() > 0.001


@pytest.mark.parametrize("activation", ["relu", "softmax"])
@pytest.mark.parametrize("top", TOPS.values(), ids=TOPS.keys())
def test_convert_takes_the_patch_nets_weights_and_puts_a_top_on_it(top, activation):
    patch = patch_net(dropout=0.5)
    patch.get_layer("block1_bn1").moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    before = [w.copy() for w in patch.get_weights()]
    heatmap = all_conv.Heatmap(5, 3, activation)
    model = all_conv.convert(patch, cut="pool", input_shape=(20, 16, 3), top=top, heatmap=heatmap)
    x = images(2, 20, 16, 3)
    z = at(all_conv.heatmap_net(patch, pool=3, input_shape=(20, 16, 3)), "heatmap_logits", x)
    expected = np.maximum(z, 0) if activation == "relu" else softmax(z)
    np.testing.assert_allclose(at(model, "heatmap", x), expected, atol=1e-5)
    assert model(x).shape == (2, 2)
    model.get_layer("block1_conv1").bias.assign(np.ones(4))  # the patch net is another, and stays
    assert all(np.array_equal(a, b) for a, b in zip(before, patch.get_weights(), strict=True))
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


def test_convert_equals_whole_image_with_the_same_weights(tmp_path):
    patch = patch_net()
    patch.save(tmp_path / "patch.keras")
    for heatmap in (None, all_conv.Heatmap(5, 3)):
        model = whole(top=TOPS["vgg"], heatmap=heatmap, seed=3)
        top = model.get_layer("logits").get_weights()
        all_conv.patch_weights(model, tmp_path / "patch.keras")
        other = all_conv.convert(patch, cut="pool", input_shape=(20, 16, 3), top=TOPS["vgg"], heatmap=heatmap, seed=3)
        assert [layer.name for layer in model.layers[1:]] == [layer.name for layer in other.layers[1:]]
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(top, model.get_layer("logits").get_weights(), strict=True))


def test_patch_weights_refuses_what_does_not_fit_and_loads_nothing(tmp_path):
    patch_net().save(tmp_path / "patch.keras")
    three = whole(top=TOPS["vgg"], heatmap=all_conv.Heatmap(3, 3))
    before = three.get_weights()
    match = r"patch\.keras: logits/0 -> heatmap_logits: .*\(1, 1, 8, 5\), the net \(1, 1, 8, 3\)"
    with pytest.raises(cases.DataError, match=match):
        all_conv.patch_weights(three, tmp_path / "patch.keras")
    assert all(np.array_equal(a, b) for a, b in zip(before, three.get_weights(), strict=True))
    with pytest.raises(cases.DataError, match=r"missing block1_conv2/0.*unexpected block1_bn1/0"):
        all_conv.patch_weights(whole((64, 64, 3), backbone=VGG, top=TOPS["vgg"]), tmp_path / "patch.keras")
    x = keras.Input((12, 12, 3))
    keras.Model(x, features(x)).save(tmp_path / "headless.keras")
    with pytest.raises(cases.DataError, match=r"patch net's head does not fit the net: missing logits/0, logits/1"):
        all_conv.patch_weights(whole(top=TOPS["vgg"], heatmap=all_conv.Heatmap(5, 3)), tmp_path / "headless.keras")


def test_what_cannot_be_converted_is_refused():
    patch = patch_net()
    convert = functools.partial(all_conv.convert, input_shape=(20, 16, 3), top=TOPS["vgg"])
    with pytest.raises(cases.MammoError, match=r"no layer 'avg_pool'; its last are .*block2_relu1, pool, logits"):
        convert(patch, cut="avg_pool")
    with pytest.raises(cases.MammoError, match="heatmap: 4 classes, but the patch net's head has 5"):
        convert(patch, cut="pool", heatmap=all_conv.Heatmap(4, 3))
    with pytest.raises(cases.MammoError, match="9x9 does not fit on a feature map of 7x5"):
        convert(patch, cut="pool", heatmap=all_conv.Heatmap(5, 9))
    with pytest.raises(cases.MammoError, match="relu or softmax, not 'tanh'"):
        convert(patch, cut="pool", heatmap=all_conv.Heatmap(5, 3, "tanh"))
    x = keras.Input((12, 12, 3))
    flat = keras.Model(x, blocks.logits(keras.layers.Flatten(name="flat")(features(x)), 5, seed=0))
    with pytest.raises(cases.MammoError, match=r"must end in a GlobalAveragePooling2D 'flat'.*flat \(Flatten\)"):
        convert(flat, cut="flat", heatmap=all_conv.Heatmap(5, 3))
    assert convert(flat, cut="flat").output.shape == (None, 2)  # without a heatmap its head does not matter
    with pytest.raises(cases.MammoError, match="these layers are models: inner"):
        inner = keras.Model(x, features(x), name="inner")
        convert(keras.Model(x, keras.layers.GlobalAveragePooling2D(name="pool")(inner(x))), cut="pool")


def test_a_patch_net_with_its_own_softmax_and_another_head_name_converts():
    x = keras.Input((12, 12, 3))
    y = keras.layers.GlobalAveragePooling2D(name="gap")(features(x))
    patch = keras.Model(x, keras.layers.Dense(5, activation="softmax", name="predictions")(y))
    net = all_conv.heatmap_net(patch, pool=3, input_shape=(12, 12, 3), cut="gap")
    np.testing.assert_allclose(np.asarray(net(images(2, 12, 12, 3)))[:, 0, 0], patch(images(2, 12, 12, 3)), atol=1e-5)


@pytest.mark.parametrize("top", TOPS.values(), ids=TOPS.keys())
def test_a_whole_image_net_learns_in_bfloat16_and_serialises(top, tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = whole(top=top, heatmap=all_conv.Heatmap(5, 3, "softmax"))
        converted = all_conv.convert(patch_net(), cut="pool", input_shape=(20, 16, 3), top=top)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("block2_conv1").compute_dtype == "bfloat16"
    assert {model.get_layer(name).compute_dtype for name in ("heatmap_logits", "heatmap", "logits")} == {"float32"}
    assert converted.get_layer("block2_conv1").compute_dtype == "bfloat16" and converted.output.dtype == "float32"
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    start = model.get_layer("heatmap_logits").kernel.numpy()
    assert np.isfinite(model.train_on_batch(images(2, 20, 16, 3), np.array([0, 1])))
    assert not np.array_equal(start, model.get_layer("heatmap_logits").kernel)
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again(images(2, 20, 16, 3)), model(images(2, 20, 16, 3)))


def test_other_classes_by_a_partial():
    top = functools.partial(TOPS["vgg"], classes=3)
    assert all_conv.convert(patch_net(), cut="pool", input_shape=(20, 16, 3), top=top).output.shape == (None, 3)
    assert whole(top=TOPS["vgg"], classes=3).output.shape == (None, 3)
