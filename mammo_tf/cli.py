"""The command line: `mammo-tf COMMAND` for everything but running a paper, `experiment(module)` for the paper files.

Faults of the input are one message and exit status 2, never a traceback.

    mammo-tf report --runs runs --out runs
    python experiments/ao2020.py --list
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import pathlib
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from mammo_tf import cases, commands, commands_data

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
        return 141  # as a shell counts a process that its reader has left; 1 is the answer of `check`


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
    add("--dataset", choices=names, help=f"default: the one that --root names, else {names[0]}")
    add("--root", action="append", metavar="NAME=DIR", default=[], help="folder of a dataset (repeatable)")
    add("--budget", choices=list(module.BUDGETS), default="demo")
    add("--set", action="append", metavar="FIELD=VALUE", default=[], help="change a number of the budget")
    add("--seed", type=_natural, default=0)
    add("--members", metavar="A:B", help="train these members of an ensemble alone, to share them out")
    add("--seeds", type=commands_data.positive, default=1, metavar="K", help="repeat with K seeds, from --seed on")
    add(
        "--null",
        type=commands_data.positive,
        nargs="?",
        const=0,
        metavar="K",
        help="on K deals of meaningless labels",
    )
    add("--noise", action="store_true", help="with --null: true labels, and noise in the place of the images")
    add("--weights", metavar="imagenet|phantom|FILE", help="pre-trained weights (phantom: a stand-in)")
    add("--intensity", choices=commands_data.INTENSITIES, default="raw", help="how DICOM values become gray values")
    add("--out", type=pathlib.Path, default=pathlib.Path("runs"))
    add("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    add("--resume", action="store_true", help="go on where a run was stopped; skip runs that are done")
    add("--strict", action="store_true", help="stop at the first unreadable file")
    add("--json", action="store_true", help="print facts as JSON")
    _common(parser)
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 2^32 - 1")
    return number


def _experiment(module: types.ModuleType, options: argparse.Namespace) -> None:
    from mammo_tf import planning

    if options.noise and options.null is None:
        raise cases.MammoError("--noise belongs to --null: it asks what a run reaches on noise")
    runs = choose(module, options)
    if options.list or options.estimate:
        facts = planning.estimate(runs, module, options) if options.estimate else planning.costs(runs, module)
        shown = planning.text(facts) if options.estimate else planning.listing(runs, module)
        print(json.dumps(facts, indent=1) if options.json else shown)
        return
    settings = _settings(module, options)
    runs = members(runs, settings.budget, options.members) if options.members else runs
    if options.null is not None:
        found = planning.null_all(runs, settings, options.null, noise=options.noise)
        planning.show_null(found, as_json=options.json)
        return
    found = planning.execute_all(runs, settings, options.seeds)
    planning.show(module, found, as_json=options.json)


def choose(module: types.ModuleType, options: argparse.Namespace) -> list[Any]:
    """The runs that `--only`, `--protocol` and `--dataset` name; without `--only`, those of the budget's own set.

    A paper file may say in `SETS` which rows a budget runs where none is named (budget -> names).

    Raises:
        cases.MammoError: a name that no run has.
    """
    names = list(dict.fromkeys(run.name for run in module.RUNS))
    if unknown := sorted(set(options.only or ()) - set(names)):
        raise cases.MammoError(f"--only: no run is called {', '.join(unknown)}; there are {', '.join(names)}")
    wanted = options.only or (names if options.list else getattr(module, "SETS", {}).get(options.budget, names))
    if len(set(wanted)) < len(names) and not options.only:
        LOG.info("budget %s: its set of %d of %d rows; --only names others", options.budget, len(wanted), len(names))
    return [
        run
        for run in module.RUNS
        if run.name in wanted
        and options.protocol in ("both", run.protocol.name)
        and (run.dataset is None or options.dataset in (None, run.dataset.NAME))
    ]


def members(runs: Sequence[Any], budget: Any, text: str) -> list[Any]:
    """Instead of the runs some of those that they need, which `--members A:B` counts: the members of an ensemble.

    Raises:
        cases.MammoError: none of the runs needs others, or A:B names none of them.
    """
    from mammo_tf import ensembles

    needed = [run.needed(budget) for run in runs]
    if not any(needed):
        names = ", ".join(dict.fromkeys(run.name for run in runs))
        raise cases.MammoError(f"--members {text}: {names} averages no other nets; name an ensemble by --only")
    chosen = [one for needs in needed if needs for one in ensembles.part(needs, text)]
    return list({(one.name, one.protocol.name): one for one in chosen}.values())


def _settings(module: types.ModuleType, options: argparse.Namespace) -> Any:
    from mammo_tf import run

    names = [m.NAME for m in module.DATASETS]
    own = any(one.dataset for one in module.RUNS)  # its rows say themselves what they read
    roots = roots_of(names, options.root)
    name = names[0] if own else dataset_name(options, names)
    root = roots.get(name) if own else root_of(name, options.root)
    phantom = not any(roots.values()) if own else root is None
    return run.Settings(
        budget=changed(module.BUDGETS[options.budget], options.set),
        dataset=next(m for m in module.DATASETS if name == m.NAME),
        root=root,
        roots=roots,
        seed=options.seed,
        out=options.out,
        weights=options.weights or ("phantom" if phantom else "imagenet"),
        precision=options.precision,
        resume=options.resume,
        strict=options.strict,
        intensity=options.intensity,
    )


def roots_of(names: Sequence[str], given: Sequence[str]) -> dict[str, pathlib.Path | None]:
    """Folders by dataset: those of `--root`, else those there are below MAMMO_TF_DATA; None for NAME=phantom.

    Raises:
        cases.MammoError: `--root` is malformed.
    """
    for text in given:
        name, _, folder = text.partition("=")
        if name not in names or not folder:
            raise cases.MammoError(f"--root {text}: expected NAME=DIR with NAME one of {', '.join(names)}")
    parent = os.environ.get("MAMMO_TF_DATA")
    below = {name: pathlib.Path(parent) / name for name in names} if parent else {}
    found = {name: folder for name, folder in below.items() if folder.is_dir()}
    for name, _, folder in (text.partition("=") for text in given):
        found[name] = None if folder == "phantom" else pathlib.Path(folder).expanduser()
    return found


def dataset_name(options: argparse.Namespace, names: Sequence[str]) -> str:
    """The dataset that `--dataset` names, else the only one of `--root`, else the first.

    Raises:
        cases.MammoError: `--root` is malformed, or names folders of which none would be read.
    """
    given = [text.partition("=")[0] for text in options.root]
    for text, name in zip(options.root, given, strict=True):
        if name not in names or not text.partition("=")[2]:
            raise cases.MammoError(f"--root {text}: expected NAME=DIR with NAME one of {', '.join(names)}")
    if options.dataset is None and len(set(given)) > 1:
        raise cases.MammoError(f"--root names {', '.join(given)}; say which one by --dataset")
    chosen = options.dataset or (given[0] if given else names[0])
    if given and chosen not in given and "MAMMO_TF_DATA" not in os.environ:
        raise cases.MammoError(f"--dataset {chosen}, but --root names {', '.join(given)} only")
    return chosen


def root_of(name: str, given: Sequence[str]) -> pathlib.Path | None:
    """The folder of a dataset: `--root`, else below MAMMO_TF_DATA (one folder a dataset), else None for the phantom.

    Raises:
        cases.MammoError: MAMMO_TF_DATA is set and holds no folder of that name.
    """
    folders = dict(text.split("=", 1) for text in given)
    if name in folders:
        return pathlib.Path(folders[name]).expanduser()
    parent = os.environ.get("MAMMO_TF_DATA")
    if not parent:
        return None
    if not (pathlib.Path(parent) / name).is_dir():
        raise cases.MammoError(f"MAMMO_TF_DATA={parent} holds no folder {name}; unset it to run on the phantom")
    return pathlib.Path(parent) / name


def changed(budget: Any, changes: Sequence[str]) -> Any:
    """The budget with FIELD=VALUE changed; its name says so, so that records of the two never share a table.

    Raises:
        cases.MammoError: the budget has no such number.
    """
    numbers = {f.name for f in dataclasses.fields(budget) if isinstance(getattr(budget, f.name), int | float | None)}
    for text in changes:
        field, _, value = text.partition("=")
        if field not in numbers:
            raise cases.MammoError(f"--set {text}: the numbers of a budget are {', '.join(sorted(numbers))}")
        try:
            number = float(value) if "." in value else int(value)
        except ValueError:
            raise cases.MammoError(f"--set {text}: {value!r} is not a number") from None
        budget = dataclasses.replace(budget, **{field: number}, name=f"{budget.name}+{text}")
    return budget
