import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.explain import relevance, relevance_graph
from mammo_tf.models import two_view
from tests.relevance_nets import built, check, images, same, through

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_a_net_in_float32_is_taken_as_it_is_and_another_copied():
    model = through(keras.layers.ReLU())
    assert relevance_graph.in_float32(model) is model
    half = through(keras.layers.ReLU(dtype="mixed_bfloat16", name="half"))
    twin = relevance_graph.in_float32(half)
    assert twin.get_layer("half").compute_dtype == "float32" and half.get_layer("half").compute_dtype != "float32"
    np.testing.assert_array_equal(twin.get_weights()[0], half.get_weights()[0])


def test_a_layer_called_twice_hands_on_both_shares():
    x, dense = keras.Input((1, 1, 2)), keras.layers.Dense(1, use_bias=False)
    first = dense(keras.layers.Flatten()(two_view.View(0)(x)))
    second = dense(keras.layers.Flatten()(two_view.View(1)(x)))
    model = keras.Model(x, keras.layers.Dense(2, use_bias=False)(keras.layers.Concatenate()([first, second])))
    dense.set_weights([np.float32([[2]])])
    model.layers[-1].set_weights([np.float32([[1, 0], [3, 0]])])
    check(model, [[[[5, 7]]]], same(relevance.Epsilon(0.0)), [10, 42])


def test_what_lies_before_the_first_layer():
    graph = relevance_graph.read(built("vgg16 of two views"))
    steps = {step.layer.name: step for step in graph.steps}
    before = graph.before_first(steps["mlo_block1_conv1"])
    assert [layer.name for layer in before] == ["mlo_view", "mlo_dog"]
    assert graph.before_first(steps["mlo_block1_conv2"]) is graph.before_first(steps["views"]) is None
    unsigned = graph.unsigned()
    assert {steps[name].output in unsigned for name in ("cc_block1_relu1", "cc_block1_pool", "views")} == {True}
    assert {steps[name].output in unsigned for name in ("cc_dog", "cc_block1_conv1", "logits")} == {False}


def test_models_of_another_form_are_refused():
    x = keras.Input((2, 2, 2))
    nested = keras.Model(x, through(keras.layers.ReLU())(x))
    nested.layers[-1].name = "inner"
    with pytest.raises(cases.MammoError, match=r"layer inner \(Functional\) is a model; the net must be flat"):
        relevance.propagate(nested, images(2, 2), relevance.EPSILON)
    y = through(keras.layers.ReLU())
    added = keras.Model(y.input, y.output + 1.0)
    with pytest.raises(cases.MammoError, match=r"there is no rule for layer .*\(Add\)"):  # an operation, no layer
        relevance.propagate(added, images(2, 2), relevance.EPSILON)
    ended = keras.Model(y.input, keras.layers.Softmax()(y.output), name="ended")
    with pytest.raises(cases.MammoError, match="ended ends in a softmax; give the model up to its logits"):
        relevance.propagate(ended, images(2, 2), relevance.EPSILON)
    maps = keras.Model(x, keras.layers.ReLU()(x))
    with pytest.raises(cases.MammoError, match=r"goes from and to .*, expected one \(B, H, W, C\)"):
        relevance.propagate(maps, images(2, 2), relevance.EPSILON)
