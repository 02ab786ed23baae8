"""What a fitted method is worth on the reported part, and what the split it was fitted on looks like.

The reported part is predicted once; thresholds come from validation.

    predictions, fields = measure.measure(protocol, parts, fitted, ledger, draws=2000, seed=0)
"""

from __future__ import annotations

import functools
from typing import Any

from mammo_tf import artifacts, audit, cases
from mammo_tf.evaluation import intervals, thresholds


def measure(
    protocol: Any, parts: cases.Splits, fitted: Any, ledger: audit.Ledger, draws: int, seed: int
) -> tuple[artifacts.Predictions, dict[str, Any]]:
    """Predicts the reported part once and scores it; the second threshold comes from validation alone.

    Returns:
        the predictions, and the fields of the record that speak of them (`records.Record`: metrics, tuned, threshold,
        threshold_rule, majority, training, test_reads).
    """
    validation = artifacts.Predictions.of(parts.val, fitted(parts.val))
    reported = getattr(parts, protocol.reported)
    on_validation = protocol.reported == "val"
    predictions = validation if on_validation else artifacts.Predictions.of(reported, fitted(reported))
    threshold = thresholds.choose_threshold(validation.labels, validation.scores, protocol.threshold)
    score = functools.partial(_score, predictions, draws=draws, seed=seed)
    train_labels = [example.label for example in parts.train]
    history = list(getattr(fitted, "history", ()))
    ledger.read("val", getattr(fitted, "val_reads", 0) + 1)  # for the epochs and for the threshold
    return predictions, {
        "metrics": score(threshold=0.5),
        "tuned": score(threshold=threshold),
        "threshold": threshold,
        "threshold_rule": getattr(protocol.threshold, "func", protocol.threshold).__name__,
        "majority": intervals.majority_row(
            train_labels, predictions.labels, predictions.patients, draws=draws, seed=seed
        ),
        "training": artifacts.training_facts(history, getattr(fitted, "best_epoch", None)),
        "test_reads": ledger.read(protocol.reported),
    }


def _score(p: artifacts.Predictions, **how: Any) -> dict[str, intervals.Estimate]:
    return intervals.evaluate(p.labels, p.scores, p.patients, **how)


def of_split(protocol: Any, parts: cases.Splits) -> dict[str, Any]:
    """The fields of the record that speak of the split: reported, sizes, leaks, audit."""
    return {
        "reported": protocol.reported,
        "sizes": audit.sizes(parts),
        "leaks": [*parts.leaks, *protocol.leaks],
        "audit": audit.overlap(parts),
    }
