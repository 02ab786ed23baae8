"""What does the composed warp cost beside its peers, and how much fine detail does each leave?

Flip, rotation, zoom and translation of one-channel images on one thread: `pipeline.warp` under XLA, the same matrices
through tf.raw_ops.ImageProjectiveTransformV3, and four Keras preprocessing layers in a row. The three take turns in
one process; CPU time. Detail kept is the standard deviation of white noise in the middle of the image after the
transform, over the one before.

    python benchmarks/warp.py [--side 64 96 224] [--batch 32] [--rounds 30]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from mammo_tf.pipeline import augment, warp

AUGMENT = augment.Augment(flip_horizontal=True, rotate_deg=(-180.0, 180.0), zoom=(0.9, 1.1), translate=(-0.05, 0.05))


def matrices(side: int, batch: int) -> tf.Tensor:
    return warp.matrix(augment.draw(AUGMENT, 0, 0, tf.range(batch)), (side, side))


@tf.function(jit_compile=True, autograph=False)
def composed(images: tf.Tensor) -> tf.Tensor:
    return warp.warp(images[..., 0], matrices(images.shape[1], images.shape[0]))


@tf.function(autograph=False)
def projective(images: tf.Tensor) -> tf.Tensor:
    rows = matrices(images.shape[1], images.shape[0])[:, ::-1]  # the operation counts x before y
    linear = tf.concat([rows[:, :, 1:2], rows[:, :, 0:1], rows[:, :, 2:]], axis=2)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.pad(tf.reshape(linear, [-1, 6]), [[0, 0], [0, 2]]),
        output_shape=tf.constant([images.shape[1], images.shape[2]]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def keras_layers() -> Callable[[tf.Tensor], tf.Tensor]:
    layers = [
        keras.layers.RandomFlip("horizontal", seed=0),
        keras.layers.RandomRotation(0.5, fill_mode="constant", seed=0),
        keras.layers.RandomZoom(0.1, fill_mode="constant", seed=0),
        keras.layers.RandomTranslation(0.05, 0.05, fill_mode="constant", seed=0),
    ]

    @tf.function(autograph=False)
    def chained(images: tf.Tensor) -> tf.Tensor:
        for layer in layers:
            images = layer(images, training=True)
        return images

    return chained


def measure(side: int, batch: int, rounds: int) -> None:
    """Prints a row for each candidate."""
    images = tf.constant(np.random.default_rng(0).normal(size=(batch, side, side, 1)).astype(np.float32))
    candidates = {"composed, XLA": composed, "ImageProjectiveTransformV3": projective, "Keras layers": keras_layers()}
    results = {name: candidate(images).numpy().reshape(batch, side, side) for name, candidate in candidates.items()}
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            start = time.process_time()
            candidate(images)
            seconds[name].append(time.process_time() - start)
    middle = np.s_[:, side * 2 // 5 : side * 3 // 5, side * 2 // 5 : side * 3 // 5]
    first = statistics.median(seconds["composed, XLA"])
    for name, taken in seconds.items():
        cost = statistics.median(taken)
        kept = results[name][middle].std()
        figures = f"{cost / batch * 1e6:8.1f} us/image  x{cost / first:5.2f}  detail kept {kept:.2f}"
        print(f"{side:4d} px  {name:27s}{figures}")
    same = np.abs(results["composed, XLA"] - results["ImageProjectiveTransformV3"]).max()
    print(f"{side:4d} px  largest difference of the first two: {same:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs="+", default=[64, 96, 224])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tf.device("CPU:0"):
        for side in args.side:
            measure(side, args.batch, args.rounds)


if __name__ == "__main__":
    main()
