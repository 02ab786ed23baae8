"""Methods made of the nets of earlier runs: averages of nets, a net as it is, nets that go on learning, two steps.

A run names what it needs (`Run.needs`); `Context.inputs` gives the folders, by run name. A folder holds the net
(`model.keras`) and what its images go through (`preprocessing.json`), so nothing here knows a paper.

    Ensemble((("resnet_resnet",), ("vgg_vgg",)), flips=True).fit(train, val, context)(examples)      # (N, 2)
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from mammo_tf import artifacts, cases
from mammo_tf.classical import forest, heatmap_regions
from mammo_tf.evaluation import combine, metrics
from mammo_tf.models import all_conv
from mammo_tf.pipeline import build, normalize, resize, views
from mammo_tf.training import method as training

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")
BATCH = 8  # images a batch; it changes no number
PIPELINES = {None: build.Pipeline, views.PARALLEL: views.ParallelPipeline, views.PAIR: views.PairPipeline}


def load(folder: pathlib.Path) -> training.Fitted:
    """The fitted net of a finished run, computing as it did in training.

    Raises:
        cases.DataError: the folder holds no net.
    """
    folder = pathlib.Path(folder)
    try:
        contract = json.loads((folder / "preprocessing.json").read_text())
    except OSError as error:
        raise cases.DataError(folder, f"holds no preprocessing.json of a net: {error.strerror}") from None
    normalizer = normalize.from_description(contract["normalization"])
    side = contract["side"]
    pipeline = PIPELINES[contract.get("views")](
        tuple(side) if isinstance(side, list) else side,
        normalize.per_image,
        batch=BATCH,
        channels=normalizer.channels,
        resize=resize.named(contract.get("resize", "area")),
        margin=contract.get("margin", 0),
    )
    return training.load_fitted(folder, pipeline, normalizer)


def input_of(context: cases.Context, name: str) -> pathlib.Path:
    """The folder of a needed run.

    Raises:
        cases.MammoError: the run does not name it among its needs.
    """
    if name not in context.inputs:
        have = ", ".join(context.inputs) or "nothing"
        raise cases.MammoError(f"the run needs {name}, and `needs` gives {have}")
    return pathlib.Path(context.inputs[name])


@dataclasses.dataclass(frozen=True)
class AsIs:
    """A net of an earlier run, applied without learning anything (Table 4 with 0 patients)."""

    need: str

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Any:
        fitted = load(input_of(context, self.need))
        return dataclasses.replace(fitted, history=[], best_epoch=0)  # nothing was trained here


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """The average of several nets' probabilities (Shen et al. 2019, section 3.1.4, "model averaging").

    Attributes:
        families: names of needed runs; of each family the one with the best validation AUC is a member.
        flips: average over an image's four flips first ("augmented prediction").
    """

    families: tuple[tuple[str, ...], ...]
    flips: bool = True

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Any:
        chosen = [self._best(family, val, context) for family in self.families]
        LOG.info("ensemble of %s", ", ".join(name for name, _ in chosen))
        return Averaged(tuple(fitted for _, fitted in chosen), self.flips, tuple(name for name, _ in chosen))

    def _best(
        self, family: tuple[str, ...], val: Sequence[cases.Example], context: cases.Context
    ) -> tuple[str, training.Fitted]:
        nets = [(name, load(input_of(context, name))) for name in family]
        if len(nets) == 1:
            return nets[0]
        labels = [example.label for example in val]
        return max(nets, key=lambda pair: metrics.auc(labels, predict(pair[1], val, self.flips)[:, 1]))


def predict(fitted: training.Fitted, examples: Sequence[cases.Example], flips: bool) -> np.ndarray:
    """Probabilities (N, C), of the images or averaged over their four flips."""
    return combine.four_flips(fitted.four_flips(examples)) if flips else fitted(examples)


@dataclasses.dataclass(frozen=True)
class Averaged:
    """Several nets as one `predict`."""

    nets: tuple[training.Fitted, ...]
    flips: bool
    members: tuple[str, ...]

    def __call__(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """Probabilities (N, C) float32."""
        return combine.average(np.stack([predict(net, examples, self.flips) for net in self.nets]))


def from_patch_net(model: keras.Model, context: cases.Context, *, need: str) -> None:
    """`KerasMethod.start`: the weights of a patch net into a whole-image net, layer by layer, by name."""
    all_conv.patch_weights(model, input_of(context, need) / training.MODEL_FILE)


def from_whole_net(model: keras.Model, context: cases.Context, *, need: str) -> None:
    """`KerasMethod.start`: all weights of an earlier run's net, which goes on learning."""
    earlier = keras.saving.load_model(input_of(context, need) / training.MODEL_FILE, compile=False)
    theirs = {layer.name: layer.get_weights() for layer in earlier.layers}
    ours = {layer.name for layer in model.layers}
    if odd := sorted(ours.symmetric_difference(theirs)):
        raise cases.MammoError(f"{need}: its net has other layers than this one's: {', '.join(odd[:5])}")
    for layer in model.layers:
        layer.set_weights(theirs[layer.name])


@functools.lru_cache(maxsize=2)
def heatmap_net(folder: pathlib.Path, shape: tuple[int, int]) -> training.Fitted:
    """The patch net of a run's folder as a net that gives whole images a heatmap (N, u, v, classes)."""
    patch = load(folder)
    side = patch.pipeline.shape[0]
    model = all_conv.heatmap_net(
        patch.model, pool=max(1, side // 32), input_shape=(*shape, patch.pipeline.channels), activation="softmax"
    )
    return dataclasses.replace(patch, model=model, pipeline=dataclasses.replace(patch.pipeline, side=shape))


def heatmaps(net: training.Fitted, examples: Sequence[cases.Example]) -> np.ndarray:
    """Probabilities of each class over the image, (N, u, v, classes) float32."""
    arrays = net.pipeline.load(examples, strict=True)
    batches = net.pipeline.evaluate(arrays, net.normalizer)
    return np.concatenate([np.asarray(net.model(images, training=False), np.float32) for images, _, _ in batches])


@dataclasses.dataclass(frozen=True)
class TwoStep:
    """A random forest on regions of the patch net's heatmap (Shen et al. 2019, section 3.1.4, "two-step approach").

    Attributes:
        need: the run of the patch net.
        shape: (height, width) of the whole image.
        forest: (features, labels, seed) -> features -> probabilities.
    """

    need: str
    shape: tuple[int, int]
    forest: Callable[..., Any] = forest.forest

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Any:
        net = heatmap_net(input_of(context, self.need), self.shape)
        features = heatmap_regions.features(heatmaps(net, train))[0]
        labels = np.array([example.label for example in train]).astype(int)
        return RegionForest(net, self.forest(features, labels, context.seed))


@dataclasses.dataclass(frozen=True)
class RegionForest:
    """The fitted two steps."""

    net: training.Fitted
    predict: Callable[[np.ndarray], np.ndarray]

    @property
    def precision(self) -> str:
        return self.net.precision

    def __call__(self, examples: Sequence[cases.Example]) -> np.ndarray:
        """Probabilities (N, 2) float32."""
        return self.predict(heatmap_regions.features(heatmaps(self.net, examples))[0])


@dataclasses.dataclass(frozen=True)
class HardPatches:
    """A patch net trained on the patches that an earlier one finds hard (suggested in section 4; not in the paper).

    Attributes:
        inner: how it is trained.
        need: the run of the earlier patch net.
        select: (examples, probabilities) -> examples (`patch_choice.hard`).
    """

    inner: training.KerasMethod
    need: str
    select: Callable[..., Sequence[cases.Example]]

    @property
    def pipeline(self) -> Any:
        return self.inner.pipeline

    @property
    def stages(self) -> Any:
        return self.inner.stages

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Any:
        folder = input_of(context, self.need)
        earlier = training.load_fitted(folder, self.pipeline, load(folder).normalizer)
        chosen = self.select(train, earlier(train))
        LOG.info("hard patches: %d of %d", len(chosen), len(train))
        return self.inner.fit(chosen, val, context)


def patch_folder(folder: pathlib.Path) -> pathlib.Path | None:
    """The folder of the patch net that a run started from, however many runs back; None where there is none."""
    folder = pathlib.Path(folder)
    if _is_patch_net(folder):
        return folder
    file = next((f for f in (folder / "needs.json", folder.parent / "needs.json") if f.is_file()), None)
    for beside in json.loads(file.read_text()).values() if file else ():
        if found := patch_folder((file.parent / beside).resolve()):
            return found
    return None


def _is_patch_net(folder: pathlib.Path) -> bool:
    predictions = folder / "predictions.csv"
    return (
        (folder / training.MODEL_FILE).is_file()
        and predictions.is_file()
        and (artifacts.read_predictions(predictions).classes > 2)
    )
