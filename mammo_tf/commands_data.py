"""The commands of `mammo-tf` about data and the machine: check, prepare, phantom, doctor, cache.

Heavy imports are inside the functions, so that `--help` is quick.

    commands_data.add(parser.add_subparsers())
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import pathlib
import types
from collections.abc import Callable
from typing import Any

FORMATS = ("cbis_ddsm", "ddsm", "inbreast", "mini_mias", "folder")
INTENSITIES = ("raw", "voi", "minmax")


def add(commands: Any) -> list[argparse.ArgumentParser]:
    """Adds the commands to the subparsers; each sets `call`, which takes the parsed options."""
    return [make(commands) for make in (_add_check, _add_prepare, _add_phantom, _add_doctor, _add_cache)]


def command(
    commands: Any, name: str, call: Callable[..., int | None], help: str, more: str = ""
) -> argparse.ArgumentParser:
    """A subparser that calls `call`; `more` is what its own `--help` says besides, line by line."""
    described = f"{help}\n\n{more}" if more else help
    layout = argparse.RawDescriptionHelpFormatter if more else argparse.HelpFormatter
    parser = commands.add_parser(name, help=help, description=described, formatter_class=layout)
    parser.set_defaults(call=call)
    return parser


def format_module(name: str) -> types.ModuleType:
    """The module of an on-disk format."""
    return importlib.import_module(f"mammo_tf.datasets.{name}")


def positive(text: str) -> int:
    """A whole number of 1 or more, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


_CHECK = """\
Prints what the tables say beside the published numbers, which files are missing, mended or unreadable, what the
pixels of a sample are like, and in the last line whether the data can be used.
Exit status: 0 usable, 1 not usable, 2 a fault of the call.

    mammo-tf check mini_mias data/mini_mias
    mammo-tf check cbis_ddsm data/CBIS-DDSM --all --json > check.json"""


def _add_check(commands: Any) -> argparse.ArgumentParser:
    parser = command(commands, "check", _check, "look at a dataset's folder before a run", _CHECK)
    parser.add_argument("dataset", choices=FORMATS)
    parser.add_argument("dir", type=pathlib.Path, help="folder of the dataset")
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--images", type=positive, metavar="N", help="open N images, spread over the dataset (24)")
    some.add_argument("--all", action="store_true", help="open every image")
    parser.add_argument("--strict", action="store_true", help="not usable if any file is missing or unreadable")
    _add_intensity(parser)
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    return parser


def _add_intensity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--intensity", choices=INTENSITIES, default="raw", help="how DICOM values become gray values (raw)"
    )


def _check(options: argparse.Namespace) -> int:
    from mammo_tf import checking, checking_text

    how = {"strict": options.strict, "intensity": options.intensity}
    how["sample"] = None if options.all else options.images or checking.SAMPLE
    found = checking.examine(format_module(options.dataset), options.dir, **how)
    if options.json:
        print(json.dumps(checking_text.as_json(found), indent=1, allow_nan=False))
    else:
        print(found.verdict if options.quiet else checking_text.text(found, verbose=options.verbose))
    return 0 if found.usable else 1


_PREPARE = """\
Decodes every image once and writes tensorflow-datasets records with patients, lesions, official parts and labels.
What was stopped goes on where it was. The paper files read the records like the folder itself: --root NAME=RECORDS.

    mammo-tf prepare cbis_ddsm data/CBIS-DDSM --out data/prepared --workers 8"""


def _add_prepare(commands: Any) -> argparse.ArgumentParser:
    what = "write a dataset once as tensorflow-datasets records"
    parser = command(commands, "prepare", _prepare, what, _PREPARE)
    parser.add_argument("dataset", choices=FORMATS)
    parser.add_argument(
        "dir", type=pathlib.Path, nargs="?", help="folder of the dataset; a phantom where none is named"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", help="folder of the records (default: in the cache)"
    )
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="threads (2)")
    parser.add_argument("--patients", type=positive, default=20, metavar="N", help="of the phantom (20)")
    parser.add_argument("--strict", action="store_true", help="stop at the first unreadable file")
    _add_intensity(parser)
    parser.add_argument("--json", action="store_true", help="print what was made as one JSON object")
    return parser


def _prepare(options: argparse.Namespace) -> None:
    from mammo_tf import preparing, records

    how = {name: getattr(options, name) for name in ("out", "intensity", "workers", "strict", "patients")}
    result = preparing.prepare(preparing.Request(format_module(options.dataset), options.dir, **how))
    if options.json:
        print(json.dumps(records.plain(preparing.as_json(result)), indent=1, allow_nan=False, default=str))
    else:
        print(preparing.text(result))


def _add_phantom(commands: Any) -> argparse.ArgumentParser:
    parser = command(commands, "phantom", _phantom, "write a synthetic phantom in a dataset's on-disk format")
    parser.add_argument("dataset", choices=FORMATS)
    parser.add_argument("dir", type=pathlib.Path, help="folder to write; must be empty or new")
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--height", type=int, default=600, help="rows of a view")
    parser.add_argument("--width", type=int, default=450, help="columns of a view")
    parser.add_argument("--spacing-mm", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--look", choices=("film", "ffdm"), default="film", help="digitised film or digital detector")
    parser.add_argument("--preview", type=pathlib.Path, metavar="PNG", help="also draw a contact sheet")
    parser.add_argument("--json", action="store_true")
    return parser


def _phantom(options: argparse.Namespace) -> None:
    from mammo_tf import datasets
    from mammo_tf.datasets import phantom

    module = format_module(options.dataset)
    names = [field.name for field in dataclasses.fields(phantom.PhantomSpec)]
    spec = phantom.PhantomSpec(**{name: value for name, value in vars(options).items() if name in names})
    datasets.write_phantom(module, spec, options.dir)
    dataset = module.read(options.dir)
    facts = {"folder": str(options.dir), "format": dataset.name, "kind": dataset.kind}
    facts |= {"patients": len(dataset.cases), "views": len(dataset.views), "fingerprint": dataset.fingerprint}
    print(json.dumps(facts) if options.json else ", ".join(f"{key} {value}" for key, value in facts.items()))
    if options.preview:
        _preview(dataset, options.preview)


def _preview(dataset: Any, path: pathlib.Path) -> None:
    from mammo_tf import figures

    views = dataset.views[:12]
    images = [view.pixels() / view.max_value for view in views]
    title = f"Synthetic phantom in the format {dataset.name}, not mammograms"
    figures.save(figures.contact_sheet(images, [view.id for view in views], 6, title=title), path)


_DOCTOR = """\
Versions, devices, precision, disk, memory, folders of data, kept weights. What needs mending is marked by !!!, with
the command that mends it: above all a GPU that TensorFlow does not use.
Exit status: 0 all well, 1 something needs mending."""


def _add_doctor(commands: Any) -> argparse.ArgumentParser:
    parser = command(commands, "doctor", _doctor, "what of this machine is usable, and what needs mending", _DOCTOR)
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"), help="folder where runs go")
    parser.add_argument("--json", action="store_true")
    return parser


def _doctor(options: argparse.Namespace) -> int:
    from mammo_tf import doctor

    report = doctor.examine([format_module(name) for name in FORMATS if name != "folder"], options.runs)
    if options.json:
        print(json.dumps(doctor.as_json(report), indent=1))
    else:
        print(doctor.verdict(report) if options.quiet else doctor.text(report, verbose=options.verbose))
    return 1 if report.faults else 0


def _add_cache(commands: Any) -> argparse.ArgumentParser:
    parser = command(commands, "cache", _cache, "show or clear the cache (MAMMO_TF_CACHE)")
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
