"""How one affine layer hands relevance on to its inputs: the rules of layer-wise relevance propagation.

With z_j = sum_i x_i w_ij + b_j, a+ = max(a, 0), a- = min(a, 0), and R_j the relevance that the layer was handed:

    Epsilon   R_i = sum_j x_i w_ij s_j,                           s_j = R_j / (z_j + eps sign z_j)
    ZPlus     R_i = sum_j (x_i w_ij)+ s_j,                        s_j = R_j / (sum_i (x_i w_ij)+ + b_j+)
    ZB        R_i = sum_j ((x_i - l_i) w_ij+ + (x_i - h_i) w_ij-) s_j,    s_j = R_j / (the same summed over i)

Epsilon and ZPlus (alpha = 1, beta = 0) are equations 58 and 60 of Bach et al. 2015, doi:10.1371/journal.pone.0130140.
ZPlus without its b+ and ZB are the rules of deep Taylor decomposition, Montavon et al. 2017,
doi:10.1016/j.patcog.2016.11.008, for inputs from 0 on and for inputs between l and h (x w - l w+ - h w- is the same).
Each is an input times the slope of the affine part at s: one forward and one backward pass, or two for signed inputs.

What reaches no input is told: `bias` is the share of b, `stabiliser` that of eps and of units whose denominator is 0.

    shared = ZPlus()(affine, x, relevance)         # shared.inputs[0] has the shape of x
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from mammo_tf import cases

ALGORITHM_VERSION = 1
SMALLEST = 1e-30  # a denominator below it is 0: the quotient would leave float32

Pair = tuple[tf.Tensor, tf.Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class Affine:
    """A layer z = function(x, kernel) + bias.

    Attributes:
        function: linear in x and in the kernel; each z is a sum of products of the two.
        kernel, bias: float32; the bias broadcasts to z.
        signed: whether x may hold values below 0.
    """

    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    kernel: tf.Tensor
    bias: tf.Tensor
    signed: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class Shared:
    """What a layer makes of the relevance that it was handed; the sums over all fields are equal to it.

    Attributes:
        inputs: the relevance of each input, in its shape.
        bias: (B,) float64 or 0, what biases absorb.
        stabiliser: (B,) float64 or 0, what eps absorbs, and units whose denominator is 0.
        remainder: (B,) float64 or 0, what the first-order term of a nonlinear layer leaves.
    """

    inputs: tuple[tf.Tensor, ...]
    bias: tf.Tensor | float = 0.0
    stabiliser: tf.Tensor | float = 0.0
    remainder: tf.Tensor | float = 0.0


@dataclasses.dataclass(frozen=True)
class Epsilon:
    """Relevance by contribution; with eps = 0 and no biases a net of ReLUs gets gradient x input.

    Attributes:
        eps: at least 0, in units of the activations.
    """

    eps: float = 0.01

    def __post_init__(self):
        if not self.eps >= 0:
            raise cases.MammoError(f"relevance: eps must be at least 0, found {self.eps}")

    def __call__(self, affine: Affine, x: tf.Tensor, relevance: tf.Tensor) -> Shared:
        """Shares the relevance of z out to x."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            linear = affine.function(x, affine.kernel)
        z = linear + affine.bias
        eps = tf.where(z < 0, -self.eps, self.eps)
        quotient, lost = divided(relevance, z + eps)
        absorbed = total(eps * quotient) + total(lost)
        return Shared((x * tape.gradient(linear, x, quotient),), total(affine.bias * quotient), absorbed)


@dataclasses.dataclass(frozen=True)
class ZPlus:
    """Relevance by positive contribution: from no negative relevance comes none.

    Attributes:
        bias: whether positive biases take their share (Bach et al.). Montavon et al. let none be positive, where the
            two are the same; False passes biases over.
    """

    bias: bool = True

    def __call__(self, affine: Affine, x: tf.Tensor, relevance: tf.Tensor) -> Shared:
        """Shares the relevance of z out to x."""
        ends = (tf.nn.relu(x), tf.minimum(x, 0.0)) if affine.signed else (x,)
        return two_sided(affine, ends, relevance, bias=tf.nn.relu(affine.bias) if self.bias else None)


@dataclasses.dataclass(frozen=True)
class ZB:
    """Relevance of pixels, which lie between two bounds. Biases take no share.

    Attributes:
        low, high: the least and the largest value that an image can take as the net gets it, *after* normalisation;
            one number, or one a channel. Where mean and std are fixed they are (0 - mean) / std and (1 - mean) / std;
            where each image has its own, the least and the largest over the images.
    """

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]

    def __post_init__(self):
        low, high = np.atleast_1d(self.low), np.atleast_1d(self.high)
        if (len(low) != len(high) and 1 not in (len(low), len(high))) or not (low < high).all():
            raise cases.MammoError(f"relevance: low must be below high, found {self.low} and {self.high}")

    def __call__(
        self, affine: Affine, image: tf.Tensor, relevance: tf.Tensor, steps: Sequence[Callable[[Pair], Pair]] = ()
    ) -> Shared:
        """Shares the relevance of z out to the image.

        Args:
            affine: the first layer with weights.
            image: (B, H, W, C) within the bounds.
            relevance: of z.
            steps: what lies between the image and the layer: each takes what is above `low` and (below 0) what is
                below `high`, and gives both for its output.
        """
        above = tf.nn.relu(image - tf.constant(self.low, tf.float32))
        below = tf.minimum(image - tf.constant(self.high, tf.float32), 0.0)
        return two_sided(affine, (above, below), relevance, bias=None, steps=steps)


def two_sided(
    affine: Affine,
    ends: tuple[tf.Tensor, ...],
    relevance: tf.Tensor,
    *,
    bias: tf.Tensor | None,
    steps: Sequence[Callable[[Pair], Pair]] = (),
) -> Shared:
    """Relevance by function(ends[0], w+) + function(ends[1], w-); ends[0] is at least, ends[1] at most 0."""
    with tf.GradientTape() as tape:
        tape.watch(ends)
        pair = ends
        for step in steps:
            pair = step(pair)
        linear = affine.function(pair[0], tf.nn.relu(affine.kernel))
        if len(pair) > 1:
            linear += affine.function(pair[1], tf.minimum(affine.kernel, 0.0))
    quotient, lost = divided(relevance, linear if bias is None else linear + bias)
    slopes = tape.gradient(linear, ends, quotient)
    inputs = tf.add_n([end * slope for end, slope in zip(ends, slopes, strict=True)])
    return Shared((inputs,), 0.0 if bias is None else total(bias * quotient), total(lost))


def divided(relevance: tf.Tensor, z: tf.Tensor) -> Pair:
    """relevance / z, and the relevance where z is 0 and the quotient is none."""
    usable = tf.abs(z) > SMALLEST
    quotient = tf.where(usable, relevance / tf.where(usable, z, 1.0), 0.0)
    return quotient, tf.where(usable, 0.0, relevance)


def total(x: tf.Tensor) -> tf.Tensor:
    """The sum of each example, (B, ...) to (B,) float64; along the last axis it is taken in float32."""
    rows = tf.cast(tf.reduce_sum(x, axis=-1), tf.float64)
    return tf.reduce_sum(rows, axis=tuple(range(1, len(rows.shape))))
