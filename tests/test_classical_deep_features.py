"""Features of images by nets that are written out here, and of a Keras net cut at a layer."""

import dataclasses
import functools
import gc

import keras
import numpy as np
import pytest

from mammo_tf import cache, cases, describe, rows, run
from mammo_tf.classical import deep_features, margins, selected, selected_folds
from mammo_tf.datasets import splits
from tests import toy_runs

CONTEXT = cases.Context(seed=0, budget="smoke", folder=None)
ASKED = []


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    """Each test starts with an empty memory and counts what its nets are asked."""
    monkeypatch.setattr(cache, "_MEMORY", type(cache._MEMORY)())
    ASKED.clear()


def loaded(pixels):
    return pixels


def view(seed, shape=(6, 4), side=cases.Side.LEFT, projection=cases.Projection.CC, fill=None):
    pixels = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    if fill is not None:
        pixels[:] = fill
    return cases.View(f"v{seed}", f"p{seed}", side, projection, functools.partial(loaded, pixels), 255)


def example(name, *views, label=0.0):
    return cases.Example(name, name, views, label)


def unit(view):
    return (view.pixels() / np.float32(view.max_value))[..., None].astype(np.float32)


def quarters(images, scale=1.0):
    """A net whose map holds the means of the quarters of an image, and twice that: (B, 2, 2, 2)."""
    ASKED.append(images.shape)
    b, h, w, _ = images.shape
    maps = images[..., 0].reshape(b, 2, h // 2, 2, w // 2).mean(axis=(2, 4))
    return scale * np.stack([maps, 2 * maps], axis=-1)


def net(context, scale=1.0):
    return deep_features.Net(functools.partial(quarters, scale=scale), f"quarters {scale} {context.weights}")


def measured(**changes):
    return deep_features.DeepFeatures(**{"nets": (net,), "image": unit, **changes})(CONTEXT)


VIEWS = [view(seed) for seed in range(5)]
EXAMPLES = [example(one.id, one, label=float(i % 2)) for i, one in enumerate(VIEWS)]


def test_pooled_features_are_means_over_the_image():
    found = measured()(EXAMPLES)
    means = np.array([one.pixels().mean() / 255 for one in VIEWS])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.stack([means, 2 * means], axis=1), rtol=1e-5)


def test_flattened_features_go_row_by_row():
    found = measured(pool=deep_features.flattened)(EXAMPLES[:1])
    x = VIEWS[0].pixels() / 255
    corners = [x[:3, :2], x[:3, 2:], x[3:, :2], x[3:, 2:]]
    np.testing.assert_allclose(found[0], np.repeat([c.mean() for c in corners], 2) * np.tile([1, 2], 4), rtol=1e-5)


def test_vectors_pass_either_way():
    vectors = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(deep_features.pooled(vectors), vectors)
    np.testing.assert_array_equal(deep_features.flattened(vectors), vectors)


def test_several_nets_are_averaged():
    found = measured(nets=(net, functools.partial(net, scale=3.0)))(EXAMPLES)
    np.testing.assert_allclose(found, 2 * measured()(EXAMPLES), rtol=1e-5)


def test_batches_are_of_one_size_and_each_view_is_computed_once():
    measure = measured(batch=2)
    first = measure(EXAMPLES)
    assert ASKED == [(2, 6, 4, 1)] * 3
    again = measured(batch=2)(EXAMPLES[::-1])  # another object, as another row of a table makes it
    assert len(ASKED) == 3
    np.testing.assert_array_equal(again[::-1], first)
    same_pixels = example("other", dataclasses.replace(VIEWS[2], id="other"))
    np.testing.assert_array_equal(measure([same_pixels])[0], first[2])
    assert len(ASKED) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"nets": (functools.partial(net, scale=2.0),)},
        {"pool": deep_features.flattened},
        {"image": deep_features.Sized(unit, (4, 4))},
        {"batch": 3},
    ],
    ids=["net", "pool", "image", "batch"],
)
def test_what_changes_the_features_is_computed_anew(change):
    measured()(EXAMPLES)
    asked = len(ASKED)
    measured(**change)(EXAMPLES)
    assert len(ASKED) > asked


def test_weights_of_the_context_reach_the_net():
    features = deep_features.DeepFeatures((net,), unit)
    assert features(dataclasses.replace(CONTEXT, weights="w")).nets[0].digest == "quarters 1.0 w"


def test_the_pixels_count_and_what_else_an_image_depends_on():
    one = view(0)
    others = [
        dataclasses.replace(one, side=cases.Side.RIGHT),
        dataclasses.replace(one, max_value=254),
        dataclasses.replace(one, spacing_mm=0.1),
        view(1),
    ]
    digests = [deep_features.content(v) for v in (one, *others)]
    assert len(set(digests)) == 5 and deep_features.content(dataclasses.replace(one, id="else")) == digests[0]


def test_a_view_is_decoded_once_and_forgotten_with_it():
    counted = []

    def load():
        counted.append(1)
        return np.zeros((2, 2), np.uint8)

    one = dataclasses.replace(view(0), load=load)
    before = len(deep_features._DIGESTS)
    assert deep_features.content(one) == deep_features.content(one)
    assert len(counted) == 1 and len(deep_features._DIGESTS) == before + 1
    del one
    gc.collect()
    assert len(deep_features._DIGESTS) == before


FOUR = [
    view(10 + i, side=cases.Side(side), projection=cases.Projection(projection), fill=50 * i)
    for i, (side, projection) in enumerate(deep_features.FOUR_VIEWS)
]


def test_the_views_of_a_patient_are_averaged_and_a_missing_one_is_named():
    measure = measured(views=deep_features.FOUR_VIEWS)
    found = measure([example("whole", *FOUR), example("half", *FOUR[:3])])
    np.testing.assert_allclose(found[:, 0], [75 / 255, 50 / 255], rtol=1e-5)
    (problem,) = measure.problems
    assert (problem.path, problem.kind) == ("half", "missing")
    assert problem.reason == "has no RIGHT MLO; the mean is over the 3 there"
    measure([example("half", *FOUR[:3])])
    assert len(measure.problems) == 1
    assert measured()([example("half", *FOUR[:3])]).shape == (1, 2)  # where any views will do none is missing


def test_views_of_several_sizes_pool_to_one_length_and_flatten_to_several():
    mixed = [EXAMPLES[0], example("large", view(7, (8, 12))), EXAMPLES[1]]
    found = measured(batch=4)(mixed)
    assert sorted(set(ASKED)) == [(4, 6, 4, 1), (4, 8, 12, 1)]
    np.testing.assert_allclose(found[[0, 2]], measured(batch=4)(EXAMPLES[:2]), rtol=1e-6)

    images = deep_features.DeepFeatures((raw,), unit, deep_features.flattened)(CONTEXT)
    with pytest.raises(cases.MammoError, match="views give 24, 96 features"):
        images(mixed)
    sized = deep_features.DeepFeatures((raw,), deep_features.Sized(unit, (4, 4)), deep_features.flattened)(CONTEXT)
    assert sized(mixed).shape == (3, 16)


def as_is(images):
    return images


def raw(context):
    return deep_features.Net(as_is, "raw")


def test_a_smaller_size_averages_areas():
    small = deep_features.Sized(unit, (3, 2))(VIEWS[0])
    expected = (VIEWS[0].pixels() / 255).reshape(3, 2, 2, 2).mean(axis=(1, 3))
    assert small.shape == (3, 2, 1) and small.dtype == np.float32
    np.testing.assert_allclose(small[..., 0], expected, atol=1e-6)
    assert deep_features.Sized(unit, (12, 8))(VIEWS[0]).shape == (12, 8, 1)


def wrong(images):
    return np.zeros((1, 5))


def wrong_net(context):
    return deep_features.Net(wrong, "wrong")


@pytest.mark.parametrize(
    "examples, changes, match",
    [
        ([], {}, "0 examples"),
        ([example("bare")], {}, r"without views: \['bare'\]"),
        (EXAMPLES, {"nets": (wrong_net,)}, r"\(1, 5\) of 8 images; expected one row for each"),
    ],
)
def test_what_cannot_be_measured_is_refused(examples, changes, match):
    with pytest.raises(cases.MammoError, match=match):
        measured(**changes)(examples)


@pytest.mark.parametrize("changes", [{"nets": ()}, {"batch": 0}])
def test_no_nets_and_no_batch_are_refused(changes):
    with pytest.raises(cases.MammoError, match="expected 1 or more"):
        measured(**changes)


def test_a_keras_net_cut_at_a_layer():
    """Its pooled map is what the net's own pooling layer gives."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((6, 4, 1))
    x = keras.layers.Conv2D(5, 3, activation="relu", name="top")(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    cut = keras.Model(image, model.get_layer("top").output)
    how = deep_features.DeepFeatures((net,), unit)
    found = deep_features.Measured(how, (deep_features.Net(cut.predict_on_batch, "keras"),))(EXAMPLES)
    images = np.stack([unit(one) for one in VIEWS])
    np.testing.assert_allclose(found, model.predict_on_batch(images), rtol=1e-5, atol=1e-6)


def test_they_plug_into_the_method():
    features = deep_features.DeepFeatures((net,), unit, deep_features.flattened, views=deep_features.FOUR_VIEWS[:1])
    method = selected.Selected(features, selected.Recipe(margins.logistic))
    bright = [example(f"e{i}", view(30 + i, fill=200 if i % 2 else 100 - i), label=float(i % 2)) for i in range(8)]
    right = example("right", view(40, side=cases.Side.RIGHT, fill=190), label=1.0)
    fitted = method.fit(bright, (), CONTEXT)
    assert (fitted(bright)[:, 1] >= 0.5).tolist() == [bool(i % 2) for i in range(8)]
    assert fitted.problems == ()
    assert fitted([right])[0, 1] > 0.5 and [p.path for p in fitted.problems] == ["right"]
    assert describe.text(method) == describe.text(dataclasses.replace(method))


FEATURES = deep_features.DeepFeatures((raw,), deep_features.Sized(unit, (8, 8)), deep_features.flattened)
RECIPE = selected.Recipe(margins.logistic, 0.05, smote=True)


def of_features(budget):
    return selected.Selected(FEATURES, RECIPE)


def test_the_folds_of_a_run_are_those_that_the_honest_protocol_computes_on_arrays(tmp_path):
    deal = functools.partial(splits.patient_kfold, folds=3, val_fraction=0)
    one, settings = toy_runs.a_run(method=of_features, split=deal, after=()), toy_runs.settings(tmp_path)
    record = run.execute(one, settings)
    examples, _ = one.data(rows.open_data(one, settings), settings.budget)
    labels, groups, ids = (np.array([getattr(e, name) for e in examples]) for name in ("label", "patient_id", "id"))
    three = functools.partial(selected_folds.kfold, folds=3)
    found = selected_folds.honest(RECIPE, FEATURES(CONTEXT)(examples), labels, groups, 0, ids=ids, deal=three)
    values = selected_folds.per_fold(found)
    np.testing.assert_allclose(record.per_fold["auc"], values["auc"], atol=1e-12)
    assert record.metrics["balanced_accuracy"].value == pytest.approx(values["balanced_accuracy"].mean())
