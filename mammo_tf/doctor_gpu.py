"""The machine's NVIDIA GPUs, whether or not TensorFlow can use them, and what keeps it from them.

TensorFlow falls back to the CPU in silence where a CUDA library is missing; so the machine itself is asked.

    found = doctor_gpu.on_machine()
    fault, mend = doctor_gpu.verdict(found, used=len(tf.config.list_physical_devices("GPU")))
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

_SECONDS = 20  # that a program may take to answer
_PROC = pathlib.Path("/proc/driver/nvidia")
_DEV = pathlib.Path("/dev")


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the machine says of its NVIDIA GPUs.

    Attributes:
        names: of the GPUs; empty where there is none. A GPU of which only a trace was seen is "NVIDIA GPU".
        driver: version of the driver, "" where none answers.
        cuda: newest CUDA version that the driver runs, "" where it does not say.
        seen_by: what named them: "nvidia-smi", "/proc/driver/nvidia", "/dev/nvidia*", "lspci".
        fault: what nvidia-smi complains of, "" where it answers or is not there.
    """

    names: tuple[str, ...] = ()
    driver: str = ""
    cuda: str = ""
    seen_by: tuple[str, ...] = ()
    fault: str = ""


def on_machine() -> Machine:
    """Asks nvidia-smi, the driver's files and the PCI bus, whichever are there."""
    rows, driver, cuda, fault = _smi()
    seen = {
        "nvidia-smi": rows,
        "/proc/driver/nvidia": _models(_PROC),
        "/dev/nvidia*": ["NVIDIA GPU" for path in _DEV.glob("nvidia*") if path.name[6:].isdigit()],
        "lspci": _pci(),
    }
    names = next((names for names in seen.values() if names), [])
    return Machine(tuple(names), driver, cuda, tuple(source for source, some in seen.items() if some), fault)


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """What TensorFlow's libraries write to standard error, past Python's own `sys.stderr`, while they are loaded."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


def _smi() -> tuple[list[str], str, str, str]:
    """Names of the GPUs, the driver's version, its CUDA version, and a complaint."""
    output, fault = _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.count(",") == 2]
    if not rows:
        return [], "", "", fault or output.strip()
    cuda = re.search(r"CUDA Version:\s*([\d.]+)", _output("nvidia-smi")[0])
    return [f"{name}, {memory}" for name, _, memory in rows], rows[0][1], cuda[1] if cuda else "", ""


def _output(program: str, *arguments: str) -> tuple[str, str]:
    """What a program prints, and why it failed; both blank where there is no such program."""
    if shutil.which(program) is None:
        return "", ""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{program}: {error}"
    if done.returncode:
        return "", (done.stderr or done.stdout).strip() or f"{program} ended with status {done.returncode}"
    return done.stdout, ""


def _models(folder: pathlib.Path) -> list[str]:
    try:
        texts = [path.read_text(errors="replace") for path in sorted(folder.glob("gpus/*/information"))]
    except OSError:
        return []
    return [found[1].strip() for text in texts if (found := re.search(r"^Model:(.*)$", text, re.MULTILINE))]


def _pci() -> list[str]:
    lines = _output("lspci")[0].splitlines()
    found = (re.search(r"(?:VGA compatible|3D|Display) controller: (NVIDIA.*)", line) for line in lines)
    return [match[1] for match in found if match]


def libraries() -> tuple[int, int]:
    """How many of the CUDA packages of `tensorflow[and-cuda]` are installed, and how many there are."""
    try:
        lines = importlib.metadata.requires("tensorflow") or []
    except importlib.metadata.PackageNotFoundError:
        return 0, 0
    wanted = [re.match(r"[\w.-]+", line)[0] for line in lines if "and-cuda" in line]
    return sum(_installed(name) for name in wanted), len(wanted)


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def verdict(found: Machine, used: int, *, tensorflow: str = "", built_for: str = "") -> tuple[str, tuple[str, ...]]:
    """What is wrong between the machine's GPUs and TensorFlow, and how it is mended.

    Args:
        found: what the machine has.
        used: how many GPUs TensorFlow sees.
        tensorflow: its version.
        built_for: the CUDA version that it was built for, "" for a build without CUDA.

    Returns:
        the fault, "" where all is well, and the lines that mend it.
    """
    if used or not found.names:
        return "", ()
    fault = f"this machine has a GPU that TensorFlow cannot use: {'; '.join(found.names)}"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1", "none", "NoDevFiles"):
        return fault, (f"CUDA_VISIBLE_DEVICES={hidden!r} hides it: unset CUDA_VISIBLE_DEVICES",)
    if not found.driver:
        return fault, _DRIVER
    here, wanted = libraries()
    version = f"=={tensorflow}" if tensorflow else ""
    lines = (
        "pip install -e '.[gpu]'",
        f"    in this project's folder; the same as pip install 'tensorflow[and-cuda]{version}'",
        f"    (of the {wanted} CUDA packages that it brings, {here} are installed)",
        f"the driver, {found.driver}, runs CUDA up to {found.cuda or '(it does not say)'}; "
        f"this TensorFlow was built for {f'CUDA {built_for}' if built_for else 'no CUDA at all'}:",
        "    a driver of an older major version must be renewed",
        "mammo-tf doctor --verbose prints what TensorFlow itself says",
    )
    return fault, lines


_DRIVER = ("install or load NVIDIA's driver until the command nvidia-smi lists the GPU, then run this again",)
