"""The command `mammo-tf evaluate`: one run's scores measured in every way that its predictions allow.

commands_evaluate.add(parser.add_subparsers())
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from mammo_tf import cases, commands_data, sources

_EVALUATE = """\
Ranking (AUC, partial AUCs, rates read off the curve, average precision), the threshold's rates, predictive values at
a stated prevalence, calibration, all with 95 % intervals over patients; precision_recall.png, reliability.png and
decision_curve.png. Of several folds each number is a mean over folds: scores of different nets have no common scale.
RUN is a run's folder, a kept record (.json), a table of predictions (.csv), or a folder of several.

    mammo-tf evaluate runs/ao2020/RUN --prevalence 0.006
    mammo-tf evaluate results/ao2020/NAME.json --out runs/evaluated --pool case --rule max"""


def add(commands: Any) -> list[argparse.ArgumentParser]:
    """Adds the command to the subparsers; it sets `call`, which takes the parsed options."""
    what = "every measure of a run's predictions, with intervals and pictures"
    parser = commands_data.command(commands, "evaluate", _evaluate, what, _EVALUATE)
    option = parser.add_argument
    option("run", nargs="+", type=pathlib.Path, help="a run's folder, a kept record, a table of predictions")
    option("--prevalence", type=_share, metavar="P", help="of predictive values and net benefit, such as 0.006")
    option("--specificity", type=_share, default=0.9, metavar="S", help="where the sensitivity is read off (0.9)")
    option("--sensitivity", type=_share, default=0.9, metavar="S", help="where the specificity is read off (0.9)")
    option("--threshold", type=_number, metavar="T", help="default: that chosen on validation, or 0.5")
    option("--bins", type=commands_data.positive, default=10, metavar="N", help="of the calibration error (10)")
    option("--pool", choices=("breast", "case"), help="first make one score of the images of each")
    rules = ("mean", "max", "noisy_or", "mean_then_max")
    option("--rule", choices=rules, help="how (mean_then_max: mean over a breast's views, worse breast of a case)")
    option(
        "--validation", type=pathlib.Path, metavar="CSV", help="predictions of other patients: recalibrate on them"
    )
    option("--out", type=pathlib.Path, metavar="DIR", help="where pictures go (the run's folder; none for others)")
    option("--json", action="store_true")
    return [parser]


def _evaluate(options: argparse.Namespace) -> None:
    wanted = [source for path in options.run for source in sources.find(path)]
    if options.validation and len(wanted) != 1:
        raise cases.MammoError(f"--validation goes with one run; {len(wanted)} are named")
    if options.rule and not options.pool:
        raise cases.MammoError(f"--rule {options.rule} says how to pool; name --pool breast or --pool case too")
    found = []
    for source in wanted:
        try:
            found.append(_one(source, options, several=len(wanted) > 1))
        except cases.MammoError as error:
            if len(wanted) == 1:
                raise
            print(f"left out: {error}", file=sys.stderr)
    if not found:
        raise cases.MammoError(f"evaluate: none of the {len(wanted)} runs can be measured")
    if options.json:
        from mammo_tf import records

        print(json.dumps(records.plain([_facts(one) for one in found]), indent=1, allow_nan=False))
    else:
        print("\n\n".join(_text(one) for one in found))


@dataclasses.dataclass(frozen=True)
class _Evaluated:
    source: sources.Source
    unit: str
    parts: Sequence[Any]
    threshold: float
    whence: str
    rows: Sequence[Any]
    recalibrated: dict[str, Any]
    pictures: Sequence[pathlib.Path]


def _one(source: sources.Source, options: argparse.Namespace, several: bool) -> _Evaluated:
    from mammo_tf.evaluation import summary

    parts = _parts(source.predictions, options)
    threshold, whence = _threshold(source, options)
    names = ("specificity", "sensitivity", "prevalence", "bins")
    asked = summary.Asked(threshold=threshold, **{name: getattr(options, name) for name in names})
    rows = summary.rows(parts, asked)
    folder = options.out or source.folder
    if options.out and several:
        table = source.predictions
        plain = table.parent.name if table.name == "predictions.csv" else table.stem
        folder = options.out / (source.record.label if source.record else plain)
    pictures = _draw(folder, source, parts, rows, asked, options) if folder else ()
    recalibrated = _recalibrated(parts, options) if options.validation else {}
    unit = {"breast": "breasts", "case": "cases", None: "examples"}[options.pool]
    return _Evaluated(source, unit, parts, threshold, whence, rows, recalibrated, pictures)


def _parts(table: pathlib.Path, options: argparse.Namespace) -> list[Any]:
    """(labels, scores, patients) of every fold, pooled where asked."""
    from mammo_tf import artifacts
    from mammo_tf.evaluation import folds, pooling

    predictions = artifacts.read_predictions(table)
    if predictions.classes > 2:
        raise cases.MammoError(f"{table}: {predictions.classes} classes; evaluate measures two")
    each = [predictions.of_fold(fold) for fold in np.unique(predictions.folds)]
    if options.pool:
        each = [pooling.pool(one, options.pool, options.rule or "mean_then_max") for one in each]
    return [folds.Fold(one.labels, one.scores, one.patients) for one in each]


def _threshold(source: sources.Source, options: argparse.Namespace) -> tuple[float, str]:
    if options.threshold is not None:
        return options.threshold, "given"
    record = source.record
    if record is None or record.folds > 1 or options.pool or not np.isfinite(record.threshold):
        return 0.5, "fixed"
    return record.threshold, "fixed" if record.threshold_rule == "fixed" else f"{record.threshold_rule} on validation"


def _recalibrated(parts: Sequence[Any], options: argparse.Namespace) -> dict[str, Any]:
    from mammo_tf.evaluation import recalibration

    validation = _parts(options.validation, options)
    if len(parts) > 1 or len(validation) > 1:
        raise cases.MammoError(
            f"--validation: {len(parts)} folds of the run and {len(validation)} of {options.validation}; a map "
            "belongs to one net, so one of each is needed"
        )
    fits = recalibration.FITS.items()
    return {name: recalibration.recalibrate(validation[0], parts[0], fit, bins=options.bins) for name, fit in fits}


def _draw(
    folder: pathlib.Path, source: sources.Source, parts: Sequence[Any], rows: Sequence[Any], asked: Any, options: Any
) -> list[pathlib.Path]:
    from mammo_tf import artifacts, figures, figures_calibration
    from mammo_tf.evaluation import calibration, summary

    by_key = {row.key: row.estimate for row in rows}
    note, pairs = _note(source, options), [part[:2] for part in parts]
    ap = by_key["average_precision"]
    drawn = {"precision_recall.png": figures_calibration.precision_recall(pairs, estimate=ap, note=note)}
    if summary.are_probabilities(parts):
        edges = calibration.equal_width(asked.bins)
        curves = [calibration.reliability(*part, edges) for part in parts]
        noise = by_key["ece_if_calibrated"].value
        notes = [f"ECE {by_key['ece'].value:.3f}", f"(a calibrated net: {noise:.3f})"]
        drawn["reliability.png"] = figures_calibration.reliability(curves, notes=notes, note=note)
        if all(0 < np.mean(part.labels) < 1 for part in parts):
            curve = _net_benefit(parts, asked)
            drawn["decision_curve.png"] = figures_calibration.decision_curve(curve, folds=len(parts), note=note)
    artifacts.make_folder(folder)
    for name, figure in drawn.items():
        figures.save(figure, folder / name)
    return [folder / name for name in drawn]


def _net_benefit(parts: Sequence[Any], asked: Any) -> Any:
    """At a stated prevalence the scores of each fold move along with it, and thresholds up to five times it count."""
    from mammo_tf.evaluation import decision_curve, prevalence

    at, how = asked.prevalence, {"draws": asked.draws, "seed": asked.seed}
    if at is None:
        return decision_curve.curve(parts, **how)
    moved = [prevalence.shifted(part.scores, float(np.mean(part.labels)), at) for part in parts]
    parts = [part._replace(scores=scores) for part, scores in zip(parts, moved, strict=True)]
    return decision_curve.curve(parts, np.linspace(0, min(0.99, 5 * at), 101)[1:], prevalence=at, **how)


def _note(source: sources.Source, options: argparse.Namespace) -> str:
    record = source.record
    what = source.predictions.stem if record is None else f"{record.dataset_kind}, {record.dataset}, "
    what += "" if record is None else f"{record.run}, {record.protocol}, budget {record.budget}, {record.reported}"
    return what + (f"; one score a {options.pool} ({options.rule or 'mean_then_max'})" if options.pool else "")


def _facts(one: _Evaluated) -> dict[str, Any]:
    record = one.source.record
    facts = {"run": one.source.name, "predictions": str(one.source.predictions), "unit": one.unit}
    facts |= {"folds": len(one.parts), "dataset_kind": record.dataset_kind if record else None}
    facts |= {
        "threshold": one.threshold,
        "threshold_rule": one.whence,
        "metrics": {row.key: row.estimate.as_dict() for row in one.rows},
    }
    facts["recalibrated"] = {
        name: {
            "map": dataclasses.asdict(found.map),
            "before": {key: estimate.as_dict() for key, estimate in found.before.items()},
            "after": {key: estimate.as_dict() for key, estimate in found.after.items()},
            "brier_gain": found.gain.as_dict(),
        }
        for name, found in one.recalibrated.items()
    }
    return facts | {"pictures": [str(path) for path in one.pictures]}


def _text(one: _Evaluated) -> str:
    from mammo_tf import tables
    from mammo_tf.evaluation import summary

    first = one.rows[0].estimate
    head = [one.source.name, f"{first.n} {one.unit} of {first.patients} patients; threshold {one.whence}"]
    if one.source.record:
        head[1] += f"; {one.source.record.dataset_kind} data, part {one.source.record.reported}"
    if len(one.parts) > 1:
        head.append(f"{len(one.parts)} folds: means over folds, since scores of different nets have no common scale")
    shown = [[row.label, _cell(row.estimate, row.digits), row.note, row.estimate.method] for row in one.rows]
    notes = [] if summary.are_probabilities(one.parts) else [summary.NO_PROBABILITIES]
    notes += ["* few patients of a class, or an interval that says nothing: see the last column"]
    lines = [
        tables.text(tables.Table("\n".join(head), ["measure", "value [95 %]", "reads", "interval"], shown, notes))
    ]
    if one.recalibrated:
        lines.append(_recalibrated_text(one.recalibrated))
    return "\n".join([*lines, *(str(path) for path in one.pictures)])


def _recalibrated_text(found: dict[str, Any]) -> str:
    from mammo_tf import tables

    before = next(iter(found.values())).before
    rows = [["as it is", *(_cell(before[key]) for key in ("brier", "log_loss", "ece")), ""]]
    for name, one in found.items():
        rows.append([name, *(_cell(one.after[key]) for key in ("brier", "log_loss", "ece")), _cell(one.gain)])
    columns = ["fitted on validation", "Brier", "log loss", "ECE", "Brier, after less before (paired)"]
    return "\n" + tables.text(tables.Table("Recalibrated", columns, rows))


def _cell(estimate: Any, digits: int = 3) -> str:
    from mammo_tf import tables

    value, *bounds = (tables.number(number, digits) for number in (estimate.value, estimate.low, estimate.high))
    mark = "*" if any(word in estimate.method for word in tables.MARKS) else ""
    return value + mark + ("" if np.isnan(estimate.low) else f" [{', '.join(bounds)}]")


def _share(text: str) -> float:
    """A number in (0, 1], for argparse."""
    number = _number(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in (0, 1]")
    return number


def _number(text: str) -> float:
    """A finite number, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return number
