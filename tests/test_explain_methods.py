"""Every method by its name on a net that answers to a planted square; bounds by hand; what the verdicts go by."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from mammo_tf import cases, explaining
from mammo_tf.evaluation import intervals
from mammo_tf.explain import activation, answers, localisation, methods, sanity, verdicts
from mammo_tf.pipeline import normalize
from tests import explained_nets

COUNT = 3
NET = explained_nets.square_net()
SEEN, IMAGES, MASKS = explained_nets.given(COUNT)
POINTING = [name for name in methods.METHODS if name != "deconvnet"]  # its checks are those of the max-pool


def maps_of(name, model=NET):
    explainer = methods.explainers((name,), model, SEEN, IMAGES)[name]
    return answers.explained(explainer, model, IMAGES, np.ones(COUNT, np.int32))


def test_the_command_knows_every_method():
    assert (*methods.METHODS, methods.UNIT_MASKING, methods.ACTIVATION_MAXIMISATION, "all") == explaining.MAPS
    assert list(explaining.METHODS) == ["heatmap", *explaining.MAPS]


@pytest.mark.parametrize("name", POINTING)
def test_a_method_points_at_what_the_net_answers_to(name):
    maps = maps_of(name)
    found = localisation.scores(maps, MASKS)
    assert maps.shape == MASKS.shape and (found["pointing"] == 1).all()
    assert (found["auc"] > 0.95).all() and (found["inside"] > 0.7).all()
    assert methods.METHODS[name].signed or maps.min() >= 0


def test_deconvnet_shows_strengths():
    assert maps_of("deconvnet").min() >= 0 and not methods.METHODS["deconvnet"].signed


def test_gradient_x_input_of_a_linear_net_is_each_pixels_part_of_the_logit():
    image = keras.Input((4, 4, 2))
    net = keras.Model(image, keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(image)))
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32")
    kernel = net.get_layer("logits").kernel.numpy()
    found = methods.gradient_x_input(net, x, np.array([0, 1, 1]), batch=2)
    expected = x * kernel.T[[0, 1, 1]].reshape(3, 4, 4, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("normalizer", [normalize.Fixed((0.2, 0.4), (0.5, 2.0), 2), normalize.PerImage(2)])
def test_bounds_are_what_black_and_white_become(normalizer):
    seen = np.random.default_rng(0).uniform(0.1, 0.7, (5, 8, 8)).astype("float32")
    low, high = methods.bounds(seen, np.asarray(normalizer(seen[..., None])))
    if isinstance(normalizer, normalize.Fixed):
        black, white = ((end - np.array(normalizer.mean)) / normalizer.std for end in (0, 1))
    else:
        mean, deviation = seen.mean(axis=(1, 2)), seen.std(axis=(1, 2))
        black, white = [(-mean / deviation).min()] * 2, [((1 - mean) / deviation).max()] * 2
    np.testing.assert_allclose(low, black, rtol=1e-4)
    np.testing.assert_allclose(high, white, rtol=1e-4)


def test_flat_images_have_bounds_that_hold_them():
    flat = np.full((2, 3, 3), 0.5, np.float32)
    assert methods.bounds(flat, np.zeros((2, 3, 3, 1))) == ((-0.5,), (0.5,))


def test_a_method_without_maps_is_refused():
    with pytest.raises(cases.MammoError, match="no method unit_masking, tea with maps; there are saliency"):
        methods.explainers(("saliency", "unit_masking", "tea"), NET, SEEN, IMAGES)


def test_the_unit_that_answers_to_the_class_sees_the_square():
    found = methods.units(NET, IMAGES, 1)
    assert found.layer == "halved" and (found.channels == 0).all()
    assert all(
        (kept & mask).any() and not (kept & ~mask).any() for kept, mask in zip(found.masks, MASKS, strict=True)
    )
    assert methods.units(NET, IMAGES, 1, "conv").layer == "conv"
    with pytest.raises(cases.MammoError, match="has no layer gone"):
        methods.units(NET, IMAGES, 1, "gone")


def test_the_picture_of_a_class_raises_its_logit_over_the_others():
    settings = activation.Maximisation(iterations=20, learning_rate=0.2)
    start = np.asarray(IMAGES[0])
    before = np.asarray(NET(start[None]))[0]
    for index in (0, 1):
        found = methods.maximised(NET, index, settings, start)
        after = np.asarray(NET(found.image[None]))[0]
        assert after[index] - after[1 - index] > before[index] - before[1 - index]
    with pytest.raises(cases.MammoError, match="class 2 is not among the 2"):
        methods.maximised(NET, 2)


def test_centred_logits_have_mean_0_and_the_same_probabilities():
    before, after = (np.asarray(net(IMAGES)) for net in (NET, methods.centred(NET)))
    np.testing.assert_allclose(after.sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(after[:, 1] - after[:, 0], before[:, 1] - before[:, 0], rtol=1e-4)
    image = keras.Input((4, 4, 1))
    softmax = keras.Model(image, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(image)))
    assert methods.centred(softmax) is softmax


def test_a_net_whose_logits_are_all_negative_has_relevance_for_what_it_predicts():
    low = keras.models.clone_model(NET)
    low.set_weights(NET.get_weights())
    kernel, _ = low.get_layer("logits").get_weights()
    low.get_layer("logits").set_weights([kernel, np.array([-9, -10], np.float32)])
    assert maps_of("lrp_z_plus", low).max() <= 0
    assert (localisation.scores(maps_of("lrp_z_plus", methods.centred(low)), MASKS)["pointing"] == 1).all()


def test_a_map_of_the_image_alone_fails_the_sanity_check_and_a_map_of_the_net_passes():
    def brightness(model, images, classes):
        return images

    saliency = methods.explainers(("saliency",), NET, SEEN, IMAGES)["saliency"]
    patients = np.arange(COUNT).astype(str)
    for explainer, passes in ((brightness, False), (saliency, True)):
        found = sanity.check(explainer, NET, IMAGES, 1, sanity.Randomisation(stages=1))
        strength = intervals.mean(np.abs(found.cascade[-1]), patients)
        assert verdicts.verdict({"explain_any_sanity": strength}, "any").sanity is passes


def estimate(low, high, patients=9):
    return intervals.Estimate((low + high) / 2, low, high, 9, "bootstrap", patients)


@pytest.mark.parametrize(("high", "passes"), [(0.499, True), (0.5, False), (math.nan, None)])
def test_the_upper_bound_decides_on_the_sanity_check(high, passes):
    assert verdicts.verdict({"explain_a_b_sanity": estimate(0.1, high)}, "a_b").sanity is passes


def test_the_lower_bound_of_the_gap_decides_on_finding():
    gaps = {"pointing": estimate(-0.1, 0.4), "inside": estimate(0.01, 0.2), "auc": estimate(0.0, 0.1)}
    claims = {verdicts.claim("m", score, gap=True): gap for score, gap in gaps.items()}
    assert verdicts.verdict(claims, "m") == verdicts.Verdict(None, ("inside",), 9)
    assert verdicts.verdict({}, "m") == verdicts.Verdict(None, None)
    one = {name: dataclasses.replace(gap, patients=1) for name, gap in claims.items()}
    assert verdicts.verdict(one, "m").finds is None  # of one patient there is no interval


def test_methods_are_read_from_the_names_of_claims():
    names = [
        verdicts.claim(method, score, gap=gap)
        for method in ("chance", *methods.METHODS)
        for score in verdicts.SCORES
        for gap in (False, True)
    ]
    assert verdicts.methods([*names, "auc", "explain_", "explain_pointing"]) == tuple(methods.METHODS)
