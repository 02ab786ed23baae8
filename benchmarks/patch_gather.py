"""What does cutting patches on the fly cost beside patches that were cut before?

Batches of `pipeline.patches.PatchPipeline` (pages in memory) and of `pipeline.build.Pipeline` (every patch in memory)
take turns in one process, on one thread; CPU time a batch, with and without the augmentation of Shen et al. (2019).

    python benchmarks/patch_gather.py [--patch 224] [--pages 40] [--each 10] [--batch 32] [--rounds 5]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import numpy as np
import tensorflow as tf

from mammo_tf.pipeline import augment, build, normalize, patches

HEIGHT, WIDTH = 1152, 896
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


def parts(args: argparse.Namespace) -> dict[str, build.Arrays]:
    """The same patches, on the fly and cut before."""
    rng = np.random.default_rng(0)
    pages = rng.integers(0, 65536, (args.pages, HEIGHT, WIDTH), np.uint16)
    count = args.pages * args.each
    columns = [
        rng.integers(0, high, count) for high in (args.pages, HEIGHT - args.patch // 2, WIDTH - args.patch // 2)
    ]
    labels, names = rng.integers(0, 5, count).astype(np.float32), tuple(map(str, range(count)))
    fields = {"labels": labels, "weights": np.ones(count, np.float32), "ids": names, "patients": names}
    later = build.Arrays(pages, **fields, where=np.stack(columns, axis=1).astype(np.int32))
    return {"on the fly": later, "cut before": build.Arrays(later.cut((args.patch, args.patch)), **fields)}


def one_thread(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    return dataset.with_options(options)


def measure(moving: augment.Augment | None, both: dict[str, build.Arrays], args: argparse.Namespace) -> None:
    """Prints milliseconds a batch of each, and their ratio."""
    pipeline = patches.PatchPipeline(args.patch, normalize.train_mean, moving, batch=args.batch)
    normalizer = pipeline.normalize(both["on the fly"].images)
    steps = pipeline.steps(both["on the fly"])
    running = {name: iter(one_thread(pipeline.train(arrays, normalizer, seed=0))) for name, arrays in both.items()}
    seconds: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(args.rounds + 1):  # the first compiles
        for name, batches in running.items():
            start = time.process_time()
            for _ in itertools.islice(batches, steps):
                pass
            seconds[name].append((time.process_time() - start) / steps)
    cost = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
    figures = ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in cost.items())
    ratio = cost["on the fly"] / cost["cut before"]
    print(f"{'augmented' if moving else 'plain':10s} a batch: {figures}; ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", type=int, default=224)
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--each", type=int, default=10, help="patches a page")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tf.device("CPU:0"):
        both = parts(args)
        held = ", ".join(f"{name} {arrays.images.nbytes / 1e6:.0f} MB" for name, arrays in both.items())
        print(f"{len(both['on the fly'])} patches of {args.patch} x {args.patch}; images held: {held}")
        for moving in (None, SHEN2019):
            measure(moving, both, args)


if __name__ == "__main__":
    main()
