import dataclasses
import functools
import logging

import keras
import numpy as np
import pytest
import sklearn.metrics

from mammo_tf import cases
from mammo_tf.training import method, precision, schedule
from tests import training_fakes as fakes

TRAIN, VAL, TEST = fakes.examples(28, 0), fakes.examples(20, 1, "v"), fakes.examples(11, 2, "t")


def keras_method(**changes):
    return method.KerasMethod(**{"net": fakes.net, "pipeline": fakes.Pipeline(), "stages": fakes.STAGES, **changes})


def short_method(**changes):
    return keras_method(stages=fakes.STAGES[:1], **changes)


def broken_load():
    raise cases.DataError("some/file.dcm", "cut off")


def broken(example):
    return dataclasses.replace(example, views=(dataclasses.replace(example.views[0], load=broken_load),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fitted")


@pytest.fixture(scope="module")
def fitted(folder):
    return keras_method().fit(TRAIN, VAL, fakes.context(folder))


def test_probabilities_come_in_the_order_of_the_examples(fitted):
    found = fitted(TEST)
    assert found.shape == (11, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(fitted(TEST[::-1]), found[::-1], atol=1e-6)  # the last bit goes by place in the batch
    assert fitted(()).shape == (0, 2)


def test_probabilities_are_the_softmax_of_the_model(fitted):
    images = np.stack([example.views[0].pixels() for example in TEST]).astype(np.float32)[..., None] / 65535
    logits = fitted.model(fitted.normalizer(images))
    np.testing.assert_allclose(fitted(TEST), keras.ops.softmax(logits), atol=1e-6)


def test_the_fit_is_documented(fitted):
    assert len(fitted.history) == fitted.val_reads == 5
    assert fitted.best_epoch == schedule.best_val_accuracy(fitted.history)
    assert (fitted.precision, fitted.device) == ("float32", precision.describe_device())
    best = fitted.history[fitted.best_epoch - 1]["val_accuracy"]
    labels = np.array([example.label for example in VAL])
    assert np.mean(fitted(VAL).argmax(axis=1) == labels) == pytest.approx(best)  # the best weights are back


def test_an_unreadable_example_is_never_left_out(fitted):
    with pytest.raises(cases.DataError, match=r"file\.dcm: cut off"):
        fitted([*TEST[:3], broken(TEST[3])])


def test_unreadable_training_files_are_listed(tmp_path):
    short = short_method()
    found = short.fit((*TRAIN[:-1], broken(TRAIN[-1])), VAL, fakes.context(tmp_path / "a"))
    assert found.problems == (cases.Problem("some/file.dcm", "cut off"),)
    with pytest.raises(cases.DataError, match="cut off"):
        short.fit((*TRAIN[:-1], broken(TRAIN[-1])), VAL, fakes.context(tmp_path / "b", strict=True))


def test_the_model_is_saved_without_its_optimizer(fitted, tmp_path):
    path = fitted.save(tmp_path / "run")
    assert path == tmp_path / "run" / "model.keras"
    again = keras.models.load_model(path)
    assert not again.compiled
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(again(images), fitted.model(images))
    (tmp_path / "file").write_text("")
    with pytest.raises(cases.DataError, match="the model cannot be written"):
        fitted.save(tmp_path / "file")


def test_a_seed_repeats_and_another_does_not(tmp_path):
    found = []
    for i, seed in enumerate((3, 3, 4)):
        context = dataclasses.replace(fakes.context(tmp_path / str(i)), seed=seed)
        found.append(short_method().fit(TRAIN, VAL, context)(TEST))
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_finished_fit_is_only_read(fitted, folder):
    again = keras_method().fit(TRAIN, VAL, fakes.context(folder, resume=True))
    np.testing.assert_array_equal(again(TEST), fitted(TEST))
    assert again.val_reads == 5


@pytest.mark.parametrize(
    ("changes", "train", "named"),
    [
        ({"select": schedule.lowest_val_loss}, TRAIN, "select"),
        ({"class_weight": "balanced"}, TRAIN, "class_weight"),
        ({"pipeline": fakes.Pipeline(batch=4)}, TRAIN, "pipeline"),
        ({}, TRAIN[:-2], "training part"),
    ],
)
@pytest.mark.usefixtures("fitted")
def test_resuming_needs_the_same_training(folder, changes, train, named):
    with pytest.raises(cases.DataError, match=rf"belongs to another training.*\({named}: "):
        keras_method(**changes).fit(train, VAL, fakes.context(folder, resume=True))


def test_without_validation_the_last_epoch_is_taken(tmp_path):
    found = short_method(select=schedule.last_epoch).fit(TRAIN, (), fakes.context(tmp_path))
    assert (found.best_epoch, found.val_reads) == (2, 0)
    assert np.isnan(found.history[0]["val_loss"])
    with pytest.raises(cases.MammoError, match="validation part is empty, best_val_accuracy cannot"):
        keras_method().fit(TRAIN, (), fakes.context(tmp_path))


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        (TRAIN[::2], VAL, "training part: both classes are needed, found 14 of class 0 and 0 of class 1"),
        (TRAIN, VAL[1::2], "validation part: both classes are needed, found 0 of class 0 and 10 of class 1"),
        ((*TRAIN, dataclasses.replace(TEST[0], label=float("nan"))), VAL, "training part: 1 label"),
    ],
)
def test_labels_are_checked(tmp_path, train, val, message):
    with pytest.raises(cases.MammoError, match=message):
        keras_method().fit(train, val, fakes.context(tmp_path))


def load_logits(model, path):
    model.get_layer("logits").set_weights(list(np.load(path).values()))


def test_pretrained_weights_are_needed_and_used(tmp_path):
    kernel = np.full((144, 2), 0.25, np.float32)
    np.savez(tmp_path / "weights.npz", kernel=kernel, bias=np.zeros(2, np.float32))
    tuned = keras_method(pretrained=load_logits)
    with pytest.raises(cases.MammoError, match="--weights FILE"):
        tuned.fit(TRAIN, VAL, fakes.context(tmp_path))
    with pytest.raises(cases.DataError, match="no such file"):
        tuned.fit(TRAIN, VAL, fakes.context(tmp_path, weights=str(tmp_path / "none.npz")))
    context = fakes.context(tmp_path, weights=str(tmp_path / "weights.npz"))
    model = tuned.build(context, precision.resolve("float32"))
    np.testing.assert_array_equal(model.get_layer("logits").kernel.value.numpy(), kernel)


def test_the_folder_must_be_writable_before_images_are_loaded(tmp_path):
    (tmp_path / "file").write_text("")
    unreadable = tuple(map(broken, TRAIN))
    with pytest.raises(cases.DataError, match="cannot be written"):
        keras_method().fit(unreadable, VAL, fakes.context(tmp_path / "file" / "run", strict=True))


def test_a_net_without_a_name_of_its_own_is_refused(tmp_path):
    nameless = keras_method(net=lambda x, seed: fakes.net(x, seed=seed))
    with pytest.raises(TypeError, match="lambda or a closure"):
        nameless.fit(TRAIN, VAL, fakes.context(tmp_path))


def test_a_step_is_timed(monkeypatch):
    ticks = iter([10.0, 16.0])
    monkeypatch.setattr(method.time, "perf_counter", functools.partial(next, ticks))
    wide = keras_method(**FIVE, pipeline=fakes.Pipeline(side=(8, 12)), pretrained=load_logits, start=take_patch_net)
    assert method.time_step(wide, seed=0, repeats=3) == method.StepTimes(2.0)


@pytest.mark.parametrize(("wish", "policy"), [("bfloat16", "mixed_bfloat16"), ("float16", "mixed_float16")])
def test_low_precision_trains_and_resumes(tmp_path, wish, policy):
    """The first layer computes in the low precision, the logits stay float32, the caller's policy is untouched."""
    before = keras.config.dtype_policy()
    short = keras_method(stages=(schedule.Stage(2, functools.partial(keras.optimizers.SGD, 0.01, momentum=0.9)),))
    found = short.fit(TRAIN, VAL, fakes.context(tmp_path, precision=wish))
    assert found.model.get_layer("conv1").dtype_policy.name == found.precision == policy
    assert found.model.get_layer("conv1").compute_dtype == wish and found.model.output.dtype == "float32"
    assert keras.config.dtype_policy() == before
    again = short.fit(TRAIN, VAL, fakes.context(tmp_path, precision=wish, resume=True))
    np.testing.assert_array_equal(again(TEST), found(TEST))


def test_the_first_log_line_names_device_and_precision(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "mammo_tf"):
        short_method().fit(TRAIN, VAL, fakes.context(tmp_path))
    assert caplog.messages[0] == f"{precision.describe_device()}; precision float32: as asked for"


def test_class_weights_change_the_training(tmp_path):
    skewed = (*TRAIN[:9], *TRAIN[10:28:2])
    one = short_method().fit(skewed, VAL, fakes.context(tmp_path / "a"))
    other = short_method(class_weight="balanced").fit(skewed, VAL, fakes.context(tmp_path / "b"))
    assert other(TEST)[:, 1].mean() > one(TEST)[:, 1].mean()


FIVE = {"net": functools.partial(fakes.net, classes=5), "classes": 5, "select": schedule.best_val_auc}


def test_five_classes_on_images_that_are_not_square(tmp_path):
    train, val, test = (fakes.examples(n, n, f"{n}_", classes=5, shape=(12, 9)) for n in (25, 15, 7))
    method_of_five = short_method(**FIVE, pipeline=fakes.Pipeline(side=(12, 9)), class_weight="balanced")
    fitted = method_of_five.fit(train, val, fakes.context(tmp_path))
    assert fitted(test).shape == (7, 5) and fitted(()).shape == (0, 5) and fitted.classes == 5
    assert fitted.model.input_shape == (None, 12, 9, 3)
    labels = np.array([example.label for example in val])
    best = fitted.history[fitted.best_epoch - 1]
    assert best["val_accuracy"] == np.mean(fitted(val).argmax(axis=1) == labels)
    assert best["val_auc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, fitted(val), multi_class="ovr", average="macro"), abs=1e-6
    )
    with pytest.raises(cases.MammoError, match="training part: all 5 classes are needed, found 0 of class 0, 5 of"):
        method_of_five.fit([e for e in train if e.label], val, fakes.context(tmp_path))


def test_the_net_has_as_many_outputs_as_classes(tmp_path):
    with pytest.raises(cases.MammoError, match=r"method: 5 classes need a net of shape \(None, 5\), not \(None, 2\)"):
        keras_method(classes=5).build(fakes.context(tmp_path), precision.resolve("float32"))


def take_patch_net(model, context):
    model.get_layer("logits").set_weights(list(np.load(context.inputs["patch net"] / "weights.npz").values()))


def test_a_start_from_another_run_is_used_and_part_of_the_identity(tmp_path):
    kernel, patch_net = np.full((144, 2), 0.25, np.float32), {"patch net": tmp_path}
    np.savez(tmp_path / "weights.npz", kernel=kernel, bias=np.zeros(2, np.float32))
    started = short_method(start=take_patch_net)
    context = fakes.context(tmp_path / "run", inputs=patch_net)
    model = started.build(context, precision.resolve("float32"))
    np.testing.assert_array_equal(model.get_layer("logits").kernel, kernel)
    fitted = started.fit(TRAIN, VAL, context)
    again = started.fit(TRAIN, VAL, dataclasses.replace(context, resume=True))
    np.testing.assert_array_equal(again(TEST), fitted(TEST))
    np.savez(tmp_path / "weights.npz", kernel=kernel + 1, bias=np.zeros(2, np.float32))
    with pytest.raises(cases.DataError, match=r"belongs to another training.*\(start weights: \w+ there, \w+ here\)"):
        started.fit(TRAIN, VAL, dataclasses.replace(context, resume=True))


def test_fields_that_came_later_change_no_identity(tmp_path):
    part, chosen = fakes.Pipeline().load(TRAIN), precision.resolve("float32")
    found = keras_method()._identity(part, None, fakes.context(tmp_path), chosen)
    assert not {"classes", "start"} & found.keys()
    other = keras_method(**FIVE, start=take_patch_net)._identity(part, None, fakes.context(tmp_path), chosen)
    assert other["classes"] == "5" and "take_patch_net" in other["start"]


@pytest.mark.parametrize("wrong", [{"stages": ()}, {"class_weight": "equal"}, {"classes": 1}])
def test_fields_are_checked(wrong):
    with pytest.raises(cases.MammoError, match="method: "):
        keras_method(**wrong)
