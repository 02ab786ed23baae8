"""What a fitted method is worth on the reported part, and what the split it was fitted on looks like.

The reported part is predicted once a split; thresholds come from validation, and are 1/2 where nothing validates.
Several splits (folds, subsets) are scored apart and averaged; their AUC is never pooled.

    scored = measure.predict(protocol, parts, fitted, ledger)
    predictions, fields = measure.measure(protocol, [scored], shown, seed=0)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import artifacts, audit, cases, records
from mammo_tf.evaluation import folds, intervals, multiclass, thresholds


@dataclasses.dataclass(frozen=True)
class Scored:
    """One split, predicted.

    Attributes:
        reported, validation: predictions of the part that the table speaks of, and of the validation part, None
            without one.
        threshold: chosen on validation by the protocol's rule; NaN for more than two classes.
        train_labels: of the training part, (N,).
        training: `artifacts.training_facts`.
        test_reads: how often the labels of the reported part were scored.
    """

    reported: artifacts.Predictions
    validation: artifacts.Predictions | None
    threshold: float
    train_labels: np.ndarray
    training: Mapping[str, float]
    test_reads: int


def predict(protocol: Any, parts: cases.Splits, fitted: Any, ledger: audit.Ledger) -> Scored:
    """Predicts validation and, once, the reported part; chooses the second threshold on validation alone."""
    validation = artifacts.Predictions.of(parts.val, fitted(parts.val), parts.fold) if parts.val else None
    reported = validation
    if protocol.reported != "val":
        part = getattr(parts, protocol.reported)
        reported = artifacts.Predictions.of(part, fitted(part), parts.fold)
    threshold = math.nan if reported.classes > 2 else 0.5
    if validation and reported.classes == 2:
        threshold = thresholds.choose_threshold(validation.labels, validation.scores, protocol.threshold)
    if validation:
        ledger.read("val", getattr(fitted, "val_reads", 0) + 1)  # for the epochs and for the threshold
    history = list(getattr(fitted, "history", ()))
    return Scored(
        reported,
        validation,
        threshold,
        np.array([example.label for example in parts.train]),
        artifacts.training_facts(history, getattr(fitted, "best_epoch", None)),
        ledger.read(protocol.reported, 1 + sum("test_loss" in row for row in history)),
    )


def measure(
    protocol: Any, scored: Sequence[Scored], shown: artifacts.Shown, seed: int
) -> tuple[artifacts.Predictions, dict[str, Any]]:
    """Scores the splits of one run; `seed` is that of the bootstrap of several classes.

    Returns:
        the predictions of all splits, and the fields of the record that speak of them (`records.Record`: metrics,
        validation, tuned, threshold, threshold_rule, majority, training, test_reads, per_fold).
    """
    if scored[0].reported.classes > 2 and len(scored) > 1:
        raise cases.MammoError(f"measure: {len(scored)} splits of more than two classes; several are measured of two")
    if scored[0].reported.classes > 2:
        fields = _of_classes(scored[0], shown.class_names, {"draws": shown.draws, "seed": seed})
    elif len(scored) == 1:
        fields = _of_one(scored[0])
    else:
        fields = _of_folds(scored)
    return artifacts.Predictions.joined([one.reported for one in scored]), {
        **fields,
        "threshold": float(np.mean([one.threshold for one in scored])),
        "threshold_rule": _rule(protocol, scored[0]),
        "training": _mean_facts([one.training for one in scored]),
        "test_reads": max(one.test_reads for one in scored),
    }


def _rule(protocol: Any, one: Scored) -> str:
    rule = protocol.threshold if one.validation else thresholds.fixed
    return getattr(rule, "func", rule).__name__


def _of_one(one: Scored) -> dict[str, Any]:
    p, v = one.reported, one.validation
    return {
        "metrics": intervals.evaluate(p.labels, p.scores, p.patients),
        "validation": intervals.evaluate(v.labels, v.scores, v.patients) if v else {},
        "tuned": intervals.evaluate(p.labels, p.scores, p.patients, threshold=one.threshold),
        "majority": intervals.majority_row(one.train_labels, p.labels, p.patients),
    }


def _of_folds(scored: Sequence[Scored]) -> dict[str, Any]:
    reported = [(s.reported.labels, s.reported.scores, s.reported.patients) for s in scored]
    parts = [s.validation for s in scored if s.validation]
    validation = [(p.labels, p.scores, p.patients) for p in parts]
    constant = [
        (labels, np.full(len(labels), s.train_labels.mean()), patients)
        for s, (labels, _, patients) in zip(scored, reported, strict=True)
    ]
    return {
        "metrics": folds.evaluate(reported),
        "validation": folds.evaluate(validation) if validation else {},
        "tuned": folds.evaluate(reported, threshold=[s.threshold for s in scored]),
        "majority": folds.evaluate(constant),
        "per_fold": {name: folds.per_fold(reported)[name].tolist() for name in ("auc", "accuracy")},
    }


def _of_classes(one: Scored, names: Sequence[str], how: Mapping[str, Any]) -> dict[str, Any]:
    p, v = one.reported, one.validation
    return {
        "metrics": multiclass.evaluate(p.labels, p.probabilities, p.patients, names, **how),
        "validation": multiclass.evaluate(v.labels, v.probabilities, v.patients, names, **how) if v else {},
        "tuned": {},
        "majority": multiclass.majority(one.train_labels, p.labels, p.patients, names, **how),
    }


def _mean_facts(facts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Facts of one split as they are; of several, their mean, epochs rounded."""
    if len(facts) == 1 or not all(facts):
        return dict(facts[0])
    mean = {name: float(np.mean([one[name] for one in facts])) for name in facts[0]}
    return {**mean, **{name: round(mean[name]) for name in ("best_epoch", "epochs")}}


def of_splits(protocol: Any, splits: Sequence[cases.Splits], sampled: Sequence[cases.Splits]) -> dict[str, Any]:
    """The fields of the record that speak of the splits: reported, sizes, leaks, audit, split, folds.

    Args:
        protocol: names the reported part.
        splits: as dealt.
        sampled: as learned from, after `Run.sample`; sizes are those of the first one.
    """
    first = sampled[0]
    found = audit.overlap(first)
    if splits[0].dropped:
        found["dropped_patients"] = len(splits[0].dropped)
    patients = [
        {name: sorted({e.patient_id for e in part}) for name, part in audit.parts_of(s).items()} for s in splits
    ]
    return {
        "reported": protocol.reported,
        "sizes": audit.sizes(first),
        "leaks": [*splits[0].leaks, *protocol.leaks],
        "audit": found,
        "split": records.hash8(patients),
        "folds": len(splits),
    }
