"""Pages and windows: gathered in the graph as cut by numpy, flips, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases, regions
from mammo_tf.pipeline import arrays

PAGES = np.random.default_rng(0).integers(1, 65536, (3, 20, 13)).astype(np.uint16)
# Inside, over each border, over a corner, larger than the page on one axis, and wholly outside.
WHERE = np.array(
    [[0, 4, 3], [2, -5, 2], [1, 16, 2], [1, 3, -4], [0, 3, 9], [2, 17, -6], [0, 40, 0], [1, -9, -7]], np.int32
)


def part(where=WHERE, pages=PAGES):
    count = len(pages) if where is None else len(where)
    names = tuple(map(str, range(count)))
    return arrays.Arrays(pages, np.zeros(count, np.float32), np.ones(count, np.float32), names, names, where=where)


@pytest.mark.parametrize("shape", [(8, 6), (5, 17)])
def test_windows_are_those_that_regions_cut(shape):
    expected = np.stack([regions.cut(PAGES[page], top, left, *shape) for page, top, left in WHERE])
    assert (expected == 0).any() and not expected[6].any()
    np.testing.assert_array_equal(part().cut(shape), expected)
    rows = tf.constant([6, 0, 3, 3, 7, 1, 2, 5, 4])
    found = arrays.gather(part().on_host, rows, shape)
    assert found.dtype == tf.uint16
    np.testing.assert_array_equal(found, expected[rows.numpy()])


def test_places_count_in_64_bits():
    pages = tf.TensorSpec((2400, 1152, 896), tf.uint16)  # CBIS-DDSM's training part: over 2^31 pixels
    graph = arrays._windows.get_concrete_function(pages, tf.TensorSpec((1, 3), tf.int32), (2, 2)).graph
    gathers = [operation for operation in graph.get_operations() if operation.type == "GatherV2"]
    assert [operation.inputs[1].dtype for operation in gathers] == [tf.int64]


def test_whole_images_are_gathered_as_they_are():
    whole = part(where=None)
    np.testing.assert_array_equal(arrays.gather(whole.on_host, tf.constant([2, 0]), (20, 13)), PAGES[[2, 0]])
    assert whole.cut((20, 13)) is PAGES


def test_length_is_that_of_the_examples():
    assert (len(part()), len(part(where=None))) == (8, 3)


def test_flips():
    whole = part(where=None)
    for horizontal, vertical, expected in (
        (True, False, PAGES[:, :, ::-1]),
        (False, True, PAGES[:, ::-1]),
        (True, True, PAGES[:, ::-1, ::-1]),
        (False, False, PAGES),
    ):
        flipped = whole.flipped(horizontal, vertical)
        np.testing.assert_array_equal(flipped.images, expected)
        np.testing.assert_array_equal(flipped.on_host["images"], expected)
        assert flipped.ids == whole.ids
    with pytest.raises(cases.MammoError, match="patches"):
        part().flipped(True, False)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (WHERE[:, :2], r"int32 \(8, 3\), found int32 \(8, 2\)"),
        (WHERE.astype(np.int64), "found int64"),
        (WHERE + np.array([1, 0, 0], np.int32), "pages 1 to 3, there are 3"),
    ],
)
def test_places_that_are_not_there_are_refused(where, message):
    with pytest.raises(cases.MammoError, match=message):
        part(where=where)
