"""Huo's five features of a mass: spiculation, sharpness of the margin, gray level, contrast, texture.

Source: Huo et al. (1998), Acad. Radiol. 5(3), 155-168, and for the spiculation Huo et al. (1995), Med. Phys. 22(10),
1569-1579, doi:10.1118/1.597626; the hand-crafted baseline of Yi et al. (2017), who name the five. How each is worked
out in detail, and every constant below, is a choice made here. g is the gradient of the image (Gaussian derivatives
of sigma `SIGMA`), R the radius of the disc of the mask's area:

    spiculation  The cumulated edge-gradient histogram: each pixel within `NEAR` R of the margin, outside or inside,
                 adds |g| at the angle between g and the direction to the centroid, 0 to 180 degrees either side.
                 Its full width at half maximum, twice the largest angle at which it still has half its maximum, in
                 degrees, 0 to 360. The gradients of a smooth bright mass point inwards: narrow. Those of spicules
                 point across them: wide.
    sharpness    the mean of |g| along the margin, per pixel
    gray level   the mean of the image in the mass
    contrast     that less the mean of the ring outside, up to `RING` R from the margin
    texture      standard deviation of |g| in the mass without its margin (deeper than 2 `SIGMA`)

The hybrid, a one-step rule followed by a neural network (Huo et al. 1999, Phys. Med. Biol. 44(10), 2579-2595, compare
it with a network alone), is learned on the training part. A mass with a spiculation above the cut-off is called
malignant; all others go to a network of one hidden layer on the other four features (scikit-learn's `MLPClassifier`:
logistic units, L-BFGS, standardised inputs), learned on the training masses that the rule leaves; on all, where it
leaves fewer than `FEW` of a class. The probability above the cut-off is the share of malignant training masses there
by Laplace's rule, (m + 1) / (n + 2): a rule says yes or no, and a probability of 1 would make the log-loss endless.
Where the cut-off lies is not known here: `balanced` takes the best balanced accuracy of the training part; `specific`
spares nearly all benign training masses, and hangs on the most odd few of them.

    huo.features(image, mask)["spiculation"]           # degrees
    huo.learn(features, labels, huo.FEATURES, seed=0)(test_features)             # float32 (N, 2)
"""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import scipy.ndimage
import scipy.special
from numpy.typing import ArrayLike
from sklearn import exceptions, neural_network

from mammo_tf import cases
from mammo_tf.classical import rbst

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")
SIGMA = 1.0  # pixels
NEAR = 0.5  # of R
RING = 0.5  # of R
BINS = 36  # of 5 degrees
SMOOTHING = 2.0  # bins, sigma
FEW = 5
FEATURES = ("spiculation", "sharpness", "gray level", "contrast", "texture")


def features(image: np.ndarray, mask: np.ndarray, spacing_mm: float | None = None) -> dict[str, float]:
    """The five features, in the order of `FEATURES`.

    Args:
        image: (H, W), finite.
        mask: (H, W), True or above 0.5 in the mass; its largest part counts, holes filled.
        spacing_mm: side of a pixel. The sharpness is per mm with it, per pixel without it (None).

    Raises:
        MammoError: the mask is empty, or of another shape than the image.
    """
    image, mask = _checked(image, mask)
    scale = 1.0 if spacing_mm is None else spacing_mm
    depth = scipy.ndimage.distance_transform_edt(mask)
    core = depth > min(2 * SIGMA, depth.max() - 1)
    return {
        "spiculation": spiculation(image, mask),
        "sharpness": edge_sharpness(image, mask) / scale,
        "gray level": float(image[mask].mean()),
        "contrast": contrast(image, mask),
        "texture": float(np.hypot(*_gradient(image))[core].std() / scale),
    }


def spiculation(image: np.ndarray, mask: np.ndarray) -> float:
    """Full width at half maximum of the cumulated edge-gradient histogram, degrees in (0, 360].

    360 for an image without edges, whose histogram is flat.

    Raises:
        MammoError: the mask is empty, or of another shape than the image.
    """
    return half_width(edge_histogram(image, mask))


def edge_histogram(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The cumulated edge-gradient histogram, (BINS,) shares over 0 to 180 degrees from the direction to the centroid.

    Raises:
        MammoError: the mask is empty, or of another shape than the image.
    """
    image, mask = _checked(image, mask)
    near = _distance(mask) <= max(2.0, NEAR * _radius(mask))
    dy, dx = (part[near] for part in _gradient(image))
    y, x = np.nonzero(near)
    centre = np.argwhere(mask).mean(axis=0)
    in_y, in_x = centre[0] - y, centre[1] - x
    angle = np.degrees(np.abs(np.arctan2(dy * in_x - dx * in_y, dy * in_y + dx * in_x)))
    strength = np.hypot(dy, dx)
    histogram = np.histogram(angle, bins=BINS, range=(0, 180), weights=strength)[0]
    smooth = scipy.ndimage.gaussian_filter1d(histogram, SMOOTHING, mode="reflect")
    return smooth / smooth.sum() if smooth.sum() > 0 else np.full(BINS, 1 / BINS)


def half_width(histogram: np.ndarray) -> float:
    """Twice the largest angle at which a histogram over 0 to 180 degrees has half its maximum.

    >>> half_width(np.array([4.0, 4.0, 0.0, 0.0]))          # centres at 22.5, 67.5, ... degrees; half at 90
    180.0
    """
    step, half = 180 / len(histogram), np.max(histogram) / 2
    last = int(np.flatnonzero(histogram >= half)[-1])
    if last == len(histogram) - 1:
        return 360.0
    drop = histogram[last] - histogram[last + 1]
    return float(2 * step * (last + 0.5 + (histogram[last] - half) / drop))


def edge_sharpness(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean length of the gradient along the margin, in gray values per pixel.

    Raises:
        MammoError: the mask is empty, or of another shape than the image.
    """
    image, mask = _checked(image, mask)
    strength = np.hypot(*_gradient(image))
    return float(scipy.ndimage.map_coordinates(strength, rbst.margin(mask).T, order=1, mode="nearest").mean())


def contrast(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean gray value in the mass less that of the ring round it; 0 where the mass fills the image.

    Raises:
        MammoError: the mask is empty, or of another shape than the image.
    """
    image, mask = _checked(image, mask)
    outside = scipy.ndimage.distance_transform_edt(~mask) if not mask.all() else np.zeros(mask.shape)
    ring = (outside > 0) & (outside <= max(2.0, RING * _radius(mask)))
    return float(image[mask].mean() - image[ring].mean()) if ring.any() else 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Hybrid:
    """The rule and the network, a function of features.

    Attributes:
        names: of the columns, (F,); "spiculation" is one of them, the network takes the others.
        cutoff: of the spiculation, in degrees.
        caught: probability of class 1 above it.
        mean, scale: (F - 1,), of the network's inputs.
        hidden, hidden_bias: (F - 1, units) and (units,).
        out, out_bias: (units,) and (1,).
    """

    names: tuple[str, ...]
    cutoff: float
    caught: float
    mean: np.ndarray
    scale: np.ndarray
    hidden: np.ndarray
    hidden_bias: np.ndarray
    out: np.ndarray
    out_bias: np.ndarray

    @property
    def selected(self) -> tuple[str, ...]:
        """All of them: nothing is selected."""
        return self.names

    def __call__(self, features: ArrayLike) -> np.ndarray:
        """Features (N, F) -> probabilities of class 0 and 1, float32 (N, 2).

        Raises:
            MammoError: another number of features.
        """
        measure, rest = _parted(np.asarray(features, np.float64), self.names)
        units = scipy.special.expit((rest - self.mean) / self.scale @ self.hidden + self.hidden_bias)
        network = scipy.special.expit(units @ self.out + self.out_bias)
        p = np.where(measure > self.cutoff, self.caught, network)
        return np.stack([1 - p, p], axis=1).astype(np.float32)


def learn(
    features: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    seed: int,
    *,
    units: int = 3,
    cutoff: Callable[[np.ndarray, np.ndarray], float] | None = None,
) -> Hybrid:
    """Learns the cut-off and the network.

    Args:
        features: (N, F), finite.
        labels: 0/1 (N,), both classes.
        names: of the columns, "spiculation" among them.
        seed: of the network's first weights.
        units: of the hidden layer.
        cutoff: (spiculation (N,), labels (N,)) -> the rule's cut-off; None for `balanced`.

    Raises:
        MammoError: shapes or names that do not agree, labels other than 0 and 1 or of one class.
    """
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    measure, rest = _parted(features, names)
    if labels.shape != (len(features),) or set(np.unique(labels).tolist()) != {0, 1}:
        raise cases.MammoError(f"huo: labels {labels.shape} for {features.shape}; expected 0 and 1, and both of them")
    limit = (cutoff or balanced)(measure, labels)
    above = measure > limit
    left = ~above if min(np.bincount(labels[~above].astype(int), minlength=2)) >= FEW else np.ones_like(above)
    mean, scale = rest[left].mean(axis=0), rest[left].std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    network = neural_network.MLPClassifier(
        (units,), activation="logistic", solver="lbfgs", alpha=0.1, max_iter=1000, random_state=seed
    )
    with warnings.catch_warnings(record=True, category=exceptions.ConvergenceWarning) as stopped:
        network.fit((rest[left] - mean) / scale, labels[left].astype(int))
    if stopped:
        LOG.info("huo: the network stopped after %d steps, before it had converged", network.n_iter_)
    (hidden, out), (hidden_bias, out_bias) = network.coefs_, network.intercepts_
    caught = (int(labels[above].sum()) + 1) / (int(above.sum()) + 2)
    return Hybrid(tuple(names), limit, caught, mean, scale, hidden, hidden_bias, out[:, 0], out_bias)


def balanced(measure: np.ndarray, labels: np.ndarray) -> float:
    """The cut-off of the best balanced accuracy, the highest of equals; what lies above it is called 1.

    >>> balanced(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]))
    2.0
    """
    values = np.unique(measure)[::-1]
    gains = [(measure[labels == 1] > v).mean() - (measure[labels == 0] > v).mean() for v in values]
    return float(values[np.argmax(gains)])


def specific(measure: np.ndarray, labels: np.ndarray, share: float = 0.99) -> float:
    """The lowest cut-off at or below which a share of the benign masses lies.

    >>> specific(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 0, 1]), share=0.6)
    2.0
    """
    return float(np.quantile(measure[labels == 0], share, method="inverted_cdf"))


def _parted(features: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The spiculation (N,) and the other features (N, F - 1)."""
    if "spiculation" not in names or features.ndim != 2 or features.shape[1] != len(names):
        raise cases.MammoError(f"huo: features {features.shape} for the names {tuple(names)}, spiculation among them")
    column = tuple(names).index("spiculation")
    return features[:, column], np.delete(features, column, axis=1)


def _distance(mask: np.ndarray) -> np.ndarray:
    """To the margin, in pixels, inside and outside."""
    padded = np.pad(mask, 1)  # what the border cuts is margin too
    inside = scipy.ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    outside = scipy.ndimage.distance_transform_edt(~padded)[1:-1, 1:-1]
    return np.where(mask, inside, outside) - 0.5


def _radius(mask: np.ndarray) -> float:
    return float(np.sqrt(mask.sum() / np.pi))


def _gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        scipy.ndimage.gaussian_filter(image, SIGMA, order=order, mode="nearest") for order in ((1, 0), (0, 1))
    )


def _checked(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    image, mask = np.asarray(image, np.float64), np.asarray(mask) > 0.5
    if image.ndim != 2 or image.shape != mask.shape:
        raise cases.MammoError(f"huo: image and mask differ, {image.shape} and {mask.shape}")
    if not mask.any():
        raise cases.MammoError("huo: the mask is empty, there is no mass")
    return image, mask
