"""Two classifiers on the same examples: paired differences that know which examples share a patient.

AUC: bounds of `auc_bounds.difference`, by the clustered DeLong covariance (Obuchowski 1997, doi:10.2307/2533958).
Accuracy: from both Wilson intervals and their correlation (`wilson.bounds_of_difference`).

    found = compare.compare(*compare.aligned(predictions_a, predictions_b))
    found.auc.value, found.auc_p
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from mammo_tf import cases
from mammo_tf.evaluation import auc_bounds, bootstrap, delong, differences, intervals, metrics, wilson

ALGORITHM_VERSION = 3


class Scored(Protocol):
    """Predictions of a part: ids, patients, labels 0/1 and scores P(class 1), each (N,)."""

    ids: Sequence[str]
    patients: Sequence[str] | np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Differences a - b with 95 % intervals and two-sided p-values (NaN where a difference is not defined)."""

    auc: intervals.Estimate
    auc_p: float
    accuracy: intervals.Estimate
    accuracy_p: float


def aligned(a: Scored, b: Scored) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores of a, scores of b and patients, in the order of the ids of a: the arguments of `compare`.

    Raises:
        cases.MammoError: the two were not made on the same examples, patients and labels.
    """
    rows_a, rows_b = _by_id(a), _by_id(b)
    if alone := sorted(set(rows_a) ^ set(rows_b)):
        only_a, only_b = len(set(rows_a) - set(rows_b)), len(set(rows_b) - set(rows_a))
        raise cases.MammoError(
            f"compare: the runs were scored on different examples: {only_a} of {len(rows_a)} are in the first alone, "
            f"{only_b} of {len(rows_b)} in the second alone ({alone[0]}, ...); a paired test needs one part"
        )
    order = np.array([rows_b[id] for id in a.ids], dtype=int)
    for name in ("patients", "labels"):
        theirs, ours = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))[order]
        if differ := int((theirs != ours).sum()):
            raise cases.MammoError(
                f"compare: the {name} of {differ} of {len(order)} examples differ between the runs"
            )
    return np.asarray(a.labels), np.asarray(a.scores), np.asarray(b.scores)[order], np.asarray(a.patients)


def compare(
    labels: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    groups: Sequence[str] | np.ndarray,
) -> Comparison:
    """AUC and accuracy (at 0.5) of a minus b.

    Args:
        labels, scores_a, scores_b, groups: (N,) each, row by row the same example; `aligned` makes them.

    Raises:
        cases.MammoError: as `metrics.checked`, or lengths that differ.
    """
    labels, scores_a = metrics.checked(labels, scores_a)
    labels, scores_b = metrics.checked(labels, scores_b)
    if len(groups) != len(labels):
        raise cases.MammoError(f"compare: {len(groups)} patients for {len(labels)} examples; expected one for each")
    index, patients = bootstrap.patient_index(np.asarray(groups))
    both = [delong.influence([(labels, scores, index)], patients) for scores in (scores_a, scores_b)]
    answers = [((scores >= 0.5) == (labels == 1)).astype(float) for scores in (scores_a, scores_b)]
    right = [wilson.ratios([(one, np.ones(len(one)), index)], patients) for one in answers]
    auc, accuracy = (
        differences.aucs(*both, len(labels), patients),
        differences.proportions(*right, len(labels), patients),
    )
    return Comparison(auc, auc_bounds.p_of_difference(*both), accuracy, wilson.p_of_difference(*right))


def _by_id(scored: Scored) -> dict[str, int]:
    rows = {id: row for row, id in enumerate(scored.ids)}
    if len(rows) < len(scored.ids):
        raise cases.MammoError(f"compare: {len(scored.ids) - len(rows)} example ids repeat within one run")
    return rows
