import keras
import numpy as np
import pytest
from scipy import ndimage, stats
from skimage import metrics

from mammo_tf import cases
from mammo_tf.explain import gradients, sanity

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(3, 20, 16))


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(1).normal(size=(3, 16, 16, 1)).astype("float32")


@pytest.fixture(scope="session")
def model():
    """A net that looks at one corner: a branch, a nested net, batch norm, and a dense layer of structured weights."""
    x = keras.Input((16, 16, 1))
    inner_x = keras.Input((16, 16, 1))
    inner = keras.Model(inner_x, keras.layers.Conv2D(2, 3, padding="same", name="inner")(inner_x), name="nested")
    y = keras.layers.Concatenate(name="both")([keras.layers.Conv2D(2, 1, name="branch")(x), inner(x)])
    y = keras.layers.BatchNormalization(name="norm")(y)  # no ReLU, whose gates would show the image
    net = keras.Model(x, keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(y)), name="net")
    rng = np.random.default_rng(2)
    net.set_weights([np.abs(rng.normal(size=w.shape)) + 0.1 for w in net.get_weights()])
    corner = np.exp(-np.add.outer(np.arange(16), np.arange(16)) / 4)[..., None]
    weights = corner * rng.normal(1, 0.1, size=(16, 16, 4))
    net.get_layer("logits").set_weights(
        [np.stack([0.1 * weights.ravel(), weights.ravel()], axis=1), np.array([0, 1])]
    )
    return net


def edges(model, images, classes):
    """A map that looks at the image alone."""
    return ndimage.gaussian_gradient_magnitude(images[..., 0], (0, 1, 1))


def silent(model, images, classes):
    """A map that dies where the weights are not those that were learned."""
    return images[..., 0] * (model.get_layer("logits").get_weights()[1][1] == 7)


def test_the_gradient_follows_the_weights_and_an_edge_detector_fails(model, images):
    settings = sanity.Randomisation(stages=None, seed=1)
    before = model.get_weights()
    passed = sanity.check(gradients.saliency, model, images, 1, settings)
    failed = sanity.check(edges, model, images, 1, settings)
    assert passed.stages == failed.stages and passed.stages[:2] == (("logits",), ("norm",))
    assert {name for stage in passed.stages[2:] for name in stage} == {"branch", "inner"}
    assert passed.cascade.shape == passed.independent_ssim.shape == (4, 3)
    assert np.abs(passed.cascade).max() < 0.3  # the logits go first
    assert passed.independent[0].max() < 0.3 and passed.independent[1:].min() > 0.6
    assert passed.cascade_ssim.max() < 0.5
    for found in (failed.cascade, failed.independent, failed.cascade_ssim, failed.independent_ssim):
        np.testing.assert_allclose(found, 1)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_each_variable_keeps_its_values_and_stages_add_up_or_not(model):
    settings = sanity.Randomisation(stages=None)
    learned = [layer.get_weights() for layer in sanity.weighted(model)]
    for cascade in (True, False):
        for stage, net in enumerate(sanity.randomised(model, settings, cascade=cascade)):
            assert net is not model
            for i, (old, layer) in enumerate(zip(learned, sanity.weighted(net), strict=True)):
                new = layer.get_weights()
                random = i <= stage if cascade else i == stage
                for a, b in zip(old, new, strict=True):
                    assert np.array_equal(np.sort(a, axis=None), np.sort(b, axis=None))
                    assert np.array_equal(a, b) != (random and a.size > 1)


def test_the_copy_answers_as_the_net_where_nothing_is_random(model, images):
    random = [net(images).numpy() for net in sanity.randomised(model, sanity.Randomisation(), cascade=False)]
    *_, net = sanity.randomised(model, sanity.Randomisation(), cascade=False)  # the last stage is put back at the end
    np.testing.assert_allclose(net(images), model(images), rtol=1e-5)
    assert len(random) == 4 and not any(np.allclose(found, model(images), rtol=1e-3) for found in random)


def test_seeds_repeat_and_differ(model):
    first, again, other = (
        next(sanity.randomised(model, sanity.Randomisation(stages=1, seed=seed), cascade=True)).get_weights()
        for seed in (3, 3, 4)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[-2], other[-2])


def test_frozen_layers_are_randomised_too(model):
    frozen = keras.models.clone_model(model)
    frozen.set_weights(model.get_weights())
    frozen.trainable = False
    (net,) = sanity.randomised(frozen, sanity.Randomisation(stages=1), cascade=True)
    assert not np.array_equal(net.get_weights()[0], frozen.get_weights()[0])
    assert np.array_equal(frozen.get_weights()[0], model.get_weights()[0])


def test_stages_are_runs_of_neighbours(model, images):
    found = sanity.check(edges, model, images, 1, sanity.Randomisation(stages=2))
    assert found.stages[0] == ("logits", "norm") and sorted(found.stages[1]) == ["branch", "inner"]
    assert found.cascade.shape == (2, 3)
    assert len(sanity.check(edges, model, images[:1], 1).stages) == 4  # no more than there are layers


def test_the_class_stays_that_of_the_net_before(model, images):
    asked = []

    def recorder(net, images, classes):
        asked.append(classes.tolist())
        return images[..., 0]

    sanity.check(recorder, model, images, None, sanity.Randomisation(stages=2))
    assert asked == [model.predict(images, verbose=0).argmax(axis=1).tolist()] * 5


def test_known_maps_are_not_made_again(model, images):
    known = edges(None, images, None)
    found = sanity.check(edges, model, images, 1, sanity.Randomisation(stages=1), known * 2)
    np.testing.assert_allclose(found.cascade, 1)


def test_rank_similarity_is_spearmans_of_the_absolute_values():
    other = np.round(NOISE + RNG.normal(size=NOISE.shape), 1)
    expected = [stats.spearmanr(abs(a).ravel(), abs(b).ravel()).statistic for a, b in zip(NOISE, other, strict=True)]
    np.testing.assert_allclose(sanity.rank_similarity(NOISE, other), expected, atol=1e-12)
    np.testing.assert_allclose(sanity.rank_similarity(NOISE, -NOISE), 1)


def test_a_map_that_falls_silent_is_not_alike(model, images):
    found = sanity.check(silent, model, images, 1, sanity.Randomisation(stages=1), images[..., 0])
    assert (found.cascade == 0).all()
    assert np.isnan(sanity.rank_similarity(0 * NOISE, 0 * NOISE)).all()


def test_ssim_is_that_of_scikit_image_of_scaled_maps():
    other = NOISE + 0.5 * RNG.normal(size=NOISE.shape)
    found = sanity.ssim(NOISE, other)
    a, b = (np.abs(m[1]) / np.abs(m[1]).max() for m in (NOISE, other))
    assert found[1] == pytest.approx(metrics.structural_similarity(a, b, data_range=1.0))
    np.testing.assert_allclose(sanity.ssim(NOISE, -3 * NOISE), 1)
    assert sanity.ssim(NOISE, 0 * NOISE).max() < 0.2
    assert np.isnan(sanity.ssim(NOISE[:, :6], NOISE[:, :6])).all()


def test_what_cannot_be_randomised_is_refused(images):
    x = keras.Input((16, 16, 1))
    plain = keras.Model(x, keras.layers.GlobalAveragePooling2D()(x), name="plain")
    with pytest.raises(cases.MammoError, match="expected layers with weights, plain has none"):
        sanity.check(edges, plain, images, 0)
    with pytest.raises(cases.MammoError, match="1 or more, or None; found 0"):
        sanity.Randomisation(stages=0)
