"""Unit masks and occlusion by hand on linear nets and nets of one convolution."""

import dataclasses

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.explain import masking

WEIGHTS = np.random.default_rng(0).normal(size=(2, 8, 7, 2)).astype("float32")
IMAGES = np.random.default_rng(1).normal(size=(3, 8, 7, 2)).astype("float32")
SETTINGS = masking.Occlusion(side=3, stride=2, fill=0.5)


class Counter(keras.layers.Layer):
    """Counts how often the net is traced or called."""

    calls = 0

    def call(self, inputs):
        type(self).calls += 1
        return inputs


@pytest.fixture(scope="session")
def linear():
    """Logits = weights (K, H, W, C) times the image."""
    x = keras.Input(WEIGHTS.shape[1:])
    net = keras.Model(x, keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(Counter()(x))), name="linear")
    net.set_weights([WEIGHTS.reshape(2, -1).T])
    return net


@pytest.fixture(scope="session")
def conv():
    """One 1 x 1 convolution, channels 2x and -x, and its maximum over 2 x 2."""
    x = keras.Input((4, 4, 1))
    y = keras.layers.Conv2D(2, 1, use_bias=False, name="first")(x)
    z = keras.layers.MaxPooling2D(2, name="pool")(y)
    net = keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten(name="flat")(z)), name="conv")
    net.get_layer("first").set_weights([np.array([2.0, -1.0], "float32").reshape(1, 1, 1, 2)])
    return net


def corner_spot():
    images = np.full((2, 4, 4, 1), -1, "float32")
    images[0, 0, 0], images[0, 1, 2], images[0, 3, 3] = 4, 2, 1.9
    return images


def test_a_unit_keeps_what_is_above_the_share_of_its_maximum(conv):
    images = corner_spot()
    found = masking.mask_by_unit(conv, images, masking.UnitMasking("first", 0, share=0.5, fill=9))
    np.testing.assert_allclose(found.activations, 2 * images[..., 0])
    assert np.argwhere(found.masks[0]).tolist() == [[0, 0], [1, 2]]  # 8 and 4 of at most 8; 3.8 is below a half
    assert not found.masks[1].any()  # never above 0
    assert np.array_equal(found.images, np.where(found.masks[..., None], images, 9))
    dark = masking.mask_by_unit(conv, np.zeros((1, 4, 4, 1)), masking.UnitMasking("first", 0))
    assert not dark.masks.any()
    wider = masking.mask_by_unit(conv, images, masking.UnitMasking("first", 0, share=0.45))
    assert np.argwhere(wider.masks[0]).tolist() == [[0, 0], [1, 2], [3, 3]] and not wider.images[0, 0, 1]
    other = masking.mask_by_unit(conv, images, masking.UnitMasking("first", 1))
    assert np.array_equal(other.masks, images[..., 0] == -1)
    mean = masking.mask_by_unit(conv, images, masking.UnitMasking("first", 0, fill=None))
    assert mean.images[0, 3, 3, 0] == pytest.approx(images[0].mean())


def test_a_smaller_map_is_upsampled_bilinearly(conv):
    found = masking.mask_by_unit(conv, corner_spot(), masking.UnitMasking("pool", 0, share=0.9))
    ends = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])  # cell centres lie at 0.5 and 2.5
    np.testing.assert_allclose(found.activations[0], ends @ [[8, 4], [-2, 3.8]] @ ends.T, rtol=1e-6)
    assert np.argwhere(found.masks[0]).tolist() == [[0, 0]]


def test_peaks_are_the_greatest_activations(conv):
    images = corner_spot()
    found = masking.peaks(conv, images, "first", batch=1)
    assert found.tolist() == [[8, 1], [-2, 1]]
    assert masking.peaks(conv, images, "pool").tolist() == [[8, 1], [-2, 1]]


def plain_occlusion(score, image, settings, fill):
    """By loops: the mean drop over the squares on each pixel."""
    height, width = image.shape[:2]
    total, count = np.zeros((2, height, width))
    starts = [sorted({*range(0, n - settings.side + 1, settings.stride), n - settings.side}) for n in (height, width)]
    for top in starts[0]:
        for left in starts[1]:
            part = slice(top, top + settings.side), slice(left, left + settings.side)
            hidden = image.copy()
            hidden[part] = fill
            total[part] += score(image) - score(hidden)
            count[part] += 1
    assert count.min() > 0
    return total / count


@pytest.mark.parametrize("fill", [0.5, None])
def test_occlusion_of_a_linear_net_is_the_mean_of_weight_times_change(linear, fill):
    settings = dataclasses.replace(SETTINGS, fill=fill)
    found = masking.occlusion(linear, IMAGES, [0, 1, 1], settings)
    for image, k, map_ in zip(IMAGES, (0, 1, 1), found, strict=True):
        value = image.mean(axis=(0, 1)) if fill is None else fill
        product = (WEIGHTS[k] * (image - value)).sum(axis=-1)  # what each pixel loses where it is hidden
        expected = plain_occlusion(lambda x, k=k: (WEIGHTS[k] * x).sum(), image, settings, value)
        np.testing.assert_allclose(map_, expected, atol=1e-4)
        assert map_[0, 0] == pytest.approx(product[:3, :3].sum(), abs=1e-4)  # one square alone covers the corner
    assert found.dtype == np.float32 and found.shape == (3, 8, 7)


def test_a_square_of_one_pixel_gives_weight_times_change(linear):
    found = masking.occlusion(linear, IMAGES, 1, masking.Occlusion(side=1, stride=1, fill=0.25))
    np.testing.assert_allclose(found, (WEIGHTS[1] * (IMAGES - 0.25)).sum(axis=-1), atol=1e-4)


def test_drops_of_the_probability(linear):
    def share(x):
        logits = (WEIGHTS * x).sum(axis=(1, 2, 3))
        return np.exp(logits[0]) / np.exp(logits).sum()

    settings = dataclasses.replace(SETTINGS, probability=True)
    found = masking.occlusion(linear, IMAGES, 0, settings)
    np.testing.assert_allclose(found[1], plain_occlusion(share, IMAGES[1], settings, 0.5), atol=1e-5)


def test_batches_change_nothing_and_are_traced_once(linear):
    linear = keras.models.clone_model(linear)
    Counter.calls = 0
    expected = masking.occlusion(linear, IMAGES, 1, SETTINGS)
    assert Counter.calls == 1
    found = masking.occlusion(linear, IMAGES, 1, dataclasses.replace(SETTINGS, batch=5))  # 12 squares: 5, 5, 2
    assert Counter.calls == 1  # the call before has traced it
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_no_class_means_the_predicted_one(linear):
    predicted = np.einsum("khwc,nhwc->nk", WEIGHTS, IMAGES).argmax(axis=1)
    found = masking.occlusion(linear, IMAGES, settings=SETTINGS)
    assert np.array_equal(found, masking.occlusion(linear, IMAGES, predicted, SETTINGS))


def test_of_a_unit_under_a_global_maximum_it_is_the_discrepancy_map(conv):
    top = keras.layers.GlobalMaxPooling2D()(conv.get_layer("first").output)
    found = masking.occlusion(keras.Model(conv.input, top), corner_spot(), 0, masking.Occlusion(side=1, stride=1))
    expected = np.zeros((2, 4, 4))
    expected[0, 0, 0] = 4  # from 8 to the next, 4
    expected[1] = -2  # any filled pixel lifts the maximum from -2 to 0
    np.testing.assert_allclose(found, expected)


def test_mixed_precision_gives_float32(conv):
    x = keras.Input((4, 4, 1))
    y = keras.layers.Conv2D(2, 1, use_bias=False, dtype="mixed_bfloat16", name="first")(x)
    net = keras.Model(x, keras.layers.Dense(2, dtype="float32")(keras.layers.Flatten()(y)))
    net.get_layer("first").set_weights(conv.get_layer("first").get_weights())
    found = masking.mask_by_unit(net, corner_spot(), masking.UnitMasking("first", 0))
    assert found.activations.dtype == np.float32 and found.activations[0, 0, 0] == 8
    assert masking.occlusion(net, corner_spot(), 0, masking.Occlusion(2, 2)).dtype == np.float32


def test_what_cannot_be_masked_is_refused(linear, conv):
    with pytest.raises(cases.MammoError, match=r"conv has no layer last; there are .*first, pool"):
        masking.mask_by_unit(conv, corner_spot(), masking.UnitMasking("last", 0))
    with pytest.raises(cases.MammoError, match=r"flat: expected a map \(B, u, v, channels\), found \(None, 8\)"):
        masking.peaks(conv, corner_spot(), "flat")
    with pytest.raises(cases.MammoError, match="first: channel 2 is not among its 2"):
        masking.mask_by_unit(conv, corner_spot(), masking.UnitMasking("first", 2))
    with pytest.raises(cases.MammoError, match="between 0 and 1, found 1"):
        masking.UnitMasking("first", 0, share=1)
    with pytest.raises(cases.MammoError, match=r"expected images \(N, H, W, C\), found \(4, 4, 1\)"):
        masking.mask_by_unit(conv, corner_spot()[0], masking.UnitMasking("first", 0))
    with pytest.raises(cases.MammoError, match="a square of 8 does not fit images of 8 x 7"):
        masking.occlusion(linear, IMAGES, 0, masking.Occlusion(side=8))
    with pytest.raises(cases.MammoError, match="found stride 9, side 8, batch 64"):
        masking.Occlusion(side=8, stride=9)
    with pytest.raises(cases.MammoError, match="occlusion: class 2 is not among the 2 of linear"):
        masking.occlusion(linear, IMAGES, 2)
