"""Progressive resizing: a net learns on small images first, then goes on with larger ones.

"Low Resource Breast Cancer Detection with Mammograms", section 5, names it beside the phases of training. Each size
is a whole training of its own (`KerasMethod`), with its stages, its checkpoint and its choice of an epoch; the next
one starts from all its weights. The net must take images of any size: convolutions, then an average over the image.

    method = Progressive(KerasMethod(net, pipeline, stages, ...), sides=(112,))
    method.fit(train, val, context)                # 112 pixels, then those of the pipeline
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from mammo_tf import cases
from mammo_tf.training import around, checkpoint, fitted
from mammo_tf.training import method as training

ALGORITHM_VERSION = 1
log = logging.getLogger("mammo_tf")


@dataclasses.dataclass(frozen=True)
class Progressive(around.Around):
    """A method trained on images of several sizes.

    Attributes:
        inner: on the largest images; has no `start` of its own.
        sides: the smaller ones, rising, each one number; may be empty.
    """

    inner: training.KerasMethod
    sides: tuple[int, ...] = ()

    def __post_init__(self):
        largest = min(self.inner.pipeline.shape)
        if list(self.sides) != sorted({*self.sides}) or any(not 0 < side < largest for side in self.sides):
            raise cases.MammoError(f"progressive: sides {self.sides} must rise and be below {largest}")
        if self.inner.start is not None:
            raise cases.MammoError("progressive: the first size starts the second, so there can be no other start")

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Any:
        """Trains size by size; the smaller ones go to `side<n>` below the folder.

        Raises:
            MammoError: as `KerasMethod.fit`.
        """
        found, folder = None, pathlib.Path(context.folder)
        smaller = {**context.inputs, **{f"side{side}": folder / f"side{side}" for side in self.sides}}
        for number, side in enumerate((*self.sides, None)):
            method = self.inner
            if side is not None:
                method = dataclasses.replace(method, pipeline=dataclasses.replace(method.pipeline, side=side))
            if number:
                before = f"side{self.sides[number - 1]}"
                method = dataclasses.replace(method, pretrained=None, start=functools.partial(go_on, before=before))
            there = folder if side is None else folder / f"side{side}"
            log.info("progressive: side %s", method.pipeline.side)
            checkpoint.make_folder(there)
            found = method.fit(train, val, dataclasses.replace(context, folder=there, inputs=smaller))
            if side is not None:
                found.save(there)
        return found


def go_on(model: keras.Model, context: cases.Context, *, before: str) -> None:
    """`KerasMethod.start`: all weights of the net that was trained on smaller images."""
    path = pathlib.Path(context.inputs[before]) / fitted.MODEL_FILE
    earlier = keras.saving.load_model(path, compile=False)
    for ours, theirs in zip(model.layers, earlier.layers, strict=True):
        if ours.name != theirs.name:
            raise cases.DataError(path, f"has a layer {theirs.name} where this net has {ours.name}")
        ours.set_weights(theirs.get_weights())
