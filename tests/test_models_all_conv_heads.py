import functools

import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import all_conv_heads as heads

FEATURES = (36, 28)  # of a 1152 x 896 image
HEATMAP = (30, 22, 5)  # 36 - 7 + 1, 28 - 7 + 1


def build(top, shape, **arguments):
    x = keras.Input(shape)
    return keras.Model(x, top(x, **arguments))


def norm(filters):
    return 4 * filters  # gamma, beta, moving mean and variance


def vgg_block(channels, filters, count):
    total = 0
    for _ in range(count):
        total += 9 * channels * filters + norm(filters)
        channels = filters
    return total


def resnet_block(channels, unit, count):
    first, middle, last = unit
    total = channels * last + norm(last)  # the projection, in the first unit alone
    for _ in range(count):
        total += channels * first + norm(first) + 9 * first * middle + norm(middle) + middle * last + norm(last)
        channels = last
    return total


def classifier(channels):
    return channels * 2 + 2


def fc_head(pool, first, second):
    u, v, classes = HEATMAP
    pooled = (u // pool) * (v // pool) * classes
    shortcut = u * v * classes * 2
    return pooled * first + first + first * second + second + classifier(second) + shortcut


R, V = heads.ResnetTop, heads.VggTop
# table, top, channels it stands on, its parameters
BLOCK_ROWS = [
    (2, R((((512, 512, 2048), 1),) * 2), 2048, 17_346_562),  # with the patch net of S1, and with that of S10
    (2, R((((512, 512, 1024), 2),) * 2), 2048, 17_344_514),
    (2, R((((256, 256, 256), 1), ((128, 128, 128), 1))), 2048, 1_939_714),
    (2, R((((256, 256, 256), 3), ((128, 128, 128), 3))), 2048, 3_751_170),
    (2, R((((256, 256, 512), 3), ((128, 128, 256), 3))), 2048, 4_822_530),
    (2, V(((256, 1), (128, 1))), 2048, 5_015_298),
    (2, R((((512, 512, 1024), 2),) * 2), 5, 14_206_466),
    (2, R((((64, 64, 256), 2), ((128, 128, 512), 2))), 5, 793_154),
    (3, V(((512, 3), (512, 3))), 512, 14_169_090),
    (3, V(((512, 1), (512, 1))), 512, 4_723_714),
    (3, V(((256, 3), (128, 3))), 512, 2_953_986),
    (3, V(((256, 1), (128, 1))), 512, 1_476_354),
    (3, V(((128, 1), (64, 1))), 512, 664_450),
    (3, R((((512, 512, 1024), 2),) * 2), 512, 14_985_218),
]


def by_hand(top, channels):
    total = 0
    for filters, count in top.blocks:
        total += (vgg_block if isinstance(top, V) else resnet_block)(channels, filters, count)
        channels = filters if isinstance(top, V) else filters[-1]
    return total + classifier(channels)


@pytest.mark.parametrize("table, top, channels, expected", BLOCK_ROWS)
def test_parameters_of_the_rows_of_tables_2_and_3(table, top, channels, expected):
    assert by_hand(top, channels) == expected
    assert build(top, (*FEATURES, channels)).count_params() == expected


@pytest.mark.parametrize(
    "pool, fc, expected",
    [
        # (30 // 5) (22 // 5) 5 = 120 inputs: 7,680 + 64; 2,048 + 32; 64 + 2; the shortcut 3,300 x 2
        (5, (64, 32), 16_490),
        # 15 x 11 x 5 = 825 inputs: 422,400 + 512; 131,072 + 256; 512 + 2; 6,600
        (2, (512, 256), 561_354),
        # 3,300 inputs: 6,758,400 + 2,048; 2,097,152 + 1,024; 2,048 + 2; 6,600
        (1, (2048, 1024), 8_867_274),
    ],
)
def test_parameters_of_the_heatmap_and_fc_rows_of_both_tables(pool, fc, expected):
    assert fc_head(pool, *fc) == expected
    assert build(heads.FcTop(pool, fc), HEATMAP).count_params() == expected


def test_the_first_row_of_each_kind_written_out():
    # 256x1 128x1 on 2048: 9 x 2048 x 256 + 4 x 256; 9 x 256 x 128 + 4 x 128; 128 x 2 + 2
    assert by_hand(V(), 2048) == 4_718_592 + 1_024 + 294_912 + 512 + 258
    # [64-64-256]x1 on 5: projection 5 x 256 + 1,024; 5 x 64 + 256; 36,864 + 256; 16,384 + 1,024; 256 x 2 + 2
    assert by_hand(R((((64, 64, 256), 1),)), 5) == 1_280 + 1_024 + 320 + 256 + 36_864 + 256 + 16_384 + 1_024 + 514


SMALL = {
    "vgg": (V(((8, 2), (8, 1))), (9, 7, 5)),
    "resnet": (R((((8, 8, 16), 2), ((8, 8, 16), 1))), (9, 7, 5)),
    "fc": (heads.FcTop(2, (8, 4)), (9, 7, 5)),
}
each_top = pytest.mark.parametrize("top, shape", SMALL.values(), ids=SMALL.keys())


@each_top
def test_every_new_layer_is_named_top_but_the_logits(top, shape):
    names = [layer.name for layer in build(top, shape).layers[1:]]
    assert names[-1] == "logits" and all(name.startswith("top_") for name in names[:-1])


@each_top
def test_one_seed_gives_one_top(top, shape):
    first, again, other = (build(top, shape, seed=s).get_weights() for s in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_blocks_halve_the_map():
    vgg = build(SMALL["vgg"][0], (36, 28, 5))
    resnet = build(SMALL["resnet"][0], (36, 28, 5))
    assert vgg.get_layer("top_block1_pool").output.shape[1:3] == (18, 14)
    assert vgg.get_layer("top_block2_pool").output.shape[1:3] == (9, 7)
    assert resnet.get_layer("top_block1_unit2_relu3").output.shape[1:] == (18, 14, 16)
    assert resnet.get_layer("top_block2_unit1_relu3").output.shape[1:] == (9, 7, 16)


def test_fc_top_by_hand():
    """Everything is 1: two max-pooled windows through one unit, and the sum of the heatmap through the shortcut."""
    model = build(heads.FcTop(pool=2, fc=(1,)), (2, 5, 1))
    model.set_weights([np.ones(w.shape) for w in model.get_weights()])
    heatmap = np.array([[1, 2, 0, 1, 50], [0, 0, 3, 0, 0]], np.float32)[None, ..., None]
    fc = 2 + 3 + 1  # windows of columns 0-1 and 2-3; column 4 is left over; the bias
    assert np.asarray(model(heatmap)).tolist() == [[fc + 1 + 57, fc + 1 + 57]]


def test_scaled_narrows_but_not_below_8():
    assert heads.scaled(V(((256, 3), (128, 1))), 1 / 8) == V(((32, 3), (16, 1)))
    assert heads.scaled(R((((64, 64, 256), 2),)), 1 / 16) == R((((8, 8, 16), 2),))
    assert heads.scaled(heads.FcTop(2, (512, 32)), 1 / 8) == heads.FcTop(2, (64, 8))
    for top, _ in SMALL.values():
        assert heads.scaled(top, 1.0).blocks == top.blocks if hasattr(top, "blocks") else top.pool == 2
    with pytest.raises(cases.MammoError, match="found partial"):
        heads.scaled(functools.partial(V()), 0.5)


def test_maps_that_are_too_small_are_refused():
    with pytest.raises(cases.MammoError, match="top_block2_pool: a window of 2x2 does not fit on a map of 1x4"):
        build(V(((8, 1), (8, 1))), (2, 8, 3))
    with pytest.raises(cases.MammoError, match="top_max_pool: a window of 5x5 does not fit on a map of 3x3"):
        build(heads.FcTop(), (3, 3, 5))
    with pytest.raises(cases.MammoError, match="need a known image size"):
        build(heads.FcTop(), (None, 7, 5))
