"""Building blocks of the nets: tensor -> tensor functions that name and seed each layer they make.

Names are an API: weights are loaded, frozen and explained by them, so none is automatic. Each layer draws from a seed
of its own, made of (seed, layer name), so one seed gives one net whatever was built before.
Where a paper states no initialisation the default of PyTorch stands: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for kernels
and biases, batch normalisation with epsilon 1e-5 and momentum 0.1 (0.9 as Keras counts it).

    x = blocks.conv(x, blocks.Conv("block1_conv1", filters=32, kernel=3), seed=0)
    x = blocks.relu(x, "block1_relu1")
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from mammo_tf.models import batch_norm as bn

ALGORITHM_VERSION = 1
BN_EPSILON = 1e-5
BN_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Conv:
    """One convolution of an architecture table: a square kernel, zeros on each side.

    Attributes:
        name: of the layer.
        filters: number of output channels.
        kernel: side of the kernel.
        stride: in both directions.
        padding: rows and columns of zeros on each of the four sides; None means kernel // 2; "same" is Keras' own,
            which puts the odd row and column of zeros last.
        bias: whether a bias is learned.
    """

    name: str
    filters: int
    kernel: int
    stride: int = 1
    padding: int | Literal["same"] | None = None
    bias: bool = True


# The CPU kernels of TensorFlow 2.21 (oneDNN, AVX-512) crash in the backward pass of a strided 1x1 convolution of
# fewer input channels than this; taking the pixels first and convolving them without stride is the same.
_STRIDED_POINTWISE_FROM = 16


def layer_seed(seed: int, name: str) -> int:
    """The seed of one layer, in [0, 2**31): a hash, so neighbouring seeds share nothing."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big") >> 1


def fan_in_uniform(seed: int) -> keras.Initializer:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the default of PyTorch's convolutions and linear layers."""
    return keras.initializers.VarianceScaling(1 / 3, mode="fan_in", distribution="uniform", seed=seed)


def fan_out_normal(seed: int) -> keras.Initializer:
    """N(0, 2/fan_out): He et al. 2015 (doi:10.1109/ICCV.2015.123, eq. 14), as torchvision starts its ResNets."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal", seed=seed)


def conv(
    x: keras.KerasTensor, facts: Conv, *, seed: int, initializer: Callable[[int], keras.Initializer] = fan_in_uniform
) -> keras.KerasTensor:
    """A convolution (B, H, W, C) -> (B, H', W', filters), padded symmetrically: `same` is not, where it strides.

    The bias starts as PyTorch's where the kernel does, from zero with any other initializer.
    """
    padding = facts.kernel // 2 if facts.padding is None else facts.padding
    same = padding == "same" or (facts.stride == 1 and 2 * padding == facts.kernel - 1)
    if padding and not same:
        x = keras.layers.ZeroPadding2D(padding, name=f"{facts.name}_pad")(x)
    stride = facts.stride
    if facts.kernel == 1 and stride > 1 and x.shape[-1] < _STRIDED_POINTWISE_FROM:
        x = keras.layers.MaxPooling2D(1, stride, name=f"{facts.name}_stride")(x)  # the pixels that the stride meets
        stride = 1
    return keras.layers.Conv2D(
        facts.filters,
        facts.kernel,
        strides=stride,
        padding="same" if same else "valid",
        use_bias=facts.bias,
        kernel_initializer=initializer(layer_seed(seed, facts.name)),
        bias_initializer=(
            _bias(facts.kernel**2 * x.shape[-1], seed, facts.name) if initializer is fan_in_uniform else "zeros"
        ),
        name=facts.name,
    )(x)


def dense(
    x: keras.KerasTensor,
    units: int,
    name: str,
    *,
    seed: int,
    dtype: str | None = None,
    initializer: Callable[[int], keras.Initializer] = fan_in_uniform,
) -> keras.KerasTensor:
    """A fully connected layer (B, F) -> (B, units); its bias starts as that of `conv`."""
    return keras.layers.Dense(
        units,
        kernel_initializer=initializer(layer_seed(seed, name)),
        bias_initializer=_bias(x.shape[-1], seed, name) if initializer is fan_in_uniform else "zeros",
        dtype=dtype,
        name=name,
    )(x)


def logits(x: keras.KerasTensor, classes: int, *, seed: int) -> keras.KerasTensor:
    """The last layer of every net, (B, F) -> (B, classes): named `logits`, float32 under every policy, no softmax."""
    return dense(x, classes, "logits", seed=seed, dtype="float32")


def _bias(fan_in: int, seed: int, name: str) -> keras.Initializer:
    bound = 1 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound, seed=layer_seed(seed, f"{name}/bias"))


def batch_norm(
    x: keras.KerasTensor, name: str, *, momentum: float = BN_MOMENTUM, epsilon: float = BN_EPSILON
) -> keras.KerasTensor:
    """Batch normalisation over the channels."""
    return bn.BatchNormalization(momentum=momentum, epsilon=epsilon, name=name)(x)


def relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """max(x, 0) as a layer of its own, so that explanations can swap it."""
    return keras.layers.ReLU(name=name)(x)


def max_pool(x: keras.KerasTensor, size: int, stride: int, name: str) -> keras.KerasTensor:
    """The maximum over size x size, no padding."""
    return keras.layers.MaxPooling2D(size, stride, name=name)(x)


def halved(x: keras.KerasTensor, size: int, name: str) -> keras.KerasTensor:
    """Max-pool of stride 2 in ceil mode: one row and column of zeros last, which only a cut-off window meets.

    Zeros serve as -inf: nothing that comes here is below them, ReLUs stand before.
    """
    x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)
    return max_pool(x, size, 2, name)


def dropout(x: keras.KerasTensor, rate: float, name: str, *, seed: int) -> keras.KerasTensor:
    """Dropout with a seed of its own."""
    return keras.layers.Dropout(rate, seed=layer_seed(seed, name), name=name)(x)


@keras.saving.register_keras_serializable(package="mammo_tf")
class AdaptiveAveragePool(keras.layers.Layer):
    """Averages (B, H, W, C) to (B, side, side, C) as PyTorch's AdaptiveAvgPool2d does, also where H < side.

    Row i of the output is the mean of the rows from floor(i H / side) to ceil((i+1) H / side), exclusive.
    (Keras 3.15's AdaptiveAveragePooling2D cannot be traced for H < side.)
    """

    def __init__(self, side: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.side = side

    def call(self, inputs: Any) -> Any:
        rows, columns = (ops.convert_to_tensor(averaging(n, self.side), inputs.dtype) for n in inputs.shape[1:3])
        return ops.einsum("ih,bhwc,jw->bijc", rows, inputs, columns)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.side, self.side, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "side": self.side}


def averaging(length: int, bins: int) -> np.ndarray:
    """The matrix (bins, length) that takes the mean over each bin.

    >>> averaging(3, 2).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    matrix = np.zeros((bins, length), np.float32)
    for i in range(bins):
        first, last = i * length // bins, -(-(i + 1) * length // bins)
        matrix[i, first:last] = 1 / (last - first)
    return matrix
