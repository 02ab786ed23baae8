"""Threefry against its published test vectors, and what the pipeline asks of it."""

import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import threefry

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [  # Random123's kat_vectors: threefry2x32, 20 rounds
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((ONES, ONES), (ONES, ONES), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_published_vectors(key, counter, expected):
    words = [tuple(tf.constant(word, tf.uint32) for word in pair) for pair in (key, counter)]
    assert tuple(int(word) for word in threefry.block(*words)) == expected


def test_numbers_depend_on_the_example_alone():
    together = threefry.uniform(7, 2, tf.range(40), 5).numpy()
    alone = threefry.uniform(7, 2, tf.constant([39, 3]), 5).numpy()
    np.testing.assert_array_equal(alone, together[[39, 3]])
    np.testing.assert_array_equal(threefry.uniform(7, 2, tf.range(40), 2), together[:, :2])
    assert not np.isin(threefry.uniform(7, 3, tf.range(40), 5), together).any()
    assert not np.isin(threefry.uniform(8, 2, tf.range(40), 5), together).any()


def test_the_same_under_xla():
    compiled = tf.function(threefry.uniform, jit_compile=True, autograph=False)
    np.testing.assert_array_equal(compiled(7, 2, tf.range(9), 5), threefry.uniform(7, 2, tf.range(9), 5))


def test_moments():
    unit = threefry.uniform(0, 0, tf.range(200), 1001).numpy()
    assert unit.min() >= 0 and unit.max() < 1
    assert abs(unit.mean() - 0.5) < 0.003 and abs(unit.var() - 1 / 12) < 0.001  # 4.6 standard errors and more
    normal = threefry.normal(0, 0, tf.range(200), 1001).numpy()
    assert normal.shape == (200, 1001)
    assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1) < 0.01 and abs((normal**4).mean() - 3) < 0.06


def test_permutation():
    order = threefry.permutation(0, 1, 50).numpy()
    assert sorted(order) == list(range(50)) and list(order) != list(range(50))
    assert not np.array_equal(order, threefry.permutation(0, 2, 50))
    np.testing.assert_array_equal(order, threefry.permutation(0, 1, 50))


@pytest.mark.parametrize("seed", [-1, 1 << 32])
def test_a_seed_of_more_than_one_word_is_refused(seed):
    with pytest.raises(cases.MammoError, match="seed"):
        threefry.check_seed(seed)
