import hashlib
import os
import pathlib

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors import numpy as safe

from mammo_tf import cases
from mammo_tf.models import squeezenet, squeezenet_weights, weights
from tests import squeezenet_torch as theirs
from tests.squeezenet_torch import CLASSES, WIDTH, draw_state, images

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")

FORMS = {"1.0": squeezenet.V1_0, "1.1": squeezenet.V1_1}
each_form = pytest.mark.parametrize("form", FORMS)
each_size = pytest.mark.parametrize("form, side", theirs.RECORDED)


def build(form="1.1", side=64, net=squeezenet.squeezenet, **arguments):
    x = keras.Input((side, side, 3))
    return keras.Model(x, net(x, **{"width": WIDTH, "variant": FORMS.get(form, squeezenet.KERAS), **arguments}))


def our_logits(form, side):
    model = build(form, side, classes=CLASSES)
    squeezenet_weights.load_squeezenet(model, draw_state(form), head=True)
    return np.asarray(model(images(side)))


@each_size
def test_logits_equal_those_recorded_from_pytorch(form, side):
    recorded = np.array(theirs.RECORDED[form, side])
    assert np.abs(recorded[0] - recorded[1]).max() > 0.1  # the images matter
    np.testing.assert_allclose(our_logits(form, side), recorded, atol=1e-4)


@each_size
def test_logits_equal_those_of_pytorch_itself(form, side):
    pytest.importorskip("torch")
    found = theirs.torch_logits(form, side)
    np.testing.assert_allclose(found, theirs.RECORDED[form, side], atol=1e-4)
    np.testing.assert_allclose(our_logits(form, side), found, atol=1e-4)


@each_form
def test_torchs_own_layout_has_these_shapes(form):
    pytest.importorskip("torch")
    found = theirs.torch_net(form, 64, 1000).state_dict()
    assert {name: tuple(value.shape) for name, value in found.items()} == theirs.shapes(form, 64, 1000)


@pytest.mark.parametrize("form, most", [("1.0", 1_248_424), ("1.1", 1_235_496)])
def test_the_full_net_has_torchvisions_parameters(form, most):
    full = theirs.shapes(form, 64, 1000)
    assert len(full) == 2 * 26 and sum(int(np.prod(shape)) for shape in full.values()) == most


@each_form
def test_each_tensor_goes_to_its_place(form):
    state, model = draw_state(form), build(form, classes=CLASSES)
    squeezenet_weights.load_squeezenet(model, state, head=True)
    for (place, _), fire in zip(theirs.FIRES[form].items(), squeezenet.FIRES, strict=True):
        layer = model.get_layer(f"{fire}_expand3_conv")
        assert layer.kernel.numpy()[0, 2, 1, 3] == state[f"features.{place}.expand3x3.weight"][3, 1, 0, 2]
        np.testing.assert_array_equal(layer.bias, state[f"features.{place}.expand3x3.bias"])
        squeezed = model.get_layer(f"{fire}_squeeze_conv").kernel.numpy()
        np.testing.assert_array_equal(squeezed[0, 0].T, state[f"features.{place}.squeeze.weight"][:, :, 0, 0])
    np.testing.assert_array_equal(model.get_layer("logits").bias, state["classifier.1.bias"])


def test_the_head_is_missed_unless_it_is_not_wanted():
    model, state = build(seed=5), draw_state("1.1", classes=1000)
    start = model.get_layer("logits").kernel.numpy()
    bare = {name: value for name, value in state.items() if not name.startswith("classifier")}
    with pytest.raises(
        cases.MammoError, match=r"missing classifier\.1\.bias, classifier\.1\.weight; unexpected none"
    ):
        squeezenet_weights.load_squeezenet(model, bare, head=True)
    for given in (bare, state):
        squeezenet_weights.load_squeezenet(model, given, head=False)
        np.testing.assert_array_equal(model.get_layer("logits").kernel, start)
        np.testing.assert_array_equal(model.get_layer("stem_conv").bias, state["features.0.bias"])
    alone = build(net=squeezenet.squeezenet_features)
    squeezenet_weights.load_squeezenet(alone, state, head=False)
    np.testing.assert_array_equal(alone.get_layer("stem_conv").bias, state["features.0.bias"])


def same(before, model):
    return all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_missing_and_unexpected_names_are_listed_and_nothing_is_loaded():
    model, state = build(classes=CLASSES), draw_state("1.1")
    before = model.get_weights()
    changed = {name: value for name, value in state.items() if name != "features.6.squeeze.bias"}
    changed["features.13.squeeze.bias"] = np.zeros(3)
    with pytest.raises(
        cases.MammoError, match=r"missing features\.6\.squeeze\.b.*; unexpected features\.13\.squeeze"
    ):
        squeezenet_weights.load_squeezenet(model, changed, head=True)
    with pytest.raises(cases.MammoError, match=r"missing features\.11\..*; unexpected features\.5\.expand1x1"):
        squeezenet_weights.load_squeezenet(model, draw_state("1.0"), head=True)
    wrong = {**state, "classifier.1.bias": np.zeros(3, "float32")}
    with pytest.raises(cases.MammoError, match=r"classifier\.1\.bias -> logits.*\(3,\), the net \(4,\)"):
        squeezenet_weights.load_squeezenet(model, wrong, head=True)
    assert same(before, model)


def test_another_net_is_refused():
    x = keras.Input((8, 8, 3))
    other = keras.Model(x, keras.layers.Conv2D(2, 1, name="stem_conv")(x))
    with pytest.raises(cases.MammoError, match="no SqueezeNet: the net has no layer fire2_expand1_conv"):
        squeezenet_weights.load_squeezenet(other, draw_state("1.1"), head=False)
    with pytest.raises(cases.MammoError, match="no SqueezeNet: the net has no layer logits"):
        squeezenet_weights.load_squeezenet(build(net=squeezenet.squeezenet_features), draw_state("1.1"), head=True)


# The names of Keras' file, in its order, written out.
KERAS_NAMES = ["conv1"] + [
    f"fire{i}/{part}" for i in range(2, 10) for part in ("squeeze1x1", "expand1x1", "expand3x3")
]


def write_keras(path, model, *, drop=(), more=(), top=False):
    """The older .h5 by hand, with the slashes in the names of its layers."""
    ours = [name for name in (layer.name for layer in model.layers if layer.weights) if name != "logits"]
    assert len(ours) == len(KERAS_NAMES) == 25
    order = ["stem_conv"] + [f"fire{i}_{p}_conv" for i in range(2, 10) for p in ("squeeze", "expand1", "expand3")]
    arrays = {name: model.get_layer(own).get_weights() for name, own in zip(KERAS_NAMES, order, strict=True)}
    if top:
        arrays["conv10"] = model.get_layer("logits").get_weights()
    arrays |= {name: [np.zeros(3)] for name in more}
    with h5py.File(path, "w") as file:
        names = ["input_1", *(name for name in arrays if name not in drop), "drop9"]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            group = file.require_group(name)
            values = dict(zip((f"{name}_W", f"{name}_b"), arrays.get(name, []), strict=False))
            group.attrs["weight_names"] = [key.encode() for key in values]
            for key, value in values.items():
                group.create_dataset(key, data=value)
    return path


@pytest.fixture(scope="module")
def source():
    model = build("keras", seed=3, classes=CLASSES)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 1, w.shape).astype("float32") for w in model.get_weights()])
    return model


@pytest.mark.parametrize("form", ["1.1", "keras"])
@pytest.mark.parametrize("top", [False, True])
def test_kerass_file_is_loaded_by_name(source, form, top, tmp_path):
    model, path = build(form, classes=CLASSES), write_keras(tmp_path / "s.h5", source, top=top)
    head = model.get_layer("logits").get_weights()
    squeezenet_weights.load_keras(model, path)
    assert same(source.get_weights()[:-2] + head, model)
    if top:
        squeezenet_weights.load_keras(model, path, head=True)
        assert same(source.get_weights(), model)
    else:
        with pytest.raises(cases.DataError, match="missing logits/0, logits/1; unexpected none"):
            squeezenet_weights.load_keras(model, path, head=True)


def test_kerass_file_is_strict_both_ways_and_nothing_is_loaded(source, tmp_path):
    model = build()
    before = model.get_weights()
    path = write_keras(tmp_path / "a.h5", source, drop=["fire5/expand1x1"], more=["fire10/squeeze1x1"])
    with pytest.raises(
        cases.DataError,
        match=r"a\.h5: .*missing fire5_expand1_conv/0, fire5_expand1_conv/1; unexpected fire10/squeeze1x1/0",
    ):
        squeezenet_weights.load_keras(model, path)
    whole = write_keras(tmp_path / "b.h5", source)
    with pytest.raises(cases.DataError, match=r"b\.h5: stem_conv.*the net \(7, 7, 3, 24\)"):
        squeezenet_weights.load_keras(build("1.0"), whole)
    with pytest.raises(cases.DataError, match="no such file"):
        squeezenet_weights.load_keras(model, tmp_path / "none.h5")
    assert same(before, model)


def test_the_backbone_comes_from_any_of_the_files(source, tmp_path):
    state = draw_state("1.1", classes=1000)
    safe.save_file(state, tmp_path / "torch.safetensors")
    write_keras(tmp_path / "old.h5", source, top=True)
    source.save(tmp_path / "own.keras")
    source.save_weights(tmp_path / "own.weights.h5")
    for name in ("torch.safetensors", "old.h5", "own.keras", "own.weights.h5"):
        model = build(seed=9)  # two classes
        head = model.get_layer("logits").get_weights()
        squeezenet_weights.load_backbone(model, tmp_path / name)
        expected = build(classes=1000) if name == "torch.safetensors" else source
        if expected is not source:
            squeezenet_weights.load_squeezenet(expected, state, head=True)
        assert same(expected.get_weights()[:-2] + head, model), name


def test_what_is_no_backbone_is_named(source, tmp_path):
    safe.save_file(draw_state("1.0"), tmp_path / "other.safetensors")
    with pytest.raises(cases.DataError, match=r"other\.safetensors: .*does not fit"):
        squeezenet_weights.load_backbone(build(), tmp_path / "other.safetensors")
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(cases.DataError, match="a state dict ends in"):
        squeezenet_weights.load_backbone(build(), tmp_path / "net.onnx")


def test_imagenet_weights_are_found_or_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path))

    def fails(*args, file_hash, **kwargs):
        assert len(file_hash) == 32
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", fails)
    with pytest.raises(cases.MammoError, match=r"ImageNet weights of SqueezeNet .*URL fetch failure.*--weights FILE"):
        squeezenet_weights.imagenet_squeezenet()
    (tmp_path / "weights").mkdir(exist_ok=True)
    (tmp_path / "weights" / squeezenet_weights.FILE).write_bytes(b"there")
    assert squeezenet_weights.imagenet_squeezenet().read_bytes() == b"there"


@pytest.fixture(scope="module")
def real():
    return pathlib.Path(REAL) / "weights" / squeezenet_weights.FILE


@needs_real
def test_the_real_file_is_the_one_that_is_named_and_fills_every_weight(real):
    assert hashlib.md5(real.read_bytes()).hexdigest() == squeezenet_weights.MD5
    model = build("keras", net=squeezenet.squeezenet_features, width=64)
    drawn = model.get_weights()
    squeezenet_weights.load_keras(model, real)
    assert model.count_params() == 722_496
    for before, after in zip(drawn, model.get_weights(), strict=True):
        assert np.isfinite(after).all() and (after != before).mean() > 0.99


def plain(file, x):
    """The features that the file belongs to, by TensorFlow's functions and the file's own arrays."""

    def conv(x, name, stride=1, padding="SAME"):
        group = file[name]
        kernel, bias = (group[key][()] for key in group.attrs["weight_names"])
        return tf.nn.relu(tf.nn.conv2d(x, kernel, stride, padding) + bias)

    x = tf.nn.max_pool2d(conv(x, "conv1", 2, "VALID"), 3, 2, "VALID")
    for i in range(2, 10):
        x = conv(x, f"fire{i}/squeeze1x1")
        x = tf.concat([conv(x, f"fire{i}/expand1x1"), conv(x, f"fire{i}/expand3x3")], axis=-1)
        if i in (3, 5):
            x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    return x.numpy()


@needs_real
@pytest.mark.parametrize("side, form, equal", [(227, "keras", True), (224, "1.1", True), (227, "1.1", False)])
def test_features_of_the_real_file_equal_those_of_its_arrays(real, side, form, equal):
    model = build(form, side, net=squeezenet.squeezenet_features, width=64)
    squeezenet_weights.load_backbone(model, real)
    x = 100 * images(side)
    with h5py.File(real) as file:
        expected = plain(file, x)
    assert expected.shape == (2, 13, 13, 512) and (expected > 0).mean() > 0.02
    assert np.abs(expected[0] - expected[1]).max() > 1
    found = np.asarray(model(x))
    if equal:
        np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())
    else:  # its max-pools count the cut-off windows, which four 3x3 convolutions carry to the eighth row
        assert found.shape == (2, 14, 14, 512)
        np.testing.assert_allclose(found[:, :8, :8], expected[:, :8, :8], atol=1e-5 * expected.max())
        assert np.abs(found[:, 12] - np.pad(expected, [(0, 0), (0, 0), (0, 1), (0, 0)])[:, 12]).max() > 1


@needs_real
def test_the_real_file_is_refused_by_the_other_form(real):
    with pytest.raises(cases.DataError, match=r"stem_conv .*\(3, 3, 3, 64\), the net \(7, 7, 3, 96\)"):
        squeezenet_weights.load_backbone(build("1.0", width=64), real)


def test_pth_is_read_too(tmp_path):
    torch = pytest.importorskip("torch")
    state = draw_state("1.0")
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, tmp_path / "s.pth")
    model, other = build("1.0"), build("1.0")
    squeezenet_weights.load_backbone(model, tmp_path / "s.pth")
    squeezenet_weights.load_squeezenet(other, weights.read_torch_state(tmp_path / "s.pth"), head=False)
    assert same(other.get_weights(), model)
