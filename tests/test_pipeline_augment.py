"""Draws and their application: identity, ranges, streams, intensity by hand."""

import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import augment

EVERYTHING = augment.Augment(
    flip_horizontal=True,
    flip_vertical=True,
    rotate_deg=(-20.0, 40.0),
    shear_deg=(-5.0, 5.0),
    zoom_y=(0.8, 1.2),
    zoom_x=(0.9, 1.1),
    translate=(-0.1, 0.2),
    crop=(0.85, 1.0),
    channel_shift=(-0.1, 0.1),
    contrast=(0.8, 1.2),
    brightness=(-0.2, 0.0),
    noise=0.05,
)


SHEN2019 = augment.Augment(
    flip_horizontal=True,
    flip_vertical=True,
    rotate_deg=(-25.0, 25.0),
    shear_deg=(-11.459, 11.459),
    zoom_y=(0.8, 1.2),
    zoom_x=(0.8, 1.2),
    channel_shift_each=(-20 / 255, 20 / 255),
    fill="nearest",
    order=0,
)


def images(count=6, side=16):
    return np.random.default_rng(3).random((count, side, side), np.float32)


def test_nothing_switched_on_is_the_identity_bit_for_bit():
    x = images()
    np.testing.assert_array_equal(augment.apply(augment.Augment(), tf.constant(x), 0, 0, tf.range(6)), x)
    compiled = tf.function(augment.apply, jit_compile=True, autograph=False)
    np.testing.assert_array_equal(compiled(augment.Augment(), tf.constant(x), 0, 0, tf.range(6)), x)


def test_draws_fill_their_ranges():
    drawn = augment.draw(EVERYTHING, 0, 0, tf.range(4000))
    limits = {
        "rotate_deg": (-20, 40),
        "shear_deg": (-5, 5),
        "zoom_y": (0.8, 1.2),
        "zoom_x": (0.9, 1.1),
        "translate_y": (-0.1, 0.2),
        "translate_x": (-0.1, 0.2),
        "crop": (0.85, 1),
        "crop_y": (-0.5, 0.5),
        "crop_x": (-0.5, 0.5),
        "channel_shift": (-0.1, 0.1),
        "contrast": (0.8, 1.2),
        "brightness": (-0.2, 0),
    }
    assert set(drawn) == {*limits, "flip_horizontal", "flip_vertical"}
    for name, (low, high) in limits.items():
        values, margin = drawn[name].numpy(), (high - low) / 100
        assert low - 1e-6 <= values.min() < low + margin and high - margin < values.max() <= high + 1e-6, name


def test_each_flip_has_its_own_coin():
    drawn = augment.draw(EVERYTHING, 0, 0, tf.range(4000))
    pairs = np.stack([drawn["flip_horizontal"], drawn["flip_vertical"]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    assert found.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert counts.min() > 880 and counts.max() < 1120  # 4.4 standard deviations round 1000


def test_no_two_draws_go_together():
    drawn = augment.draw(EVERYTHING, 0, 0, tf.range(4000))
    correlation = np.corrcoef(np.stack(list(drawn.values())))
    assert np.abs(correlation - np.eye(len(drawn))).max() < 0.08  # 5 standard errors


def test_one_zoom_for_both_axes():
    drawn = augment.draw(augment.Augment(zoom=(0.8, 1.2)), 0, 0, tf.range(9))
    np.testing.assert_array_equal(drawn["zoom_y"], drawn["zoom_x"])
    assert np.ptp(drawn["zoom_y"]) > 0.1


def test_a_transform_leaves_the_other_draws_alone():
    alone = augment.draw(augment.Augment(rotate_deg=(-20.0, 40.0)), 5, 1, tf.range(9))
    among = augment.draw(EVERYTHING, 5, 1, tf.range(9))
    assert list(alone) == ["rotate_deg"]
    np.testing.assert_array_equal(alone["rotate_deg"], among["rotate_deg"])


def test_seed_and_epoch_change_the_draws_and_repeat_them():
    angles = [
        augment.draw(EVERYTHING, seed, epoch, tf.range(9))["rotate_deg"].numpy()
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert not np.isclose(angles[0], angles[1]).any() and not np.isclose(angles[0], angles[2]).any()
    np.testing.assert_array_equal(angles[0], angles[3])


def test_intensity_by_hand():
    image = tf.constant([[[0.2, 0.4], [0.6, 0.8]]])  # mean 0.5
    drawn = {"contrast": 2.0, "brightness": 0.1, "channel_shift": -0.3}
    steps = [{name: drawn[name]} for name in drawn]
    found = [augment.intensity(image, {k: tf.constant([v]) for k, v in step.items()}) for step in [*steps, drawn]]
    np.testing.assert_allclose(found[0][0], [[-0.1, 0.3], [0.7, 1.1]], atol=1e-6)  # not clipped
    np.testing.assert_allclose(found[1][0], [[0.3, 0.5], [0.7, 0.9]], atol=1e-6)
    np.testing.assert_allclose(found[2][0], [[-0.1, 0.1], [0.3, 0.5]], atol=1e-6)
    np.testing.assert_allclose(found[3][0], [[-0.3, 0.1], [0.5, 0.9]], atol=1e-6)


def test_each_channel_has_its_own_shift():
    x = images()
    found = augment.copy_channels(SHEN2019, tf.constant(x), 0, 0, tf.range(6)).numpy()
    assert found.shape == (6, 16, 16, 3)
    shifts = found - x[..., None]
    np.testing.assert_allclose(np.ptp(shifts, axis=(1, 2)), 0, atol=1e-6)
    drawn = augment.draw(SHEN2019, 0, 0, tf.range(6))
    expected = np.stack([drawn[f"channel_shift_{i}"] for i in range(3)], axis=1)
    np.testing.assert_allclose(shifts[:, 0, 0], expected, atol=1e-6)
    many = augment.draw(SHEN2019, 0, 0, tf.range(4000))
    many = np.stack([many[f"channel_shift_{i}"] for i in range(3)])
    np.testing.assert_allclose([many.min(), many.max()], [-20 / 255, 20 / 255], atol=1e-3)
    assert np.abs(np.corrcoef(many) - np.eye(3)).max() < 0.08  # 5 standard errors


def test_a_rectangle_repeats_itself_and_keeps_its_values():
    x = tf.constant(np.random.default_rng(0).random((3, 18, 11), np.float32))
    once, twice, later = (augment.apply(SHEN2019, x, 1, epoch, tf.range(3)).numpy() for epoch in (0, 0, 1))
    np.testing.assert_array_equal(once, twice)
    assert once.shape == (3, 18, 11) and not np.array_equal(once, later)
    assert all(np.isin(a, b).all() for a, b in zip(once, x.numpy(), strict=True))  # order 0 makes no new values


def test_noise_has_its_deviation_and_differs_from_image_to_image():
    flat = tf.fill([4, 64, 64], 0.5)
    found = augment.apply(augment.Augment(noise=0.1), flat, 0, 0, tf.range(4)).numpy()
    np.testing.assert_allclose(found.std(axis=(1, 2)), 0.1, atol=0.006)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 0.5, atol=0.008)
    assert np.abs(np.corrcoef(found.reshape(4, -1)) - np.eye(4)).max() < 0.08


def test_the_batch_does_not_matter_under_xla():
    x, compiled = images(), tf.function(augment.apply, jit_compile=True, autograph=False)
    together = compiled(EVERYTHING, tf.constant(x), 4, 2, tf.range(10, 16)).numpy()
    for size in (1, 2, 5):
        part = compiled(EVERYTHING, tf.constant(x[-size:]), 4, 2, tf.range(16 - size, 16)).numpy()
        np.testing.assert_array_equal(part, together[-size:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotate_deg": (10.0, -10.0)}, "low <= high"),
        ({"zoom": (0.0, 1.0)}, "above 0"),
        ({"crop": (0.5, 1.5)}, "crop"),
        ({"zoom": (1.0, 1.0), "zoom_x": (1.0, 1.0)}, "not both"),
        ({"fill": "wrap"}, "wrap"),
        ({"order": 3}, "order"),
        ({"noise": -1.0}, "noise"),
        ({"shear_deg": (0.0, 90.0)}, "shear_deg"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(cases.MammoError, match=message):
        augment.Augment(**options)
