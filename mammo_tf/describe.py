"""One stable description of a value: what hashes, checkpoints and cache keys are made of.

Functions and classes count by qualified name (with the ALGORITHM_VERSION of their module), dataclasses and partials
by their arguments. Lambdas and closures raise: their name does not say what they do.

    describe.describe(functools.partial(sorted, reverse=True))
    describe.versions(["mammo_tf.pipeline.build"])
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import hashlib
import importlib.util
import inspect
import json
import os
import pathlib
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def describe(value: Any) -> Any:
    """The value as nested lists, dicts, strings and numbers, the same for the same meaning.

    Raises:
        TypeError: a lambda, a closure, or something that has no stable description.

    >>> describe(functools.partial(sorted, reverse=True))
    {'call': 'builtins.sorted', 'arguments': {'reverse': True}}
    """
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): describe(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, functools.partial):
        return {"call": qualified_name(value.func), "arguments": describe(_arguments(value))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
        for added in dataclasses.fields(value):  # since the first kept records, whose hashes are to stay
            if added.metadata.get("added") and fields[added.name] == added.default:
                del fields[added.name]
        return {"call": qualified_name(type(value)), "arguments": describe(fields)}
    if isinstance(value, types.ModuleType):
        return value.__name__
    if callable(value):
        return qualified_name(value)
    raise TypeError(f"no stable description of {value!r} ({type(value).__name__})")


def qualified_name(function: Any) -> str:
    """Module and name of a function or class; a paper file counts as `experiment`, however it was loaded.

    Raises:
        TypeError: a lambda, a closure, or a partial of a partial.
    """
    if isinstance(function, functools.partial):
        raise TypeError(f"a partial of a partial: {function!r}")
    name = getattr(function, "__qualname__", None)
    if name is None or "<lambda>" in name or "<locals>" in name:
        raise TypeError(f"{function!r} is a lambda or a closure: name a module-level function instead")
    version = getattr(sys.modules.get(function.__module__), "ALGORITHM_VERSION", None)
    module = "experiment" if function.__module__ == "__main__" else function.__module__
    module = "experiment" if module.startswith("experiments.") else module
    return f"{module}.{name}" + ("" if version is None else f"@{version}")


def _arguments(call: functools.partial) -> dict[str, Any]:
    """Positional arguments by name where the signature can be read, so that both ways to write a call are one."""
    try:
        return dict(inspect.signature(call.func).bind_partial(*call.args, **call.keywords).arguments)
    except (TypeError, ValueError):
        return {**{str(i): value for i, value in enumerate(call.args)}, **call.keywords}


def text(value: Any) -> str:
    """The description as JSON, the same bytes for the same meaning."""
    return json.dumps(describe(value), sort_keys=True)


def digest(*parts: Any, digits: int = 16) -> str:
    """The first hexadecimal digits of the SHA-256 of the parts' descriptions."""
    return hashlib.sha256(text(parts).encode()).hexdigest()[:digits]


def versions(roots: Iterable[str], apart: Iterable[str] = ()) -> dict[str, int]:
    """Module -> ALGORITHM_VERSION, for the modules of this package that the roots import, directly or not.

    Args:
        roots: names of loaded or importable modules, of this package or not (a paper file).
        apart: modules that are passed over with what only they import, since they decide no number.
    """
    package, found, waiting, apart = __name__.split(".")[0], {}, sorted(set(roots)), set(apart)
    while waiting:
        module = waiting.pop()
        if module not in found and module not in apart:
            found[module], imported = _facts(module)
            waiting += [name for name in imported if name.split(".")[0] == package]
    return {module: version for module, version in sorted(found.items()) if version is not None}


def _tree(module: str) -> ast.Module | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ModuleNotFoundError, ValueError):
            return None  # a name imported from a module, not a module
        file = spec and spec.origin
    return ast.parse(pathlib.Path(file).read_text()) if file and file.endswith(".py") else None


def _facts(module: str) -> tuple[int | None, tuple[str, ...]]:
    """The module's ALGORITHM_VERSION (of the loaded module where it is loaded) and what it imports."""
    version, imported = _written(module)
    return getattr(sys.modules.get(module), "ALGORITHM_VERSION", version), imported


@functools.cache
def _written(module: str) -> tuple[int | None, tuple[str, ...]]:
    """The same as its file says it; walking the tree of every module takes a second, and each run asks."""
    tree = _tree(module)
    if tree is None:
        return None, ()
    imported, version = [], None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ALGORITHM_VERSION":
            version = ast.literal_eval(node.value)
    return version, tuple(imported)
