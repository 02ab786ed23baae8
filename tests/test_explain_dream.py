"""Directed Dream against a plain loop, by hand on linear nets, and what must hold whatever the net."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from mammo_tf import cases
from mammo_tf.explain import alteration, dream

Settings = dream.DirectedDream


def linear(weights):
    """Logits = weights (K, S, S, C) times the image."""
    x = keras.Input(weights.shape[1:])
    model = keras.Model(x, keras.layers.Dense(len(weights), use_bias=False)(keras.layers.Flatten()(x)))
    model.set_weights([weights.reshape(len(weights), -1).T])
    return model


@functools.cache
def curved(side=24, channels=1):
    x = keras.Input((side, side, channels))
    y = keras.layers.Conv2D(6, 3, activation="tanh", kernel_initializer=keras.initializers.HeNormal(1))(x)
    y = keras.layers.Conv2D(6, 3, activation="relu", kernel_initializer=keras.initializers.HeNormal(2))(y)
    y = keras.layers.Dropout(0.5, seed=1)(keras.layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, keras.layers.Dense(2, kernel_initializer=keras.initializers.HeNormal(3))(y))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


WEIGHTS = noise(2, 8, 8, 1, seed=5)


def zscored(gradient, clip=0.05):
    return np.clip((gradient - gradient.mean()) / gradient.std(), -clip, clip)


def test_the_first_step_by_hand():
    start, slope = noise(8, 8, 1), WEIGHTS[1] - WEIGHTS[0]
    found = dream.directed_dream(
        linear(WEIGHTS), start, Settings(iterations=1, learning_rate=2.0, altering=alteration.NONE)
    )
    np.testing.assert_allclose(found.saliency, zscored(slope), atol=1e-6)
    np.testing.assert_allclose(found.image, start + 2 * zscored(slope), atol=1e-6)
    np.testing.assert_allclose(found.scores, [(slope * start).sum()], rtol=1e-5)
    np.testing.assert_allclose(found.after - found.before, 2 * (slope * zscored(slope)).sum(), rtol=1e-4)


@pytest.mark.parametrize("literal", [False, True])
def test_opposite_directions_change_a_linear_net_oppositely(literal):
    start = np.zeros((8, 8, 1))
    up, down = (
        dream.directed_dream(linear(WEIGHTS), start, Settings(iterations=8, direction=d, literal=literal))
        for d in (1, -1)
    )
    assert np.abs(up.change).max() > 0.01
    assert np.array_equal(up.change, -down.change) and np.array_equal(up.saliency, -down.saliency)
    assert up.after == down.after > 0 == up.before


@pytest.mark.parametrize("literal", [False, True])
def test_at_learning_rate_0_the_image_stays_to_the_bit(literal):
    start = np.clip(noise(8, 8, 1) * 2, -3, 3)
    settings = Settings(iterations=500, learning_rate=0.0, literal=literal)
    found = dream.directed_dream(linear(WEIGHTS), start, settings)
    assert found.image.tobytes() == found.start.tobytes() == start.tobytes()
    assert np.abs(found.saliency).max() > 0 and len(set(found.scores.tolist())) > 100  # it did look


def test_a_start_beyond_the_clip_is_clipped_before_and_minus_zero_is_zero():
    start = np.array([5.0, -4.0, -0.0, 1.0], np.float32).reshape(2, 2, 1)
    found = dream.directed_dream(linear(WEIGHTS[:, :2, :2]), start, Settings(iterations=9, learning_rate=0.0))
    clipped = np.array([3.0, -3.0, 0.0, 1.0], np.float32)
    assert found.start.tobytes() == found.image.tobytes() == clipped.tobytes()


def dense_warp(turn, shape):
    """The warp as a matrix, column by column, by scipy."""
    centre = (np.array(shape) - 1) / 2
    offset = centre - turn @ centre
    units = np.eye(np.prod(shape)).reshape(-1, *shape)
    columns = [ndimage.affine_transform(one, turn, offset, order=1, mode="grid-constant").ravel() for one in units]
    return np.stack(columns, axis=1)


def plain_loop(model, start, settings):
    """Algorithm 1 with the adjoint, view by view, nothing traced."""
    x, scores, shape = start.astype(float), [], start.shape[1:3]
    for i in range(settings.iterations):
        draw = alteration.draw(settings.altering, shape, planes=len(x) * x.shape[-1], seed=settings.seed, iteration=i)
        views = [(b, c) for b in range(len(x)) for c in range(x.shape[-1])]
        altered, warps = np.zeros_like(x), []
        for (b, c), turn, boxes in zip(views, draw.turn.astype(float), draw.boxes, strict=True):
            kept = np.ones(shape)
            for top, left, bottom, right in boxes:
                kept[top:bottom, left:right] = 0
            warps.append(np.diag(kept.ravel()) @ dense_warp(turn, shape))
            altered[b, :, :, c] = (warps[-1] @ x[b, :, :, c].ravel()).reshape(shape)
        with tf.GradientTape() as tape:
            seen = tf.constant(altered, tf.float32)
            tape.watch(seen)
            logits = model(seen, training=False)
            score = settings.direction * (logits[:, 1] - logits[:, 0])
        gradient = tape.gradient(score, seen).numpy()
        scores.append(score.numpy())
        for (b, c), warp in zip(views, warps, strict=True):
            back = warp.T @ zscored(gradient[b, :, :, c].astype(float)).ravel()
            x[b, :, :, c] += settings.learning_rate * back.reshape(shape)
        x = np.clip(x, -settings.clip_image, settings.clip_image)
    return x, np.stack(scores)


def test_agrees_with_a_plain_loop_for_two_images_of_two_views():
    start = noise(2, 12, 12, 2)
    settings = Settings(iterations=3, learning_rate=4.0, direction=-1, seed=7, clip_image=2.0)
    found = dream.directed_dream(curved(12, 2), start, settings)
    expected, scores = plain_loop(curved(12, 2), np.clip(start, -2, 2), settings)
    np.testing.assert_allclose(found.image, expected, atol=1e-4)
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)
    assert np.abs(found.change).mean() > 0.1 and np.abs(found.image).max() == 2


def test_literal_follows_the_algorithm_by_flips_and_quarter_turns():
    """Image altered, stepped, clipped, turned back, boxes put back: by numpy."""
    start, slope = np.clip(noise(8, 8, 1), -1, 1), (WEIGHTS[1] - WEIGHTS[0])[..., 0]
    altering = alteration.Alteration(flip_horizontal=False, flip_vertical=False, boxes=(1, 1))
    settings = Settings(iterations=3, learning_rate=5.0, altering=altering, clip_image=1.0, literal=True, seed=2)
    x, turns = start[..., 0], []
    for i in range(3):
        draw = alteration.draw(altering, (8, 8), planes=1, seed=2, iteration=i, step_deg=90)
        quarter = {(1, 0): 0, (0, 1): 1, (-1, 0): 2, (0, -1): 3}[tuple(draw.turn[0, 0].astype(int).tolist())]
        top, left, bottom, right = draw.boxes[0, 0]
        turned = np.rot90(x, quarter)
        altered = turned.copy()
        altered[top:bottom, left:right] = 0
        moved = np.clip(altered + 5 * zscored(slope), -1, 1)
        moved[top:bottom, left:right] = turned[top:bottom, left:right]
        x = np.rot90(moved, -quarter)
        turns.append(quarter)
    assert len(set(turns)) > 1
    found = dream.directed_dream(linear(WEIGHTS), start, settings)
    np.testing.assert_allclose(found.image[..., 0], x, atol=1e-6)


def test_both_variants_are_one_where_every_turn_is_a_quarter():
    altering = alteration.Alteration(rotate_deg=(90, 90))
    free, literal = (
        dream.directed_dream(
            curved(), noise(24, 24, 1), Settings(iterations=5, learning_rate=3.0, altering=altering, literal=literal)
        )
        for literal in (False, True)
    )
    np.testing.assert_allclose(free.image, literal.image, atol=1e-5)
    np.testing.assert_allclose(free.saliency, literal.saliency, atol=1e-5)


@pytest.mark.parametrize("direction", [1, -1])
def test_the_class_score_rises(direction):
    settings = Settings(iterations=100, learning_rate=0.2, direction=direction, seed=1)
    found = dream.directed_dream(curved(), noise(24, 24, 1), settings)
    smooth = found.smoothed(25)
    assert smooth.shape == found.scores.shape == (100,) and found.scores.dtype == np.float32
    assert (np.diff(smooth[12:-12:25]) > 0).all()  # means of the four quarters
    noisy = np.abs(np.diff(found.scores)).mean()
    assert found.after > found.before + 2 * noisy
    logits = curved()(found.image[None]).numpy()[0]
    assert found.after == pytest.approx(direction * (logits[1] - logits[0]), abs=1e-5)


def test_smoothing_by_hand():
    found = dream.directed_dream(linear(WEIGHTS), noise(8, 8, 1), Settings(iterations=4))
    a, b, c, d = found.scores
    np.testing.assert_allclose(
        found.smoothed(3), [(2 * a + b) / 3, (a + b + c) / 3, (b + c + d) / 3, (c + 2 * d) / 3], rtol=1e-5
    )


def test_a_view_dreams_alike_whatever_stands_beside_it():
    starts, settings = noise(3, 24, 24, 1), Settings(iterations=4, learning_rate=2.0)
    several = dream.directed_dream(curved(), starts, settings, frame_every=2)
    alone = dream.directed_dream(curved(), starts[0], settings, frame_every=2)
    assert several.image.shape == (3, 24, 24, 1) and several.scores.shape == (4, 3) and several.after.shape == (3,)
    one = several.one(0)
    for name in ("start", "image", "scores", "before", "after", "saliency"):
        np.testing.assert_allclose(getattr(one, name), getattr(alone, name), atol=1e-5)
    np.testing.assert_allclose(one.frames.images, alone.frames.images, atol=1e-5)
    assert np.array_equal(several.one(2).image, several.image[2])


def test_seeds_repeat_and_differ_and_a_shorter_dream_is_the_beginning_of_a_longer():
    start = noise(24, 24, 1)
    first, again = (dream.directed_dream(curved(), start, Settings(iterations=6), frame_every=4) for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes() and np.array_equal(first.scores, again.scores)
    other = dream.directed_dream(curved(), start, Settings(iterations=6, seed=1))
    assert not np.array_equal(first.image, other.image)
    short = dream.directed_dream(curved(), start, Settings(iterations=4))
    assert short.image.tobytes() == first.frames.images[0].tobytes()
    assert short.saliency.tobytes() == first.frames.saliency[0].tobytes()


def test_frames_come_every_so_often_and_end_with_the_last():
    found = dream.directed_dream(linear(WEIGHTS), noise(8, 8, 1), Settings(iterations=7), frame_every=3)
    assert found.frames.iterations.tolist() == [3, 6, 7]
    assert found.frames.images.shape == found.frames.saliency.shape == (3, 8, 8, 1)
    assert np.array_equal(found.frames.images[-1], found.image)
    assert np.array_equal(found.frames.saliency[-1], found.saliency)
    assert dream.directed_dream(linear(WEIGHTS), noise(8, 8, 1), Settings(iterations=2)).frames is None


def test_the_step_is_traced_once():
    calls = []

    class Counter(keras.layers.Layer):
        def call(self, inputs):
            calls.append(inputs.shape)
            return inputs

    x = keras.Input((8, 8, 1))
    model = keras.Model(x, linear(WEIGHTS)(Counter()(x)))
    calls.clear()
    dream.directed_dream(model, noise(8, 8, 1), Settings(iterations=20))
    assert len(calls) == 3  # the step, and the scores before and after


@pytest.mark.parametrize("slope", [0.0, 1.0, 0.1, 1e-20, 123.456])
def test_a_constant_gradient_has_no_direction(slope):
    maps = np.full((2, 50, 50), slope, np.float32)
    maps[1, 0, 0] += np.float32(slope) or 1.0
    found = dream.zscore(tf.constant(maps)).numpy()
    assert not found[0].any() and np.isfinite(found).all()
    assert found[1, 0, 0] == pytest.approx(np.sqrt(2499), rel=1e-3)  # one of n differs: sqrt(n - 1) deviations
    flat = np.full((2, 6, 6, 1), slope, np.float32)
    flat[0] = 0
    start = noise(6, 6, 1)
    result = dream.directed_dream(linear(flat), start, Settings(iterations=2))
    assert result.image.tobytes() == start.tobytes()


def test_what_cannot_be_dreamt_is_refused():
    with pytest.raises(cases.MammoError, match="3 channels; expected 1, or 2"):
        dream.directed_dream(linear(noise(2, 4, 4, 3)), noise(4, 4, 3))
    with pytest.raises(cases.MammoError, match=r"square image, found \(4, 6\)"):
        dream.directed_dream(linear(noise(2, 4, 6, 1)), noise(4, 6, 1), Settings(literal=True))
    with pytest.raises(cases.MammoError, match="1 of 64 values"):
        dream.directed_dream(linear(WEIGHTS), np.where(np.arange(64) == 1, np.inf, 0).reshape(8, 8, 1))
    with pytest.raises(cases.MammoError, match="found 0, 500, 0"):
        Settings(direction=0)
    with pytest.raises(cases.MammoError, match=r"clips must be above 0, found 0\.05, 0"):
        Settings(clip_image=0)


def test_the_plain_map_of_a_linear_net_is_its_weights_z_scored():
    kernel = np.random.default_rng(0).normal(size=(6, 7, 2, 2)).astype(np.float32)
    image = keras.Input((6, 7, 2))
    model = keras.Model(image, keras.layers.Flatten()(keras.layers.Conv2D(2, (6, 7), name="conv")(image)))
    model.get_layer("conv").set_weights([kernel, np.zeros(2, np.float32)])
    found = dream.one_map(model, np.ones((3, 6, 7, 2), np.float32))
    slope = kernel[..., 1] - kernel[..., 0]
    expected = (slope - slope.mean(axis=(0, 1))) / slope.std(axis=(0, 1))
    np.testing.assert_allclose(found, np.stack([expected] * 3), atol=1e-5)
