"""The command line: `mammo-tf COMMAND` for everything but running a paper, `experiment(module)` for the paper files.

mammo-tf report --runs runs --out runs
python experiments/ao2020.py --list
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import logging
import os
import pathlib
import shutil
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from mammo_tf import cases

LOG = logging.getLogger("mammo_tf")
FORMATS = ("cbis_ddsm", "mini_mias")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command `mammo-tf`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="mammo-tf", description="Mammography papers, reproduced. Not a medical device."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_phantom, _add_cache, _add_report, _add_compare, _add_export, _add_keep):
        _common(add(commands))
    options = parser.parse_args(arguments)
    return guarded(options, lambda: options.call(options))


def guarded(options: argparse.Namespace, call: Callable[[], int | None]) -> int:
    """Runs a command; a fault of the input is one message and exit status 2, never a traceback."""
    level = logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    LOG.setLevel(level)
    try:
        return call() or 0
    except cases.MammoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.add_argument("--quiet", action="store_true", help="say only what is wrong")


def _command(commands: Any, name: str, call: Callable[..., int | None], help: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(call=call)
    return parser


def _add_phantom(commands: Any) -> argparse.ArgumentParser:
    parser = _command(commands, "phantom", _phantom, "write a synthetic phantom in a dataset's on-disk format")
    parser.add_argument("dataset", choices=FORMATS)
    parser.add_argument("dir", type=pathlib.Path, help="folder to write; must be empty or new")
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--height", type=int, default=600, help="rows of a view")
    parser.add_argument("--width", type=int, default=450, help="columns of a view")
    parser.add_argument("--spacing-mm", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preview", type=pathlib.Path, metavar="PNG", help="also draw a contact sheet")
    return parser


def _phantom(options: argparse.Namespace) -> None:
    from mammo_tf import datasets, figures
    from mammo_tf.datasets import phantom

    module = format_module(options.dataset)
    spec = phantom.PhantomSpec(
        patients=options.patients,
        height=options.height,
        width=options.width,
        spacing_mm=options.spacing_mm,
        seed=options.seed,
    )
    datasets.write_phantom(module, spec, options.dir)
    dataset = module.read(options.dir)
    print(f"{options.dir}: phantom, {len(dataset.cases)} patients, {len(dataset.views)} views, {dataset.name} format")
    if options.preview:
        views = dataset.views[:12]
        sheet = figures.contact_sheet(
            [view.pixels() / view.max_value for view in views], [view.id for view in views], 6, note="phantom"
        )
        figures.save(sheet, options.preview)
        print(options.preview)


def _add_cache(commands: Any) -> argparse.ArgumentParser:
    parser = _command(commands, "cache", _cache, "show or clear the cache (MAMMO_TF_CACHE)")
    parser.add_argument("--clear", nargs="?", const="", metavar="KEY", help="remove one entry, or all")
    parser.add_argument("--json", action="store_true")
    return parser


def _cache(options: argparse.Namespace) -> None:
    from mammo_tf import cache

    if options.clear is not None:
        cache.clear(options.clear or None)
    entries = [dataclasses.asdict(entry) for entry in cache.entries()]
    if options.json:
        print(json.dumps({"folder": str(cache.folder()), "entries": entries}, default=str))
        return
    print(cache.folder())
    for entry in entries:
        print(f"{entry['bytes'] / 1e6:10.1f} MB  {entry['key']}")


def _add_report(commands: Any) -> argparse.ArgumentParser:
    parser = _command(commands, "report", _report, "RESULTS.md and one HTML page from records")
    parser.add_argument(
        "--runs", type=pathlib.Path, action="append", metavar="DIR", help="folders of runs or records"
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(), help="where RESULTS.md and page.html go")
    _experiments_option(parser)
    return parser


def _experiments_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--experiments", type=pathlib.Path, default=pathlib.Path("experiments"), help="folder of the paper files"
    )


def _report(options: argparse.Namespace) -> None:
    from mammo_tf import page, records, report

    found = records.load(*(options.runs or [pathlib.Path("results")]))
    experiments = load_experiments(options.experiments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "RESULTS.md").write_text(report.markdown(experiments, found))
        page.write(options.out / "page.html", experiments, found)
    except OSError as error:
        raise cases.DataError(options.out, f"cannot be written: {error.strerror}") from None
    for experiment in experiments.values():
        for section in report.sections(experiment, found):
            print(f"\n{section.title}\n")
            print("\n\n".join(map(report.text, section.tables)))
    print(f"\ntables: {options.out / 'RESULTS.md'}\npage:   {options.out / 'page.html'}")


def _add_compare(commands: Any) -> argparse.ArgumentParser:
    parser = _command(
        commands, "compare", _compare, "paired, patient-clustered test of two runs on the same patients"
    )
    parser.add_argument("run", nargs=2, type=pathlib.Path, help="folders of two runs")
    parser.add_argument("--json", action="store_true")
    return parser


def _compare(options: argparse.Namespace) -> None:
    from mammo_tf import artifacts, records, report
    from mammo_tf.evaluation import compare

    one, other = (artifacts.read_predictions(folder / "predictions.csv") for folder in options.run)
    found = compare.compare(*compare.aligned(one, other))
    facts = {"first": str(options.run[0]), "second": str(options.run[1])}
    facts |= {"auc": found.auc.as_dict(), "auc_p": found.auc_p, "accuracy": found.accuracy.as_dict()}
    facts |= {"accuracy_p": found.accuracy_p}
    print(json.dumps(records.plain(facts)) if options.json else report.comparison_text(found, *options.run))


def _add_export(commands: Any) -> argparse.ArgumentParser:
    parser = _command(commands, "export", _export, "a run as a SavedModel with its preprocessing inside")
    parser.add_argument("run", type=pathlib.Path, help="folder of a run (or of several, with --only)")
    parser.add_argument("dir", type=pathlib.Path, help="folder to write")
    parser.add_argument("--only", metavar="NAME", help="the run of that name below the folder")
    parser.add_argument("--protocol", default=None)
    return parser


def _export(options: argparse.Namespace) -> None:
    from mammo_tf import export, records

    found = [
        r
        for r in records.load(options.run)
        if options.only in (None, r.run) and options.protocol in (None, r.protocol)
    ]
    if len(found) != 1:
        names = ", ".join(f"{r.run} {r.protocol}" for r in found) or "none"
        raise cases.MammoError(
            f"{options.run}: export needs one run, found {names}; name it by --only and --protocol"
        )
    print(f"exported model: {export.export(found[0], options.dir)}")


def _add_keep(commands: Any) -> argparse.ArgumentParser:
    parser = _command(commands, "keep", _keep, "copy the records of runs to results/, where RESULTS.md reads them")
    parser.add_argument("runs", nargs="+", type=pathlib.Path)
    parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path("results"))
    return parser


def _keep(options: argparse.Namespace) -> None:
    from mammo_tf import records

    for record in records.load(*options.runs):
        folder = options.results / record.paper
        folder.mkdir(parents=True, exist_ok=True)
        records.save(dataclasses.replace(record, folder=""), folder / f"{record.label}.json")
        if record.dataset_kind == "phantom":  # labels of real data are not ours to pass on
            shutil.copyfile(pathlib.Path(record.folder) / "predictions.csv", folder / f"{record.label}.csv")
        print(folder / f"{record.label}.json")


def format_module(name: str) -> types.ModuleType:
    """The module of an on-disk format."""
    return importlib.import_module(f"mammo_tf.datasets.{name}")


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


def experiment(module: types.ModuleType, arguments: Sequence[str] | None = None) -> int:
    """Front door of a paper file: `raise SystemExit(cli.experiment(sys.modules[__name__]))`."""
    options = _experiment_parser(module).parse_args(arguments)
    return guarded(options, lambda: _experiment(module, options))


def _experiment_parser(module: types.ModuleType) -> argparse.ArgumentParser:
    names = [m.NAME for m in module.DATASETS]
    parser = argparse.ArgumentParser(description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--list", action="store_true", help="the runs, and what each costs")
    add("--estimate", action="store_true", help="time two real steps at budget paper; print hours, memory, disk")
    add("--only", action="append", metavar="NAME", help="this run (repeatable; default all)")
    add("--protocol", choices=("as_published", "honest", "both"), default="both")
    add("--dataset", choices=names, default=names[0])
    add("--root", action="append", metavar="NAME=DIR", default=[], help="folder of a dataset (repeatable)")
    add("--budget", choices=list(module.BUDGETS), default="demo")
    add("--seed", type=int, default=0)
    add("--seeds", type=int, default=1, metavar="K", help="repeat with K seeds, from --seed on")
    add("--weights", metavar="imagenet|phantom|FILE", help="pre-trained weights (phantom: a stand-in)")
    add("--out", type=pathlib.Path, default=pathlib.Path("runs"))
    add("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    add("--resume", action="store_true", help="go on where a run was stopped; skip runs that are done")
    add("--strict", action="store_true", help="stop at the first unreadable file")
    add("--json", action="store_true", help="print facts as JSON")
    _common(parser)
    return parser


def _experiment(module: types.ModuleType, options: argparse.Namespace) -> None:
    from mammo_tf import planning

    runs = choose(module.RUNS, options)
    if options.list or options.estimate:
        facts = planning.estimate(runs, module, options.seed) if options.estimate else planning.costs(runs, module)
        print(json.dumps(facts, indent=1) if options.json else planning.text(facts))
        return
    settings = _settings(module, options)
    found = planning.execute_all(runs, settings, options.seeds)
    planning.show(module, found, as_json=options.json)


def choose(runs: Sequence[Any], options: argparse.Namespace) -> list[Any]:
    """The runs that `--only` and `--protocol` name.

    Raises:
        cases.MammoError: a name that no run has.
    """
    names = list(dict.fromkeys(run.name for run in runs))
    if unknown := sorted(set(options.only or ()) - set(names)):
        raise cases.MammoError(f"--only: no run is called {', '.join(unknown)}; there are {', '.join(names)}")
    return [
        run
        for run in runs
        if (not options.only or run.name in options.only) and options.protocol in ("both", run.protocol.name)
    ]


def _settings(module: types.ModuleType, options: argparse.Namespace) -> Any:
    from mammo_tf import run

    root = roots(options.root, [m.NAME for m in module.DATASETS]).get(options.dataset)
    if root is None:
        LOG.info("no folder given for %s: a synthetic phantom takes its place", options.dataset)
    return run.Settings(
        budget=module.BUDGETS[options.budget],
        dataset=next(m for m in module.DATASETS if options.dataset == m.NAME),
        root=root,
        seed=options.seed,
        out=options.out,
        weights=options.weights or ("phantom" if root is None else "imagenet"),
        precision=options.precision,
        resume=options.resume,
        strict=options.strict,
    )


def roots(given: Sequence[str], names: Sequence[str]) -> dict[str, pathlib.Path]:
    """Dataset folders: from MAMMO_TF_DATA (a folder with one folder a dataset), overruled by NAME=DIR.

    Raises:
        cases.MammoError: NAME=DIR is malformed or NAME unknown.
    """
    found = {}
    if os.environ.get("MAMMO_TF_DATA"):
        parent = pathlib.Path(os.environ["MAMMO_TF_DATA"])
        found = {name: parent / name for name in names if (parent / name).is_dir()}
    for text in given:
        name, _, folder = text.partition("=")
        if name not in names or not folder:
            raise cases.MammoError(f"--root {text}: expected NAME=DIR with NAME one of {', '.join(names)}")
        found[name] = pathlib.Path(folder).expanduser()
    return found
