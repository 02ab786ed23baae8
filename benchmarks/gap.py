"""What of ao2020's gap between the protocols is the leak? The published crops, dealt by patient instead of at random.

`as_published` and `honest` differ in three things: the crops (three paddings, shifted, against one), the split (crops
at random against patients) and the part reported (validation at its best epoch against test). Here only the split
changes: same crops, same net, best epoch on validation both times, so the difference is the leak alone.

    python benchmarks/gap.py --only resnet18_scratch --only resnet18_transfer_unaugmented --seeds 5
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
import sys

from mammo_tf import artifacts, commands, gaps, planning, report_seeds, run, tables
from mammo_tf.datasets import cbis_ddsm, splits
from mammo_tf.evaluation import intervals

ROOT = pathlib.Path(__file__).parent.parent
BY_PATIENT = run.Rules("published_crops_by_patient", "val", leaks=("best epoch on the reported part",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", required=True)
    parser.add_argument("--budget", default="demo")
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="repeat with K seeds and show their mean")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/gap"))
    options = parser.parse_args()
    paper = commands.load_experiments(ROOT / "experiments")["ao2020"]
    settings = run.Settings(paper.BUDGETS[options.budget], cbis_ddsm, out=options.out, weights="phantom", resume=True)
    published = [r for r in paper.RUNS if r.name in options.only and r.protocol.name == "as_published"]
    patients = functools.partial(splits.patient_holdout, fractions=(0.8, 0.2))
    grouped = [dataclasses.replace(r, split=patients, protocol=BY_PATIENT) for r in published]
    found = planning.execute_all([*published, *grouped], settings, options.seeds)
    random, by_patient = ([r for r in found if (r.protocol == BY_PATIENT.name) == one] for one in (False, True))
    shown = [leak_table(random, by_patient), padding_table(found)]
    shown += [seeds_table(random, by_patient)] if options.seeds > 1 else []
    print("\n\n".join(map(tables.text, shown)))


def leak_table(random: list, grouped: list) -> tables.Table:
    """Accuracy and AUC of the two splits and their difference, by net."""
    rows = []
    for one, other in zip(random, grouped, strict=True):
        between = gaps.gap(one, other)
        for name in ("accuracy", "auc"):
            shown = (one.metrics[name], other.metrics[name], getattr(between, name))
            cells = [tables.with_interval(e) for e in shown]
            train = [tables.number(r.training["train_accuracy"]) for r in (one, other)]
            rows.append([one.run, str(one.seed), name, *cells, " / ".join(train)])
    columns = ["run", "seed", "metric", "crops at random", "by patient", "difference: the leak", "training accuracy"]
    return tables.Table("The published crops, split in two ways (phantom)", columns, rows)


def padding_table(found: list) -> tables.Table:
    """AUC on the reported crops of each padding: what the crop itself is worth."""
    rows = []
    for record in found:
        p = artifacts.read_predictions(pathlib.Path(record.folder) / "predictions.csv")
        row = [record.run, record.protocol, str(record.seed)]
        for padding in ("0.10", "0.20", "0.30"):
            mine = [i for i, id in enumerate(p.ids) if id.endswith(f"/pad{padding}")]
            row.append(tables.with_interval(intervals.auc(p.labels[mine], p.scores[mine], p.patients[mine])))
        rows.append(row)
    return tables.Table("AUC by padding (phantom)", ["run", "split", "seed", "0.10", "0.20", "0.30"], rows)


def seeds_table(random: list, grouped: list) -> tables.Table:
    """The leak's mean over the seeds, by net."""
    rows = []
    for run_name in dict.fromkeys(r.run for r in random):
        pairs = [both for both in zip(random, grouped, strict=True) if both[0].run == run_name]
        found = [gaps.gap(*both) for both in pairs]
        for name in ("accuracy", "auc"):
            spread = report_seeds.Spread.of([getattr(one, name) for one in found], (-1, 1))
            ends = f"{spread.least:.3f} to {spread.most:.3f}"
            sd = tables.number(spread.deviation)
            rows.append([run_name, name, tables.with_interval(spread.mean), sd, ends, tables.p_text(spread.p)])
    columns = ["run", "metric", "the leak, mean of seeds", "sd", "least to most", "p"]
    return tables.Table("The leak over seeds (phantom)", columns, rows, report_seeds.NOTES[:1])


if __name__ == "__main__":
    sys.exit(main())
