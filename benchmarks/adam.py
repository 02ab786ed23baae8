"""Does Adam through TensorFlow's fused kernel pay beside Keras' own, when a net is compiled and in every step?

ResNet50 with narrow layers on small images, as the demonstrations train it: the first step (tracing and optimising
the graph, once a stage and fold) and the steps after it. Keras' optimizer and `training.adam` take turns in one
process; each round builds its net anew. CPU time, the median over rounds, and the ratio of the two.

    python benchmarks/adam.py [--width 8] [--side 64] [--batch 16] [--rounds 3] [--steps 20]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np

from mammo_tf.models import resnet50
from mammo_tf.training import adam, fit

OPTIMIZERS = {"keras": keras.optimizers.Adam, "ours": adam.Adam}


def build(make: Callable[..., keras.optimizers.Optimizer], width: int, side: int) -> keras.Model:
    """The net, compiled as `fit` compiles it."""
    image = keras.Input((side, side, 3))
    model = keras.Model(image, resnet50.resnet50(image, width=width))
    fit.compile_model(model, make(learning_rate=1e-4))
    return model


def times(model: keras.Model, batch: int, steps: int) -> tuple[float, float]:
    """CPU seconds of the first training step, and the median of `steps` steps after it."""
    x = np.random.default_rng(0).standard_normal((batch, *model.input_shape[1:]), np.float32)
    y = np.arange(batch) % 2
    seconds = []
    for _ in range(steps + 1):
        started = time.process_time()
        model.train_on_batch(x, y)
        seconds.append(time.process_time() - started)
    return seconds[0], statistics.median(seconds[1:])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args(arguments)
    times(build(keras.optimizers.SGD, options.width, options.side), options.batch, 1)  # the process's own first step
    measured = {name: [] for name in OPTIMIZERS}
    for _ in range(options.rounds):
        for name, make in OPTIMIZERS.items():
            keras.backend.clear_session()
            model = build(make, options.width, options.side)
            measured[name].append(times(model, options.batch, options.steps))
    print(f"ResNet50 of width {options.width}, {options.batch} images of {options.side} x {options.side} pixels")
    for i, what in enumerate(("first step", "a step")):
        theirs, ours = (statistics.median(pair[i] for pair in measured[name]) for name in ("keras", "ours"))
        print(f"{what:10}  keras {theirs:8.3f} s  ours {ours:8.3f} s  keras / ours {theirs / ours:.2f}")


if __name__ == "__main__":
    main()
