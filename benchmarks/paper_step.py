"""What one training step of a whole-image net costs at the paper's size: seconds and peak memory, in a fresh process.

Shen et al. 2019, Section 3.1: images of 1152 x 896 pixels, batch 2, the backbone under the top blocks 256 x 1 and
128 x 1, all layers learning by Adam. The images are noise; the step is the first, so it includes tracing. Peak memory
is that of the whole process, imports included.

    python benchmarks/paper_step.py resnet50 --precision bfloat16
"""

from __future__ import annotations

import argparse
import time

import keras
import numpy as np

from mammo_tf import machine
from mammo_tf.models import all_conv, all_conv_heads, resnet50, vgg
from mammo_tf.training import adam, fit, precision

SHAPE = (1152, 896)
BACKBONES = {"resnet50": resnet50.resnet50_features, "vgg16": vgg.vgg16_features}


def build(net: str, shape: tuple[int, int], chosen: precision.Precision) -> keras.Model:
    """The net for images of a shape (height, width), compiled as `fit` compiles it."""
    with precision.policy(chosen):
        image = keras.Input((*shape, 3), name="image")
        logits = all_conv.whole_image(image, backbone=BACKBONES[net], top=all_conv_heads.VggTop())
        model = keras.Model(image, logits, name=net)
    fit.compile_model(model, adam.Adam(1e-5))
    return model


def step(model: keras.Model, batch: int) -> tuple[float, float]:
    """(seconds, loss) of one training step on noise in the range of gray values less their mean."""
    rng = np.random.default_rng(0)
    x = 50 * rng.standard_normal((batch, *model.input_shape[1:]), np.float32)
    y = np.arange(batch) % 2
    started = time.perf_counter()
    loss = model.train_on_batch(x, y)[0]
    return time.perf_counter() - started, float(loss)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("net", choices=sorted(BACKBONES))
    parser.add_argument("--precision", default="bfloat16", choices=("auto", "float32", "bfloat16", "float16"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--shape", type=int, nargs=2, default=SHAPE, metavar=("HEIGHT", "WIDTH"))
    options = parser.parse_args(arguments)
    chosen = precision.resolve(options.precision)
    model = build(options.net, tuple(options.shape), chosen)
    built = machine.peak_mb()
    seconds, loss = step(model, options.batch)
    size = "{} x {}".format(*options.shape)
    print(f"{precision.describe_device()}; {chosen.policy}; {options.net}, {model.count_params():,} parameters")
    print(f"{size}, batch {options.batch}: step {seconds:.1f} s, loss {loss:.4f}")
    print(f"peak {machine.peak_mb() / 1024:.2f} GiB (before the step {built / 1024:.2f})")


if __name__ == "__main__":
    main()
