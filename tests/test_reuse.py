"""`reuse`: nets of earlier runs read back, averaged, slid over images; on nets of one convolution."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest

from mammo_tf import cases, reuse
from mammo_tf.classical import forest, heatmap_regions
from mammo_tf.datasets import patch_choice
from mammo_tf.pipeline import resize
from tests import tiny_nets

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TEST = tiny_nets.images(5, seed=1, prefix="t")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of four finished runs by name."""
    root = tmp_path_factory.mktemp("runs")
    return {
        "good": tiny_nets.kept(root / "good", tiny_nets.whole_net(sign=1)),
        "bad": tiny_nets.kept(root / "bad", tiny_nets.whole_net(sign=-1)),
        "cubic": tiny_nets.kept(root / "cubic", tiny_nets.whole_net(3, rule=resize.cubic)),
        "patch": tiny_nets.kept_patch_net(root / "patch"),
    }


def test_a_net_read_back_predicts_as_it_did(runs):
    again = reuse.load(runs["good"])
    np.testing.assert_allclose(again(TEST), tiny_nets.whole_net(sign=1)(TEST), atol=1e-6)
    assert again.pipeline.shape == tiny_nets.SHAPE and again.pipeline.channels == 1
    assert again.pipeline.resize is resize.area and again.normalizer == tiny_nets.NORMALIZER
    cubic = reuse.load(runs["cubic"]).pipeline
    assert cubic.resize is resize.cubic
    assert cubic.describe() == tiny_nets.whole_net(rule=resize.cubic).pipeline.describe()
    assert reuse.load(runs["patch"]).pipeline.shape == (64, 64)


def test_a_net_from_before_the_rule_of_resizing_was_kept_takes_area(runs, tmp_path):
    folder = tiny_nets.kept(tmp_path / "old", tiny_nets.whole_net())
    contract = json.loads((folder / "preprocessing.json").read_text())
    del contract["resize"]
    (folder / "preprocessing.json").write_text(json.dumps(contract))
    assert reuse.load(folder).pipeline.resize is resize.area


def test_a_folder_without_a_net_is_named(tmp_path):
    with pytest.raises(cases.DataError, match=r"holds no preprocessing\.json of a net"):
        reuse.load(tmp_path)


def test_a_run_that_is_not_needed_is_named_beside_those_that_are(tmp_path):
    context = tiny_nets.context(tmp_path, one=tmp_path)
    assert reuse.input_of(context, "one") == tmp_path
    with pytest.raises(cases.MammoError, match="needs two, and `needs` gives one"):
        reuse.input_of(context, "two")


def test_a_net_as_it_is_has_learned_nothing_here(runs, tmp_path):
    (runs["good"] / "history.csv").write_text("epoch,stage,loss\n1,1,0.5\n")
    assert reuse.load(runs["good"]).history
    found = reuse.AsIs("good").fit((), (), tiny_nets.context(tmp_path, good=runs["good"]))
    assert (found.history, found.best_epoch, found.val_reads) == ([], 0, 0)
    np.testing.assert_array_equal(found(TEST), reuse.load(runs["good"])(TEST))


@pytest.mark.parametrize("flips", [False, True])
def test_of_each_family_validation_chooses_the_member(runs, tmp_path, flips):
    context = tiny_nets.context(tmp_path, **runs)
    val = tiny_nets.images(6)
    found = reuse.Ensemble((("bad", "good"), ("cubic",)), flips).fit((), val, context)
    assert found.members == ("good", "cubic")
    turned = tuple(dataclasses.replace(e, label=1 - e.label) for e in val)
    assert reuse.Ensemble((("bad", "good"), ("cubic",)), flips).fit((), turned, context).members == ("bad", "cubic")
    nets = [reuse.load(runs[name]) for name in found.members]
    each = [net.four_flips(TEST).mean(axis=0) if flips else net(TEST) for net in nets]
    np.testing.assert_allclose(found(TEST), np.mean(each, axis=0), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 0.01


def test_a_family_of_one_is_taken_unseen(runs, tmp_path):
    context = tiny_nets.context(tmp_path, **runs)
    found = reuse.Ensemble((("bad",), ("good",)), flips=False).fit((), (), context)
    np.testing.assert_allclose(found(TEST), 0.5, atol=1e-6)  # one turns the other's logit round


def test_a_net_goes_on_from_another_and_refuses_other_layers(runs, tmp_path):
    context = tiny_nets.context(tmp_path, **runs)
    model = tiny_nets.net(tiny_nets.SHAPE, 2, seed=8)
    reuse.from_whole_net(model, context, need="cubic")
    expected = reuse.load(runs["cubic"]).model
    for mine, theirs in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    image = keras.Input((*tiny_nets.SHAPE, 1), name="image")
    other = keras.Model(image, keras.layers.GlobalMaxPooling2D(name="top_pool")(tiny_nets.features(image)))
    before = [np.array(w) for w in other.weights]
    with pytest.raises(cases.MammoError, match=r"cubic: its net has other layers.*: logits, pool, top_pool"):
        reuse.from_whole_net(other, context, need="cubic")
    for mine, old in zip(other.weights, before, strict=True):
        np.testing.assert_array_equal(mine, old)


def test_a_whole_net_starts_from_the_convolutions_of_a_patch_net(runs, tmp_path):
    model = tiny_nets.net(tiny_nets.SHAPE, 2, seed=8)
    logits = np.array(model.get_layer("logits").kernel)
    reuse.from_patch_net(model, tiny_nets.context(tmp_path, **runs), need="patch")
    theirs = reuse.load(runs["patch"]).model.get_layer("block1_conv1")
    np.testing.assert_array_equal(model.get_layer("block1_conv1").kernel, theirs.kernel)
    np.testing.assert_array_equal(model.get_layer("logits").kernel, logits)


def test_the_heatmap_is_the_patch_net_on_every_patch(runs):
    net = reuse.heatmap_net(runs["patch"], tiny_nets.SHAPE)
    heat = reuse.heatmaps(net, TEST)
    assert heat.shape == (5, 3, 2, 5) and heat.dtype == np.float32
    patch = tiny_nets.patch_net()
    for row, column in ((0, 0), (2, 1)):
        pages = [e.views[0].resized(*tiny_nets.SHAPE, resize.area) for e in TEST]
        cut = [page.window(32 * row, 32 * column, 64, 64) for page in pages]
        examples = [dataclasses.replace(e, views=(window,)) for e, window in zip(TEST, cut, strict=True)]
        np.testing.assert_allclose(heat[:, row, column], patch(examples), atol=1e-5)
    assert reuse.heatmap_net(runs["patch"], tiny_nets.SHAPE) is net  # built once


FEW = functools.partial(forest.forest, trees=20, min_samples_split=2)


def test_two_steps_are_a_forest_on_regions_of_the_heatmap(runs, tmp_path):
    train, context = tiny_nets.images(12, seed=4), tiny_nets.context(tmp_path, **runs)
    found = reuse.TwoStep("patch", tiny_nets.SHAPE, FEW).fit(train, (), context)
    net = reuse.heatmap_net(runs["patch"], tiny_nets.SHAPE)
    features = [heatmap_regions.features(reuse.heatmaps(net, some))[0] for some in (train, TEST)]
    expected = FEW(features[0], np.array([0, 1] * 6), seed=1)(features[1])
    np.testing.assert_array_equal(found(TEST), expected)
    assert expected.shape == (5, 2) and found.precision == "float32" and np.ptp(features[0], axis=0).max() > 0


@dataclasses.dataclass(frozen=True)
class Inner:
    """A method that gives back what it is to learn from."""

    pipeline: object
    stages: tuple = ()

    def fit(self, train, val, context):
        return train, val


def test_hard_patches_are_those_that_the_earlier_net_finds_hard(runs, tmp_path):
    train, val = tiny_nets.windows(5), tiny_nets.windows(1, prefix="x")
    select = functools.partial(patch_choice.hard, share=0.5)
    method = reuse.HardPatches(Inner(tiny_nets.patch_net().pipeline), "patch", select)
    chosen, same = method.fit(train, val, tiny_nets.context(tmp_path, **runs))
    expected = patch_choice.hard(train, tiny_nets.patch_net()(train), 0.5)
    assert chosen == expected and same is val
    assert len(chosen) == 10 and {e.label for e in chosen} == set(map(float, range(5)))
    assert method.pipeline is method.inner.pipeline and method.stages == ()


def test_the_patch_net_behind_a_run_is_found_however_many_runs_back(runs, tmp_path):
    patch = runs["patch"]
    whole, transfer = tmp_path / "whole", tmp_path / "transfer"
    for folder, needs in ((whole, {"patch": str(patch)}), (transfer / "fold1", {})):
        folder.mkdir(parents=True)
        if needs:
            (folder / "needs.json").write_text(json.dumps(needs))
    (transfer / "needs.json").write_text(json.dumps({"two class net": str(runs["good"]), "whole": "../whole"}))
    assert reuse.patch_folder(patch) == patch
    assert reuse.patch_folder(whole) == reuse.patch_folder(transfer) == patch.resolve()
    assert reuse.patch_folder(transfer / "fold1") == patch.resolve()
    assert reuse.patch_folder(runs["good"]) is None
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "needs.json").write_text("{}")
    assert reuse.patch_folder(tmp_path / "scratch") is None
