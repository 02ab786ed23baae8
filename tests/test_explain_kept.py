"""What is kept with a model: made once, true of the weights that the model has now, and gone with it."""

import gc
import weakref

import keras
import numpy as np
import pytest

from mammo_tf.explain import answers, kept, methods
from tests import explained_nets

SEEN, IMAGES, MASKS = explained_nets.given(2)
CLASSES = np.ones(2, np.int32)


def with_other_weights(model, scale=1.0):
    rng = np.random.default_rng(1)
    model.set_weights([scale * rng.permutation(w.ravel()).reshape(w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def net():
    return explained_nets.square_net()


def copy_of(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def test_it_is_made_once_a_model_and_key(net):
    made = []
    first, second = copy_of(net), copy_of(net)
    for model in (first, first, second):
        assert kept.of(model, "a", lambda: made.append(1) or len(made)) == (1 if model is first else 2)
    assert kept.of(first, "b", lambda: 7) == 7 and len(made) == 2


@pytest.mark.parametrize("name", methods.METHODS)
def test_maps_after_the_weights_changed_are_those_of_the_new_weights(net, name):
    model = copy_of(net)
    explainer = methods.explainers((name,), model, SEEN, IMAGES)[name]
    before = answers.explained(explainer, model, IMAGES, CLASSES)
    with_other_weights(model)
    after = answers.explained(explainer, model, IMAGES, CLASSES)
    fresh = answers.explained(explainer, copy_of(model), IMAGES, CLASSES)
    np.testing.assert_allclose(after, fresh, rtol=1e-5, atol=1e-6 * np.abs(fresh).max())
    assert not np.allclose(before, after, atol=1e-3 * np.abs(before).max())


def test_predictions_follow_the_weights_too(net):
    model = copy_of(net)
    first = answers.logits(model, IMAGES)
    np.testing.assert_allclose(first, model(IMAGES), rtol=1e-6)
    with_other_weights(model, -2.0)
    np.testing.assert_allclose(answers.logits(model, IMAGES), model(IMAGES), rtol=1e-6)
    assert not np.allclose(first, answers.logits(model, IMAGES))


def test_it_goes_with_the_model_and_no_layer_or_file_knows_of_it(net, tmp_path):
    model = copy_of(net)
    layers = [layer.name for layer in model.layers]
    answers.explained(methods.METHODS["deconvnet"].make(model, IMAGES, ((0,), (1,))), model, IMAGES, CLASSES)
    assert [layer.name for layer in model.layers] == layers
    model.save(tmp_path / "net.keras")
    assert keras.models.load_model(tmp_path / "net.keras").count_params() == model.count_params()
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
