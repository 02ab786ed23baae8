"""Random numbers as a pure function of (seed, epoch, example index): Threefry-2x32 with 20 rounds.

A counter-based generator: numbers do not depend on how many were drawn before, on the order of the examples, on the
batch they stand in, or on the thread that asks. `tf.random.stateless_uniform` would do but for two faults: it takes
one seed a call, not one an example, and its numbers under XLA differ from those outside.

Source: Salmon, Moraes, Dror and Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, SC '11,
doi:10.1145/2063384.2063405.

    threefry.uniform(seed=0, epoch=3, index=tf.range(32), count=4)     # (32, 4) float32 in [0, 1)
"""

from __future__ import annotations

import math

import tensorflow as tf

from mammo_tf import cases

ALGORITHM_VERSION = 1

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
# The second counter word tells the uses apart, so that noise never repeats the draws of the geometry.
_NORMAL, _SHUFFLE = 1 << 30, 1 << 31


def block(key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Two random words for each counter; all uint32, shapes broadcast."""
    schedule = (*key, key[0] ^ key[1] ^ _word(_PARITY))
    x0, x1 = counter[0] + schedule[0], counter[1] + schedule[1]
    for step in range(20):
        x0 = x0 + x1
        x1 = _rotate(x1, _ROTATIONS[step % 8]) ^ x0
        if step % 4 == 3:
            turn = step // 4 + 1
            x0 = x0 + schedule[turn % 3]
            x1 = x1 + schedule[(turn + 1) % 3] + _word(turn)
    return x0, x1


def uniform(seed: tf.Tensor | int, epoch: tf.Tensor | int, index: tf.Tensor, count: int) -> tf.Tensor:
    """`count` numbers for each example, (B, count) float32 in [0, 1); `index` is (B,), integer."""
    x0, x1 = _words(seed, epoch, index, tf.range((count + 1) // 2))
    return _unit(tf.reshape(tf.stack([x0, x1], axis=-1), [tf.shape(x0)[0], -1])[:, :count])


def normal(seed: tf.Tensor | int, epoch: tf.Tensor | int, index: tf.Tensor, count: int) -> tf.Tensor:
    """`count` standard normal numbers for each example, (B, count) float32 (Box and Muller 1958)."""
    x0, x1 = _words(seed, epoch, index, _NORMAL + tf.range((count + 1) // 2))
    radius = tf.sqrt(-2.0 * tf.math.log(1.0 - _unit(x0)))  # 1 - u lies in (0, 1]: no logarithm of 0
    angle = 2.0 * math.pi * _unit(x1)
    return tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=1)[:, :count]


def permutation(seed: tf.Tensor | int, epoch: tf.Tensor | int, count: int) -> tf.Tensor:
    """The numbers 0 to count - 1 in random order, (count,) int64."""
    x0, x1 = _words(seed, epoch, tf.range(count), tf.constant([_SHUFFLE], tf.int64))
    bits = tf.bitwise.left_shift(tf.cast(x0[:, 0], tf.int64), tf.constant(31, tf.int64))
    return tf.cast(tf.argsort(bits + tf.cast(x1[:, 0], tf.int64) // 2, stable=True), tf.int64)


def check_seed(seed: int) -> None:
    """Raises MammoError where the seed is not one word: two seeds must not stand for one stream."""
    if not 0 <= seed < 1 << 32:
        raise cases.MammoError(f"seed: must lie in 0 to 4294967295, found {seed}")


def _words(seed, epoch, index, blocks) -> tuple[tf.Tensor, tf.Tensor]:
    return block((_word(seed), _word(epoch)), (_word(index)[:, None], _word(blocks)[None]))


def _word(value) -> tf.Tensor:
    return tf.cast(tf.constant(value, tf.int64) if isinstance(value, int) else value, tf.uint32)


def _rotate(x: tf.Tensor, by: int) -> tf.Tensor:
    return tf.bitwise.left_shift(x, _word(by)) | tf.bitwise.right_shift(x, _word(32 - by))


def _unit(words: tf.Tensor) -> tf.Tensor:
    """The upper 24 bits, which float32 holds exactly."""
    return tf.cast(tf.bitwise.right_shift(words, _word(8)), tf.float32) * 2.0**-24
