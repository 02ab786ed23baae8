import functools

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.explain import answers, curves, gradients, localisation, masking, sanity, scores

pytestmark = pytest.mark.slow

SETTINGS = scores.Settings(tolerance=1, removal=curves.Removal(steps=8), randomisation=sanity.Randomisation(stages=2))
LESION = ("pointing", "inside", "dice", "iou", "auc")
NET = ("deletion", "insertion")
LIKENESS = ("cascade", "cascade_ssim", "independent", "independent_ssim")
FLIPS = ("flip_horizontal", "flip_vertical")


@pytest.fixture(scope="session")
def setup():
    """Noise with a lifted patch, the patch as mask, and a net whose logit of class 1 is the patch's brightness."""
    images = 0.3 * np.random.default_rng(0).normal(size=(3, 16, 12, 1)).astype("float32")
    masks = np.zeros((3, 16, 12), bool)
    masks[:, 3:7, 1:4] = True
    images[masks] += 1
    x = keras.Input(images.shape[1:])
    y = keras.layers.Dense(2, use_bias=False, name="first")(keras.layers.Flatten()(x))
    net = keras.Model(x, keras.layers.Dense(2, use_bias=False, name="logits")(y), name="net")
    patch = np.where(masks[0], 0.5, 0).ravel()
    net.set_weights([np.stack([0.1 * patch, patch], axis=1), np.array([[0.01, -0.02], [0.05, 1.0]])])
    return net, images, masks


@pytest.fixture(scope="session")
def found(setup):
    net, images, masks = setup
    occlusion = functools.partial(masking.occlusion, settings=masking.Occlusion(3, 1))
    methods = {"saliency": gradients.saliency, "occlusion": occlusion, "edges": brightness, "wrong": away}
    return scores.table(net, images, masks, 1, methods, SETTINGS)


def brightness(model, images, classes):
    """Looks at the image alone, pixel by pixel: it turns with the image."""
    return images


def away(model, images, classes):
    """Points at the last row whatever is asked."""
    maps = np.zeros(images.shape[:3])
    maps[:, -1] = 1
    return maps


def test_every_method_has_every_score_and_chance_what_chance_can_have(found):
    every = [*LESION, *NET, *LIKENESS, *FLIPS]
    methods = ("saliency", "occlusion", "edges", "wrong")
    assert list(found) == [("chance", s) for s in (*LESION, *NET)] + [(m, s) for m in methods for s in every]
    assert {(values.shape, values.dtype.name) for values in found.values()} == {((3,), "float64")}


def test_the_numbers_are_those_of_the_parts(setup, found):
    net, images, masks = setup
    maps = gradients.saliency(net, images, 1)
    for name, values in localisation.scores(maps, masks, 1).items():
        np.testing.assert_array_equal(found["saliency", name], values)
    for name, values in localisation.chance(masks, 1).items():
        np.testing.assert_array_equal(found["chance", name], values)
    curve = curves.curves(net, images, 1, maps, SETTINGS.removal)
    np.testing.assert_allclose(found["saliency", "deletion"], curve.deletion_area)
    np.testing.assert_allclose(found["saliency", "insertion"], curve.insertion_area)
    checked = sanity.check(gradients.saliency, net, images, 1, SETTINGS.randomisation)
    np.testing.assert_allclose(found["saliency", "cascade"], checked.cascade[-1])
    np.testing.assert_allclose(found["saliency", "independent_ssim"], checked.independent_ssim.mean(axis=0))


def test_good_maps_are_told_from_bad_ones(found):
    for name in ("saliency", "occlusion"):
        assert (found[name, "pointing"] == 1).all() and (found[name, "auc"] > 0.9).all()
        assert (found[name, "deletion"] < found["chance", "deletion"]).all()
    assert (found["saliency", "inside"] == 1).all() and (found["saliency", "dice"] == 1).all()
    assert (found["wrong", "pointing"] == 0).all() and (found["wrong", "inside"] == 0).all()
    assert (found["wrong", "deletion"] > found["saliency", "deletion"]).all()
    assert (found["edges", "pointing"] == 1).all()  # looks right, and is no picture of the net
    assert found["saliency", "cascade"].max() < 0.5
    np.testing.assert_allclose(found["edges", "cascade"], 1)
    np.testing.assert_allclose(found["edges", "independent"], 1)


def test_a_map_that_turns_with_the_image_is_stable_and_one_that_stays_is_not(setup, found):
    net, images, _ = setup
    for name in FLIPS:
        np.testing.assert_allclose(found["edges", name], 1)
        # Of a linear net the map is that of the weights, wherever the image lies: 12 of 192 pixels, and 12 others.
        np.testing.assert_allclose(found["saliency", name], -12 / 180)
    np.testing.assert_allclose(found["wrong", "flip_horizontal"], 1)
    np.testing.assert_allclose(found["wrong", "flip_vertical"], -1 / 15)  # rows 1 of 16 apart: -1/(n - 1)
    assert scores.flip_stability(brightness, net, images)["flip_vertical"].tolist() == pytest.approx([1] * 3)


def test_a_net_that_is_its_own_mirror_image_has_stable_maps():
    x = keras.Input((8, 6, 1))
    kernel = np.array([[1.0, 2, 1], [2, -3, 2], [1, 2, 1]])[..., None, None]
    y = keras.layers.Conv2D(1, 3, padding="same", use_bias=False, activation="tanh", name="even")(x)
    net = keras.Model(x, keras.layers.Dense(2, kernel_initializer="ones")(keras.layers.GlobalAveragePooling2D()(y)))
    net.get_layer("even").set_weights([kernel])
    images = np.random.default_rng(0).normal(size=(2, 8, 6, 1)).astype("float32")
    for values in scores.flip_stability(gradients.saliency, net, images, 1).values():
        np.testing.assert_allclose(values, 1, atol=1e-6)


def test_what_is_left_out_is_not_asked(setup):
    net, images, masks = setup
    calls = []

    def counting(model, images, classes):
        calls.append(classes.tolist())
        return answers.Strength(brightness)(model, images, classes)

    settings = scores.Settings(removal=None, randomisation=None, flips=False)
    few = scores.table(net, images, masks, np.array([0, 1, 1]), {"counting": counting}, settings)
    assert list(few) == [(method, score) for method in ("chance", "counting") for score in LESION]
    assert calls == [[0, 1, 1]]


def test_images_without_a_lesion_are_nan_where_the_lesion_is_asked_for(setup):
    net, images, _ = setup
    none = np.zeros(images.shape[:3], bool)
    found = scores.table(net, images, none, None, {"saliency": gradients.saliency}, scores.Settings())
    for (_, score), values in found.items():
        assert np.isnan(values).all() == (score in LESION)


def test_what_does_not_fit_is_refused(setup):
    net, images, masks = setup
    with pytest.raises(cases.MammoError, match=r"images are \(3, 16, 12, 1\), masks \(2, 16, 12\)"):
        scores.table(net, images, masks[:2], 1, {})
    with pytest.raises(cases.MammoError, match="may not be named chance; found edges, chance"):
        scores.table(net, images, masks, 1, {"edges": brightness, "chance": brightness})
    with pytest.raises(cases.MammoError, match="scores: class 2 is not among the 2 of net"):
        scores.table(net, images, masks, 2, {})
