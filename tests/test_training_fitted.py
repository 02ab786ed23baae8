"""Nets read back from the folder of their run, and predictions of mirrored images."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.training import fitted, precision
from tests import training_fakes as fakes

PIPELINE = fakes.Pipeline()
TEST = fakes.examples(11, 2, "t")
NORMALIZER = fakes.centre(PIPELINE.load(TEST).images)


def trained(policy="float32", **changes):
    """A net as initialised, under a policy."""
    with precision.policy(precision.Precision(policy, "")):
        model = fakes.model()
    fields = {"model": model, "normalizer": NORMALIZER, "pipeline": PIPELINE, "history": [], "best_epoch": 0}
    return fitted.Fitted(**{**fields, "val_reads": 3, "precision": policy, "device": "CPU", **changes})


@pytest.fixture(scope="module")
def net():
    return trained()


def test_a_net_read_back_predicts_the_same(net, tmp_path):
    net.save(tmp_path)
    again = fitted.load_fitted(tmp_path, PIPELINE, NORMALIZER)
    np.testing.assert_array_equal(again(TEST), net(TEST))
    assert (again.history, again.best_epoch, again.val_reads, again.precision) == ([], 0, 0, "float32")
    assert not again.model.compiled
    (tmp_path / "history.csv").write_text("epoch,stage,loss,val_auc\n1,1,0.5,nan\n2,1,0.25,0.75\n")
    (tmp_path / "record.json").write_text(json.dumps({"training": {"best_epoch": 2}}))
    again = fitted.load_fitted(tmp_path, PIPELINE, NORMALIZER)
    assert again.best_epoch == 2
    assert again.history[1] == {"epoch": 2, "stage": 1, "loss": 0.25, "val_auc": 0.75}
    assert isinstance(again.history[0]["epoch"], int) and np.isnan(again.history[0]["val_auc"])


def test_a_net_is_read_in_the_precision_of_its_training_or_another(tmp_path):
    before = keras.config.dtype_policy()
    net = trained("mixed_bfloat16")
    net.save(tmp_path)
    same = fitted.load_fitted(tmp_path, PIPELINE, NORMALIZER)
    assert same.precision == "mixed_bfloat16"
    np.testing.assert_array_equal(same(TEST), net(TEST))
    exact = fitted.load_fitted(tmp_path, PIPELINE, NORMALIZER, precision.resolve("float32"))
    assert exact.precision == "float32" and exact.model.get_layer("conv1").compute_dtype == "float32"
    np.testing.assert_array_equal(exact(TEST), trained()(TEST))  # the weights are float32 in both
    assert np.abs(exact(TEST) - same(TEST)).max() > 0
    assert keras.config.dtype_policy() == before


def test_what_cannot_be_read_is_named(net, tmp_path):
    with pytest.raises(cases.DataError, match=r"model\.keras: no such model"):
        fitted.load_fitted(tmp_path, PIPELINE, NORMALIZER)
    (tmp_path / "model.keras").write_bytes(b"half")
    with pytest.raises(cases.DataError, match=r"model\.keras: not a readable Keras model"):
        fitted.load_fitted(tmp_path, PIPELINE, NORMALIZER)
    net.save(tmp_path)
    with pytest.raises(cases.DataError, match=r"takes images \(8, 8, 3\), the pipeline gives \(8, 16, 3\)"):
        fitted.load_fitted(tmp_path, fakes.Pipeline(side=(8, 16)), NORMALIZER)


def mirrored(example, *axes):
    view = example.views[0]
    pixels = np.flip(view.pixels(), axes)
    return dataclasses.replace(example, views=(dataclasses.replace(view, load=pixels.copy),))


def test_four_flips_are_those_of_mirrored_images(net):
    found = net.four_flips(TEST)
    assert found.shape == (4, 11, 2) and found.dtype == np.float32
    for probabilities, axes in zip(found, ((), (1,), (0,), (0, 1)), strict=True):
        np.testing.assert_array_equal(probabilities, net([mirrored(example, *axes) for example in TEST]))
    assert np.abs(found[1:] - found[0]).max(axis=(1, 2)).min() > 1e-3  # the net tells the four apart
    assert net.four_flips(()).shape == (4, 0, 2)


def test_four_flips_load_once():
    @dataclasses.dataclass(frozen=True)
    class Counting(fakes.Pipeline):
        loads: list = dataclasses.field(default_factory=list)

        def load(self, examples, *, strict=False):
            self.loads.append(len(examples))
            return super().load(examples, strict=strict)

    net = trained(pipeline=Counting())
    net.four_flips(TEST)
    assert net.pipeline.loads == [11]


def test_a_copy_with_another_normalizer_predicts_by_it(net):
    net(TEST)
    shifted = dataclasses.replace(net, normalizer=fakes.Normalizer(NORMALIZER.mean + 1, 3))
    assert shifted.model is net.model and np.abs(shifted(TEST) - net(TEST)).max() > 1e-3


def test_logits_are_those_of_the_model(net):
    arrays = net.load_arrays(TEST)
    images = NORMALIZER(arrays.images.astype(np.float32)[..., None] / 65535)
    np.testing.assert_allclose(net.logits(arrays), net.model(images), rtol=1e-5, atol=1e-6)
    assert net.classes == 2


def test_the_net_before_its_training_has_the_weights_that_it_started_with():
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 3, kernel_initializer=keras.initializers.HeNormal(5), name="conv")(image)
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(x)))
    started = model.get_layer("conv").kernel.numpy()
    model.get_layer("conv").kernel.assign(started + 1)
    np.testing.assert_array_equal(fitted.untrained(model).get_layer("conv").kernel.numpy(), started)
    assert model.get_layer("conv").kernel.numpy()[0, 0, 0, 0] == started[0, 0, 0, 0] + 1
