"""Numeric precision: what the machine does fast, as a Keras dtype policy.

bfloat16 runs fast on CPUs with AMX or AVX512-BF16 and on NVIDIA GPUs from Ampere (compute capability 8.0) on; Volta
and Turing (7.x) have fast float16 only, which needs loss scaling (Micikevicius et al. 2018, arXiv:1710.03740; Keras
scales the loss of every model built under `mixed_float16`). Weights, logits, loss and metrics stay in float32.

    chosen = resolve("auto")
    with policy(chosen):
        model = build()
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from mammo_tf import cases

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
_BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


@dataclasses.dataclass(frozen=True)
class Device:
    """Where TensorFlow computes.

    Attributes:
        kind: "GPU" or "CPU".
        name: what the maker calls it.
        count: number of GPUs (1 for a CPU).
        capability: compute capability of the weakest GPU, None where it is unknown.
        flags: instruction sets of a CPU, as /proc/cpuinfo names them; empty on other platforms.
    """

    kind: str
    name: str
    count: int = 1
    capability: tuple[int, int] | None = None
    flags: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Precision:
    """A Keras dtype policy ("float32", "mixed_bfloat16", "mixed_float16") and why it was taken."""

    policy: str
    reason: str


@functools.cache
def device() -> Device:
    """The device of this process: its GPUs where TensorFlow sees any, else the CPU."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return _cpu(Path("/proc/cpuinfo"))
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    capabilities = [d["compute_capability"] for d in details if "compute_capability" in d]
    weakest = tuple(min(capabilities)) if len(capabilities) == len(gpus) else None
    return Device("GPU", details[0].get("device_name", "GPU"), len(gpus), weakest)


def _cpu(cpuinfo: Path) -> Device:
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:  # not Linux
        text = ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)
    return Device(
        "CPU",
        name[1].strip() if name else platform.processor() or platform.machine(),
        flags=frozenset(flags[1].split()) if flags else frozenset(),
    )


def describe_device(found: Device | None = None) -> str:
    """One line for the log: "GPU NVIDIA H100 (compute capability 9.0)" or "CPU ..."."""
    found = found or device()
    many = f" x {found.count}" if found.count > 1 else ""
    capability = " (compute capability {}.{})".format(*found.capability) if found.capability else ""
    return f"{found.kind} {found.name}{many}{capability}"


def resolve(wish: str = "auto", found: Device | None = None, own: str = "auto") -> Precision:
    """Turns a wish into a policy.

    Args:
        wish: "auto", "float32", "bfloat16" or "float16". An explicit wish is obeyed even where the device is not made
            for it; the reason says so.
        found: the device to decide for, this process's by default.
        own: what "auto" stands for with this net, where that is not for the device to say.

    Raises:
        MammoError: an unknown wish.
    """
    if wish == "auto" and own != "auto":
        return dataclasses.replace(resolve(own, found), reason="this net's own, whatever the device")
    fast, why = _fast(found or device())
    if wish == "auto":
        return Precision(_POLICIES[fast], why)
    if wish not in _POLICIES:
        raise cases.MammoError(f"precision: expected auto, {', '.join(_POLICIES)}; found {wish!r}")
    if wish in (fast, "float32"):
        return Precision(_POLICIES[wish], "as asked for")
    return Precision(_POLICIES[wish], f"as asked for, though this device is not made for it ({why})")


def _fast(found: Device) -> tuple[str, str]:
    if found.kind == "CPU":
        here = sorted(_BF16_FLAGS & found.flags)
        if here:
            return "bfloat16", f"the CPU has {' and '.join(here)}"
        return "float32", "the CPU has neither amx_bf16 nor avx512_bf16"
    if found.capability is None:
        return "float32", "the GPU's compute capability is unknown"
    text = "{}.{}".format(*found.capability)
    if found.capability >= (8, 0):
        return "bfloat16", f"compute capability {text} is 8.0 (Ampere) or newer"
    if found.capability >= (7, 0):
        return "float16", f"compute capability {text} is Volta or Turing: float16 with loss scaling"
    return "float32", f"compute capability {text} is older than 7.0 (Volta)"


def compile_with_xla() -> bool:
    """True on a GPU. XLA on a CPU runs convolutions at half the speed of oneDNN."""
    return device().kind == "GPU"


def deterministic() -> None:
    """Makes the kernels of this process repeat themselves bit for bit; on a GPU Keras then leaves XLA out."""
    tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def policy(chosen: Precision) -> Iterator[None]:
    """Sets the global Keras dtype policy for the models built inside, and puts the old one back."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(chosen.policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def policy_of(model: keras.Model) -> str:
    """The policy that a model was built under: the mixed one of its layers where there is one, else "float32"."""
    names = {layer.dtype_policy.name for layer in model.layers}
    return next((name for name in sorted(names) if name.startswith("mixed_")), "float32")


def recast(model: keras.Model, wanted: str) -> keras.Model:
    """The same net and weights with every layer of a mixed policy under another one; those in float32 stay in it.

    Layers that were kept in float32 on purpose cannot be told from those of a net trained in it.
    """
    built = policy_of(model)
    if built in ("float32", wanted):
        return model
    text = json.dumps(keras.saving.serialize_keras_object(model)).replace(f'"{built}"', f'"{wanted}"')
    twin = keras.saving.deserialize_keras_object(json.loads(text))
    twin.set_weights(model.get_weights())
    return twin
