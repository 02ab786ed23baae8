import math

import keras
import pytest

from mammo_tf import cases
from mammo_tf.training import schedule
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


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"epochs": 1, "trainable": "head"}, {"epochs": 1, "trainable": ()}])
def test_a_stage_checks_its_fields(wrong):
    with pytest.raises(cases.MammoError, match="stage: "):
        schedule.Stage(optimizer=keras.optimizers.SGD, **wrong)


def test_ends_count_the_epochs_done():
    assert schedule.ends(fakes.STAGES) == (2, 5)
