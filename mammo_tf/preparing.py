"""`mammo-tf prepare`: a dataset written once as tensorflow-datasets records, what that needs and what came of it.

found = preparing.prepare(preparing.Request(cbis_ddsm, pathlib.Path("CBIS-DDSM"), workers=8))
print(preparing.text(found))
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import time
import types
from typing import Any

from mammo_tf import cases, datasets
from mammo_tf.datasets import phantom, prepared, prepared_plan

LOG = logging.getLogger("mammo_tf")
FEW = 5  # of a list
size = prepared_plan.size


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        module: the format.
        root: the dataset's folder; None for a phantom of `patients`.
        out: a tensorflow-datasets data folder, below the cache when None.
        intensity: how DICOM values become gray values.
        workers: threads.
        strict: stop at the first file that cannot be read.
        patients: of the phantom.
    """

    module: types.ModuleType
    root: pathlib.Path | None = None
    out: pathlib.Path | None = None
    intensity: str = "raw"
    workers: int = 2
    strict: bool = False
    patients: int = 20


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of it, and in how many seconds."""

    plan: prepared.Plan
    made: prepared.Made
    seconds: float


def prepare(request: Request) -> Result:
    """Opens the dataset, says what it needs (log, level INFO), and prepares it unless that was done before.

    Raises:
        cases.MammoError: as `datasets.open_dataset`, `prepared.plan` and `prepared.make`; the folder is itself a
            prepared one, or the records would lie right in it.
    """
    started = time.monotonic()
    plan = _plan(request)
    if prepared.made(plan) is None:
        for line in plan_text(plan).splitlines():
            LOG.info("%s", line)
    return Result(plan, prepared.make(plan, _Progress()), time.monotonic() - started)


def _plan(request: Request) -> prepared.Plan:
    module, root, out = request.module, request.root, request.out
    if root is not None and prepared.find(root, module.NAME):
        raise cases.DataError(root, "is a prepared dataset already; name the folder of the original files")
    if root is not None and out is not None and _same(root, out, out / module.NAME):
        raise cases.DataError(out, "the records go into another folder than that of the original files")
    spec = None if root else phantom.PhantomSpec(patients=request.patients)
    how = {"strict": request.strict, "intensity": request.intensity}
    dataset = datasets.open_dataset(module, root, spec=spec, **how)
    options = prepared.Options(out, request.intensity, request.workers, request.strict)
    return prepared.plan(dataset, module.ABOUT, options)


def _same(root: pathlib.Path, *others: pathlib.Path) -> bool:
    return root.expanduser().resolve() in [other.expanduser().resolve() for other in others]


@dataclasses.dataclass
class _Progress:
    """Says how far it is, ten times in all."""

    tenths: int = 0

    def __call__(self, done: int, total: int) -> None:
        if 10 * done // total > self.tenths:
            self.tenths = 10 * done // total
            LOG.info("%d of %d views", done, total)


def plan_text(plan: prepared.Plan) -> str:
    """What will be written, where, and what that needs: said before anything is written."""
    need, dataset = plan.need, plan.dataset
    lines = [
        f"{dataset.name} ({dataset.kind}): {len(dataset.views)} views of {len(dataset.cases)} patients",
        f"  to      {plan.folder}",
        f"  needs   about {size(need.bytes)} of disk, {size(need.free)} are free",
        f"  takes   about {duration(need.seconds)} with {plan.options.workers} worker(s)",
    ]
    if need.staged:
        lines.append(f"  resumes where an earlier start was stopped: {size(need.staged)} are there")
    if dataset.problems:
        lines.append(f"  without {len(dataset.problems)} files or rows that the reader leaves out")
    changed = [f"  changed since {folder} was prepared; that one may be removed" for folder in prepared.before(plan)]
    return "\n".join(lines + changed)


def text(result: Result) -> str:
    """What was made and how to use it."""
    made, dataset = result.made, result.plan.dataset
    how = "prepared already" if made.already else f"prepared in {duration(result.seconds)}"
    how += f", {made.resumed} views of them before" if made.resumed else ""
    lines = [
        f"{dataset.name} ({dataset.kind}): {how}; {made.records} of {made.views} views, {size(made.bytes)}",
        f"  paper files   --root {dataset.name}={made.folder}",
        f"  Python        {_load(result)}",
    ]
    lines += [f"  unreadable    {fault.path}: {fault.reason}" for fault in made.unreadable[:FEW]]
    if len(made.unreadable) > FEW:
        lines.append(f"  unreadable    {len(made.unreadable)} in all; --json lists them")
    return "\n".join(lines)


def _load(result: Result) -> str:
    name = f"{result.plan.dataset.name}:{result.made.folder.name}"
    return f'tensorflow_datasets.load("{name}", data_dir="{result.plan.out}")'


def as_json(result: Result) -> dict[str, Any]:
    """The same as JSON can hold it."""
    plan, made = result.plan, dataclasses.asdict(result.made)
    facts = {"dataset": plan.dataset.name, "kind": plan.dataset.kind, "fingerprint": plan.dataset.fingerprint}
    facts |= {"intensity": plan.options.intensity, "need": dataclasses.asdict(plan.need)}
    facts |= {"problems": [dataclasses.asdict(problem) for problem in plan.dataset.problems]}
    return facts | made | {"folder": str(result.made.folder), "load": _load(result), "seconds": result.seconds}


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(7500), duration(150), duration(2.4)
    ('2.1 hours', '2.5 minutes', '2 seconds')
    """
    for unit, factor in (("hours", 3600), ("minutes", 60)):
        if seconds >= factor:
            return f"{seconds / factor:.1f} {unit}"
    return f"{seconds:.0f} seconds"
