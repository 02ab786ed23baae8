import h5py
import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import inception_v3

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDE = 96


def build(net=inception_v3.inception_v3, shape=(SIDE, SIDE, 3), **arguments):
    x = keras.Input(shape)
    return keras.Model(x, net(x, **arguments))


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.fixture(scope="module")
def full():
    return build(inception_v3.inception_v3_features)


@pytest.fixture(scope="module")
def theirs():
    """Keras' net with drawn weights, statistics of the batch norms included."""
    model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            he = np.float32(2 / np.prod(layer.kernel.shape[:3])) ** np.float32(0.5)
            layer.kernel.assign(he * rng.standard_normal(layer.kernel.shape, np.float32))
        if isinstance(layer, keras.layers.BatchNormalization):
            beta, mean, variance = (rng.uniform(-0.3, 0.3, layer.beta.shape) for _ in range(3))
            layer.set_weights([beta, mean, 1 + variance])
    return model


@pytest.fixture(scope="module")
def narrow():
    return build(shape=(SIDE, SIDE, 9), width=2, dropout=0.1)


def test_the_features_have_the_parameters_of_keras_applications(full, theirs):
    stem, narrow = 32 + 32 + 64 + 80 + 192, 64 + 48 + 64 + 64 + 96 + 96
    factorized = sum(192 + (2 * n + 192) + (4 * n + 192) + 192 for n in (128, 160, 160, 192))
    halving = 384 + (64 + 96 + 96) + (192 + 320) + (192 + 192 + 192 + 192)
    expanded = 320 + 3 * 384 + (448 + 3 * 384) + 192
    channels = stem + (3 * narrow + 32 + 64 + 64) + factorized + halving + 2 * expanded
    assert channels == 17_216  # of the 94 batch norms: shifts, moving means and moving variances
    kernels = sum(int(np.prod(layer.kernel.shape)) for layer in full.layers if isinstance(layer, keras.layers.Conv2D))
    assert full.count_params() == kernels + 3 * channels == theirs.count_params() == 21_802_784
    assert trainable(full) == kernels + channels == 21_768_352


def test_features_equal_those_of_keras_applications(full, theirs):
    inception_v3.load_keras(full, theirs)
    x = noise(2, SIDE, SIDE, 3)
    found, expected = np.asarray(full(x)), np.asarray(theirs(x))
    assert expected.shape == (2, 1, 1, 2048) and np.abs(expected[0] - expected[1]).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    norms = [layer for layer in theirs.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(norm.epsilon, norm.momentum) for norm in norms} == {(1e-3, 0.99)}
    ours = [full.get_layer(name.replace("conv", "bn")) for name in inception_v3.CONVS]
    assert {(norm.epsilon, norm.momentum, norm.scale) for norm in ours} == {(1e-3, 0.99, False)}


def test_weights_come_from_their_file_too(full, theirs, tmp_path):
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    inception_v3.load_keras(full, theirs)
    expected = full.get_weights()
    full.set_weights([np.zeros_like(value) for value in expected])
    inception_v3.load_keras(full, tmp_path / "theirs.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(full.get_weights(), expected, strict=True))


def old_file(path, model, drop=(), more=()):
    """An .h5 as Keras 2 wrote it, from our net: automatic names that begin at 1, layers in another order."""
    layers = {"input_1": []}
    for i, name in enumerate(inception_v3.CONVS, start=1):
        layers[f"conv2d_{i}"] = model.get_layer(name).get_weights()
        layers[f"batch_normalization_{i}"] = model.get_layer(name.replace("conv", "bn")).get_weights()
    layers |= {name: [np.zeros(3)] for name in more}
    with h5py.File(path, "w") as file:
        names = sorted(set(layers) - set(drop), reverse=True)
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{i}".encode() for i in range(len(layers[name]))]
            for i, value in enumerate(layers[name]):
                group.create_dataset(f"{name}/{i}", data=value)
    return path


def test_numbers_count_as_numbers_in_an_old_file_and_the_head_is_left_alone(narrow, tmp_path):
    expected, head = narrow.get_weights(), len(narrow.get_layer("logits").weights)
    path = old_file(tmp_path / "old.h5", narrow, more=["predictions"])
    for variable in narrow.variables:
        variable.assign(variable + 1)
    inception_v3.load_keras(narrow, path)
    found = narrow.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(found[:-head], expected[:-head], strict=True))
    assert all(np.array_equal(a, b + 1) for a, b in zip(found[-head:], expected[-head:], strict=True))
    narrow.set_weights(expected)


def test_missing_unexpected_and_other_shapes_are_named_and_nothing_is_loaded(narrow, full, tmp_path):
    before = narrow.get_weights()
    path = old_file(tmp_path / "short.h5", narrow, drop=["batch_normalization_94"], more=["dense_1"])
    with pytest.raises(cases.DataError, match=r"short\.h5: .*missing mixed10_branch4_bn1/0.*unexpected dense_1/0"):
        inception_v3.load_keras(narrow, path)
    path = old_file(tmp_path / "long.h5", narrow, more=["conv2d_95"])
    with pytest.raises(cases.DataError, match=r"long\.h5: .*missing none; unexpected conv2d_95/0"):
        inception_v3.load_keras(narrow, path)
    with pytest.raises(cases.MammoError, match=r"stem_conv1 .*\(3, 3, 3, 32\), the net \(3, 3, 9, 2\)"):
        inception_v3.load_keras(narrow, full)
    with pytest.raises(cases.DataError, match="no such file"):
        inception_v3.load_keras(narrow, tmp_path / "none.h5")
    assert all(np.array_equal(a, b) for a, b in zip(before, narrow.get_weights(), strict=True))


def test_names_are_stable_and_unique_and_each_relu_is_a_layer(full, narrow):
    names = [layer.name for layer in narrow.layers[1:]]
    assert names[: len(full.layers) - 1] == [layer.name for layer in full.layers[1:]]
    assert len(set(names)) == len(names) and names[-3:] == ["pool", "dropout", "logits"]
    kinds = [type(layer).__name__ for layer in narrow.layers]
    assert kinds.count("Conv2D") == kinds.count("ReLU") == kinds.count("BatchNormalization") == 94
    assert set(inception_v3.CONVS) == {a.name for a in narrow.layers if isinstance(a, keras.layers.Conv2D)}
    assert {"stem_conv5", "mixed3_branch1_conv1", "mixed9_branch2_fork", "mixed10_branch4_conv1"} <= set(names)


def test_feature_maps_have_the_shapes_of_the_net_at_299(narrow):
    model = build(inception_v3.inception_v3_features, shape=(None, None, 9), width=2)
    shapes = {"stem_relu1": (149, 2), "stem_pool1": (73, 4), "stem_pool2": (35, 12), "mixed0": (35, 16)}
    shapes |= {"mixed2": (35, 18), "mixed3": (17, 48), "mixed7": (17, 48), "mixed8": (8, 80), "mixed10": (8, 128)}
    ends = keras.Model(model.input, [model.get_layer(name).output for name in shapes])
    found = ends.compute_output_shape((1, 299, 299, 9))
    assert dict(zip(shapes, [(shape[1], shape[3]) for shape in found], strict=True)) == shapes
    assert model(noise(1, 75, 75, 9)).shape == (1, 1, 1, 128)


def test_a_side_below_75_is_refused():
    with pytest.raises(cases.MammoError, match="images are 96x74, each side must be 75"):
        build(shape=(96, 74, 3))


def test_one_seed_gives_one_net_and_another_seed_another(narrow):
    one, again, other = (build(shape=(SIDE, SIDE, 9), width=2, seed=seed).get_weights() for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    drawn = [len(np.unique(a)) > 1 for a in one]
    assert [not np.array_equal(a, b) for a, b in zip(one, other, strict=True)] == drawn and sum(drawn) == 96


def test_kernels_start_glorot_uniform(narrow):
    kernel = narrow.get_layer("mixed7_branch3_conv5").kernel.numpy()
    assert kernel.shape == (1, 7, 12, 12)
    assert np.abs(kernel).max() == pytest.approx((6 / (7 * 12 + 7 * 12)) ** 0.5, rel=0.01)


def test_a_saved_net_gives_the_same_logits(narrow, tmp_path):
    narrow.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    x = noise(2, SIDE, SIDE, 9)
    np.testing.assert_array_equal(again(x), narrow(x))
    assert again.get_layer("dropout").rate == 0.1 and again.output_shape == (None, 2)


def test_one_step_trains_from_the_first_layer_on(narrow):
    model, weights = keras.Model(narrow.input, narrow.output), narrow.get_weights()
    start = {name: model.get_layer(name).kernel.numpy() for name in (*inception_v3.CONVS, "logits")}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=True)  # tracing takes longer than the step
    assert np.isfinite(model.train_on_batch(noise(4, SIDE, SIDE, 9), np.array([0, 1, 0, 1])))
    assert not any(np.array_equal(kernel, model.get_layer(name).kernel) for name, kernel in start.items())
    narrow.set_weights(weights)
