"""A net with the weights that it starts from, applied as it is: inference without a single step of training.

fitted = Untrained(KerasMethod(net, pipeline, stages, pretrained=load, ...)).fit(train, val, context)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from mammo_tf import cases
from mammo_tf.training import fitted, precision
from mammo_tf.training import method as training

ALGORITHM_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Untrained:
    """The method; of `base` the net, pipeline and weights count, and the stages do not.

    Attributes:
        base: has `pretrained`, and a pipeline whose normalisation takes nothing from training images.
    """

    base: training.KerasMethod

    @property
    def pipeline(self) -> Any:
        return self.base.pipeline

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Any:
        """The net; training and validation parts are not looked at but for the normalisation.

        Raises:
            MammoError: no weights were given, or the net has other classes.
            DataError: the weights cannot be read or do not fit.
        """
        del val
        base = self.base
        chosen = precision.resolve(context.precision, own=base.precision)
        arrays = base.pipeline.load(train[:1], strict=context.strict)
        base.check_weights(context)
        return fitted.Fitted(
            model=base.build(context, chosen),
            normalizer=base.pipeline.normalize(arrays.images),
            pipeline=base.pipeline,
            history=[],
            best_epoch=0,
            val_reads=0,
            precision=chosen.policy,
            device=precision.describe_device(),
        )
