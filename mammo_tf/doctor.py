"""What of this machine the suite can use, and what needs mending: `mammo-tf doctor`.

A GPU that TensorFlow cannot use, a cache that cannot be written or a full disk show here before they cost a night.

    report = doctor.examine([cbis_ddsm, mini_mias])
    print(doctor.text(report))
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import re
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import psutil

from mammo_tf import cache, cases, doctor_gpu, machine
from mammo_tf.datasets import prepared

LEAST_GB = 2.0  # of free disk: the demo phantom takes up to 1.5 GB
DATA_VARIABLES = ("MAMMO_TF_DATA", "MAMMO_TF_REAL_DATA")
PACKAGES = (
    "mammo-tf",
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "pandas",
    "opencv-python-headless",
    "pydicom",
    "imagecodecs",
    "scikit-learn",
    "matplotlib",
    "tensorboard",
    "tensorflow-datasets",
)
OPTIONAL = {
    "xlrd": "reads the .xls tables of INbreast; pip install -e '.[xls]'",
    "torch": "compares nets with PyTorch's; pip install -e '.[torch]'",
    "python-gdcm": "one more decoder of compressed DICOM; pip install python-gdcm",
}
_FLAGS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "fma")
_NOT_THERE = "no such folder"
_WEIGHTS = (".h5", ".keras", ".safetensors", ".pth")


@dataclasses.dataclass(frozen=True)
class Line:
    """One fact.

    Attributes:
        name, value: as they are printed.
        fault: what needs mending, "" where nothing does.
        mend: how, a line each.
    """

    name: str
    value: str
    fault: str = ""
    mend: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Section:
    """Facts of one kind."""

    title: str
    lines: tuple[Line, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything.

    Attributes:
        sections: the facts.
        said: what TensorFlow's libraries wrote while they were loaded.
    """

    sections: tuple[Section, ...]
    said: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Line, ...]:
        """The lines that need mending."""
        return tuple(line for section in self.sections for line in section.lines if line.fault)


def examine(modules: Sequence[Any], runs: str | os.PathLike[str] = "runs") -> Report:
    """Looks at packages, devices, disk, memory, data and weights.

    Args:
        modules: the formats looked for below the folders of data.
        runs: the folder where runs go.
    """
    devices, said = _devices()
    lines = {
        "Packages": _packages(),
        "Devices": devices,
        "Room": _room(pathlib.Path(runs)),
        "Data": _data(modules),
        "Pre-trained weights": _weights(),
    }
    return Report(tuple(Section(title, tuple(some)) for title, some in lines.items()), said)


def _packages() -> list[Line]:
    lines = [Line("python", platform.python_version())]
    for name in PACKAGES:
        version = _version(name)
        fault = "" if version else f"the package {name} is not installed"
        lines.append(Line(name, version or "not installed", fault, () if version else ("pip install -e .",)))
    lines += [Line(name, _version(name) or f"not installed (optional: {use})") for name, use in OPTIONAL.items()]
    return lines


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _devices() -> tuple[list[Line], tuple[str, ...]]:
    """The lines, and what TensorFlow said of itself."""
    found = doctor_gpu.on_machine()
    names = "; ".join(found.names) or (f"none ({found.fault})" if found.fault else "none found")
    driver = f"driver {found.driver}, CUDA up to {found.cuda or 'unknown'}" if found.driver else ""
    seen = Line("NVIDIA GPUs", "; ".join(filter(None, (names, driver))))
    lines = [Line("processor", machine.hardware()), Line("bfloat16 and vectors", _flags()), seen]
    try:
        with doctor_gpu.heard() as said:
            lines += _tensorflow(found)
    except Exception as error:  # whatever a broken installation raises while it is imported
        reason = f"{type(error).__name__}: {error}".strip()
        mend = ("pip install --force-reinstall -r requirements.txt",)
        lines.append(Line("TensorFlow", "cannot be used", f"TensorFlow cannot be used: {reason}", mend))
    return lines, tuple(said)


def _tensorflow(found: doctor_gpu.Machine) -> list[Line]:
    import keras
    import tensorflow as tf

    from mammo_tf.training import precision

    used = tf.config.list_physical_devices("GPU")
    built_for = tf.sysconfig.get_build_info().get("cuda_version", "")
    fault, mend = doctor_gpu.verdict(found, len(used), tensorflow=tf.__version__, built_for=built_for)
    chosen = precision.resolve("auto")
    return [
        Line("TensorFlow computes on", precision.describe_device(), fault, mend),
        Line("Keras backend", keras.config.backend()),
        Line("precision 'auto'", f"{chosen.policy}: {chosen.reason}"),
    ]


def _flags() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    text = cpuinfo.read_text(errors="replace") if cpuinfo.is_file() else ""
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)
    here = set(flags[1].split()) if flags else set()
    return ", ".join(name for name in _FLAGS if name in here) or "none known"


def _room(runs: pathlib.Path) -> list[Line]:
    memory = psutil.virtual_memory()
    free = Line("memory", f"{memory.available / 1e9:.1f} GB free of {memory.total / 1e9:.1f} GB")
    folder, what = cache.folder(), ""
    if not _closed(folder):
        kept = cache.entries()
        what = f"{len(kept)} entries, {sum(entry.bytes for entry in kept) / 1e9:.2f} GB"
    return [free, folder_line("cache", folder, what, cache.VARIABLE), folder_line("runs", runs, "", "--out")]


def _closed(folder: pathlib.Path) -> str:
    """Why one cannot look into a folder, "" where one can."""
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return _NOT_THERE
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return ""


def folder_line(name: str, folder: pathlib.Path, what: str, changed_by: str) -> Line:
    """Whether a folder can be written and how much room its disk has.

    Args:
        name: what the folder is for.
        folder: need not exist yet.
        what: what it holds.
        changed_by: the variable or option that names another folder.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if _closed(path) != _NOT_THERE)
    value = ", ".join(filter(None, (str(folder), what)))
    mend = (f"name another folder by {changed_by}",)
    try:
        with tempfile.TemporaryFile(dir=there):
            gigabytes = shutil.disk_usage(there).free / 1e9
    except OSError as error:
        return Line(name, value, f"{folder}: cannot be written: {error.strerror or error}", mend)
    value = f"{value}, {gigabytes:.1f} GB free"
    if gigabytes < LEAST_GB:
        few = f"{folder}: {gigabytes:.1f} GB of disk are free, fewer than {LEAST_GB:g}"
        return Line(name, value, few, ("make room (mammo-tf cache --clear empties the cache)", *mend))
    return Line(name, value)


def _data(modules: Sequence[Any]) -> list[Line]:
    lines = []
    for variable in DATA_VARIABLES:
        value = os.environ.get(variable, "").strip()
        folder = pathlib.Path(value).expanduser()
        if not value:
            lines.append(Line(variable, "not set"))
        elif fault := _closed(folder):
            mend = (f"unset {variable}, or name the folder that holds one folder a dataset",)
            lines.append(Line(variable, value, f"{variable}={value}: {fault}", mend))
        else:
            lines += [Line(variable, value), *(Line(f"  {m.NAME}", _tables(m, folder / m.NAME)) for m in modules)]
    return lines


def _tables(module: Any, folder: pathlib.Path) -> str:
    """What a dataset's folder holds."""
    if fault := _closed(folder):
        return fault
    try:
        if prepared.find(folder, module.NAME):
            return f"a prepared dataset; see mammo-tf check {module.NAME} {folder}"
        entries = module.entries(folder)
    except cases.DataError as error:
        return error.reason
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return f"tables of {len({e.image for e in entries}):,} images; see mammo-tf check {module.NAME} {folder}"


def _weights() -> list[Line]:
    keras_home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    folders = [cache.folder() / "weights", keras_home / "models"]
    found = [path for folder in folders if not _closed(folder) for path in sorted(folder.iterdir())]
    files = [path for path in found if path.suffix in _WEIGHTS]
    if not files:
        return [Line("ImageNet", "no file kept; --weights imagenet downloads it, --weights FILE names one")]
    return [Line(path.name, f"{path.stat().st_size / 1e6:.1f} MB, {path.parent}") for path in files]


def as_json(report: Report) -> dict[str, Any]:
    """Facts by section and name, and the faults with what mends them."""
    facts = {section.title: {line.name.strip(): line.value for line in section.lines} for section in report.sections}
    faults = [{"fault": line.fault, "mend": list(line.mend)} for line in report.faults]
    return {"sections": facts, "faults": faults, "healthy": not faults}


def text(report: Report, *, verbose: bool = False) -> str:
    """Everything for a terminal; what needs mending is marked by `!!!` and said again at the end.

    Args:
        report: what was found.
        verbose: also what TensorFlow's libraries wrote.
    """
    width = max(len(line.name) for section in report.sections for line in section.lines)
    parts = []
    for section in report.sections:
        lines = [f"{'!!!' if line.fault else '':4}{line.name:{width}}  {line.value}" for line in section.lines]
        parts.append("\n".join([section.title, *lines]))
    if verbose and report.said:
        parts.append("\n".join(["TensorFlow says", *(f"    {line}" for line in report.said)]))
    return "\n\n".join([*parts, verdict(report)])


def verdict(report: Report) -> str:
    """What needs mending and how, each line marked by `!!!`; one plain line where nothing does."""
    if not report.faults:
        return "Nothing needs mending."
    loud = ["\n".join([f"!!! {line.fault}", *(f"!!!     {mend}" for mend in line.mend)]) for line in report.faults]
    count = len(loud)
    return "\n\n".join([*loud, f"{count} {'thing needs' if count == 1 else 'things need'} mending."])
