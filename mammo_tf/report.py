"""Every table that the project shows, as a pure function of (experiments, records); none is typed by hand.

Paper numbers and measured numbers stand in tables of their own; a difference to the paper is printed only for real
data at budget `paper`; budgets and kinds of data never share a table.

    text = report.markdown({"ao2020": ao2020}, records.load("results"))
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mammo_tf import (
    cases,
    gaps,
    pairs,
    records,
    report_beside,
    report_explained,
    report_folds,
    report_nulls,
    report_paper,
    report_seeds,
    tables,
)
from mammo_tf.evaluation import intervals
from mammo_tf.tables import NOT_TRUSTED, Table, number, with_interval

WARNING = "Research software, not a medical device: nothing here may be used for the care of patients."
PHANTOM = (
    "Phantom results: synthetic images, not mammograms. They show that the code works and how the protocols differ; "
    "they support no claim of a paper about patients."
)
STANDIN = (
    "`phantom_standin` weights come from the same phantom generator (other patients, another task), so no gain from "
    "them supports a paper's claim about ImageNet weights."
)
_SPREAD = re.compile(r" \(sd [^)]*\)")  # between folds, which "AUC of each fold" shows


@dataclasses.dataclass(frozen=True)
class Section:
    """What is said of one paper on one kind of data at one budget.

    Attributes:
        whole: the rows are the budget's own set. protocols: run -> those that the paper file has of it.
    """

    title: str
    tables: Sequence[Table]
    records: Sequence[records.Record]
    whole: bool = False
    protocols: Mapping[str, set[str]] = dataclasses.field(default_factory=dict)


def measured_table(group: Sequence[records.Record]) -> Table:
    """All columns of the paper's table and AUC, with 95 % intervals; seeds beyond the first give the deviation."""
    columns = ["run", "protocol", "part", "n (patients)", "accuracy", "train accuracy", "precision", "recall", "F1"]
    columns += ["AUC", "log-loss", "best epoch", "between seeds"]
    rows = []
    for _, same in itertools.groupby(group, key=lambda r: (r.run, r.protocol)):
        seeds = list(same)
        rows.append(_measured_row(seeds[0], seeds))
    rows += _majority_rows(group)
    return Table("Measured", columns, rows, _measured_notes(group))


def _measured_row(record: records.Record, seeds: Sequence[records.Record]) -> list[str]:
    m, t, size = record.metrics, record.training, record.sizes[record.reported]
    return [
        record.run,
        record.protocol,
        record.reported,
        f"{size['examples']} ({size['patients']})",
        with_interval(m["accuracy"]),
        number(t.get("train_accuracy")),
        *(with_interval(m.get(name)) for name in ("precision", "recall", "f1", "auc", "log_loss")),
        f"{t['best_epoch']} of {t['epochs']}" if t else "n/a",
        between(seeds),
    ]


def between(seeds: Sequence[records.Record], metric: str = "accuracy") -> str:
    if len(seeds) < 2:
        return "one seed"
    mean, deviation, count = intervals.between_seeds([r.metrics[metric].value for r in seeds])
    return f"{number(mean)} ± {number(deviation)} (k = {count})"


def _majority_rows(group: Sequence[records.Record]) -> list[list[str]]:
    rows = []
    for record in {(r.protocol, len(r.class_names)): r for r in reversed(group)}.values():
        m, size = record.majority, record.sizes[record.reported]
        several = f" of {len(record.class_names)}" if len(record.class_names) > 2 else ""
        row = [
            f"(majority class{several})",
            record.protocol,
            record.reported,
            f"{size['examples']} ({size['patients']})",
        ]
        row += [
            with_interval(m.get("accuracy")),
            "",
            *(with_interval(m.get(n)) for n in ("precision", "recall", "f1")),
        ]
        rows.append([*row, with_interval(m.get("auc")), with_interval(m.get("log_loss")), "", ""])
    return sorted(rows, key=lambda row: row[1])


def _measured_notes(group: Sequence[records.Record]) -> list[str]:
    shown = [(name, r.metrics[name].method) for r in group for name in ("accuracy", "auc")]
    methods = sorted({f"{name}: {_SPREAD.sub('', method.split(';')[0])}" for name, method in shown})
    notes = [f"95 % intervals; {'; '.join(methods)}. Threshold 0.5."]
    if any("*" in with_interval(e) for r in group for e in r.metrics.values()):
        notes.append(NOT_TRUSTED)
    weights = sorted({f"`{r.run}` {r.weights}" for r in group if r.weights != "scratch"})
    if weights:
        notes.append("Starting weights: " + ", ".join(weights) + ".")
    if needs := sorted({f"`{r.run}` from {', '.join(sorted(r.needs))}" for r in group if r.needs}):
        notes.append("Nets of other runs: " + "; ".join(needs) + ".")
    if any(r.weights == "phantom_standin" for r in group):
        notes.append(STANDIN)
    for protocol, leaks in sorted({(r.protocol, tuple(r.leaks)) for r in group}):
        notes.append(f"`{protocol}`: " + ("leaks: " + "; ".join(leaks) + "." if leaks else "no leak is named."))
    if any(r.problems for r in group):
        notes.append(
            f"Left out, with reasons in the records: up to {max(len(r.problems) for r in group)} files or rows."
        )
    mended = sorted({f"{rule}: {n}" for r in group for rule, n in r.repairs.items()})
    if mended:
        notes.append(f"Mended by the reader: {'; '.join(mended)}.")
    if others := sorted({r.intensity for r in group} - {"raw"}):
        notes.append(f"Gray values: intensity {', '.join(others)}.")
    return notes


def sections(experiment: Any, found: Iterable[records.Record]) -> list[Section]:
    """One section for each kind of data, dataset and budget, in the order of the experiment's runs.

    Raises:
        cases.MammoError: two records claim the same row and seed with different hashes.
    """
    order = {(run.name, run.protocol.name): i for i, run in enumerate(experiment.RUNS)}
    mine = [r for r in found if r.paper == experiment.KEY and (r.run, r.protocol) in order]
    mine = sorted(_once(mine), key=lambda r: (r.dataset_kind, r.dataset, r.budget, order[r.run, r.protocol], r.seed))
    out, protocols = [], {name: {p for run, p in order if run == name} for name, _ in order}
    for (kind, dataset, budget), same in itertools.groupby(mine, key=lambda r: (r.dataset_kind, r.dataset, r.budget)):
        group = list(same)
        shown = [measured_table(group), pairs.comparisons_table(experiment, group), pairs.classes_table(group)]
        shown += [
            pairs.parts_table(group),
            gaps.table(group),
            gaps.made_of(group),
            report_seeds.table(group),
            pairs.operating_table(group),
            pairs.claims_table(group),
        ]
        shown += [pairs.picked_table(experiment, group), pairs.named_claims_table(experiment, group)]
        shown += report_beside.tables(experiment, group)
        shown += [
            report_folds.table(group),
            report_explained.table(group),
            report_paper.difference(experiment, group),
        ]
        kind_text = "phantom in the layout of" if kind == "phantom" else "real"
        title = f"{experiment.KEY}: {kind_text} {dataset}, budget {budget}"
        shown = [table for table in shown if table]
        out.append(Section(title, shown, group, _is_set(experiment, group), protocols))
    return out


def _is_set(experiment: Any, group: Sequence[records.Record]) -> bool:
    """Whether the rows are those that the budget runs on this dataset where none is named."""
    names = getattr(experiment, "SETS", {}).get(group[0].budget, ())
    mine = [run for run in experiment.RUNS if run.name in names]
    here = {run.name for run in mine if group[0].dataset == (run.dataset or experiment.DATASETS[0]).NAME}
    return bool(here) and {r.run for r in group} == here


def _once(found: Iterable[records.Record]) -> list[records.Record]:
    """Each row and seed once; copies of one run (a run's folder and its kept record) count as one."""
    rows: dict[str, records.Record] = {}
    for record in found:
        other = rows.setdefault(record.label, record)
        if other.hash != record.hash:
            raise cases.MammoError(
                f"{record.label}: two records of this row, {other.hash} in {other.folder} and {record.hash} in "
                f"{record.folder}; keep one of them"
            )
    return list(rows.values())


def commands(section: Section) -> list[str]:
    """The commands that redo a section's runs and no others: one, where all rows have the same seeds."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for r in section.records:
        seeds.setdefault((r.run, r.protocol), set()).add(r.seed)
    apart = {min(map(min, seeds.values()))} if len(set(map(frozenset, seeds.values()))) > 1 else set()
    rows: dict[tuple[int, ...], dict[str, set[str]]] = {}
    for (run, protocol), of in seeds.items():
        for stretch in [*_stretches(of & apart), *_stretches(of - apart)]:
            rows.setdefault(stretch, {}).setdefault(run, set()).add(protocol)
    found = []
    for stretch in sorted(rows):
        groups: dict[frozenset[str], list[str]] = {}
        for run, protocols in rows[stretch].items():
            complete = protocols == section.protocols.get(run, protocols)
            groups.setdefault(frozenset() if complete else frozenset(protocols), []).append(run)
        for protocols, runs in groups.items():
            mine = [r for r in section.records if r.run in runs and r.protocol in rows[stretch][r.run]]
            whole = section.whole and not protocols and set(runs) == {r.run for r in section.records}
            found.append(_command([r for r in mine if r.seed in stretch], whole))
    return found


def _stretches(seeds: Iterable[int]) -> list[tuple[int, ...]]:
    """The seeds in runs of consecutive numbers."""
    found = itertools.groupby(enumerate(sorted(seeds)), key=lambda pair: pair[1] - pair[0])
    return [tuple(seed for _, seed in same) for _, same in found]


def _command(group: Sequence[records.Record], whole: bool) -> str:
    r = group[0]
    words = [f"python experiments/{r.paper}.py --dataset {r.dataset}"]
    words += [f"--root {r.dataset}=DIR"] if r.dataset_kind == "real" else []
    named = () if whole else dict.fromkeys(r.run for r in group)
    words += [f"--budget {r.budget}", *(f"--only {name}" for name in named)]
    protocols = list(dict.fromkeys(r.protocol for r in group))
    words += [f"--protocol {protocols[0]}"] if len(protocols) == 1 else []
    words += [f"--weights {w}" for w in sorted({_source(r.weights) for r in group} - {"scratch"})]
    seeds = sorted({r.seed for r in group})
    words += [f"--seed {seeds[0]}", *([f"--seeds {len(seeds)}"] if len(seeds) > 1 else [])]
    return " ".join(words)


def picture(section: Section) -> str:
    """Where the forest plot of a section lies beside RESULTS.md."""
    return f"forest/{'-'.join(re.findall('[a-z0-9_]+', section.title))}.png"


def _source(weights: str) -> str:
    """What `--weights` names: a file, the phantom, or the published weights of each row ("imagenet")."""
    known = {"phantom_standin": "phantom", "scratch": "scratch"}
    return known.get(weights) or (weights if "." in weights else "imagenet")


def markdown(
    experiments: Mapping[str, Any],
    found: Sequence[records.Record],
    nulls: Sequence[Any] = (),
    pictures: bool = False,
) -> str:
    """RESULTS.md.

    Args:
        experiments: paper files by key.
        found: the records.
        nulls: null tests (`null_records.load`).
        pictures: whether forest plots lie beside it, at the addresses of `picture`.
    """
    lines = ["# Results", "", WARNING, "Made by `mammo-tf report`; not edited by hand.", ""]
    for key in sorted(experiments):
        experiment = experiments[key]
        lines += [
            f"## {key}",
            "",
            (experiment.__doc__ or "").splitlines()[0],
            "",
            *itertools.chain.from_iterable(map(tables.markdown, report_paper.tables(experiment))),
        ]
        for section in sections(experiment, found):
            lines += [f"### {section.title}", ""]
            lines += [PHANTOM, ""] if section.records[0].dataset_kind == "phantom" else []
            lines += [*(f"    {one}" for one in commands(section)), "", _circumstances(section.records), ""]
            for table in section.tables:
                lines += tables.markdown(table)
            lines += [f"![AUC of all runs, with intervals]({picture(section)})", ""] if pictures else []
        lines += report_nulls.lines(experiment, nulls)
    return "\n".join(lines).rstrip() + "\n"


def _circumstances(group: Sequence[records.Record]) -> str:
    minutes = sum(r.seconds for r in group) / 60
    machines = ", ".join(sorted({r.hardware for r in group}))
    precisions = ", ".join(sorted({r.precision for r in group}))
    return f"{len(group)} runs, {minutes:.0f} minutes in all on {machines}; precision {precisions}."
