"""Which way to a bank of differences of Gaussians is the fastest?

The cosine transforms of `models.dog`, Fourier transforms of the mirrored image, one matrix product a side and a
Gaussian, and separable convolutions give the same numbers (the largest difference is printed). They take turns in one
process, compiled, on one thread; CPU time a batch, forward and with the gradient with respect to the image.

    python benchmarks/dog.py [--side 224] [--batch 8] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from mammo_tf.models import dog

WIDTHS = [sigma * factor for sigma in dog.SIGMAS for factor in (1.0, dog.RATIO)]


def kernel(width: float) -> np.ndarray:
    reach = int(dog.TRUNCATE * width + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return (weights / weights.sum()).astype(np.float32)


def convolutions(x: tf.Tensor) -> tf.Tensor:
    """Two convolutions of one dimension a Gaussian, the border mirrored by gathering rows and columns."""
    smooth = []
    for width in WIDTHS:
        weights, y = kernel(width), x
        for axis in (1, 2):
            size, reach = x.shape[axis], len(weights) // 2
            at = np.arange(-reach, size + reach) % (2 * size)
            y = tf.gather(y, np.where(at < size, at, 2 * size - 1 - at), axis=axis)
            y = tf.nn.conv2d(y, weights.reshape((-1, 1, 1, 1) if axis == 1 else (1, -1, 1, 1)), 1, "VALID")
        smooth.append(y)
    return tf.concat([x, *(a - b for a, b in zip(smooth[::2], smooth[1::2], strict=True))], axis=-1)


def fourier(x: tf.Tensor) -> tf.Tensor:
    """The image beside its mirror images is periodic; two real responses share a complex transform back."""
    height, width = x.shape[1:3]
    filters = [
        np.multiply.outer(dog.gain(height, s), dog.gain(width, s))
        - np.multiply.outer(dog.gain(height, dog.RATIO * s), dog.gain(width, dog.RATIO * s))
        for s in dog.SIGMAS
    ]
    plane = tf.concat([x[..., 0], x[:, ::-1, :, 0]], axis=1)
    spectrum = tf.signal.fft2d(tf.cast(tf.concat([plane, plane[:, :, ::-1]], axis=2), tf.complex64))
    found = []
    for one, other in zip(filters[::2], filters[1::2], strict=True):
        both = tf.signal.ifft2d(spectrum * tf.constant(one + 1j * other, tf.complex64))[:, :height, :width]
        found += [tf.math.real(both), tf.math.imag(both)]
    return tf.concat([x, tf.stack(found, axis=-1)], axis=-1)


def matrices(x: tf.Tensor) -> tf.Tensor:
    """Smoothing is linear: one matrix for the rows and one for the columns, mirroring folded in."""
    rows, columns = (tf.constant(np.stack([matrix(size, width) for width in WIDTHS])) for size in x.shape[1:3])
    smooth = tf.einsum("khi,bij,kwj->bhwk", rows, x[..., 0], columns)
    return tf.concat([x, smooth[..., ::2] - smooth[..., 1::2]], axis=-1)


def matrix(size: int, width: float) -> np.ndarray:
    weights, out = kernel(width), np.zeros((size, size), np.float32)
    at = (np.arange(size)[:, None] + np.arange(len(weights)) - len(weights) // 2) % (2 * size)
    rows = np.broadcast_to(np.arange(size)[:, None], at.shape)
    np.add.at(out, (rows, np.where(at < size, at, 2 * size - 1 - at)), np.broadcast_to(weights, at.shape))
    return out


def with_gradient(bank: Callable) -> Callable:
    def both(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(tf.square(bank(x)))
        return tape.gradient(total, x)

    return both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    x = tf.constant(np.random.default_rng(0).normal(size=(args.batch, args.side, args.side, 1)), tf.float32)
    banks = {
        "cosine": dog.DoGFilterBank(),
        "fourier": fourier,
        "matrices": matrices,
        "convolutions": convolutions,
    }
    for title, change in (("forward", lambda bank: bank), ("with gradient", with_gradient)):
        ways = {name: tf.function(change(bank)) for name, bank in banks.items()}
        results = {name: way(x).numpy() for name, way in ways.items()}
        off = max(np.abs(found - results["cosine"]).max() for found in results.values())
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                start = time.process_time()
                way(x).numpy()
                seconds[name].append(time.process_time() - start)
        cost = {name: statistics.median(taken) for name, taken in seconds.items()}
        figures = ", ".join(f"{n} {1e3 * c:.0f} ms ({c / cost['cosine']:.1f}x)" for n, c in cost.items())
        print(f"{title}: {figures}; largest difference {off:.1e}")


if __name__ == "__main__":
    main()
