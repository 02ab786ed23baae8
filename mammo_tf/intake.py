"""What is left out of a run, and how that is said: nothing is dropped in silence.

Readers list what they could not read; here the same is done for pixels, before the split.

    examples, problems = intake.readable(examples, problems, strict=False)
"""

from __future__ import annotations

import collections
import concurrent.futures
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mammo_tf import cases

LOG = logging.getLogger("mammo_tf")


def readable(
    examples: Sequence[cases.Example], problems: Sequence[cases.Problem], *, strict: bool
) -> tuple[Sequence[cases.Example], Sequence[cases.Problem]]:
    """Leaves out examples whose pixels cannot be read, before the split, so that none fails half-way through."""
    files = {view.path or view.id: view for example in examples for view in example.views}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        faults = {path: fault for path, fault in zip(files, pool.map(_fault, files.values()), strict=True) if fault}
    if strict and (first := next(iter(faults.values()), None)):
        raise cases.DataError(first.path, first.reason)
    good = tuple(e for e in examples if not any((view.path or view.id) in faults for view in e.views))
    return good, (*problems, *faults.values())


def _fault(view: cases.View) -> cases.Problem | None:
    try:
        view.pixels()
    except cases.DataError as error:
        return cases.Problem.of(error)
    except OSError as error:
        return cases.Problem(view.path or view.id, f"cannot be read: {error.strerror or error}")
    return None


def say(what: str, problems: Sequence[cases.Problem]) -> None:
    """Logs the first five problems and the number of all."""
    for problem in problems[:5]:
        LOG.warning("left out: %s: %s", problem.path, problem.reason)
    if len(problems) > 5:
        LOG.warning("left out while being %s: %d in all; the record lists them", what, len(problems))


def listed(problems: Sequence[cases.Problem], root: str) -> list[dict[str, str]]:
    """Problems as a record holds them: paths from the dataset's folder on, so that none of a machine is published."""
    strip = f"{root.rstrip(os.sep)}{os.sep}"
    return [{"path": p.path.removeprefix(strip), "reason": p.reason.replace(strip, "")} for p in problems]


def counted(repairs: Sequence[cases.Repair]) -> dict[str, int]:
    """How often a reader used each of its rules of repair."""
    return dict(sorted(collections.Counter(repair.rule for repair in repairs).items()))


def compare_mean(normalizer: Any, known: Mapping[str, float], dataset: cases.Dataset) -> float | None:
    """Says the mean gray value (0 to 255) that a fitted normalizer takes off, beside the one known of the dataset.

    Args:
        normalizer: with `describe()`; one that takes off no single mean is passed over.
        known: dataset name -> the mean of the authors' training images.
        dataset: a phantom has no mean that it should have; its own is said alone.

    Returns:
        the mean, or None. A real dataset whose mean is more than a tenth off gets a warning: its gray values were
        made by other rules than the authors'.
    """
    facts = normalizer.describe() if hasattr(normalizer, "describe") else {}
    if dataset.name not in known or len(facts.get("mean", ())) != 1:
        return None
    mean, theirs = 255 * facts["mean"][0], known[dataset.name]
    said = f"mean gray value of the training images: {mean:.2f} of 255; the authors' {dataset.name} had {theirs:.2f}"
    if dataset.kind == "phantom":
        LOG.info("%s (this is the phantom, which need not agree)", said)
    elif abs(mean - theirs) > 0.1 * theirs:
        LOG.warning("%s: far off, so its gray values were made by other rules (see --intensity)", said)
    else:
        LOG.info("%s", said)
    return mean
