"""Batch normalisation through TensorFlow's fused kernel: Keras' layer, its weights and numbers, less time.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta                 (Ioffe and Szegedy 2015, arXiv:1502.03167)
    moving <- momentum moving + (1 - momentum) batch statistic

`keras.layers.BatchNormalization` computes this on TensorFlow from a dozen separate ops, in float32 copies of the
activations. `FusedBatchNormV3` is one op that reads half precision and keeps the statistics in float32. The variance
that it returns is the unbiased one, n/(n-1) times that of the batch (Bessel's factor, n = B H W); Keras averages the
biased one, so the factor is undone. On other backends, and for what the kernel does not do, the layer is Keras' own.
This is the one place in `models` that looks at the backend.

    x = batch_norm.BatchNormalization(momentum=0.9, epsilon=1e-5, name="stem_bn")(x)
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

ALGORITHM_VERSION = 1


@keras.saving.register_keras_serializable(package="mammo_tf")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, fused where x is (B, H, W, C) in float32, bfloat16 or float16."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises (B, H, W, C) by the batch (training and trainable) or by the moving statistics."""
        if mask is not None or not self._fusible(inputs):
            return super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            return self._by_batch(inputs)
        return self._kernel(inputs, self.moving_mean, self.moving_variance, training=False)[0]

    def _fusible(self, x: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(x.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(x.dtype) in ("float32", "bfloat16", "float16")
            and self.variable_dtype == "float32"
            and not (self.renorm or self.synchronized)
        )

    def _by_batch(self, x: Any) -> Any:
        y, mean, unbiased = self._kernel(x, [], [], training=True)
        n = ops.cast(ops.prod(ops.shape(x)[:3]), "float32")
        variance = unbiased * (ops.maximum(n - 1.0, 1.0) / n)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return y

    def _kernel(self, x: Any, mean: Any, variance: Any, *, training: bool) -> tuple[Any, Any, Any]:
        import tensorflow as tf

        channels = x.shape[-1]
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.gamma if self.scale else tf.ones(channels),
            offset=self.beta if self.center else tf.zeros(channels),
            mean=tf.convert_to_tensor(mean, "float32"),
            variance=tf.convert_to_tensor(variance, "float32"),
            epsilon=self.epsilon,
            is_training=training,
        )
        return y, mean, variance
