import functools

import h5py
import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import all_conv, all_conv_heads, keras_weights, resnet50, vgg

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

VGG = functools.partial(vgg.vgg16, width=2)
OLD_STYLE = {"kernel": "W", "bias": "b", "gamma": "gamma", "beta": "beta"}
OLD_STYLE |= {"moving_mean": "running_mean", "moving_variance": "running_std"}


def build(net, shape=(32, 32, 3), **arguments):
    x = keras.Input(shape)
    return keras.Model(x, net(x, **arguments))


@pytest.fixture(scope="module")
def resnets():
    """(the net of Keras 2.0, today's), narrow, with weights that differ in every array."""
    models = tuple(build(resnet50.resnet50, width=2, seed=i, compat=c) for i, c in enumerate(("keras2.0", None)))
    for i, model in enumerate(models):
        shuffle(model, seed=i)
    return models


def shuffle(model, seed):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, w.shape).astype("float32") for w in model.get_weights()])


def write_legacy(path, model, *, names=None, old_style=False, group="", pieces=False):
    """The older .h5 by hand: a group a layer, the order of its arrays in an attribute."""
    names = names or {}
    with h5py.File(path, "w") as file:
        root = file.require_group(group) if group else file
        found = [names.get(layer.name, layer.name) for layer in model.layers]
        encoded = [name.encode() for name in found]
        if pieces:
            root.attrs["layer_names0"], root.attrs["layer_names1"] = encoded[:5], encoded[5:]
        else:
            root.attrs["layer_names"] = encoded
        for name, layer in zip(found, model.layers, strict=True):
            at = root.create_group(name)
            weights = [
                f"{name}_{OLD_STYLE[v.name]}_1:0" if old_style else f"{name}/{v.name}:0" for v in layer.weights
            ]
            at.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, value in zip(weights, layer.get_weights(), strict=True):
                at.create_dataset(weight, data=value)


def backbone_weights(model):
    return [value for layer in model.layers if layer.name != "logits" for value in layer.get_weights()]


def assert_backbone(model, source, same=True):
    for layer in source.layers:
        if layer.weights and not layer.name.startswith("logits"):
            mine = model.get_layer(layer.name).get_weights()
            assert same == all(np.array_equal(a, b) for a, b in zip(mine, layer.get_weights(), strict=True)), (
                layer.name
            )


FORMS = {
    "legacy": ("a.h5", write_legacy),
    "whole model": ("a.hdf5", functools.partial(write_legacy, group="model_weights")),
    "names of Keras 1": ("a.h5", functools.partial(write_legacy, old_style=True)),
    "names in pieces": ("a.h5", functools.partial(write_legacy, pieces=True)),
    "weights of today": ("a.weights.h5", lambda path, model: model.save_weights(path)),
    "model of today": ("a.keras", lambda path, model: model.save(path)),
}


@pytest.mark.parametrize("name, write", FORMS.values(), ids=FORMS.keys())
def test_each_form_of_file_is_loaded_by_name(name, write, tmp_path):
    source, model = build(VGG, classes=5), build(VGG)
    shuffle(source, seed=1)
    write(tmp_path / name, source)
    head = model.get_layer("logits").get_weights()
    assert_backbone(model, source, same=False)
    keras_weights.load_by_name(model, tmp_path / name)
    assert_backbone(model, source)
    assert all(np.array_equal(a, b) for a, b in zip(head, model.get_layer("logits").get_weights(), strict=True))


@pytest.mark.filterwarnings("ignore:.*HDF5 file.*legacy:UserWarning")
def test_a_model_saved_by_keras_itself_in_the_older_form_is_loaded(tmp_path):
    source, model = build(VGG), build(VGG, seed=1)
    source.compile("adam", "mse")
    source.save(tmp_path / "whole.h5")
    keras_weights.load_by_name(model, tmp_path / "whole.h5")
    assert_backbone(model, source)


def test_batch_norm_goes_by_gamma_beta_mean_variance(resnets, tmp_path):
    _, model = resnets
    write_legacy(tmp_path / "r.h5", model)
    expected = backbone_weights(model)
    shuffle(model, seed=7)
    keras_weights.load_by_name(model, tmp_path / "r.h5")
    assert all(np.array_equal(a, b) for a, b in zip(backbone_weights(model), expected, strict=True))


def test_the_backbone_of_a_whole_image_net_is_loaded_and_its_top_stays(tmp_path):
    source = build(VGG, classes=5)
    shuffle(source, seed=1)
    source.save(tmp_path / "patch.keras")
    net = functools.partial(
        all_conv.whole_image,
        backbone=functools.partial(vgg.vgg16_features, width=2),
        top=all_conv_heads.VggTop(((8, 1),)),
        heatmap=all_conv.Heatmap(pool=1),
    )
    model = build(net, (64, 96, 3))
    top = {v.path: v.numpy() for layer in model.layers[-9:] for v in layer.weights}
    keras_weights.load_by_name(model, tmp_path / "patch.keras")
    assert_backbone(model, source)
    assert len(top) == 9 and all(np.array_equal(v.numpy(), top[v.path]) for v in model.weights if v.path in top)


def test_what_does_not_fit_is_said_from_both_sides_and_nothing_is_loaded(tmp_path):
    source, model = build(VGG), build(VGG, seed=1)
    before = model.get_weights()
    write_legacy(tmp_path / "a.h5", source, names={"block3_conv2": "block3_conv9"})
    match = r"a\.h5: .*missing block3_conv2/0, block3_conv2/1; unexpected block3_conv9/0, block3_conv9/1"
    with pytest.raises(cases.DataError, match=match):
        keras_weights.load_by_name(model, tmp_path / "a.h5")
    write_legacy(tmp_path / "b.h5", build(functools.partial(vgg.vgg16, width=4)))
    match = r"b\.h5: block1_conv1/0 -> block1_conv1 \(kernel\): .*\(3, 3, 3, 4\), the net \(3, 3, 3, 2\)"
    with pytest.raises(cases.DataError, match=match):
        keras_weights.load_by_name(model, tmp_path / "b.h5")
    write_legacy(tmp_path / "c.h5", source, names={"logits": "predictions"})
    with pytest.raises(cases.DataError, match="unexpected predictions/0"):
        keras_weights.load_by_name(model, tmp_path / "c.h5")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    keras_weights.load_by_name(model, tmp_path / "c.h5", skip=("logits", "predictions"))
    assert_backbone(model, source)


@pytest.mark.parametrize("name", ["a.h5", "a.keras", "a.weights.h5", "a.npz"])
def test_files_that_cannot_be_read_are_named(name, tmp_path):
    with pytest.raises(cases.DataError, match=rf"{name}: no such file"):
        keras_weights.read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x08" + bytes(200))
    with pytest.raises(cases.DataError, match=rf"{name}: (not a readable|Keras' weights end)"):
        keras_weights.read(tmp_path / name)


def test_a_file_without_weights_is_refused(tmp_path):
    h5py.File(tmp_path / "empty.h5", "w").close()
    with pytest.raises(cases.DataError, match="holds no layer with weights"):
        keras_weights.read(tmp_path / "empty.h5")
    with h5py.File(tmp_path / "torn.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv1"]
    with pytest.raises(cases.DataError, match=r"torn\.h5: not a readable"):
        keras_weights.read(tmp_path / "torn.h5")


def test_keras20_files_go_through_the_names_of_that_time(resnets, tmp_path):
    model, today = resnets
    names = {**resnet50.KERAS20, "logits": "dense_1"}
    write_legacy(tmp_path / "r.h5", model, names=names, group="model_weights")
    expected = backbone_weights(model)
    shuffle(model, seed=7)
    keras_weights.load_keras20(model, tmp_path / "r.h5")
    assert all(np.array_equal(a, b) for a, b in zip(backbone_weights(model), expected, strict=True))
    with h5py.File(tmp_path / "r.h5") as file:
        stored = file["model_weights/res3b_branch2c/res3b_branch2c/kernel:0"][()]
    np.testing.assert_array_equal(model.get_layer("conv3_block2_3_conv").kernel, stored)
    with pytest.raises(
        cases.MammoError, match=r'epsilon 0\.001, the net 1\.001e-05: build it with compat="keras2\.0"'
    ):
        keras_weights.load_keras20(today, tmp_path / "r.h5")
    with pytest.raises(cases.DataError, match=r"a file of Keras 2\.0.*load_keras20"):
        keras_weights.load_by_name(today, tmp_path / "r.h5")


def test_keras20_files_of_vgg_keep_their_names_and_must_be_complete(tmp_path):
    source, model = build(VGG), build(VGG, seed=1)
    write_legacy(tmp_path / "v.h5", source, names={"logits": "dense_2"})
    keras_weights.load_keras20(model, tmp_path / "v.h5")
    assert_backbone(model, source)
    write_legacy(tmp_path / "w.h5", source, names={"block5_conv3": "conv2d_1"})
    with pytest.raises(cases.DataError, match="missing block5_conv3/0, block5_conv3/1; unexpected none"):
        keras_weights.load_keras20(model, tmp_path / "w.h5")


@pytest.mark.parametrize(
    "find, name",
    [
        (keras_weights.imagenet_resnet50, "resnet50_"),
        (keras_weights.imagenet_vgg16, "vgg16_"),
        (keras_weights.imagenet_inception_v3, "inception_v3_"),
    ],
)
def test_imagenet_weights_are_found_fetched_or_asked_for(find, name, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path))

    def fails(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", fails)
    with pytest.raises(cases.MammoError, match=rf"URL fetch failure.*{name}weights_tf.*notop\.h5.*--weights FILE"):
        find()

    def fetches(file, origin, cache_dir, cache_subdir, file_hash):
        assert origin.startswith("https://storage.googleapis.com/tensorflow/keras-applications/")
        assert origin.endswith(f"/{file}") and len(file_hash) == 32
        path = cache_dir / cache_subdir / file
        path.write_bytes(b"fetched")
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", fetches)
    assert find().read_bytes() == b"fetched"
    monkeypatch.setattr(keras.utils, "get_file", fails)
    assert find().parent == tmp_path / "weights" and find().name.startswith(name)


def test_urls_and_sums_are_those_of_keras_applications():
    import inspect

    from keras.src.applications import inception_v3, resnet, vgg16

    assert f"{keras_weights.BASE_URL}/resnet/" == resnet.BASE_WEIGHTS_PATH
    assert resnet.WEIGHTS_HASHES["resnet50"][1] == keras_weights.RESNET50_MD5
    assert f"{keras_weights.BASE_URL}/vgg16/{keras_weights.VGG16_FILE}" == vgg16.WEIGHTS_PATH_NO_TOP
    assert keras_weights.VGG16_MD5 in inspect.getsource(vgg16)
    url = f"{keras_weights.BASE_URL}/inception_v3/{keras_weights.INCEPTION_V3_FILE}"
    assert url == inception_v3.WEIGHTS_PATH_NO_TOP
    assert keras_weights.INCEPTION_V3_MD5 in inspect.getsource(inception_v3)
