"""The NYU nets: sizes, shared layers, the exam's averages by hand; weights against PyTorch."""

import os
import pathlib

import cv2
import h5py
import keras
import numpy as np
import pytest
from safetensors import numpy as safe

from mammo_tf import cases
from mammo_tf.models import nyu_resnet22, nyu_weights, weights
from mammo_tf.pipeline import nyu_crop
from tests import nyu_torch

SIDE = {"cc": (83, 70), "mlo": (91, 64)}
KINDS = {
    "view_wise": (nyu_resnet22.view_wise, nyu_weights.load_view_wise),
    "image_wise": (nyu_resnet22.image_wise, nyu_weights.load_image_wise),
}


def images(seed=0, channels=1, count=2):
    rng = np.random.default_rng(seed)
    return {v: rng.standard_normal((count, *SIDE[v[1:]], channels)).astype("float32") for v in nyu_resnet22.VIEWS}


def exam_net(kind, width=4, channels=1, **facts):
    inputs = {view: keras.Input((*SIDE[view[1:]], channels), name=view) for view in nyu_resnet22.VIEWS}
    return keras.Model(inputs, KINDS[kind][0](inputs, width=width, **facts))


def single(shape=SIDE["cc"], channels=1, **facts):
    x = keras.Input((*shape, channels))
    return keras.Model(x, nyu_resnet22.one_view(x, **facts))


def learned(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_the_published_numbers_of_parameters():
    x = keras.Input((64, 64, 1))
    assert learned(keras.Model(x, nyu_resnet22.resnet22_features(x))) == 2_799_536
    assert learned(single()) == 2_866_356 and learned(single(channels=3)) == 2_867_924
    assert learned(exam_net("view_wise", width=16)) == 6_132_592
    assert learned(exam_net("image_wise", width=16)) == 5_870_464


@pytest.mark.parametrize(
    ("shape", "expected"), [((2677, 1942), (42, 31)), ((203, 266), (4, 4)), ((202, 203), (3, 4))]
)
def test_feature_maps_of_the_sizes_in_use(shape, expected):
    x = keras.Input((*shape, 1))
    assert nyu_resnet22.resnet22_features(x, width=2).shape == (None, *expected, 32)


def test_left_and_right_share_their_resnet_and_projections_do_not():
    net, given = exam_net("image_wise"), images()
    for projection in nyu_resnet22.PROJECTIONS:
        given[f"r{projection}"] = given[f"l{projection}"]
    for name in nyu_resnet22.VIEWS:  # what is above them alike too
        for part in ("fc1", "logits"):
            net.get_layer(f"{part}_{name}").set_weights(net.get_layer(f"{part}_lcc").get_weights())
    found = {view: np.asarray(logits) for view, logits in net(given).items()}
    np.testing.assert_allclose(found["lcc"], found["rcc"], rtol=1e-5)
    np.testing.assert_allclose(found["lmlo"], found["rmlo"], rtol=1e-5)
    assert net.get_layer("resnet_cc").weights[0] is not net.get_layer("resnet_mlo").weights[0]


def test_noise_is_added_in_training_alone():
    net, given = single(noise=0.5, width=2), images()["lcc"]
    np.testing.assert_array_equal(net(given), net(given))
    assert not np.allclose(net(given, training=True), net(given, training=True))
    assert "noise" not in {layer.name for layer in single(noise=0, width=2).layers}


def test_the_exam_averages_projections_or_the_views_of_a_breast():
    even, sure = [0.0, 0.0], [0.0, np.log(3)]  # 1/2 and 3/4
    joined = {"cc": np.array([[even, sure, even, even]]), "mlo": np.array([[sure, sure, even, sure]])}
    np.testing.assert_allclose(nyu_resnet22.exam(joined), [[0.625, 0.75, 0.5, 0.625]])
    each = {view: np.array([[even, even, sure, sure]]) for view in nyu_resnet22.VIEWS}
    each["lcc"] = np.array([[sure, even, even, even]])  # benign of the left breast
    each["rmlo"] = np.array([[even, sure, even, even]])  # malignant of the right one
    np.testing.assert_allclose(nyu_resnet22.exam(each), [[0.625, 0.5, 0.5, 0.625]])
    with pytest.raises(cases.MammoError, match="expected the views lcc, rcc, lmlo, rmlo"):
        nyu_resnet22.exam({"lcc": each["lcc"]})


def test_missing_views_and_unequal_sizes_are_refused():
    inputs = {view: keras.Input((64, 64, 1)) for view in nyu_resnet22.VIEWS}
    with pytest.raises(cases.MammoError, match="found rcc, lmlo, rmlo"):
        nyu_resnet22.view_wise({view: x for view, x in inputs.items() if view != "lcc"})
    with pytest.raises(cases.MammoError, match="expected one size"):
        nyu_resnet22.image_wise({**inputs, "lmlo": keras.Input((70, 64, 1))})


def test_seeds_fix_the_weights():
    first, again, other = (single(width=2, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_of_an_exam_equal_those_of_pytorch(kind, channels):
    pytest.importorskip("torch")
    state, given = nyu_torch.draw_state(kind, channels=channels), images(channels=channels)
    net = exam_net(kind, channels=channels)
    KINDS[kind][1](net, state)
    vectors = nyu_torch.torch_vectors(state, given, channels=channels)
    if kind == "view_wise":
        vectors = {p: np.concatenate([vectors[f"l{p}"], vectors[f"r{p}"]], axis=1) for p in nyu_resnet22.PROJECTIONS}
    for name, logits in net(given).items():
        expected = dense(relu(dense(vectors[name], state, f"fc1_{name}")), state, f"output_layer_{name}.fc_layer")
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(logits, expected.reshape(-1, 4, 2), atol=1e-4)


def dense(x, state, name):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize(
    "shape",
    [(64, 64), (83, 70), (203, 266), pytest.param(nyu_resnet22.SHAPES["cc"], marks=pytest.mark.slow)],
    ids=str,
)
def test_logits_of_one_view_equal_those_of_pytorch(shape):
    pytest.importorskip("torch")
    width = 16 if shape == nyu_resnet22.SHAPES["cc"] else 4
    state = nyu_torch.draw_state("image_wise", width=width)
    image = np.random.default_rng(1).standard_normal((1, *shape, 1)).astype("float32")
    net = single(shape, width=width)
    nyu_weights.load_one_view(net, state, "rmlo")
    small = np.zeros((1, 64, 64, 1), "float32")
    vector = nyu_torch.torch_vectors(state, {"lcc": small, "rcc": small, "lmlo": small, "rmlo": image}, width=width)
    hidden = relu(dense(vector["rmlo"], state, "fc1_rmlo"))
    expected = dense(hidden, state, "output_layer_rmlo.fc_layer")[:, :4].reshape(1, 2, 2)
    np.testing.assert_allclose(net(image), expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_has_its_place_and_a_misfit_loads_nothing(kind):
    net, state, load = exam_net(kind), nyu_torch.draw_state(kind), KINDS[kind][1]
    before = net.get_weights()
    lacking = {name: value for name, value in state.items() if name != "four_view_resnet.mlo.final_bn.bias"}
    with pytest.raises(cases.MammoError, match=r"missing four_view_resnet\.mlo\.final_bn\.bias; unexpected none"):
        load(net, lacking)
    with pytest.raises(cases.MammoError, match=r"unexpected four_view_resnet\.cc\.layer_list\.5\.0\.bn1\.weight"):
        load(net, {**state, "four_view_resnet.cc.layer_list.5.0.bn1.weight": np.zeros(4, "float32")})
    with pytest.raises(cases.MammoError, match=r"four_view_resnet\.cc\.first_conv\.weight"):
        load(net, {**state, "four_view_resnet.cc.first_conv.weight": np.zeros((4, 3, 7, 7), "float32")})
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))
    load(net, {**state, "four_view_resnet.cc.final_bn.num_batches_tracked": np.array(3)})
    assert not any(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))
    kernel = net.get_layer("resnet_cc").get_layer("stage2_block1_shortcut_conv").kernel.numpy()
    np.testing.assert_array_equal(
        kernel[0, 0], state["four_view_resnet.cc.layer_list.1.0.downsample.0.weight"][..., 0, 0].T
    )


def test_one_view_takes_its_own_part_of_the_state():
    net, state = single(width=4), nyu_torch.draw_state("image_wise")
    nyu_weights.load_one_view(net, state, "rcc")
    np.testing.assert_array_equal(net.get_layer("logits").kernel, state["output_layer_rcc.fc_layer.weight"][:4].T)
    np.testing.assert_array_equal(net.get_layer("fc").bias, state["fc1_rcc.bias"])
    with pytest.raises(cases.MammoError, match="no view 'cc'"):
        nyu_weights.load_one_view(net, state, "cc")
    with pytest.raises(cases.MammoError, match=r"missing fc1_lcc\.bias"):
        nyu_weights.load_one_view(net, {k: v for k, v in state.items() if k != "fc1_lcc.bias"}, "lcc")


def compared(shape=SIDE["cc"], width=4):
    x = keras.Input((*shape, 1))
    return keras.Model(x, nyu_resnet22.compared(x, width=width))


def features(width=4, shape=SIDE["cc"]):
    x = keras.Input((*shape, 1))
    return keras.Model(x, nyu_resnet22.resnet22_features(x, width=width))


def breast(width=4, shape=(70, 64), seed=0):
    x = keras.Input((*shape, 2))
    return keras.Model(x, nyu_resnet22.breast(x, width=width, seed=seed))


def test_compared_answers_with_the_log_odds_of_each_pair(tmp_path):
    net, pairs, given = compared(), single(width=4), images()["lcc"]
    net.set_weights(pairs.get_weights())
    found = np.asarray(net(given))
    present = nyu_resnet22.probabilities(pairs(given))  # benign, malignant
    np.testing.assert_allclose(found, np.log(present / (1 - present)), atol=1e-4)
    assert net.count_params() == pairs.count_params()
    net.save(tmp_path / "net.keras")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "net.keras")(given), found, atol=1e-6)
    with pytest.raises(cases.MammoError, match="2 classes, not 6"):
        nyu_resnet22.compared(keras.Input((70, 64, 1)), classes=6)


def test_a_breast_is_the_mean_of_its_views():
    net = breast()
    cc, mlo = (v[:, :70, :64] for v in (images()["lcc"], images(seed=3)["lcc"]))
    found = np.asarray(net(np.concatenate([cc, mlo], axis=-1)))
    each = []
    for prefix, view in (("cc_", cc), ("mlo_", mlo)):
        alone = compared((70, 64))
        for layer in alone.layers[1:]:
            layer.set_weights(net.get_layer(prefix + layer.name).get_weights())
        each.append(np.asarray(alone(view)))
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)
    assert learned(net) == 2 * learned(compared((70, 64)))
    assert not np.array_equal(*(net.get_layer(f"{view}_stem_conv").kernel for view in ("cc", "mlo")))


@pytest.mark.parametrize("view", ["lcc", "rmlo"])
def test_a_file_of_a_breast_gives_each_view_its_part(tmp_path, view):
    net = breast(seed=2)
    net.save(tmp_path / "breast.keras")
    whole, cut = compared(), features()
    for model in (whole, cut):
        nyu_weights.load_file(model, tmp_path / "breast.keras", view=view)
        for layer in model.layers[1:]:
            if "noise" not in layer.name:
                for ours, theirs in zip(
                    layer.get_weights(), net.get_layer(f"{view[1:]}_{layer.name}").get_weights(), strict=True
                ):
                    np.testing.assert_array_equal(ours, theirs)


def test_a_released_file_gives_the_net_or_its_resnet(tmp_path):
    state = nyu_torch.draw_state("image_wise")
    safe.save_file(state, tmp_path / "w.safetensors")
    by_state, whole, cut = single(width=4), single(width=4), features()
    nyu_weights.load_one_view(by_state, state, "rcc")
    nyu_weights.load_file(whole, tmp_path / "w.safetensors", view="rcc")
    nyu_weights.load_file(cut, tmp_path / "w.safetensors", view="rcc")
    for a, b in zip(whole.get_weights(), by_state.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(cut.get_layer("stem_conv").kernel, by_state.get_layer("stem_conv").kernel)
    np.testing.assert_array_equal(cut.get_layer("final_bn").gamma, by_state.get_layer("final_bn").gamma)


def test_files_that_do_not_fit_are_named(tmp_path):
    breast(width=2).save(tmp_path / "narrow.keras")
    with pytest.raises(cases.DataError, match=r"narrow\.keras: .*shape"):
        nyu_weights.load_file(compared(), tmp_path / "narrow.keras", view="lcc")
    x = keras.Input((70, 64, 1))
    keras.Model(x, nyu_resnet22.compared(x, width=4)).save(tmp_path / "one.keras")
    with pytest.raises(cases.DataError, match=r"one\.keras: .*layers cc_\*.*missing"):
        nyu_weights.load_file(compared(), tmp_path / "one.keras", view="lcc")
    with pytest.raises(cases.MammoError, match="no view 'cc'"):
        nyu_weights.load_file(compared(), tmp_path / "one.keras", view="cc")
    with pytest.raises(cases.DataError, match=r"none\.pt"):
        nyu_weights.load_file(compared(), tmp_path / "none.pt", view="lcc")


def test_the_released_file_is_found_by_its_variable(tmp_path, monkeypatch):
    monkeypatch.delenv(nyu_weights.VARIABLE, raising=False)
    with pytest.raises(cases.MammoError, match=r"set MAMMO_TF_NYU_WEIGHTS .*--weights phantom"):
        nyu_weights.released()
    file = tmp_path / "w.p"
    monkeypatch.setenv(nyu_weights.VARIABLE, str(file))
    with pytest.raises(cases.MammoError, match=r"found .*w\.p"):
        nyu_weights.released()
    file.write_bytes(b"x")
    assert nyu_weights.released() == file


# What the released nets say of their authors' sample images, over ten windows that they drew.
GOLDEN = {"benign": 0.040192, "malignant": 0.008045}  # of 0_L_CC.png, the image alone
GOLDEN_HEATMAPS = {"benign": 0.052366, "malignant": 0.005510}
GOLDEN_EXAM = (0.0646, 0.9536, 0.0012, 0.7258)  # of exam 1, in the order of nyu_resnet22.ANSWERS
TOLERANCE = 0.01  # the windows here are drawn from other numbers than theirs
SAMPLES, WEIGHTS, HEATMAP_WEIGHTS, EXAM_WEIGHTS = (
    os.environ.get(f"MAMMO_TF_NYU_{name}") for name in ("SAMPLES", "WEIGHTS", "HEATMAP_WEIGHTS", "EXAM_WEIGHTS")
)


def sample(name):
    """A sample image of the authors' folder, such as 0_L_CC.png, as a view."""
    file = pathlib.Path(SAMPLES, f"{name}.png")
    pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    side = cases.Side.LEFT if "_L_" in name else cases.Side.RIGHT
    return cases.View(
        name, "0", side, cases.Projection(name.rpartition("_")[2]), lambda: pixels, 65535, path=str(file)
    )


def heatmap(kind, name):
    with h5py.File(pathlib.Path(SAMPLES, f"heatmap_{kind}", f"{name}.hdf5")) as file:
        return np.asarray(file["image"], np.float32)


@pytest.mark.slow
@pytest.mark.skipif(not (WEIGHTS and SAMPLES), reason="MAMMO_TF_NYU_WEIGHTS and _SAMPLES are not set")
def test_golden_numbers_of_the_released_net_of_an_image():
    net = single(nyu_resnet22.SHAPES["cc"])
    nyu_weights.load_file(net, WEIGHTS, view="lcc")
    windows = nyu_crop.Preparation().windows(sample("0_L_CC"), seed=0)
    found = np.mean([nyu_resnet22.probabilities(net(window[None])) for window in windows], axis=(0, 1))
    np.testing.assert_allclose(found, list(GOLDEN.values()), atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.skipif(not (HEATMAP_WEIGHTS and SAMPLES), reason="MAMMO_TF_NYU_HEATMAP_WEIGHTS and _SAMPLES are not set")
def test_golden_numbers_of_the_released_net_of_an_image_and_heatmaps():
    net = single(nyu_resnet22.SHAPES["cc"], channels=3)
    nyu_weights.load_file(net, HEATMAP_WEIGHTS, view="lcc")
    heatmaps = [heatmap(kind, "0_L_CC") for kind in ("benign", "malignant")]
    windows = nyu_crop.Preparation().windows(sample("0_L_CC"), seed=0, heatmaps=heatmaps)
    found = np.mean([nyu_resnet22.probabilities(net(window[None])) for window in windows], axis=(0, 1))
    np.testing.assert_allclose(found, list(GOLDEN_HEATMAPS.values()), atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.skipif(not (EXAM_WEIGHTS and SAMPLES), reason="MAMMO_TF_NYU_EXAM_WEIGHTS and _SAMPLES are not set")
def test_golden_numbers_of_the_released_net_of_an_exam():
    shapes = {view: (*nyu_resnet22.SHAPES[view[1:]], 1) for view in nyu_resnet22.VIEWS}
    inputs = {view: keras.Input(shape, name=view) for view, shape in shapes.items()}
    net = keras.Model(inputs, nyu_resnet22.view_wise(inputs))
    nyu_weights.load_view_wise(net, weights.read_torch_state(pathlib.Path(EXAM_WEIGHTS)))
    files = {"lcc": "1_L_CC", "rcc": "1_R_CC", "lmlo": "1_L_MLO", "rmlo": "1_R_MLO"}
    windows = {view: nyu_crop.Preparation().windows(sample(name), seed=0) for view, name in files.items()}
    each = [net({view: some[k : k + 1] for view, some in windows.items()}) for k in range(10)]
    found = np.mean(
        [nyu_resnet22.exam({name: np.asarray(x) for name, x in one.items()}) for one in each], axis=(0, 1)
    )
    np.testing.assert_allclose(found, GOLDEN_EXAM, atol=TOLERANCE)
