import functools
import json
import sys
import types

import keras
import numpy as np
import pytest
from safetensors import numpy as safe

from mammo_tf import cases
from mammo_tf.models import alexnet, baseline, resnet, weights
from tests.goldens import make_torch_logits as goldens

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NARROW = functools.partial(resnet.resnet18, width=4)
RECORDED = json.loads(goldens.FILE.read_text())["logits"]
EVERY = [(net, side) for net, sides in goldens.SIDES.items() for side in sides]


def build(net, side=64, **arguments):
    x = keras.Input((side, side, 3))
    return keras.Model(x, net(x, **arguments))


def narrow_state(classes=2, **more):
    return goldens.draw_state(goldens.resnet18_shapes(classes=classes, width=4), **more)


def our_logits(net, side):
    if net == "resnet18":
        model = build(resnet.resnet18, side)
        weights.load_resnet18(model, goldens.draw_state(goldens.resnet18_shapes()), head=True)
    else:
        model = build(alexnet.alexnet, side, width=goldens.ALEX_WIDTH, fc=goldens.ALEX_FC)
        weights.load_alexnet(model, goldens.draw_state(goldens.alexnet_shapes()), head=True)
    return np.asarray(model(goldens.draw_images(side)))


@pytest.mark.parametrize("net, side", EVERY)
def test_logits_equal_those_recorded_from_pytorch(net, side):
    recorded = np.array(RECORDED[net][str(side)])
    assert np.abs(recorded[0] - recorded[1]).max() > 0.1  # the images matter
    np.testing.assert_allclose(our_logits(net, side), recorded, atol=1e-4)


@pytest.mark.parametrize("net, side", EVERY)
def test_logits_equal_those_of_pytorch_itself(net, side):
    pytest.importorskip("torch")
    found = goldens.torch_logits(net, side)
    np.testing.assert_allclose(found, RECORDED[net][str(side)], atol=1e-4)
    np.testing.assert_allclose(our_logits(net, side), found, atol=1e-4)


def test_the_full_nets_take_torchvisions_shapes():
    shapes = goldens.resnet18_shapes(classes=1000)
    assert len(shapes) == 122  # 62 parameters, 40 moving statistics, 20 counters of batches
    learned = [shape for name, shape in shapes.items() if not name.endswith(("mean", "var", "tracked"))]
    assert sum(int(np.prod(shape)) for shape in learned) == 11_689_512
    full = goldens.alexnet_shapes(classes=1000, width=64, fc=4096)
    assert sum(int(np.prod(shape)) for shape in full.values()) == 61_100_840


def test_each_tensor_goes_to_its_place_by_one_rule():
    model, state = build(NARROW), narrow_state()
    weights.load_resnet18(model, state, head=True)
    kernel = model.get_layer("stage2_block1_conv1").kernel.numpy()
    assert kernel[0, 2, 3, 1] == state["layer2.0.conv1.weight"][1, 3, 0, 2]
    shortcut = model.get_layer("stage4_block1_shortcut_bn")
    np.testing.assert_array_equal(shortcut.moving_variance, state["layer4.0.downsample.1.running_var"])
    np.testing.assert_array_equal(model.get_layer("logits").kernel, state["fc.weight"].T)


def test_missing_and_unexpected_names_are_listed_and_nothing_is_loaded():
    model, state = build(NARROW), narrow_state()
    before = model.get_weights()
    del state["layer3.1.bn2.running_mean"]
    state["layer5.0.conv1.weight"] = np.zeros(3)
    with pytest.raises(
        cases.MammoError, match=r"missing layer3\.1\.bn2\.running_mean; unexpected layer5\.0\.conv1\.w"
    ):
        weights.load_resnet18(model, state, head=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_shape_that_differs_is_named_on_both_sides_and_nothing_is_loaded():
    model, state = build(NARROW), narrow_state(classes=1000)
    before = model.get_weights()
    with pytest.raises(cases.MammoError, match=r"fc\.weight -> logits: .*\(32, 1000\), the net \(32, 2\)"):
        weights.load_resnet18(model, state, head=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_counters_of_batches_are_ignored():
    state = {name: value for name, value in narrow_state().items() if "num_batches" not in name}
    one, other = build(NARROW), build(NARROW, seed=1)
    weights.load_resnet18(one, state, head=True)
    weights.load_resnet18(other, narrow_state(), head=True)
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def test_the_head_is_missed_unless_it_is_not_wanted():
    model = build(NARROW)
    start = model.get_layer("logits").kernel.numpy()
    state = {name: value for name, value in narrow_state(classes=1000).items() if not name.startswith("fc.")}
    with pytest.raises(cases.MammoError, match=r"missing fc\.bias, fc\.weight; unexpected none"):
        weights.load_resnet18(model, state, head=True)
    for given in (state, narrow_state(classes=1000)):
        weights.load_resnet18(model, given, head=False)
        np.testing.assert_array_equal(model.get_layer("logits").kernel, start)
        np.testing.assert_array_equal(model.get_layer("stem_bn").gamma, state["bn1.weight"])


def backbone_equals(model, other):
    pairs = zip(model.layers[1:-1], other.layers[1:-1], strict=True)
    return all(np.array_equal(a, b) for m, o in pairs for a, b in zip(m.get_weights(), o.get_weights(), strict=True))


def test_backbone_from_safetensors(tmp_path):
    state = narrow_state(classes=1000)
    safe.save_file(state, tmp_path / "r.safetensors")
    read = weights.read_torch_state(tmp_path / "r.safetensors")
    assert read.keys() == state.keys() and all(np.array_equal(read[name], state[name]) for name in state)
    model, other = build(NARROW), build(NARROW, classes=1000)
    weights.load_resnet18(other, state, head=True)
    head = model.get_layer("logits").get_weights()
    weights.load_backbone(model, tmp_path / "r.safetensors")
    assert backbone_equals(model, other)
    assert all(np.array_equal(a, b) for a, b in zip(head, model.get_layer("logits").get_weights(), strict=True))


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize(
    "net",
    [
        NARROW,
        functools.partial(baseline.baseline_cnn, width=4, fc=(8,)),
        functools.partial(alexnet.alexnet, width=4, fc=8),
    ],
)
def test_backbone_from_a_keras_file_by_name(net, ending, tmp_path):
    source, model = build(net, classes=5, seed=3), build(net, seed=4)
    source.compile("adam", "mse")  # the optimizer's arrays stand in the file too
    source.layers[1].trainable = False
    (source.save if ending == ".keras" else source.save_weights)(tmp_path / f"net{ending}")
    head = model.get_layer("logits").get_weights()
    assert not backbone_equals(model, source)
    weights.load_backbone(model, tmp_path / f"net{ending}")
    assert backbone_equals(model, source)
    assert all(np.array_equal(a, b) for a, b in zip(head, model.get_layer("logits").get_weights(), strict=True))


def test_backbone_refuses_another_width_and_another_net(tmp_path):
    build(NARROW).save_weights(tmp_path / "narrow.weights.h5")
    wide = build(functools.partial(resnet.resnet18, width=8))
    with pytest.raises(
        cases.DataError, match=r"narrow.weights.h5: stem_conv/0 .*\(7, 7, 3, 4\), the net \(7, 7, 3, 8\)"
    ):
        weights.load_backbone(wide, tmp_path / "narrow.weights.h5")
    with pytest.raises(cases.DataError, match=r"missing block1_bn1/0.*unexpected stage1_block1"):
        weights.load_backbone(build(baseline.baseline_cnn), tmp_path / "narrow.weights.h5")
    safe.save_file(narrow_state(), tmp_path / "narrow.safetensors")
    with pytest.raises(cases.DataError, match=r"narrow.safetensors: conv1.weight -> stem_conv"):
        weights.load_backbone(wide, tmp_path / "narrow.safetensors")
    with pytest.raises(cases.DataError, match="the net is neither"):
        weights.load_backbone(build(baseline.baseline_cnn), tmp_path / "narrow.safetensors")


@pytest.mark.parametrize("name", ["net.safetensors", "net.keras", "net.weights.h5", "net.onnx"])
def test_files_that_cannot_be_read_are_named(name, tmp_path):
    with pytest.raises(cases.DataError, match=name):
        weights.load_backbone(build(NARROW), tmp_path / name)
    (tmp_path / name).write_bytes(b"\x08" + bytes(200))
    with pytest.raises(cases.DataError, match=name):
        weights.load_backbone(build(NARROW), tmp_path / name)


def test_pth_without_pytorch_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "r.pth").write_bytes(b"x")
    with pytest.raises(cases.MammoError, match=r"r\.pth: .*convert the file to \.safetensors.*mammo-tf\[torch\]"):
        weights.read_torch_state(tmp_path / "r.pth")


def test_pth_is_read_as_tensors_only(tmp_path):
    torch = pytest.importorskip("torch")
    state = narrow_state()
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, tmp_path / "r.pth")
    read = weights.read_torch_state(tmp_path / "r.pth")
    assert read.keys() == state.keys() and all(np.array_equal(read[name], state[name]) for name in state)
    model, other = build(NARROW), build(NARROW)
    weights.load_backbone(model, tmp_path / "r.pth")
    weights.load_resnet18(other, state, head=False)
    assert backbone_equals(model, other)
    for name in ("model", "state_dict"):  # as some are published, and by other endings
        tensors = {key: torch.from_numpy(value) for key, value in state.items()}
        torch.save({name: tensors, "epoch": 3}, tmp_path / f"{name}.p")
        again = weights.read_torch_state(tmp_path / f"{name}.p")
        assert again.keys() == state.keys() and all(np.array_equal(again[key], state[key]) for key in state)
    torch.save({"hook": types.SimpleNamespace()}, tmp_path / "code.pth")
    with pytest.raises(cases.DataError, match=r"code\.pth: not a readable file of tensors"):
        weights.read_torch_state(tmp_path / "code.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(cases.DataError, match=r"list\.pth: expected a state dict"):
        weights.read_torch_state(tmp_path / "list.pth")


def test_imagenet_weights_are_found_fetched_or_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_CACHE", str(tmp_path))

    def fails(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", fails)
    with pytest.raises(cases.MammoError, match=r"URL fetch failure.*timm/resnet18\.tv_in1k.*--weights FILE"):
        weights.imagenet_resnet18()

    def fetches(name, origin, cache_dir, cache_subdir):
        assert origin.startswith("https://")
        path = cache_dir / cache_subdir / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"fetched")
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", fetches)
    assert weights.imagenet_resnet18().read_bytes() == b"fetched"
    monkeypatch.setattr(keras.utils, "get_file", fails)
    assert weights.imagenet_resnet18() == tmp_path / "weights" / "resnet18.tv_in1k.safetensors"
