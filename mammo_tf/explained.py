"""Methods of explanation measured on the lesions of a fitted run: which point at the lesion, and which at the net.

`scored` is a hook of `run.Run.after`. It draws lesions of class 1 of the reported part, explains the score of class 1
(its logit less the mean of all, `explain.methods.centred`) by every method, and gives each method's scores
(`explain.scores`) as means with 95 % intervals over patients, beside what chance gives on the same lesions and the
difference lesion by lesion. `verdict` reads two answers from claims: whether a method passes the sanity check and
whether it finds the lesion (criteria: `explain.verdicts`).

    run.Run(..., after=(explained.scored,))            # explained.png, explained.csv, explained.npz
    after=(functools.partial(explained.scored, methods=("saliency", "gradcam"), count=12),)

Each method's maps are made some ten times, and traced anew for each net with random weights: on a CPU minutes for all
of them, whatever the count. A paper file whose budgets differ in it has a hook of its own that calls this one.
"""

from __future__ import annotations

import csv
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mammo_tf import cases, explaining_given, figures, figures_explained, regions
from mammo_tf.evaluation import intervals
from mammo_tf.explain import answers, scores, verdicts
from mammo_tf.explain import methods as registry
from mammo_tf.training import precision

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")
COUNT = 24
SHOWN = 5  # lesions in the picture
COLUMNS = ("method", "score", "mean", "low", "high", "chance", "gap", "gap_low", "gap_high", "n", "patients")
Claims = dict[str, intervals.Estimate]
Table = Mapping[tuple[str, str], np.ndarray]

verdict = verdicts.verdict  # (claims, method) -> Verdict


@dataclasses.dataclass(frozen=True)
class Lesions:
    """What is explained, N lesions: the images with their masks, and the patient of each."""

    given: explaining_given.Given
    patients: np.ndarray


def scored(
    done: Any,
    *,
    methods: Sequence[str] = tuple(registry.METHODS),
    count: int = COUNT,
    settings: scores.Settings | None = None,
    seed: int = 0,
) -> Claims:
    """Hook: method by score over lesions of class 1, measured, drawn and kept.

    Args:
        done: of a net of one image (of two views that share a net, the first is taken) and two classes. Where the
            net is another, or no example of class 1 has a region, there are no claims.
        methods: names of `explain.methods.METHODS`; one that does not fit the net is left out, with a warning.
        count: lesions at most.
        settings: of the scores; None for `explain.methods.SETTINGS`.
        seed: of the draw of lesions.

    Returns:
        `explain_<method>_<score>` and, where chance has the score, `explain_<method>_<score>_above_chance`, the
        mean of the differences: good above 0, but for `deletion`. `explain_<method>_sanity` is the mean of |cascade|.

    Raises:
        cases.MammoError: no such method.
    """
    lesions = chosen(done, count, seed) if _fits(done) else None
    if lesions is None:
        LOG.warning("explained: left out; it needs a net of one image and examples of class 1 with a region")
        return {}
    model, given = registry.centred(precision.recast(done.fitted.model, "float32")), lesions.given
    explainers = registry.explainers(tuple(methods), model, given.images, given.inputs)
    explainers = _fitting(explainers, model, given)
    table = scores.table(model, given.inputs, given.masks, 1, explainers, settings or registry.SETTINGS)
    found = claims(table, lesions.patients)
    found_words = {name: verdicts.words(verdict(found, name)) for name in explainers}
    for name, (sanity, finds) in found_words.items():
        LOG.info("%s: sanity check %s, finds the lesion: %s", name, sanity, finds)
    _write(done.folder / "explained.csv", table, found)
    _keep(done, lesions, table)
    _draw(done, lesions, model, explainers)
    return found


def _fits(done: Any) -> bool:
    pipeline = getattr(done.fitted, "pipeline", None)
    one_image = hasattr(done.fitted, "model") and pipeline is not None and pipeline.depth == pipeline.channels
    return one_image and done.predictions.classes == 2


def chosen(done: Any, count: int, seed: int = 0) -> Lesions | None:
    """Examples of class 1 of the reported part whose first view has a region, drawn at random; None for none."""
    known = [e for e in done.predictions.examples if e.label == 1 and _regions(e.views[0])]
    if not known:
        return None
    order = np.random.default_rng(seed).permutation(len(known))[:count]
    single = [dataclasses.replace(known[i], views=known[i].views[:1]) for i in order]
    masks = np.stack([lesion_mask(example.views[0], done.fitted.pipeline) for example in single])
    given = dataclasses.replace(explaining_given.of_examples(done.fitted, single), masks=masks)
    return Lesions(given, np.array([example.patient_id for example in single]))


def _regions(view: cases.View) -> list[regions.Region]:
    """Of the malignant lesions where there are any, else of all: what class 1 may stand for."""
    marked = [lesion for lesion in view.lesions if lesion.region is not None]
    malignant = [lesion for lesion in marked if lesion.pathology == cases.Pathology.MALIGNANT]
    return [lesion.region for lesion in malignant or marked]


def lesion_mask(view: cases.View, pipeline: Any) -> np.ndarray:
    """The regions, filled, as the net sees them: bool (H, W), a pixel where they cover half of it, or any part of it
    where they are too small for that."""
    mask = np.max([region.mask(view.shape) for region in _regions(view)], axis=0).astype(np.float32)
    middle = regions.inner(pipeline.margin)
    seen = cv2.resize(mask, pipeline.full[::-1], interpolation=cv2.INTER_AREA)[middle, middle]
    return seen >= 0.5 if (seen >= 0.5).any() else seen > 0


def _fitting(
    explainers: Mapping[str, answers.Explainer], model: Any, given: explaining_given.Given
) -> dict[str, answers.Explainer]:
    """Those that explain the first image: a run must not end here because relevance has no rule for a layer."""
    found = {}
    for name, explainer in explainers.items():
        try:
            answers.explained(explainer, model, given.inputs[:1], np.ones(1, np.int32))
        except cases.MammoError as error:
            LOG.warning("explained: %s is left out: %s", name, error)
        else:
            found[name] = explainer
    return found


def claims(table: Table, patients: np.ndarray) -> Claims:
    """Means and differences to chance of a `scores.table`, with 95 % intervals over patients, by claim."""
    found = {}
    for (method, score), values in table.items():
        found[verdicts.claim(method, score)] = intervals.mean(values, patients)
        chance = table.get((scores.CHANCE, score))
        if method != scores.CHANCE and chance is not None:
            gap = intervals.mean(values - chance, patients)
            found[verdicts.claim(method, score, gap=True)] = gap
        if score == "cascade":
            strength = intervals.mean(np.abs(values), patients)
            found[verdicts.claim(method, verdicts.SANITY)] = strength
    return found


def _write(path: Any, table: Table, found: Claims) -> None:
    """`explained.csv`: COLUMNS, a row a method and score; empty where chance has no such score."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for method, score in table:
            one = found[verdicts.claim(method, score)]
            chance = found.get(verdicts.claim(scores.CHANCE, score)) if method != scores.CHANCE else None
            gap = found.get(verdicts.claim(method, score, gap=True))
            numbers = [one.value, one.low, one.high, chance.value if chance else None]
            numbers += [gap.value, gap.low, gap.high] if gap else [None] * 3
            cells = ["" if number is None else f"{number:.6g}" for number in numbers]
            writer.writerow([method, score, *cells, one.n, one.patients])


def _keep(done: Any, lesions: Lesions, table: Table) -> None:
    """`explained.npz`: the images with their masks, which `mammo-tf explain` takes, and every score of each."""
    facts = {f"{method}-{score}": values for (method, score), values in table.items()}
    images = np.rint(lesions.given.images * 65535).astype(np.uint16)
    titles = np.array(lesions.given.names)
    named = {"images": images, "masks": lesions.given.masks, "titles": titles, "patients": lesions.patients}
    np.savez_compressed(done.folder / explaining_given.KEPT[0], **named, **facts)


def _draw(done: Any, lesions: Lesions, model: Any, explainers: Mapping[str, answers.Explainer]) -> None:
    """`explained.png`: the first lesions of the draw, a column a method."""
    few = explaining_given.Given(*(part[:SHOWN] for part in dataclasses.astuple(lesions.given)))
    ones = np.ones(len(few.images), np.int32)
    maps = {name: answers.explained(one, model, few.inputs, ones) for name, one in explainers.items()}
    signed = {verdicts.title(name) for name in maps if registry.METHODS[name].signed}
    figure = figures_explained.montage(
        few.images,
        {verdicts.title(name): found for name, found in maps.items()},
        explaining_given.answered(model, few, done.shown.class_names, 1).titles,
        signed=signed,
        outlines=few.masks,
        title="Methods of explanation",
        note=f"{figures_explained.SCALES}; {done.shown.note}",
    )
    figures.save(figure, done.folder / "explained.png")
