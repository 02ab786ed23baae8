"""Directed Dreams of a run's net, measured and drawn (Yi et al. 2017, sections 2.3 and 3, figure 4).

The paper shows one pair of dreams and says of them that the malignant one grows spicules, that the two are opposite
sides of one coin, and that the sum of all saliency maps is clearer than one of them. `dreams` is a hook of
`run.Run.after` that measures these over lesions of the reported part, each dreamt both ways, with intervals over
patients. Much of it holds for any net: opposite scores have opposite gradients, a sum of many maps is smooth. So the
same is measured of the net before its training, and what training adds, lesion by lesion.

    run.Run(..., after=(dreaming.dreams,))       # dreams.npz, dreams.png, dream_malignant/, dream_benign/
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import shutil
from typing import Any

import numpy as np

from mammo_tf import artifacts, cases, figures, figures_dreams
from mammo_tf.classical import huo
from mammo_tf.evaluation import intervals
from mammo_tf.explain import dream, dream_measures
from mammo_tf.training import fitted, precision

ALGORITHM_VERSION = 2  # 2: beside the net before its training; one map is the plain gradient; lesions are drawn
LOG = logging.getLogger("mammo_tf")
FILE = "dreams.npz"
FEATURES = {"spiculation": huo.spiculation, "sharpness": huo.edge_sharpness, "contrast": huo.contrast}
WAYS = {"malignant": 1, "benign": -1}
COMPARED = ("dream_spiculation_gap", "dream_opposition", "dream_roughness_gain", "dream_inside_accumulated")
SHOWN = 6  # lesions in the picture
FRAMES = 40  # of a film


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is dreamt; a budget of the paper file has it as `dreams`.

    Attributes:
        lesions: of the reported part, half of them of each class where there are enough.
        iterations, learning_rate: of a dream.
    """

    lesions: int = 24
    iterations: int = 300
    learning_rate: float = 0.1


@dataclasses.dataclass(frozen=True)
class Lesions:
    """What is dreamt of: images (N, H, W, 1) float32 as the net takes them, masks bool (N, H, W), N of the rest."""

    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    ids: tuple[str, ...]


def dreams(done: Any) -> dict[str, intervals.Estimate]:
    """Hook: dreams both ways of as many lesions as `done.budget.dreams` says, measured, drawn and filmed."""
    plan, lesions = done.budget.dreams, chosen(done, done.budget.dreams.lesions)
    model = precision.recast(done.fitted.model, "float32")
    found, before = (both(net, lesions, plan) for net in (model, fitted.untrained(model)))
    facts = compared(measures(lesions, found), measures(lesions, before))
    facts_of = {"labels": lesions.labels, "patients": lesions.patients, "ids": np.array(lesions.ids)}
    arrays = {
        f"{way}_{name}": getattr(d, name)[..., 0] for way, d in found.ways.items() for name in ("image", "saliency")
    }
    np.savez_compressed(
        done.folder / FILE, start=lesions.images[..., 0], masks=lesions.masks, **arrays, **facts_of, **facts
    )
    draw(done, lesions, found.ways)
    films(done, lesions, found.ways)
    return {name: intervals.mean(values, lesions.patients) for name, values in facts.items()}


@dataclasses.dataclass(frozen=True)
class Both:
    """One net's dreams of all lesions by way, and its plain saliency of them, (N, H, W) float32."""

    ways: dict[str, dream.Dream]
    plain: np.ndarray


def both(model: Any, lesions: Lesions, plan: Plan) -> Both:
    """Dreams both ways, and the z-scored gradient of the malignant score at the lesions as they are."""
    ways = {way: dreamt(model, lesions.images, plan, sign) for way, sign in WAYS.items()}
    return Both(ways, dream.one_map(model, lesions.images)[..., 0])


def chosen(done: Any, count: int) -> Lesions:
    """Lesions of each class in the reported part, drawn at random, as their first views show them.

    Raises:
        cases.MammoError: none of them has an outline.
    """
    examples = done.predictions.examples
    outlined = [e for e in examples if any(lesion.region is not None for lesion in e.views[0].lesions)]
    if not outlined:
        raise cases.MammoError(f"dreams: none of {len(examples)} examples of the {done.reported} part has an outline")
    outlined = [outlined[i] for i in np.random.default_rng(0).permutation(len(outlined))]
    of_class = [[e for e in outlined if e.label == label] for label in (0.0, 1.0)]
    picked = [e for some in of_class for e in some[: count // 2]]
    picked += [e for some in of_class for e in some[count // 2 :]][: count - len(picked)]
    single = [dataclasses.replace(e, views=e.views[:1]) for e in picked]
    pipeline, arrays = done.fitted.pipeline, done.fitted.pipeline.load(single, strict=True)
    images = np.concatenate([x.numpy() for x, _, _ in pipeline.evaluate(arrays, done.fitted.normalizer)])
    return Lesions(
        images,
        np.stack([artifacts.lesion_mask(e, pipeline) for e in single]),
        np.array([e.label for e in single]).astype(int),
        np.array([e.patient_id for e in single]),
        tuple(e.id for e in single),
    )


def dreamt(model: Any, images: np.ndarray, plan: Plan, direction: int) -> dream.Dream:
    """The dreams of all images one way, with frames; both ways have the same draws."""
    settings = dream.DirectedDream(plan.iterations, plan.learning_rate, direction)
    return dream.directed_dream(model, images, settings, frame_every=max(1, plan.iterations // FRAMES))


def measures(lesions: Lesions, found: Both) -> dict[str, np.ndarray]:
    """One number a lesion, (N,) float64, by claim.

    dream_score_*: rise of the logit difference that is climbed. dream_spiculation_*, dream_sharpness_*,
    dream_contrast_*: what a dream changes of Huo's features at the outline of the lesion, and malignant less benign
    (`_gap`). dream_opposition: correlation of the two changes, -1 for opposite. Of one plain map (`_single`), the sum
    of the malignant dream's steps (`_accumulated`) and their difference (`_gain`, above 0 where the sum is better):
    dream_roughness, and dream_inside, the share of the map's energy within the outline; dream_inside_area is the
    share of a uniform map.
    """
    facts: dict[str, np.ndarray] = {}
    for way, d in found.ways.items():
        facts[f"dream_score_{way}"] = d.after - d.before
        changes = dream_measures.feature_changes(d.start[..., 0], d.image[..., 0], lesions.masks, FEATURES)
        facts |= {f"dream_{name}_{way}": values for name, values in changes.items()}
    for name in FEATURES:
        facts[f"dream_{name}_gap"] = facts[f"dream_{name}_malignant"] - facts[f"dream_{name}_benign"]
    malignant, benign = (found.ways[way].change[..., 0] for way in ("malignant", "benign"))
    facts["dream_opposition"] = dream_measures.correlation(malignant, benign)
    for name, maps in (("single", found.plain), ("accumulated", malignant)):
        facts[f"dream_roughness_{name}"] = dream_measures.roughness(maps)
        facts[f"dream_inside_{name}"], facts["dream_inside_area"] = dream_measures.inside(maps, lesions.masks)
    facts["dream_roughness_gain"] = facts["dream_roughness_single"] - facts["dream_roughness_accumulated"]
    facts["dream_inside_gain"] = facts["dream_inside_accumulated"] - facts["dream_inside_single"]
    return facts


def compared(own: dict[str, np.ndarray], before: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The measures of a net, and for COMPARED those before its training (`_untrained`) and the gain (`_learned`)."""
    facts = dict(own)
    for name in COMPARED:
        facts[f"{name}_untrained"], facts[f"{name}_learned"] = before[name], own[name] - before[name]
    return facts


def draw(done: Any, lesions: Lesions, found: dict[str, dream.Dream]) -> None:
    """`dreams.png`: lesions of both classes with their two dreams."""
    half = SHOWN // 2
    rows = [i for label in (0, 1) for i in np.flatnonzero(lesions.labels == label)[:half]]
    figure = figures_dreams.pairs(
        lesions.images[rows, ..., 0],
        {way: d.image[rows, ..., 0] for way, d in found.items()},
        [done.shown.class_names[lesions.labels[i]] for i in rows],
        note=done.shown.note,
    )
    figures.save(figure, done.folder / "dreams.png")


def films(done: Any, lesions: Lesions, found: dict[str, dream.Dream]) -> None:
    """Figure 4 of one malignant lesion both ways: frames, GIF, MP4, and the last frame as `dream_<way>.png`."""
    one = int(np.flatnonzero(lesions.labels == lesions.labels.max())[0])
    for way, dreams_of_all in found.items():
        title, result = f"Directed Dream, more {way}", dreams_of_all.one(one)
        folder = pathlib.Path(done.folder) / f"dream_{way}"
        written = figures_dreams.write_frames(result, folder, title=title, note=done.shown.note)
        shutil.copyfile(written.frames[-1], done.folder / f"dream_{way}.png")
        shutil.copyfile(written.gif, done.folder / f"dream_{way}.gif")
        LOG.info("%s: score %.2f to %.2f", title, float(result.before), float(result.after))
