"""A net cut at a layer, with its weights, as `classical.deep_features` takes it; and the images that it is given.

resnet50 = Cut(resnet50.resnet50_features, (224, 224, 3), keras_weights.load_by_name)
image = Picture((224, 224), normalize.imagenet_caffe)
measure = deep_features.DeepFeatures((resnet50,), image, deep_features.pooled)(context)
measure(examples)                                                           # (N, 2048)
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from mammo_tf import cases, describe
from mammo_tf.classical import deep_features
from mammo_tf.pipeline import resize
from mammo_tf.training import precision, scoring

ALGORITHM_VERSION = 1
MOST = 4  # nets that a process keeps
_BUILT: collections.OrderedDict[str, deep_features.Net] = collections.OrderedDict()


@dataclasses.dataclass(frozen=True)
class Cut:
    """Context -> `deep_features.Net`, in float32 and inference mode.

    Attributes:
        net: images (B, H, W, C) -> feature map or vectors, `net(x)`.
        shape: (H, W, C) of the images; H and W may be None.
        load: (model, file) -> None puts the weights of `Context.weights` into it.
    """

    net: Callable[..., keras.KerasTensor]
    shape: tuple[int | None, int | None, int]
    load: Callable[[keras.Model, pathlib.Path], None]

    def __call__(self, context: cases.Context) -> deep_features.Net:
        """The net with the weights of this context; one that the process has built is not built again.

        Raises:
            DataError: the file is missing, cannot be read, or does not fit the net.
            MammoError: no weights were given.
        """
        if context.weights is None:
            raise cases.MammoError(
                "features: this net needs weights and none were given; name their source with --weights imagenet, "
                "--weights FILE or --weights phantom"
            )
        path = pathlib.Path(context.weights)
        if not path.is_file():
            raise cases.DataError(path, "no such file of pre-trained weights")
        digest = describe.digest(self, hashlib.sha256(path.read_bytes()).hexdigest())
        if digest not in _BUILT:
            while len(_BUILT) >= MOST:
                _BUILT.popitem(last=False)
            _BUILT[digest] = deep_features.Net(self._scorer(path), digest)
        _BUILT.move_to_end(digest)
        return _BUILT[digest]

    def _scorer(self, path: pathlib.Path) -> Callable[[np.ndarray], object]:
        with precision.policy(precision.resolve("float32")):
            image = keras.Input(self.shape, name="image")
            model = keras.Model(image, self.net(image), name="features")
        self.load(model, path)
        return scoring.make_scorer(model)


@dataclasses.dataclass(frozen=True)
class Picture:
    """View -> (H, W, C) float32: the whole image, resized and normalised as a training pipeline does it.

    Attributes:
        shape: (height, width); None leaves the image as it is.
        normalize: as that of `pipeline.build.Pipeline`; must take nothing from training images.
        channels: copies of the gray channel.
        resize: a rule of `pipeline.resize`.
    """

    shape: tuple[int, int] | None
    normalize: Callable[..., Callable]
    channels: int = 3
    resize: resize.Rule = resize.area

    def __call__(self, view: cases.View) -> np.ndarray:
        image = view.pixels().astype(np.float32) / view.max_value
        if self.shape:
            image = self.resize(image, *self.shape)
        normalizer = self.normalize(np.zeros((0, 1, 1), np.uint16), channels=self.channels)
        return np.asarray(normalizer(np.clip(image, 0.0, 1.0)[None, ..., None]))[0]
