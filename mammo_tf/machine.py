"""What a record says of the machine: time, peak memory, versions, processor, commit; nothing that names its owner.

None of it is part of what a repeated seed must repeat.

    machine.circumstances(started=time.perf_counter())
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time
from typing import Any


def circumstances(started: float, device: str | None = None) -> dict[str, Any]:
    """What a repeated seed may change: time, peak memory, versions, machine, commit.

    Args:
        started: `time.perf_counter()` at the start of the run.
        device: what it computed on, where the method says so.
    """
    packages = ("mammo-tf", "tensorflow", "keras", "numpy", "opencv-python-headless", "pydicom")
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "memory_mb": round(peak_mb(), 1),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "hardware": hardware(device),
        "commit": _commit(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def hardware(device: str | None = None) -> str:
    """The processor's name and number of cores, and the device where it is another; not the machine's name."""
    name = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    other = f"; {device}" if device and not device.startswith("CPU") else ""
    return f"{name}, {os.cpu_count()} cores{other}"


def peak_mb() -> float:
    """Peak memory of the process so far, in MB; later runs of one process show the largest of them.

    Linux lets a process that another has started inherit the other's peak in `getrusage`, but not in its status.
    """
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        own = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if own:
            return int(own[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def _commit() -> str:
    """The commit of the code, with `-dirty` where tracked files differ from it; empty outside a checkout."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        done = subprocess.run(describe, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
