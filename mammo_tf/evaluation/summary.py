"""What `mammo-tf evaluate` shows of one run's scores: ranking, calibration, operating points, each with an interval.

Several folds: every number is the mean over folds, with one interval over patients (`folds`); nothing is pooled.

    for row in summary.rows([(labels, scores, patients)], summary.Asked(prevalence=0.006)):
        print(row.label, row.estimate.value, row.note)
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mammo_tf.evaluation import calibration, clustered, folds, intervals, partial, precision_recall, prevalence

NO_PROBABILITIES = "scores outside [0, 1]: no probabilities, so calibration and net benefit are left out"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the numbers are asked at.

    Attributes:
        specificity, sensitivity: where rates are read off the curve; 1 - specificity and sensitivity also bound the
            partial AUCs.
        threshold: `score >= threshold` is called 1.
        prevalence: of the predictive values; None for that of the part alone.
        bins: of the calibration error.
        draws, seed: of the bootstrap.
    """

    specificity: float = 0.9
    sensitivity: float = 0.9
    threshold: float = 0.5
    prevalence: float | None = None
    bins: int = calibration.BINS
    draws: int = 2000
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Row:
    """One number: a key for programs, a label and a note for readers."""

    key: str
    label: str
    estimate: intervals.Estimate
    note: str = ""
    digits: int = 3


def rows(parts: Sequence[folds.Fold], asked: Asked) -> list[Row]:
    """The rows of one run.

    Args:
        parts: (labels 0/1, scores, patients), (N,) each, of every fold; mostly one.

    Raises:
        cases.MammoError: as `folds.evaluate`, or a number of `asked` that its measure refuses.
    """
    parts = folds.as_arrays(parts)[0]
    found = [*_ranking(parts, asked), *_at_threshold(parts, asked)]
    return found + (_calibration(parts, asked) if are_probabilities(parts) else [])


def are_probabilities(parts: Sequence[folds.Fold]) -> bool:
    """Whether all scores lie in [0, 1]."""
    return all(np.min(part[1]) >= 0 and np.max(part[1]) <= 1 for part in parts)


def _estimate(parts: Any, asked: Asked, statistic: Callable[..., Any], stratified: bool = False, **arguments: Any):
    statistic = functools.partial(statistic, **arguments) if arguments else statistic
    return clustered.estimate(parts, statistic, draws=asked.draws, seed=asked.seed, stratified=stratified)


def _ranking(parts: Sequence[folds.Fold], asked: Asked) -> list[Row]:
    of, sp, se = functools.partial(_estimate, parts, asked), asked.specificity, asked.sensitivity
    auc = intervals.auc(*parts[0]) if len(parts) == 1 else folds.evaluate(parts)["auc"]
    found = [Row("auc", "AUC", auc, "chance 0.5")]
    if sp < 1:
        label, part = f"partial AUC, specificity {sp:g} and up", of(partial.auc, max_fpr=1 - sp)
        found.append(Row("partial_auc_specificity", label, part, "standardised, chance 0.5"))
    if se < 1:
        label, part = f"partial AUC, sensitivity {se:g} and up", of(partial.auc_above, least=se)
        found.append(Row("partial_auc_sensitivity", label, part, "standardised, chance 0.5"))
    own = "read off the part's own curve, no threshold known beforehand"
    sensitivity, specificity = of(partial.sensitivity, specificity=sp), of(partial.specificity, sensitivity=se)
    found.append(Row("sensitivity_at", f"sensitivity at specificity {sp:g}", sensitivity, own))
    found.append(Row("specificity_at", f"specificity at sensitivity {se:g}", specificity, own))
    share = of(precision_recall.prevalence)
    note = f"chance {share.value:.3f}, the share of positives"
    found.append(Row("average_precision", "average precision", of(precision_recall.average_precision), note))
    return [*found, Row("prevalence", "share of positives", share)]


def _at_threshold(parts: Sequence[folds.Fold], asked: Asked) -> list[Row]:
    of, at = functools.partial(_estimate, parts, asked), f"at threshold {asked.threshold:.3g}"
    measured = folds.evaluate(parts, threshold=asked.threshold)
    named = (("sensitivity", "recall"), ("specificity", "specificity"), ("ppv", "precision"))
    found = [Row(key, f"{key.upper() if key == 'ppv' else key} {at}", measured[name]) for key, name in named]
    if asked.prevalence is None:
        return found
    how = {"stratified": True, "prevalence": asked.prevalence, "threshold": asked.threshold}
    note = f"were {asked.prevalence:g} positive, with the rates above"
    for key, statistic in (("ppv", prevalence.ppv), ("npv", prevalence.npv)):
        label = f"{key.upper()} at prevalence {asked.prevalence:g}"
        found.append(Row(f"{key}_at_prevalence", label, of(statistic, **how), note, digits=4))
    return found


def _calibration(parts: Sequence[folds.Fold], asked: Asked) -> list[Row]:
    of = functools.partial(_estimate, parts, asked)
    splits = [calibration.split(part[0], part[1], calibration.equal_width(asked.bins)) for part in parts]
    named = {name: float(np.mean([getattr(s, name) for s in splits])) for name in ("reliability", "resolution")}
    note = "; ".join(f"{name} {value:.3f}" for name, value in named.items())
    uncertainty = float(np.mean([s.uncertainty for s in splits]))
    brier = Row(
        "brier", "Brier score", of(calibration.brier), f"{uncertainty:.3f} for the share of positives; {note}"
    )
    width, mass = (of(calibration.ece, bins=asked.bins, mass=mass) for mass in (False, True))
    noise = expected_ece(parts, asked)
    biased = "biased upwards; compare the next row"
    return [
        brier,
        Row("ece", f"ECE, {asked.bins} bins of equal width", width, biased),
        Row("ece_if_calibrated", "ECE of a calibrated net", noise, "simulated with the same scores and patients"),
        Row("ece_equal_mass", f"ECE, {asked.bins} bins of equal mass", mass, "biased upwards"),
        Row("calibration_slope", "calibration slope", of(calibration.slope), "1 is best, less: overconfident"),
        Row("calibration_intercept", "calibration intercept", of(calibration.intercept), "0 is best"),
    ]


def expected_ece(parts: Sequence[folds.Fold], asked: Asked) -> intervals.Estimate:
    """`calibration.ece_if_calibrated`; of several folds its mean, without a range."""
    how = {"bins": asked.bins, "draws": asked.draws, "seed": asked.seed}
    found = [calibration.ece_if_calibrated(part[1], part[2], **how) for part in parts]
    if len(found) == 1:
        return found[0]
    value, n = float(np.mean([one.value for one in found])), sum(one.n for one in found)
    return intervals.Estimate(value, math.nan, math.nan, n, f"mean of {len(found)} simulations")
