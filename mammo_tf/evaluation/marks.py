"""What the method of an estimate says where its interval cannot be trusted to the letter; tables show it as a star.

Few patients, for whom no coverage was simulated; nothing that varies; or a simulated coverage outside 93 to 97 %
(`coverage`). Each is the end of `Estimate.method`, empty where there is nothing to say.

    method = "Wilson, clustered" + marks.of_ratio(found)      # "Wilson, clustered; few patients (7)"
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mammo_tf.evaluation import auc_bounds, coverage, delong, wilson

FEW, FEW_FOLDS = 10, 15  # patients of a class, of one part and of folds; below it no coverage was simulated


def least(folds: int) -> int:
    """Patients from where on coverage was simulated."""
    return FEW if folds == 1 else FEW_FOLDS


def few(patients: Sequence[int], at_least: int = FEW) -> str:
    """Of a metric whose classes (1, 0) have so many patients; empty where both have `at_least`."""
    named = zip(("positives", "negatives"), patients, strict=True)
    return "".join(f"; few {name} ({count} patients)" for name, count in named if count < at_least)


def few_patients(found: wilson.Ratio) -> str:
    """Of a mean or proportion of few patients."""
    return f"; few patients ({found.patients})" if found.patients < least(found.folds) else ""


def degenerate(value: float, low: float, high: float) -> str:
    """Of bounds that are none, since a part has one patient, or that are one number but for rounding."""
    if math.isnan(low) and not math.isnan(value):
        return "; degenerate: one patient"
    return "; degenerate" if high - low <= 1e-12 * max(1.0, abs(value)) else ""


def of_ratio(found: wilson.Ratio) -> str:
    """Of a proportion, by its patients or its coverage."""
    kind = "proportion" if found.folds == 1 else "proportion_folds"
    return few_patients(found) or coverage.mark(kind, found.value, found.patients, found.most, wilson.bounds(found))


def of_both(name: str, recall: wilson.Ratio, specificity: wilson.Ratio, told: tuple[float, float, float]) -> str:
    """Of what both classes decide, by the patients of the rarer one, as it was simulated.

    Args:
        name: "balanced_accuracy", "precision" or "f1".
        recall, specificity: of the same answers.
        told: value, low, high.
    """
    patients = min(recall.patients, specificity.patients)
    if patients < least(recall.folds):
        return f"; few patients ({patients})"
    kind = "balanced" if name == "balanced_accuracy" else name if recall.folds == 1 else "proportion_folds"
    return coverage.mark(kind, told[0], patients, max(recall.most, specificity.most), told[1:])


def of_auc(found: delong.Influence, bounds: tuple[float, float]) -> str:
    """Of a mean AUC, by the patients of its classes or its coverage."""
    kind = "folds" if len(found.sizes) > 1 else "auc"
    told = few(found.patients, least(len(found.sizes)))
    return told or coverage.mark(kind, found.value, found.fewer, found.most, bounds)


def of_loss(found: wilson.Ratio, ranking: delong.Influence | None, bounds: tuple[float, float]) -> str:
    """Of a mean log-loss, by the cells of the AUC of the same scores, where there is one."""
    if told := degenerate(found.value, *bounds):
        return told
    if ranking is None or math.isnan(ranking.value):
        return few_patients(found)
    if (told := few(ranking.patients, least(len(ranking.sizes)))) or ranking.constant:
        return told
    return coverage.mark("log_loss", ranking.value, ranking.fewer, ranking.most, auc_bounds.single(ranking))
