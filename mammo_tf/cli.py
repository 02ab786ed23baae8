"""The command line: `mammo-tf COMMAND` for everything but running a paper, `experiment(module)` for the paper files.

Faults of the input are one message and exit status 2, never a traceback.

    mammo-tf report --runs runs --out runs
    python experiments/ao2020.py --list
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pathlib
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from mammo_tf import cases, commands

LOG = logging.getLogger("mammo_tf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command `mammo-tf`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="mammo-tf", description="Mammography papers, reproduced. Not a medical device."
    )
    for command in commands.add(parser.add_subparsers(dest="command", required=True, metavar="COMMAND")):
        _common(command)
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
