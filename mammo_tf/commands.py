"""The commands of `mammo-tf`: report, compare, export, keep here, others in `commands_*`.

Heavy imports are inside the functions, so that `--help` is quick.

    commands.add(parser.add_subparsers())
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import itertools
import json
import pathlib
import shutil
import sys
import types
from typing import Any

from mammo_tf import cases, commands_data, commands_evaluate, commands_evidence


def add(commands: Any) -> list[argparse.ArgumentParser]:
    """Adds every command to the subparsers; each sets `call`, which takes the parsed options."""
    makers = (_add_report, _add_compare, _add_explain, _add_export, _add_keep)
    here = [make(commands) for make in makers]
    return [*commands_data.add(commands), *here, *commands_evaluate.add(commands), *commands_evidence.add(commands)]


def _add_report(commands: Any) -> argparse.ArgumentParser:
    parser = commands_data.command(commands, "report", _report, "RESULTS.md and one HTML page from records")
    parser.add_argument(
        "--runs", type=pathlib.Path, action="append", metavar="DIR", help="folders of runs or records"
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(), help="where RESULTS.md and page.html go")
    parser.add_argument(
        "--experiments", type=pathlib.Path, default=pathlib.Path("experiments"), help="folder of the paper files"
    )
    parser.add_argument("--json", action="store_true", help="print the records instead of the paths written")
    return parser


def _report(options: argparse.Namespace) -> None:
    from mammo_tf import figures, null_records, page, readme, records, report

    folders = options.runs or [pathlib.Path("results")]
    found, nulls = records.load(*folders), null_records.load(*folders)
    if not found and not nulls:
        raise cases.MammoError(f"report: no record in {', '.join(map(str, folders))}")
    experiments = load_experiments(options.experiments)
    _make(options.out)
    try:
        for section in itertools.chain.from_iterable(report.sections(e, found) for e in experiments.values()):
            picture = options.out / report.picture(section)
            _make(picture.parent)
            figures.save(page.forest(section), picture)
        (options.out / "RESULTS.md").write_text(report.markdown(experiments, found, nulls, pictures=True))
        page.write(options.out / "page.html", experiments, found, nulls)
        front = options.out / "README.md"
        if front.is_file():
            front.write_text(readme.with_block(front.read_text(), readme.block(experiments, found)))
    except OSError as error:
        raise cases.DataError(options.out, f"cannot be written: {error.strerror}") from None
    if options.json:
        print(json.dumps([records.as_json(record) for record in found], indent=1))
        return
    print(f"tables:              {options.out / 'RESULTS.md'}\npage:                {options.out / 'page.html'}")


def _add_compare(commands: Any) -> argparse.ArgumentParser:
    parser = commands_data.command(
        commands, "compare", _compare, "paired, patient-clustered test of two runs on the same patients"
    )
    parser.add_argument("run", nargs=2, type=pathlib.Path, help="two runs' folders, kept records or predictions")
    parser.add_argument("--json", action="store_true")
    return parser


def _compare(options: argparse.Namespace) -> None:
    from mammo_tf import artifacts, pairs, records, tables

    one, other = (artifacts.read_predictions(_table(path)) for path in options.run)
    found = pairs.of_predictions(one, other)
    if options.json:
        facts = {"first": str(options.run[0]), "second": str(options.run[1])}
        for pair in found:
            facts |= {pair.metric.lower(): pair.difference.as_dict(), f"{pair.metric.lower()}_p": pair.p}
        print(json.dumps(records.plain(facts)))
        return
    rows = [
        [pair.metric, tables.with_interval(pair.difference), tables.number(pair.p, 4), pair.difference.method]
        for pair in found
    ]
    first = found[0].difference
    title = f"{options.run[0]}\nminus {options.run[1]}\n{first.n} examples of {first.patients} patients"
    print(tables.text(tables.Table(title, ["metric", "difference", "p", "test"], rows)))


def _table(path: pathlib.Path) -> pathlib.Path:
    """The table of predictions that a run's folder, a kept record or a CSV stands for."""
    from mammo_tf import sources

    found = sources.find(path)
    if len(found) != 1:
        names = ", ".join(source.name for source in found[:3])
        raise cases.MammoError(f"{path}: compare needs one run, found {len(found)} ({names}, ...)")
    return found[0].predictions


def _add_explain(commands: Any) -> argparse.ArgumentParser:
    parser = commands_data.command(commands, "explain", _explain, "pictures of what a run's net looks at")
    parser.add_argument("run", type=pathlib.Path, help="folder of a run (or of several, with --only)")
    parser.add_argument("--only", metavar="NAME", help="the run of that name below the folder")
    parser.add_argument("--protocol", default=None)
    help = "heatmap: where the patch net sees malignant lesions; for maps of the run's own net saliency, smoothgrad, "
    help += "gradient_x_input, integrated_gradients, occlusion, lrp_epsilon, lrp_z_plus, lrp_composite, deconvnet, "
    help += "guided_backpropagation, gradcam, unit_masking, activation_maximisation; or all of these"
    parser.add_argument("--method", default="heatmap", metavar="NAME", help=help)
    parser.add_argument(
        "--class", dest="name", help="whose score is explained, or its number; default: the predicted"
    )
    parser.add_argument("--no-scores", action="store_true", help="pictures and arrays alone; the scores take longer")
    help = "DICOM, PNG, TIFF, PGM or JPEG files; without, the examples that the run kept"
    parser.add_argument("--images", nargs="+", type=pathlib.Path, default=[], metavar="FILE", help=help)
    parser.add_argument("--bits", type=commands_data.positive, help="bits of the values, where the file has more")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("explained"))
    parser.add_argument("--json", action="store_true", help="print the paths as JSON")
    return parser


def _explain(options: argparse.Namespace) -> None:
    from mammo_tf import explaining

    how = {"method": options.method, "images": options.images, "out": options.out, "bits": options.bits}
    how |= {} if options.name is None else {"name": options.name}
    how |= {"scored": False} if options.no_scores else {}
    paths = [str(path) for path in explaining.explain(_one_run(options), **how)]
    print(json.dumps(paths) if options.json else "\n".join(paths))


def _one_run(options: argparse.Namespace) -> Any:
    """The record of the run that `run`, `--only` and `--protocol` name.

    Raises:
        cases.MammoError: they name none, or several.
    """
    from mammo_tf import records

    found = [
        r
        for r in records.load(options.run)
        if options.only in (None, r.run) and options.protocol in (None, r.protocol)
    ]
    if len(found) != 1:
        names = ", ".join(f"{r.run} {r.protocol}" for r in found) or "none"
        raise cases.MammoError(
            f"{options.run}: {options.command} needs one run, found {names}; name it by --only and --protocol"
        )
    return found[0]


def _add_export(commands: Any) -> argparse.ArgumentParser:
    parser = commands_data.command(commands, "export", _export, "a run as a SavedModel with its preprocessing inside")
    parser.add_argument("run", type=pathlib.Path, help="folder of a run (or of several, with --only)")
    parser.add_argument("dir", type=pathlib.Path, help="folder to write")
    parser.add_argument("--only", metavar="NAME", help="the run of that name below the folder")
    parser.add_argument("--protocol", default=None)
    parser.add_argument("--json", action="store_true", help="print the model's metadata")
    return parser


def _export(options: argparse.Namespace) -> None:
    from mammo_tf import export

    folder = export.export(_one_run(options), options.dir)
    print((folder / export.METADATA).read_text() if options.json else f"exported model:      {folder}")


def _make(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cases.DataError(folder, f"cannot be written: {error.strerror}") from None


def _add_keep(commands: Any) -> argparse.ArgumentParser:
    parser = commands_data.command(
        commands, "keep", _keep, "copy records and null tests of runs to results/, where RESULTS.md reads them"
    )
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="folders of runs, or OUT/null of --null")
    parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path("results"))
    return parser


def _keep(options: argparse.Namespace) -> None:
    from mammo_tf import null_records, records

    nulls = null_records.load(*options.runs)
    found = records.load(*(folder for folder in options.runs if not (null_records.is_null(folder) and nulls)))
    if not found and not nulls:
        raise cases.MammoError(f"keep: no run that has ended and no null test in {', '.join(map(str, options.runs))}")
    if twice := [r.label for r, other in itertools.pairwise(found) if r.label == other.label]:
        raise cases.MammoError(f"keep: several runs of {', '.join(sorted(set(twice)))}; name the folder of one")
    for record in found:
        folder = options.results / record.paper
        _make(folder)
        records.save(dataclasses.replace(record, folder=""), folder / f"{record.label}.json")
        predictions = pathlib.Path(record.folder) / "predictions.csv"
        if record.dataset_kind == "phantom" and predictions.is_file():  # labels of patients are not ours to pass on
            shutil.copyfile(predictions, folder / f"{record.label}.csv")
        print(folder / f"{record.label}.json")
    for one in nulls:
        folder = options.results / one.paper / records.NULL_FOLDER
        _make(folder)
        null_records.save(one, folder / f"{one.label}.json")
        print(folder / f"{one.label}.json")


def load_experiments(folder: pathlib.Path) -> dict[str, types.ModuleType]:
    """The paper files of a folder, by key; other scripts in it (without KEY and RUNS) are passed over."""
    if not folder.is_dir():
        raise cases.DataError(folder, "no such folder of paper files; name it by --experiments")
    found = {}
    for path in sorted(folder.glob("*.py")):
        if "\nRUNS = " not in path.read_text():
            continue
        spec = importlib.util.spec_from_file_location(f"experiments.{path.stem}", path)
        module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
        spec.loader.exec_module(module)
        found[module.KEY] = module
    return found
