"""Nets cut at a layer: their features are the model's own, computed once; pictures are those of a pipeline."""

import dataclasses
import functools

import keras
import numpy as np
import pytest

from mammo_tf import cases, feature_nets
from mammo_tf.classical import deep_features
from mammo_tf.models import blocks
from mammo_tf.pipeline import build, normalize
from tests import training_fakes as fakes

EXAMPLES = fakes.examples(5, 0, shape=(20, 16))
SIDE = 12


def net(x, *, seed=0, scale=1.0):
    return blocks.relu(blocks.conv(x, blocks.Conv("conv", 6, 3, stride=2), seed=seed), "relu") * scale


def load(model, path):
    rng = np.random.default_rng(int(path.read_text()))
    for layer in model.layers:
        layer.set_weights([0.1 * rng.standard_normal(weight.shape) for weight in layer.get_weights()])


def cut(**more):
    return feature_nets.Cut(functools.partial(net, **more), (SIDE, SIDE, 3), load)


def picture(normalizer=normalize.imagenet_caffe):
    return feature_nets.Picture((SIDE, SIDE), normalizer)


@pytest.fixture
def context(tmp_path):
    file = tmp_path / "weights"
    file.write_text("1")
    return fakes.context(tmp_path, weights=file)


def test_features_are_those_of_the_model_on_the_pipeline_s_images(context):
    measured = deep_features.DeepFeatures((cut(),), picture(), deep_features.flattened, batch=2)(context)(EXAMPLES)
    pipeline = build.Pipeline(SIDE, normalize.imagenet_caffe)
    arrays = pipeline.load(EXAMPLES)
    x = np.asarray(pipeline.normalize(arrays.images)(pipeline.seen(arrays)[..., None].astype(np.float32) / 65535))
    image = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(image, net(image))
    load(model, context.weights)
    expected = np.asarray(model(x)).reshape(len(EXAMPLES), -1)
    assert measured.shape == expected.shape == (5, 216) and expected.std() > 0
    np.testing.assert_allclose(measured, expected, atol=2e-2)  # images in memory are rounded to 16 bits


@pytest.mark.parametrize("normalizer", [normalize.per_image, normalize.imagenet, normalize.centred])
def test_a_picture_is_the_pipeline_s_image(normalizer):
    pipeline = build.Pipeline(SIDE, normalizer)
    arrays = pipeline.load(EXAMPLES[:1])
    expected = pipeline.normalize(arrays.images)(pipeline.seen(arrays)[..., None].astype(np.float32) / 65535)
    np.testing.assert_allclose(picture(normalizer)(EXAMPLES[0].views[0]), np.asarray(expected)[0], atol=1e-3)


def test_a_picture_without_a_shape_keeps_that_of_the_image():
    found = feature_nets.Picture(None, normalize.per_image, channels=1)(EXAMPLES[0].views[0])
    assert found.shape == (20, 16, 1) and found.dtype == np.float32
    assert abs(found.mean()) < 1e-4 and found.std() == pytest.approx(1, abs=1e-3)


def test_a_net_is_built_once_for_the_same_weights_and_cut(context, tmp_path):
    one = cut()(context)
    assert cut()(context) is one
    other = tmp_path / "other"
    other.write_text("2")
    elsewhere = dataclasses.replace(context, weights=other)
    assert len({one.digest, cut()(elsewhere).digest, cut(scale=2.0)(context).digest}) == 3
    moved = tmp_path / "moved"
    moved.write_text("1")
    assert cut()(dataclasses.replace(context, weights=moved)).digest == one.digest


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(cases.MammoError, match="needs weights and none were given"):
        cut()(fakes.context(tmp_path))
    with pytest.raises(cases.DataError, match=r"gone\.h5: no such file"):
        cut()(fakes.context(tmp_path, weights=tmp_path / "gone.h5"))
