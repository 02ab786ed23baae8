"""The head of Kreiss: its layers in their order, its sizes, what is refused."""

import functools

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import conv_head, inception_v3
from mammo_tf.pipeline import features
from mammo_tf.training import frozen

pytestmark = pytest.mark.slow

HEADS = ["top_conv", "top_pool", "top_relu", "top_flatten"]


def inception(x, *, seed=0):
    return inception_v3.inception_v3_features(x, seed=seed, width=2)


def net(head, side=139, seed=0):
    image = keras.Input((side, side, 3))
    return keras.Model(image, conv_head.conv_head(image, features=inception, head=head, seed=seed))


def test_conv_pool_relu_flatten_and_the_logits_stand_in_this_order():
    model = net(conv_head.Head())
    names = [layer.name for layer in model.layers]
    assert names[names.index(conv_head.CUT) :] == [conv_head.CUT, *HEADS, "logits"]
    assert all(name.startswith(conv_head.PREFIXES) for name in names[names.index(conv_head.CUT) + 1 :])
    assert model.get_layer(conv_head.CUT).output.shape[1:] == (3, 3, 128)
    assert model.get_layer("top_pool").output.shape[1:] == (2, 2, 64)


def test_parameters_at_the_paper_s_size():
    """299 pixels give 8x8x2048: (9 x 2048 + 1) x 64 of the convolution, (4 x 4 x 64 + 1) x 2 of the logits."""
    image = keras.Input((8, 8, 2048))
    head = keras.Model(image, conv_head.Head()(image, classes=2, seed=0))
    assert head.count_params() == (9 * 2048 + 1) * 64 + (4 * 4 * 64 + 1) * 2


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (conv_head.Head(kernel=1, pool=3), (3, 3, 64)),
        (conv_head.Head(padding="valid"), (3, 3, 64)),
        (conv_head.Head(stride=2), (2, 2, 64)),
        (conv_head.Head(filters=5, pool=9), (1, 1, 5)),
    ],
)
def test_what_is_tuned_changes_the_sizes(head, shape):
    image = keras.Input((8, 8, 16))
    model = keras.Model(image, head(image, classes=2, seed=0))
    assert model.get_layer("top_pool").output.shape[1:] == shape


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
def test_the_head_sees_every_cell_of_the_map(side):
    image = keras.Input((side, side, 1))
    model = keras.Model(image, conv_head.Head(kernel=1)(image, classes=2, seed=0))
    model.get_layer("top_conv").set_weights([np.ones((1, 1, 1, 64), np.float32), np.zeros(64, np.float32)])
    lit = np.eye(side * side, dtype=np.float32).reshape(-1, side, side, 1)
    changed = np.abs(model(lit).numpy() - model(np.zeros_like(lit)).numpy()).max(axis=1)
    assert changed.shape == (side**2,) and (changed > 0).all()


def test_hidden_layers_and_dropout_stand_before_the_logits():
    image = keras.Input((4, 4, 8))
    model = keras.Model(image, conv_head.Head(fc=(7, 5), dropout=0.5)(image, classes=2, seed=0))
    names = [layer.name for layer in model.layers]
    assert names[-6:] == ["top_dropout", "top_fc1", "top_fc1_relu", "top_fc2", "top_fc2_relu", "logits"]


def test_one_seed_is_one_head():
    weights = [net(conv_head.Head(), side=75, seed=seed).get_weights() for seed in (1, 1, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not np.array_equal(weights[0][-4], weights[2][-4])


def test_the_net_is_cut_below_its_head():
    base, head = frozen.Frozen(conv_head.CUT, features.of).split(net(conv_head.Head(), side=75))
    assert base.output_shape == head.input_shape == (None, 1, 1, 128)
    assert [layer.name for layer in head.layers if layer.weights] == ["top_conv", "logits"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (functools.partial(conv_head.Head, filters=0), "sizes must be 1 or more"),
        (functools.partial(conv_head.Head, padding="full"), "padding same or valid"),
        (
            functools.partial(net, conv_head.Head(padding="valid"), side=75),
            "a map of 1x1 has no place for a kernel of 3",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(make, message):
    with pytest.raises(cases.MammoError, match=message):
        make()
