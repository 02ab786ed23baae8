"""How good is a map? Every method of explanation against the same questions, one number an image.

    pointing, inside, dice, iou, auc    does it point at the lesion?                     `localisation`
    deletion, insertion                 does the net use those pixels?                   `curves`, areas
    cascade, cascade_ssim               likeness once every weight is random             `sanity`, the last stage
    independent, independent_ssim       likeness once one stage is, mean over stages     `sanity`
    flip_horizontal, flip_vertical      Pearson's correlation of the map with that of the flipped image, flipped back

Good is high for all but `deletion` and the four of `sanity`, where it is low. What chance gives stands beside them
as the method "chance": for the first row what noise gives, for the second random order. Numbers are those of single
images, so that callers can put intervals clustered by patient on them and on their differences; NaN where undefined.
Maps are made once, and again twice for each stage of the sanity check and once for each flip.

    found = scores.table(model, images, masks, 1, {"saliency": gradients.saliency, "occlusion": masking.occlusion})
    found["occlusion", "pointing"] - found["chance", "pointing"]                               # (N,)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from mammo_tf import cases
from mammo_tf.explain import answers, curves, dream_measures, localisation, sanity

ALGORITHM_VERSION = 1
CHANCE = "chance"
_AXES = {"flip_horizontal": 2, "flip_vertical": 1}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is asked.

    Attributes:
        tolerance: of the pointing game, in pixels.
        removal: of the curves; None leaves them out.
        randomisation: of the sanity check; None leaves it out.
        flips: whether the maps of flipped images are made.
    """

    tolerance: float = 0.0
    removal: curves.Removal | None = dataclasses.field(default_factory=curves.Removal)
    randomisation: sanity.Randomisation | None = dataclasses.field(default_factory=sanity.Randomisation)
    flips: bool = True


def table(
    model: keras.Model,
    images: np.ndarray,
    masks: np.ndarray,
    classes: int | np.ndarray | None,
    explainers: Mapping[str, answers.Explainer],
    settings: Settings | None = None,
) -> dict[tuple[str, str], np.ndarray]:
    """(method, score) -> (N,) float64, chance first.

    Args:
        model: images (B, H, W, C) -> logits (B, K); run in inference mode, and not changed.
        images: (N, H, W, C) float, normalised as the model expects.
        masks: (N, H, W) bool, the ROI; where it is empty, what asks for the lesion is NaN.
        classes: one for all or (N,); None: the predicted class of each.
        explainers: name -> (model, images, classes (N,)) -> maps (N, H, W) or (N, H, W, C), channels added up.
        settings: None for the defaults.

    Raises:
        MammoError: images, masks, classes and maps do not fit together; a method named "chance".
    """
    settings = settings or Settings()
    images, classes = answers.checked(model, images, classes, "scores")
    masks = np.asarray(masks, bool)
    if masks.shape != images.shape[:3]:
        raise cases.MammoError(f"scores: images are {images.shape}, masks {masks.shape}; expected (N, H, W)")
    if CHANCE in explainers:
        raise cases.MammoError(f"scores: a method may not be named {CHANCE}; found {', '.join(explainers)}")
    rows = {CHANCE: _chance(model, images, masks, classes, settings)}
    for name, explainer in explainers.items():
        maps = answers.explained(explainer, model, images, classes)
        rows[name] = localisation.scores(maps, masks, settings.tolerance)
        rows[name] |= _of_the_net(explainer, model, images, classes, maps, settings)
    return {(name, score): values for name, row in rows.items() for score, values in row.items()}


def _chance(
    model: keras.Model, images: np.ndarray, masks: np.ndarray, classes: np.ndarray, settings: Settings
) -> dict[str, np.ndarray]:
    found = localisation.chance(masks, settings.tolerance)
    if settings.removal:
        found |= _areas(curves.random_order(model, images, classes, settings.removal))
    return found


def _of_the_net(
    explainer: answers.Explainer,
    model: keras.Model,
    images: np.ndarray,
    classes: np.ndarray,
    maps: np.ndarray,
    settings: Settings,
) -> dict[str, np.ndarray]:
    found = {}
    if settings.removal:
        found |= _areas(curves.curves(model, images, classes, maps, settings.removal))
    if settings.randomisation:
        found |= _likeness(sanity.check(explainer, model, images, classes, settings.randomisation, maps))
    if settings.flips:
        found |= flip_stability(explainer, model, images, classes, maps)
    return found


def _areas(found: curves.Curves) -> dict[str, np.ndarray]:
    return {"deletion": found.deletion_area, "insertion": found.insertion_area}


def _likeness(found: sanity.Sanity) -> dict[str, np.ndarray]:
    return {
        "cascade": found.cascade[-1],
        "cascade_ssim": found.cascade_ssim[-1],
        "independent": found.independent.mean(axis=0),
        "independent_ssim": found.independent_ssim.mean(axis=0),
    }


def flip_stability(
    explainer: answers.Explainer,
    model: keras.Model,
    images: np.ndarray,
    classes: int | np.ndarray | None = None,
    maps: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Correlation of each map with that of the flipped image, flipped back, for the same class: name -> (N,).

    Args:
        explainer, model, images, classes: as for `table`.
        maps: the explainer's maps (N, H, W), where they are known.
    """
    images, classes = answers.checked(model, images, classes, "flips")
    maps = answers.explained(explainer, model, images, classes) if maps is None else maps
    found = {}
    for name, axis in _AXES.items():
        flipped = answers.explained(explainer, model, np.flip(images, axis).copy(), classes)
        found[name] = dream_measures.correlation(maps, np.flip(flipped, axis))
    return found
