"""Adam through TensorFlow's fused kernel: Keras' optimizer and variables, one op a variable instead of a dozen.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2                        (Kingma and Ba, arXiv:1412.6980)
    w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)

`keras.optimizers.Adam` writes this out for each variable, and a net such as ResNet50 has over 200: tracing and
optimising the graph of its first step takes more than twice as long, and stages and folds have a first step each
(`benchmarks/adam.py`). What the kernel does not do (AMSGrad, sparse gradients) is Keras' own.

    optimizer = adam.Adam(learning_rate=1e-3)
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

ALGORITHM_VERSION = 1


@keras.saving.register_keras_serializable(package="mammo_tf")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`; its arguments, states and, up to rounding, its steps."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable; gradient of its shape."""
        if self.amsgrad or isinstance(gradient, tf.IndexedSlices) or variable.dtype not in ("float32", tf.float32):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        native = variable if isinstance(variable, tf.Variable) else variable.value
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=native.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )
