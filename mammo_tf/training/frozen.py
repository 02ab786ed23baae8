"""A head on a frozen net: the features below it are computed once, and the head alone is trained, on them.

What is frozen gives each image the same features in every epoch (batch norms keep their statistics there), so the
head learns what it would have learned below the whole net, in a fraction of the time.

    stages = (Stage(50, keras.optimizers.Adam, trainable=conv_head.PREFIXES),)
    method = KerasMethod(net, pipeline, stages, frozen=Frozen(conv_head.CUT, features.of))
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from mammo_tf import cache, cases
from mammo_tf.training import fit as fitting
from mammo_tf.training import parts, scoring

log = logging.getLogger("mammo_tf")


@dataclasses.dataclass(frozen=True)
class Frozen:
    """Where a net is cut.

    Attributes:
        layer: its output is what is kept; all that comes before is frozen. Every path of the net leads through it.
        pipeline: (pipeline of the images, shape (h, w, c)) -> pipeline of feature maps, as `pipeline.features.of`.
    """

    layer: str
    pipeline: Callable[[Any, tuple[int, int, int]], Any]

    def split(self, model: keras.Model) -> tuple[keras.Model, keras.Model]:
        """The net up to the cut and from it on; both share their layers with the whole.

        Raises:
            MammoError: there is no such layer, its output is no feature map, or a path leads past it.
        """
        if self.layer not in (names := [layer.name for layer in model.layers]):
            raise cases.MammoError(f"frozen: no layer {self.layer!r}; the last are {', '.join(names[-5:])}")
        cut = model.get_layer(self.layer).output
        if len(cut.shape) != 4 or None in cut.shape[1:]:
            raise cases.MammoError(f"frozen: {self.layer} gives {cut.shape}; expected a feature map of known size")
        try:
            return keras.Model(model.input, cut, name="frozen"), keras.Model(cut, model.output, name="head")
        except ValueError as error:
            raise cases.MammoError(f"frozen: not all of the net leads through {self.layer} ({error})") from None


def learned(frozen: Frozen, model: keras.Model, data: fitting.Data) -> tuple[keras.Model, fitting.Data]:
    """The head of a net and what it is trained on: the features of the whole training set, and of the other parts.

    Args:
        frozen: where the net is cut.
        model: the whole net; what is learned by its head is learned by it.
        data: of images. Its pipeline augments not at all, or by copies that are drawn once.

    Raises:
        MammoError: as `Frozen.split`; the images are augmented anew in each epoch; views vote (`arrays.groups`).
    """
    base, head = frozen.split(model)
    if data.train.groups is not None:
        raise cases.MammoError("frozen: the examples have several views each; one is expected")
    pipeline, normalizer = data.pipeline, data.normalizer
    keep = _Keep(scoring.make_scorer(base), (parts.digest_variables(base.variables), base.dtype_policy.name))
    enlarged = functools.partial(pipeline.enlarged, data.train, normalizer, data.seed)
    drawn = (data.seed, pipeline.augment, pipeline.copies)
    train = keep(data.train, enlarged, (frozen.layer, normalizer, *drawn))
    others = [
        part and keep(part, functools.partial(pipeline.evaluate, part, normalizer), (frozen.layer, normalizer))
        for part in (data.val, data.watched)
    ]
    log.info("features of %s kept, %s; the head alone is trained", frozen.layer, train.images.shape)
    return head, fitting.Data(
        frozen.pipeline(pipeline, base.output_shape[1:]), None, train, others[0], data.seed, others[1]
    )


@dataclasses.dataclass(frozen=True)
class _Keep:
    """Arrays of images to arrays of features, computed once a process.

    Attributes:
        scorer: images -> features.
        net: what the features depend on besides the images.
    """

    scorer: Callable[..., Any]
    net: tuple[str, ...]

    def __call__(self, arrays: Any, dataset: Callable[[], Any], how: tuple[Any, ...]) -> Any:
        key = ("features", *self.net, parts.digest(arrays), repr(how))
        maps = cache.remembered(key, lambda: scoring.predict(self.scorer, dataset()))
        times = len(maps) // len(arrays)
        return dataclasses.replace(
            arrays,
            images=maps,
            labels=np.tile(arrays.labels, times),
            weights=np.tile(arrays.weights, times),
            ids=arrays.ids * times,
            patients=arrays.patients * times,
            where=None,
        )
