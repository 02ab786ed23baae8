"""Does a map hang on what the net has learned? It is explained again with random weights, and should change.

Adebayo et al. 2018 (arXiv:1810.03292). The layers that have weights, from the logits down, in stages:

    cascade       stages 1 .. k are random, all below are as learned
    independent   stage k alone is random

    rank = Spearman's correlation of |map| before and |map| after                 ("Rank Correlation (ABS)" there)
    SSIM = structural similarity of both, each over its maximum                   (Wang et al. 2004,
                                                                                   doi:10.1109/TIP.2003.819861)
A map that is alike with every layer random is a picture of the image, not of the net. Some likeness comes from the
image in any method (which ReLUs are open, gradient x input), so the numbers compare methods on one net. Random
weights are the learned ones in another order, each variable by itself, moving statistics too: the scale and spread of
every variable stay. A variable of equal values stays what it is.

    found = sanity.check(gradients.saliency, model, images, classes)
    found.cascade[-1].mean()                     # every weight random: far below 1 for a map of the net
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
from skimage import metrics

from mammo_tf import cases
from mammo_tf.explain import answers, dream_measures, kept, localisation

ALGORITHM_VERSION = 1
_WINDOW = 7  # pixels, scikit-image's default


@dataclasses.dataclass(frozen=True)
class Randomisation:
    """Settings.

    Attributes:
        stages: how many runs of neighbouring layers, about as many layers in each; None for each layer by itself.
            A map is made twice for each.
        seed: fixes the order of the weights of each layer by (seed, its number from the logits).
    """

    stages: int | None = 8
    seed: int = 0

    def __post_init__(self):
        if self.stages is not None and self.stages < 1:
            raise cases.MammoError(f"sanity: stages must be 1 or more, or None; found {self.stages}")


@dataclasses.dataclass(frozen=True)
class Sanity:
    """How alike the maps are before and after.

    Attributes:
        stages: names of the layers of each of S stages, from the logits down.
        cascade, independent: (S, N) float64, `rank_similarity`.
        cascade_ssim, independent_ssim: (S, N) float64, `ssim`.
    """

    stages: tuple[tuple[str, ...], ...]
    cascade: np.ndarray
    independent: np.ndarray
    cascade_ssim: np.ndarray
    independent_ssim: np.ndarray


def check(
    explainer: answers.Explainer,
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None = None,
    settings: Randomisation | None = None,
    before: np.ndarray | None = None,
) -> Sanity:
    """Both tests; the model stays as it is.

    Args:
        explainer: (model, images, classes) -> maps (N, H, W) or (N, H, W, C), channels added up.
        model: functional or sequential, images (B, H, W, C) -> logits (B, K).
        classes: one for all or (N,); None: the class that the net predicts before it is changed.
        settings: None for the defaults.
        before: the explainer's maps (N, H, W) of the net as it is, where they are known.
    """
    settings = settings or Randomisation()
    images, classes = answers.checked(model, images, classes, "sanity")
    before = answers.explained(explainer, model, images, classes) if before is None else before
    rank, likeness = [], []
    for cascade in (True, False):
        for net in randomised(model, settings, cascade=cascade):
            after = answers.explained(explainer, net, images, classes)
            rank.append(rank_similarity(before, after))
            likeness.append(ssim(before, after))
    names = tuple(tuple(layer.name for layer in part) for part in _staged(weighted(model), settings))
    (a, b), (c, d) = (np.reshape(found, (2, len(names), len(images))) for found in (rank, likeness))
    return Sanity(names, a, b, c, d)


def randomised(model: keras.Model, settings: Randomisation, *, cascade: bool) -> Iterator[keras.Model]:
    """One copy of the model again and again, with the weights of each stage in turn.

    The copy is kept with the model, so that what was traced of it is there the next time: one walk at a time.

    Raises:
        MammoError: no layer has weights.
    """
    copy = kept.twin(model, "randomised", lambda: keras.models.clone_model(model))
    layers = weighted(copy)
    learned = [layer.get_weights() for layer in layers]
    for stage in _staged(range(len(layers)), settings):
        for i in stage:
            layers[i].set_weights(_permuted(learned[i], np.random.default_rng((settings.seed, i))))
        yield copy
        if not cascade:
            for i in stage:
                layers[i].set_weights(learned[i])


def weighted(model: keras.Model) -> list[keras.Layer]:
    """The layers that have weights, from the output down, those of nested models among them.

    Raises:
        MammoError: there is none.
    """
    found = _weighted(model)[::-1]
    if not found:
        raise cases.MammoError(f"sanity: expected layers with weights, {model.name} has none")
    return found


def _weighted(model: keras.Model) -> list[keras.Layer]:
    found = []
    for layer in model.layers:
        found += _weighted(layer) if isinstance(layer, keras.Model) else [layer] * bool(layer.weights)
    return found


def _staged(items: list | range, settings: Randomisation) -> list[list]:
    count = min(settings.stages or len(items), len(items))
    return [[items[i] for i in part] for part in np.array_split(np.arange(len(items)), count)]


def _permuted(weights: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    return [_reordered(w.ravel(), rng).reshape(w.shape) for w in weights]


def _reordered(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if np.all(values == values[:1]):
        return values
    found = values
    while np.array_equal(found, values):  # a variable of two values would stay as it was every other time
        found = rng.permutation(values)
    return found


def rank_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation of the absolute values of each pair of maps (N, H, W): (N,) float64 in [-1, 1].

    0 where one of the two is constant, as that of a net whose random layers are silent; NaN where both are.

    >>> up = np.array([[[-4.0, 1.0], [2.0, 3.0]]])
    >>> [rank_similarity(up, other).item() for other in (up**2, 1 / up, 0 * up)]
    [1.0, -1.0, 0.0]
    """
    a, b = (localisation.ranks(np.abs(maps)) for maps in (first, second))
    found = dream_measures.correlation(a, b)
    varies = (np.ptp(a, axis=(1, 2)) > 0) | (np.ptp(b, axis=(1, 2)) > 0)
    return np.where(np.isnan(found) & varies, 0.0, found)


def ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean SSIM of |map| / max |map| of each pair (N, H, W): (N,) float64; windows of 7 x 7, NaN for smaller maps."""
    if min(first.shape[1:]) < _WINDOW:
        return np.full(len(first), np.nan)
    pairs = zip(_over_maximum(first), _over_maximum(second), strict=True)
    return np.array([metrics.structural_similarity(a, b, win_size=_WINDOW, data_range=1.0) for a, b in pairs], float)


def _over_maximum(maps: np.ndarray) -> np.ndarray:
    strength = np.abs(maps)
    top = strength.max(axis=(1, 2), keepdims=True)
    return np.divide(strength, top, out=np.zeros_like(strength), where=top > 0)
