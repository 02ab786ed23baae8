"""The commands of `mammo-tf` that ask how far a number can be trusted: audit, forensics, null.

commands_evidence.add(parser.add_subparsers())
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from mammo_tf import cases, commands_data, labels

_FORENSICS = """\
Rows of a table share their test set, so a set that some row rules out is none. A CSV has a column for each metric
(accuracy, precision, recall or sensitivity, specificity, f1, balanced_accuracy, auc), a line for each row, digits as
printed, empty where there are none. Without a file the printed tables of the paper files are asked.

    mammo-tf forensics table.csv --most 500
    mammo-tf forensics --paper lowresource2020
    mammo-tf forensics --paper lowresource2020 --differences

--differences asks which accuracies of a table can differ by more than chance, on the smallest set that fits: at best
(every image that one row alone gets right is the same row's), and if errors are independent."""


def add(commands: Any) -> list[argparse.ArgumentParser]:
    """Adds the commands to the subparsers; each sets `call`, which takes the parsed options."""
    return [_add_audit(commands), _add_forensics(commands), _add_null(commands)]


_AUDIT = """\
Of a dataset: patients, exposures and images in both official parts, films that stand there twice, labels that size,
bit depth, pixel size, film or digitizer tell. Of a run: what it let leak, and what was chosen on the part reported.
Exit status: 0 nothing leaks, 1 something does, 2 a fault of the call.

    mammo-tf audit cbis_ddsm data/CBIS-DDSM
    mammo-tf audit runs/ao2020/*"""


def _add_audit(commands: Any) -> argparse.ArgumentParser:
    parser = commands_data.command(commands, "audit", _audit, "what leaks in a dataset or in runs", _AUDIT)
    parser.add_argument("what", nargs="+", help="a format and its folder, or folders of runs")
    parser.add_argument("--json", action="store_true")
    return parser


def _audit(options: argparse.Namespace) -> int:
    from mammo_tf import auditing

    if options.what[0] in commands_data.FORMATS:
        if len(options.what) != 2:
            raise cases.MammoError(f"audit {options.what[0]}: name one folder, such as data/{options.what[0]}")
        name, folder = options.what[0], pathlib.Path(options.what[1])
        policy = labels.mias_severity if name == "mini_mias" else labels.pathology
        if name == "inbreast":
            policy = labels.birads_4_up
        found = {f"{name} {folder}": auditing.of_dataset(commands_data.format_module(name), folder, policy)}
    else:
        found = {}
        for path in options.what:
            found |= auditing.of_runs(pathlib.Path(path))
    if options.json:
        print(json.dumps({name: [dataclasses.asdict(one) for one in some] for name, some in found.items()}, indent=1))
    else:
        print("\n".join(line for name, some in found.items() for line in (name, *_lines(some))))
    return int(any(one.leak for some in found.values() for one in some))


def _lines(found: Sequence[Any]) -> list[str]:
    lines = []
    for one in found:
        some = (
            f": {', '.join(one.examples)}{', ...' if one.count > len(one.examples) > 0 else ''}"
            if one.examples
            else ""
        )
        note = f" ({one.note})" if one.note else ""
        lines.append(f"  {'leak' if one.leak else 'note'}: {one.count} {one.kind}{some}{note}")
    return lines or ["  nothing that leaks was found"]


_NULL = """\
The run is done again K times (20; 200 where no net is trained) on labels that were dealt anew to patients, with
--noise on noise in the place of the images. An honest run's mean AUC is 0.5. It is read from the run's folder how the
run was called, and null.json (null-noise.json) is written there; `mammo-tf keep RUN` copies it beside the record.

    mammo-tf null runs/ao2020/baseline_cnn-honest-cbis_ddsm-phantom-demo-s0-0123abcd 20"""


def _add_null(commands: Any) -> argparse.ArgumentParser:
    parser = commands_data.command(commands, "null", _null, "what a run reaches where labels mean nothing", _NULL)
    parser.add_argument("run", type=pathlib.Path, help="folder of a run")
    parser.add_argument("deals", nargs="?", type=commands_data.positive, metavar="K", help="deals of labels")
    parser.add_argument("--noise", action="store_true", help="true labels, and noise in the place of the images")
    parser.add_argument("--experiments", type=pathlib.Path, default=pathlib.Path("experiments"))
    parser.add_argument("--json", action="store_true")
    return parser


def _null(options: argparse.Namespace) -> None:
    from mammo_tf import commands, planning

    experiments = commands.load_experiments(options.experiments)
    found = planning.null_of(options.run, experiments, options.deals or 0, noise=options.noise)
    planning.show_null([found], as_json=options.json)


def _add_forensics(commands: Any) -> argparse.ArgumentParser:
    parser = commands_data.command(
        commands, "forensics", _forensics, "which test sets make printed numbers arithmetically possible", _FORENSICS
    )
    parser.add_argument("table", nargs="?", type=pathlib.Path, help="a CSV of printed numbers")
    parser.add_argument("--paper", help="key of a paper file; all of them without it and without a table")
    parser.add_argument("--most", type=commands_data.positive, default=1000, help="largest test set, in images")
    parser.add_argument("--images", type=commands_data.positive, help="the test set's images, where they are known")
    parser.add_argument("--rounding", choices=("nearest", "down", "either"), help="how digits came about")
    parser.add_argument("--experiments", type=pathlib.Path, default=pathlib.Path("experiments"))
    parser.add_argument("--differences", action="store_true", help="which accuracies of a table can be told apart")
    parser.add_argument("--json", action="store_true")
    return parser


def _forensics(options: argparse.Namespace) -> None:
    if options.differences:
        _differences(options)
        return
    from mammo_tf import tables
    from mammo_tf.evaluation import forensics

    found = []
    for title, group in _groups(options):
        how = options.rounding or group.rounding
        fits = forensics.possible(group.rows, group.sizes, rounding=how)
        facts = {"table": title, "rows": len(group.rows), "tried": _tried(group), "rounding": how, "sets": fits}
        found.append(facts)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    columns = ["numbers", "rows", "digits", "images tried", "sets that fit", "images (positives), smallest first"]
    rows = []
    for one in found:
        sets = (str(len(one["sets"])), _some(one["sets"]))
        rows.append([one["table"], str(one["rows"]), one["rounding"], one["tried"], *sets])
    print(tables.text(tables.Table("", columns, rows)).lstrip())


def _differences(options: argparse.Namespace) -> None:
    from mammo_tf import report_printed, tables

    rows, facts = [], []
    for title, group in _groups(options):
        images, some = report_printed.found(group, options.rounding)
        for one in some:
            facts.append({"table": title, "images": images, **dataclasses.asdict(one)})
            names = f"{one.texts[0]} (row {one.one + 1}), {one.texts[1]} (row {one.other + 1})"
            p = [tables.p_text(value) for value in (one.best, one.independent)]
            rows.append([title, str(images), names, str(one.images), *p, report_printed.says(one)])
    if not facts:
        raise cases.MammoError(
            "--differences: no table has two rows that print accuracy and a test set that fits them"
        )
    if options.json:
        print(json.dumps(facts, indent=1))
        return
    columns = ["numbers", "images", "accuracies", "images apart", "p at best", "p, independent errors", "says"]
    notes = ["p after Holm's correction over the pairs of a table."]
    print(tables.text(tables.Table("", columns, rows, notes)).lstrip())


def _groups(options: argparse.Namespace) -> list[tuple[str, Any]]:
    """Titles and `forensics.Group`s: of the table given, or of the paper files."""
    from mammo_tf import commands
    from mammo_tf.evaluation import forensics

    if options.table:
        rows = tuple(_read(options.table))
        return [(options.table.name, forensics.Group(options.table.name, rows, options.most, options.images))]
    experiments = commands.load_experiments(options.experiments)
    if options.paper and options.paper not in experiments:
        raise cases.MammoError(f"--paper {options.paper}: the paper files are {', '.join(sorted(experiments))}")
    keys = [options.paper] if options.paper else sorted(experiments)
    found = [(f"{key}: {group.title}", group) for key in keys for group in getattr(experiments[key], "PRINTED", ())]
    if not found:
        raise cases.MammoError(f"{', '.join(keys)}: no printed numbers to ask (PRINTED of the paper file)")
    return found


def _read(path: pathlib.Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            rows = [{key: text for key, text in row.items() if key and text} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise cases.DataError(path, f"cannot be read as a CSV: {getattr(error, 'strerror', None) or error}") from None
    if not any(rows):
        raise cases.DataError(path, "no line with numbers")
    return [row for row in rows if row]


def _tried(group: Any) -> str:
    return str(group.images) if group.images else f"2 to {group.most}"


def _some(sets: list[tuple[int, int]], most: int = 8) -> str:
    shown = ", ".join(f"{n} ({p})" for n, p in sets[:most]) or "none"
    return shown + (", ..." if len(sets) > most else "")
