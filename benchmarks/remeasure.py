"""The kept records measured again from their kept predictions, when a way to make intervals has changed: no training.

Values must come out as they were; bounds, methods, hash and certificate become today's. What the predictions do not
give stays as it was and names its method: validation, claims, the rates at thresholds chosen fold by fold, and the
majority of several folds or classes. Records without predictions (real data) are named: run them again.

    python benchmarks/remeasure.py results          # then: mammo-tf report --out .
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import artifacts, cases, certificates, commands, pairs, records, rows, run
from mammo_tf.evaluation import folds, intervals, multiclass

ROOT = pathlib.Path(__file__).parent.parent
WITHIN = 1e-5  # by which a number may differ from the kept one: predictions are kept with seven digits
Estimates = Mapping[str, intervals.Estimate]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    options = parser.parse_args(arguments)
    papers, known = commands.load_experiments(ROOT / "experiments"), {}
    changed = 0
    for path in sorted(options.results.glob("*/*.json")):
        before = records.load(path)[0]
        if pairs.predictions_file(before) is None:
            print(f"no predictions, left as it was: {path.name}")
            continue
        after = again(before, papers[before.paper], known.setdefault((before.paper, before.budget), {}))
        if after != before:
            records.save(dataclasses.replace(after, folder=""), path)
            changed += 1
    print(f"{changed} records changed")


def again(record: records.Record, paper: Any, known: dict[Any, str]) -> records.Record:
    """The record with today's intervals, hash and certificate.

    Its hash is that of a run at precision "auto" on the processor, as all kept ones were.

    Raises:
        cases.MammoError: a value differs from the kept one, the certificate was not the record's, or the run started
            from weights of a file.
    """
    if not certificates.matches(record):
        raise cases.MammoError(f"{record.label}: its certificate is not that of the record")
    if record.weights not in ("scratch", "phantom_standin"):
        raise cases.MammoError(f"{record.label}: started from {record.weights}, whose file is not known here")
    row = next(r for r in paper.RUNS if (r.name, r.protocol.name) == (record.run, record.protocol))
    module = row.dataset or next(m for m in paper.DATASETS if record.dataset == m.NAME)
    settings = run.Settings(paper.BUDGETS[record.budget], module, weights="phantom", seed=record.seed)

    def digest(one: run.Run) -> str:
        fingerprint = record.fingerprint if one is row else rows.fingerprint_of(one, settings, known)
        return run.identity(one, settings, fingerprint, known)

    now = {"hash": digest(row), "needs": {need.name: digest(need) for need in row.needed(settings.budget)}}
    return certificates.signed(dataclasses.replace(record, **measured(record, settings.budget.draws), **now))


def measured(record: records.Record, draws: int) -> dict[str, Estimates]:
    """metrics, tuned and majority, as far as the kept predictions give them."""
    p = artifacts.read_predictions(pairs.predictions_file(record))
    if p.classes > 2:
        found = multiclass.evaluate(
            p.labels, p.probabilities, p.patients, record.class_names, draws=draws, seed=record.seed
        )
        return {"metrics": merged(record.label, record.metrics, found)}
    if record.folds > 1:
        found = folds.evaluate(pairs.folds_of(p))
        free = {name: found[name] for name in ("auc", "log_loss")}  # of any threshold
        return {
            "metrics": merged(record.label, record.metrics, found),
            "tuned": merged(record.label, record.tuned, free),
        }
    part = p.labels, p.scores, p.patients
    tuned = intervals.evaluate(*part, threshold=record.threshold)
    train = record.sizes["train"]
    labels = np.arange(train["examples"]) < train["positives"]
    return {
        "metrics": merged(record.label, record.metrics, intervals.evaluate(*part)),
        "tuned": merged(record.label, record.tuned, tuned),
        "majority": merged(record.label, record.majority, intervals.majority_row(labels.astype(int), *part[::2])),
    }


def merged(label: str, before: Estimates, after: Estimates) -> Estimates:
    """The kept estimates; where an interval was made in another way, with its bounds of today."""
    found = dict(before)
    for name in before.keys() & after.keys():
        one, other = before[name], after[name]
        if not np.isclose(one.value, other.value, rtol=WITHIN, atol=WITHIN, equal_nan=True):
            raise cases.MammoError(f"{label}: {name} was {one.value} and is {other.value} of the kept predictions")
        ends = [(e.low, e.high) for e in (one, other)]
        if one.method != other.method or not np.allclose(*ends, rtol=WITHIN, atol=WITHIN, equal_nan=True):
            found[name] = dataclasses.replace(other, value=one.value)
    return found


if __name__ == "__main__":
    main()
