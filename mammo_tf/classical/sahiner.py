"""Sahiner's method: texture of the straightened band and shape of the mass, stepwise selection, linear discriminant.

Source: Sahiner et al. (1998, doi:10.1118/1.598228) for band, texture, selection and discriminant; Yi et al. (2017)
name morphological features beside them, for which see `morphology`. The features of one view are

    SGLD   co-occurrence features (`texture.cooccurrence_features`) of the band, at `DISTANCES`, in four directions
    RLS    run-length features (`texture.run_length_features`) along and across the margin of the band's two gradient
           images, |Sobel| across the rows and across the columns
    shape  `morphology.features`, and `huo.contrast`

The original takes a band of 40 pixels at 0.1 mm. Here the width is an argument, as pixels have other sizes;
the distances are a choice made here, and so are gray values in `LEVELS` steps, or the matrix of a short band would be
all but empty.

    found = sahiner.features(image, mask)                       # {"SGLD energy, distance 1, 0 degrees": ...}
    sahiner.learn(features, labels, names, seed=0)(test_features)             # float32 (N, 2)
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import scipy.special
from numpy.typing import ArrayLike
from skimage import filters
from sklearn import discriminant_analysis

from mammo_tf import cases
from mammo_tf.classical import huo, morphology, rbst, select, texture

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")
WIDTH = 32  # pixels; 4 mm, as in the paper, where a pixel is 0.125 mm
LEVELS = 32
DISTANCES = (1, 2, 4, 8)


def features(
    image: np.ndarray,
    mask: np.ndarray,
    spacing_mm: float | None = None,
    *,
    width: int = WIDTH,
    distances: Sequence[int] = DISTANCES,
) -> dict[str, float]:
    """Texture and shape of one mass.

    Args:
        image: (H, W), finite.
        mask: (H, W), True or above 0.5 in the mass.
        spacing_mm: side of a pixel, for area and perimeter, or None.
        width: of the band, in pixels, larger than every distance.
        distances: of the co-occurrence matrices, in pixels; one as large as the margin is long cannot be measured.

    Raises:
        MammoError: the mask is empty, or too small for a distance.
    """
    band = rbst.straightened(image, mask, width=width).values
    gray = texture.levels_of(band, LEVELS)
    found = {
        f"SGLD {name}": value
        for name, value in texture.cooccurrence_features(gray, LEVELS, distances=distances).items()
    }
    for name, edges in (("across", filters.sobel_h(band)), ("along", filters.sobel_v(band))):
        strength = texture.levels_of(np.abs(edges), LEVELS)
        runs = texture.run_length_features(strength, LEVELS, angles=(0, 90))
        found |= {f"RLS {key} of the gradient {name} the margin": value for key, value in runs.items()}
    shape = morphology.features(mask, spacing_mm) | {"contrast": huo.contrast(image, mask)}
    return found | {f"shape {name}": value for name, value in shape.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Discriminant:
    """A linear discriminant on selected features, a function of all of them.

    Attributes:
        names: of all columns, (F,).
        columns: those selected, (S,) integers, in the order in which they entered.
        mean, scale: (S,), of the training part.
        weights: (S,), of the standardised features.
        intercept: (1,).
    """

    names: tuple[str, ...]
    columns: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray

    @property
    def selected(self) -> tuple[str, ...]:
        """The names of the features that count, in the order in which they entered."""
        return tuple(self.names[column] for column in self.columns)

    def __call__(self, features: ArrayLike) -> np.ndarray:
        """Features (N, F) -> probabilities of class 0 and 1, float32 (N, 2).

        Raises:
            MammoError: another number of features.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.names):
            raise cases.MammoError(f"sahiner: features {features.shape}; it was learned on {len(self.names)}")
        z = (features[:, self.columns] - self.mean) / self.scale
        p = scipy.special.expit(z @ self.weights + self.intercept)
        return np.stack([1 - p, p], axis=1).astype(np.float32)


def learn(
    features: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    seed: int,
    *,
    f_in: float = select.F_IN,
    f_out: float = select.F_OUT,
    most: int | None = None,
) -> Discriminant:
    """Selects features stepwise and fits the discriminant (scikit-learn's, priors as in the training part).

    Where no feature reaches `f_in`, the answer is the share of class 1 for every mass, and the log says so.

    Args:
        features: (N, F), finite.
        labels: 0/1 (N,), both classes.
        names: of the columns.
        seed: not used: nothing is drawn.
        f_in, f_out, most: as for `select.stepwise`.

    Raises:
        MammoError: shapes or names that do not agree, values that are not finite, labels other than 0 and 1
            or of one class.
    """
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    if features.ndim != 2 or features.shape[1] != len(names) or set(np.unique(labels).tolist()) - {0, 1}:
        raise cases.MammoError(
            f"sahiner: features {features.shape} for {len(names)} names and labels {np.unique(labels)[:5].tolist()}; "
            "expected one name a column, labels 0 and 1"
        )
    columns = np.array(select.stepwise(features, labels, f_in=f_in, f_out=f_out, most=most), np.int64)
    if not len(columns):
        LOG.warning("sahiner: none of %d features has an F to enter of %g; all masses score alike", len(names), f_in)
        odds = np.array([scipy.special.logit(labels.mean())])
        return Discriminant(tuple(names), columns, *np.zeros((3, 0)), odds)
    chosen = features[:, columns]
    mean, scale = chosen.mean(axis=0), chosen.std(axis=0)
    model = discriminant_analysis.LinearDiscriminantAnalysis().fit((chosen - mean) / scale, labels.astype(int))
    return Discriminant(tuple(names), columns, mean, scale, model.coef_[0], model.intercept_)
