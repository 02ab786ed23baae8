"""Two views of a breast: as rows that vote, as channels of one example, and the margin that a random crop needs."""

import dataclasses
import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import augment, build, normalize, patches, views
from mammo_tf.training import fit, fitted, schedule, scoring

SIDE = 8
TURNED = augment.Augment(rotate_deg=(-0.5, 359.5), whole=True, fill="reflect")


def view(name, pixels, max_value=65535):
    load = pixels if callable(pixels) else functools.partial(np.asarray, pixels)
    return cases.View(name, "p", None, cases.Projection.CC, load, max_value, path=f"{name}.png")


def broken():
    raise cases.DataError("broken.png", "truncated")


def image(seed, side=SIDE):
    return np.random.default_rng(seed).integers(0, 65536, (side, side)).astype(np.uint16)


def example(name, *found, label=1.0):
    return cases.Example(name, f"p{name}", tuple(found), label, weight=2.0)


PAIRS = [example(f"e{i}", view(f"cc{i}", image(i)), view(f"mlo{i}", image(10 + i)), label=i % 2) for i in range(5)]
PARALLEL = views.ParallelPipeline(SIDE, normalize.per_image, batch=3, channels=1)
PAIR = views.PairPipeline(SIDE, normalize.per_image, batch=3, channels=1)


def rows(dataset, count=None):
    return np.concatenate([x.numpy() for x, _, _ in itertools.islice(dataset, count)])


def test_views_become_rows_that_know_their_example():
    found = PARALLEL.load([*PAIRS[:2], example("single", view("one", image(3)), label=0.0)])
    assert found.ids == ("e0/0", "e0/1", "e1/0", "e1/1", "single/0")
    assert found.units == ("e0", "e1", "single")
    assert found.groups.tolist() == [0, 0, 1, 1, 2]
    assert found.labels.tolist() == [0, 0, 1, 1, 0]
    np.testing.assert_array_equal(found.images[1], image(10))


def test_the_views_of_an_example_vote_by_their_mean():
    found = PARALLEL.load([*PAIRS[:2], example("single", view("one", image(3)))])
    probabilities = np.array([[1, 0], [0, 1], [0.5, 0.5], [1, 0], [0.25, 0.75]], np.float32)
    assert found.pooled(probabilities).tolist() == [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]
    assert found.pooled(probabilities).dtype == np.float32
    assert found.pooled(found.labels).tolist() == [0, 1, 1]
    alone = build.Pipeline(SIDE, normalize.per_image).load([example("a", view("one", image(3)))])
    assert alone.pooled(probabilities[:1]) is not None and alone.units == ("a",)


def test_an_unreadable_view_leaves_the_other_to_vote():
    some = [example("a", view("broken", broken), view("b", image(1))), example("gone", view("c", broken))]
    found = PARALLEL.load([*some, PAIRS[0]])
    assert found.units == ("a", "e0") and found.groups.tolist() == [0, 1, 1]
    assert len(found.problems) == 2
    with pytest.raises(cases.DataError, match="truncated"):
        PARALLEL.load(some, strict=True)
    with pytest.raises(cases.MammoError, match="1 examples have no view: none"):
        PARALLEL.load([example("none")])


def test_groups_that_do_not_fit_are_refused():
    found = PARALLEL.load(PAIRS[:2])
    with pytest.raises(cases.MammoError, match="4 rows one of 3 examples"):
        dataclasses.replace(found, units=("a", "b", "c"))


def test_a_pair_is_one_image_of_two_channels_each_normalised_by_itself():
    found = PAIR.load(PAIRS)
    assert found.images.shape == (5, SIDE, SIDE, 2) and found.groups is None
    x = rows(PAIR.evaluate(found, PAIR.normalize(found.images)))
    assert x.shape == (5, SIDE, SIDE, 2)
    for i in range(5):
        for channel, seed in ((0, i), (1, 10 + i)):
            gray = image(seed) / 65535
            np.testing.assert_allclose(x[i, ..., channel], (gray - gray.mean()) / gray.std(), atol=1e-5)


def test_each_view_of_a_pair_moves_by_itself():
    same = [example(f"e{i}", view(f"a{i}", image(7)), view(f"b{i}", image(7))) for i in range(4)]
    moving = dataclasses.replace(PAIR, augment=TURNED, batch=4)
    found = moving.load(same)
    x = rows(moving.train(found, moving.normalize(found.images), seed=1), 1)
    shown = {x[i, ..., v].tobytes() for i in range(4) for v in range(2)}
    assert len(shown) == 8  # eight turns of one image, no two alike
    again = rows(moving.train(found, moving.normalize(found.images), seed=1), 1)
    np.testing.assert_array_equal(x, again)


def test_pairs_need_two_views():
    with pytest.raises(cases.MammoError, match="1 examples have not two views: one"):
        PAIR.load([PAIRS[0], example("one", view("a", image(1)))])
    with pytest.raises(cases.MammoError, match=r"no pair of views left of 1 examples; the first: b\.png: truncated"):
        PAIR.load([example("a", view("a", image(1)), view("b", broken))])
    found = PAIR.load([PAIRS[0], example("a", view("a", image(1)), view("b", broken))])
    assert found.ids == ("e0",) and len(found.problems) == 1


def test_flips_and_copies_work_on_pairs():
    found = PAIR.load(PAIRS)
    np.testing.assert_array_equal(found.flipped(True, False).images[2, ..., 1], image(12)[:, ::-1])
    copied = dataclasses.replace(PAIR, augment=TURNED, copies=1, batch=10)
    x = rows(copied.train(found, copied.normalize(found.images), seed=0), 1)
    plain = rows(PAIR.evaluate(found, PAIR.normalize(found.images)))
    unmoved = [any(np.allclose(one, other, atol=1e-5) for other in plain) for one in x]
    assert sum(unmoved) == 5  # the originals as they are, their copies turned


@pytest.mark.parametrize("make", [build.Pipeline, views.ParallelPipeline, views.PairPipeline])
def test_a_margin_is_seen_at_the_centre_in_evaluation(make):
    pipeline = make(4, normalize.per_image, channels=1, margin=2)
    some = PAIRS if make is not build.Pipeline else [dataclasses.replace(e, views=e.views[:1]) for e in PAIRS]
    found = pipeline.load(some)
    assert found.images.shape[1:3] == (8, 8) == pipeline.full
    seen = pipeline.seen(found)
    assert seen.shape[1:3] == (4, 4)
    gray = image(0)[2:6, 2:6] / 65535
    x = rows(pipeline.evaluate(found, pipeline.normalize(found.images)))
    np.testing.assert_allclose(x[0, ..., 0], (gray - gray.mean()) / gray.std(), atol=1e-5)
    assert pipeline.describe()["margin"] == 2


def test_with_a_margin_a_whole_shift_is_a_random_crop_of_unchanged_pixels():
    shift = augment.Augment(translate=(-2.5 / 8, 2.5 / 8), whole=True)
    pipeline = build.Pipeline(4, normalize.per_image, shift, channels=1, margin=2, batch=1)
    found = pipeline.load([dataclasses.replace(PAIRS[0], views=PAIRS[0].views[:1])])
    x = rows(pipeline.train(found, pipeline.normalize(found.images), seed=0), 300)[..., 0]
    crops = {}
    for top, left in itertools.product(range(5), range(5)):
        gray = image(0)[top : top + 4, left : left + 4] / 65535
        crops[top, left] = (gray - gray.mean()) / gray.std()
    places = [[place for place, crop in crops.items() if np.allclose(one, crop, atol=1e-4)] for one in x]
    assert all(len(place) == 1 for place in places)
    assert len({place[0] for place in places}) == 25  # each of the 25 places comes up in 300 draws


def test_whole_degrees():
    drawn = augment._whole(augment.draw(TURNED, 0, 0, tf.range(5000)), (8, 8))["rotate_deg"].numpy()
    assert set(np.unique(drawn)) == set(range(360))
    counts = np.bincount(drawn.astype(int))
    assert counts[0] > 2 and counts[359] > 2  # the ends are as likely as the rest: 5000 / 360 = 13.9 expected


def test_a_negative_margin_is_refused_and_patches_have_none():
    with pytest.raises(cases.MammoError, match="margin must be 0 or more, found -1"):
        build.Pipeline(4, normalize.per_image, margin=-1)
    with pytest.raises(cases.MammoError, match="have no margin, found 2"):
        patches.PatchPipeline(4, normalize.per_image, margin=2)


def small_net(channels):
    x = keras.Input((SIDE, SIDE, channels))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, activation="relu")(x))
    return keras.Model(x, keras.layers.Dense(2)(pooled))


def test_a_fitted_net_predicts_examples_whose_views_have_voted():
    found = PARALLEL.load(PAIRS)
    normalizer = PARALLEL.normalize(found.images)
    fields = {"history": [], "best_epoch": 0, "val_reads": 0, "precision": "float32", "device": ""}
    net = fitted.Fitted(small_net(1), normalizer, PARALLEL, **fields)
    of_views = scoring.softmax(net.logits(found)).reshape(5, 2, 2)
    np.testing.assert_allclose(net(PAIRS), of_views.mean(axis=1), atol=1e-6)
    assert net.four_flips(PAIRS).shape == (4, 5, 2)


def test_validation_and_a_watched_part_are_scored_by_example(tmp_path):
    train = PARALLEL.load(PAIRS)
    normalizer = PARALLEL.normalize(train.images)
    data = fit.Data(PARALLEL, normalizer, train, train, 0, watched=train)
    stages = (schedule.Stage(1, functools.partial(keras.optimizers.SGD, 0.0)),)
    model = small_net(1)
    (row,) = fit.fit(model, data, fit.Plan(stages, schedule.lowest_val_loss, tmp_path)).history
    fields = {"history": [], "best_epoch": 0, "val_reads": 0, "precision": "float32", "device": ""}
    p = fitted.Fitted(model, normalizer, PARALLEL, **fields)(PAIRS)
    labels = np.array([e.label for e in PAIRS]).astype(int)
    assert row["val_loss"] == pytest.approx(-np.log(p[np.arange(5), labels]).mean(), abs=1e-5)
    assert row["val_accuracy"] == np.mean((p[:, 1] >= 0.5) == labels)
    assert (row["test_loss"], row["test_auc"]) == (row["val_loss"], row["val_auc"])
