import math

import keras
import numpy as np
import pytest

from mammo_tf import cases, describe
from mammo_tf.models import batch_norm
from mammo_tf.training import fit, schedule
from tests import training_fakes as fakes

HISTORY = [
    {"epoch": 1, "loss": 0.1, "val_loss": 0.5, "val_accuracy": 0.6, "val_auc": 0.7},
    {"epoch": 2, "loss": 0.9, "val_loss": 0.4, "val_accuracy": 0.8, "val_auc": 0.9},
    {"epoch": 3, "loss": 0.0, "val_loss": 0.3, "val_accuracy": 0.8, "val_auc": 0.8},
    {"epoch": 4, "loss": 0.0, "val_loss": 0.3, "val_accuracy": 0.7, "val_auc": 0.9},
]


@pytest.mark.parametrize(
    ("rule", "epoch"),
    [
        (schedule.best_val_accuracy, 2),
        (schedule.best_val_auc, 2),
        (schedule.lowest_val_loss, 3),
        (schedule.last_epoch, 4),
    ],
)
def test_rules_take_the_earliest_of_equals(rule, epoch):
    assert rule(HISTORY) == epoch
    assert schedule.choose(rule, HISTORY) == epoch


def test_a_rule_sees_no_training_columns():
    seen = []
    schedule.choose(lambda rows: seen.extend(rows) or 1, HISTORY)
    assert set(seen[0]) == {"epoch", "val_loss", "val_accuracy", "val_auc"}


def test_undefined_epochs_are_never_the_best():
    rows = [{"epoch": 1, "val_auc": math.nan}, {"epoch": 2, "val_auc": 0.1}]
    assert schedule.best_val_auc(rows) == 2
    with pytest.raises(cases.MammoError, match="val_auc is undefined in all of 1 epochs"):
        schedule.best_val_auc(rows[:1])


def test_prefixes_freeze_the_other_layers():
    model = fakes.model()
    schedule.set_trainable(model, ("logits", "bn"))
    assert [v.path for v in model.trainable_variables] == ["bn1/gamma", "bn1/beta", "logits/kernel", "logits/bias"]
    schedule.set_trainable(model, ("",))
    assert len(model.trainable_variables) == 6


def test_a_prefix_without_a_layer_lists_the_layers():
    with pytest.raises(cases.MammoError, match=r"'fc'; the layers are image, conv1, bn1, .*logits"):
        schedule.set_trainable(fakes.model(), ("fc",))


def test_a_stage_that_trains_nothing_is_refused():
    with pytest.raises(cases.MammoError, match="hold no weights"):
        schedule.set_trainable(fakes.model(), ("relu",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"trainable": "head"},
        {"trainable": ()},
        {"penalty": (("head", -0.1),)},
        {"penalty": ("head", 0.1)},
        {"bn_frozen": "frozen"},
        {"patience": 0},
    ],
)
def test_a_stage_checks_its_fields(wrong):
    (name,) = wrong
    with pytest.raises(cases.MammoError, match=f"stage: {name} must be"):
        schedule.Stage(**{"epochs": 1, "optimizer": keras.optimizers.SGD, **wrong})


def test_fields_that_came_later_count_only_where_they_are_used():
    """So that hashes from before they came stay."""
    found = describe.describe(schedule.Stage(1, keras.optimizers.SGD))["arguments"]
    assert set(found) == {"epochs", "optimizer", "trainable", "decay"}
    used = describe.describe(schedule.Stage(1, keras.optimizers.SGD, patience=2, bn_frozen="batch"))["arguments"]
    assert set(used) - set(found) == {"patience", "bn_frozen"}


def test_only_the_last_stage_has_patience():
    plain, patient = (schedule.Stage(3, keras.optimizers.SGD, patience=patience) for patience in (None, 2))
    schedule.check((plain, patient))
    with pytest.raises(cases.MammoError, match="stage 1 of 2: only the last stage may have patience, found 2"):
        schedule.check((patient, plain))


@pytest.mark.parametrize(
    ("done", "best", "over"),
    [(0, 0, False), (2, 1, False), (3, 1, True), (3, 2, False), (4, 2, True), (5, 5, False)],
)
def test_patience_counts_from_the_selected_epoch(done, best, over):
    """Stages of 3 and 10 epochs, patience 2: before epoch 3 nothing ends; then a best epoch two back does."""
    stages = (schedule.Stage(3, keras.optimizers.SGD), schedule.Stage(10, keras.optimizers.SGD, patience=2))
    assert schedule.converged(stages, done, best) == over
    assert not schedule.converged(stages[:1], done, best)


def normed(layer):
    """Convolution, batch norm and logits, without dropout: a step that can be followed by hand."""
    image = keras.Input((4, 4, 1), name="image")
    x = keras.layers.Conv2D(2, 3, name="conv1", kernel_initializer=keras.initializers.GlorotUniform(1))(image)
    x = keras.layers.Flatten(name="flatten")(layer(momentum=0.9, name="bn1")(x))
    return keras.Model(image, keras.layers.Dense(2, name="logits")(x))


@pytest.mark.parametrize("layer", [keras.layers.BatchNormalization, batch_norm.BatchNormalization])
@pytest.mark.parametrize("bn_frozen", schedule.BN_FROZEN)
def test_frozen_batch_norms_do_as_told(layer, bn_frozen):
    model = normed(layer)
    schedule.set_trainable(model, ("logits",), bn_frozen)
    fit.compile_model(model, keras.optimizers.SGD(0.1))
    x = np.random.default_rng(0).normal(3, 1, (8, 4, 4, 1)).astype(np.float32)
    bn, inner = model.get_layer("bn1"), keras.Model(model.input, model.get_layer("bn1").output)
    before, output = model.get_layer("conv1")(x).numpy(), inner(x, training=True).numpy()
    bn.moving_mean.assign([0.0, 0.0])  # that call has moved it
    model.train_on_batch(x, np.arange(8) % 2)
    by_batch = bn_frozen == "batch"
    batch_mean = before.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(bn.moving_mean, 0.1 * batch_mean * by_batch, rtol=1e-5)
    np.testing.assert_allclose(output.mean(axis=(0, 1, 2)), (1 - by_batch) * batch_mean, rtol=1e-3, atol=1e-5)
    assert bn.gamma.value.numpy().tolist() == [1, 1] and bn.beta.value.numpy().tolist() == [0, 0]
    assert [v.path for v in model.trainable_variables] == ["logits/kernel", "logits/bias"]
    schedule.set_trainable(model, ("",), bn_frozen)
    assert len(model.trainable_variables) == 6


def test_the_penalty_acts_and_the_next_one_takes_its_place():
    """With sample weights of 0 the penalty is the loss: a step of SGD takes w to w (1 - 2 rate factor)."""
    model = normed(keras.layers.BatchNormalization)
    x, y, kernel = np.ones((4, 4, 4, 1), np.float32), np.zeros(4), model.get_layer("logits").kernel
    for factor, others in ((0.1, ()), (0.25, (("conv", 0.5),)), (None, ())):
        penalty = () if factor is None else (("logits", factor), *others)
        schedule.set_penalty(model, penalty)
        fit.compile_model(model, keras.optimizers.SGD(0.5))
        w = kernel.value.numpy()
        squares = {"logits": (w**2).sum(), "conv": (model.get_layer("conv1").kernel.value.numpy() ** 2).sum()}
        loss = model.train_on_batch(x, y, sample_weight=np.zeros(4))[0]
        assert loss == pytest.approx(sum(f * squares[name] for name, f in penalty), rel=1e-5)
        np.testing.assert_allclose(kernel, w * (1 - 2 * 0.5 * (factor or 0)), rtol=1e-5)


def test_a_frozen_layer_pays_nothing():
    model = normed(keras.layers.BatchNormalization)
    schedule.set_penalty(model, (("", 1.0),))
    schedule.set_trainable(model, ("bn",))
    assert model.losses == []


def test_the_penalty_a_net_was_built_with_comes_back():
    image = keras.Input((2,), name="image")
    model = keras.Model(image, keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.5), name="d")(image))
    squares = float((model.get_layer("d").kernel.value.numpy() ** 2).sum())
    for penalty, factor in (((), 0.5), ((("d", 3.0),), 3.0), ((), 0.5)):
        schedule.set_penalty(model, penalty)
        assert float(model.losses[0]) == pytest.approx(factor * squares)


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        ((("fc", 0.1),), "no layer's name starts with 'fc'"),
        ((("bn", 0.1),), "penalty names 'bn', and no layer of that name has a kernel"),
        ((("conv", 0.1), ("", 0.2)), "penalty names layer conv1 twice, the second time by ''"),
    ],
)
def test_a_penalty_names_layers_with_kernels_once(penalty, message):
    with pytest.raises(cases.MammoError, match=message):
        schedule.set_penalty(normed(keras.layers.BatchNormalization), penalty)


def test_ends_count_the_epochs_done():
    assert schedule.ends(fakes.STAGES) == (2, 5)
