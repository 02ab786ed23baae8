"""Before and after the runs of a paper: what each will cost, doing them all, and showing what came out.

The paper file says what can be run; nothing here knows a paper.

    facts = planning.costs(ao2020.RUNS, ao2020)
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import pathlib
import shutil
import types
from collections.abc import Mapping, Sequence
from typing import Any

from mammo_tf import (
    cache,
    cases,
    machine,
    nulls,
    records,
    report,
    report_nulls,
    report_paper,
    run,
    run_settings,
    tables,
)
from mammo_tf.datasets import phantom

LOG = logging.getLogger("mammo_tf")


def costs(runs: Sequence[run.Run], module: types.ModuleType) -> list[dict[str, Any]]:
    """Each run with its epochs and image side per budget, and the seconds that kept phantom records measured."""
    measured = _measured_seconds(module)
    rows = []
    for one in runs:
        row: dict[str, Any] = {"run": one.name, "protocol": one.protocol.name, "reported": one.protocol.reported}
        row["paper"] = "not in the paper" if one.extra else _numbers(one.published)
        for name, budget in module.BUDGETS.items():
            method = one.method(budget)
            epochs = sum(stage.epochs for stage in getattr(method, "stages", ()))
            row[f"{name}: epochs"] = epochs
            row[f"{name}: side"] = _side(method)
            row[f"{name}: seconds"] = measured.get((one.name, one.protocol.name, name))
        rows.append(row)
    return rows


def _side(method: Any) -> int | str | None:
    """Of the net's input: one number, "1152x896" (height x width), or None where there is no pipeline."""
    side = getattr(getattr(method, "pipeline", None), "side", None)
    return "x".join(map(str, side)) if isinstance(side, tuple) else side


def _numbers(published: Mapping[str, Any]) -> str:
    """The paper's numbers of a row in one cell."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in published.items() if value is not None)


def listing(runs: Sequence[run.Run], module: types.ModuleType) -> str:
    """What `--list` prints: the paper's rows with their numbers and costs, then those that the paper has not."""
    paper = [one for one in runs if not one.extra]
    extra = [one for one in runs if one.extra]
    said = [f"{len({one.name for one in paper})} rows of the paper, with its numbers:"]
    said += [text(costs(paper, module))] if paper else []
    if extra:
        said += ["", f"{len({one.name for one in extra})} rows that the paper has not:", text(costs(extra, module))]
    return "\n".join(said)


def _measured_seconds(module: types.ModuleType) -> dict[tuple[str, str, str], float]:
    """(run, protocol, budget) -> seconds, on the phantom of the paper's first dataset."""
    folder = pathlib.Path("results") / module.KEY
    found = records.load(folder) if folder.is_dir() else []
    usual = {one.name: (one.dataset or module.DATASETS[0]).NAME for one in module.RUNS}
    kept = [r for r in found if r.dataset_kind == "phantom" and r.dataset == usual.get(r.run)]
    return {(r.run, r.protocol, r.budget): r.seconds for r in kept}


def estimate(runs: Sequence[run.Run], module: types.ModuleType, options: Any) -> list[dict[str, Any]]:
    """Times two real training steps of each net at budget `paper` and scales them up.

    The module's `PAPER_TRAIN_SIZES` says how many training examples each protocol has on the paper's data, and
    `paper_fits(run)`, where it is there, how many times a run trains on as many.
    """
    from mammo_tf.training import method as training

    if "paper" not in module.BUDGETS:
        raise cases.MammoError(f"--estimate: {module.KEY} has no budget paper; it has {', '.join(module.BUDGETS)}")
    budget = module.BUDGETS["paper"]
    rows, steps_timed = [], {}
    for one in runs:
        method = one.method(budget)
        method = getattr(method, "inner", method)
        if not getattr(method, "stages", ()):  # nothing is trained by steps
            continue
        batch, size = method.pipeline.batch, _train_size(one, module)
        if one.name not in steps_timed:  # both protocols train the same net
            steps_timed[one.name] = training.time_step(method, options.seed)
        times, fits = steps_timed[one.name], _fits(one, module)
        batches = -(-size // batch)
        steps = round(fits * batches * sum(stage.epochs for stage in method.stages))
        rows.append(
            {
                "run": one.name,
                "protocol": one.protocol.name,
                "seconds a step": round(times.step, 3),
                "steps": steps,
                "hours": round((times.step * steps + times.features * batches * fits) / 3600, 1),
                "peak memory so far, GB": round(machine.peak_mb() / 1e3, 1),
                "images in memory, GB": round(size * math.prod(method.pipeline.shape) * 2 / 1e9, 2),
                "phantom on disk, GB": round(_phantom_gb(budget.phantom), 1),
                "free disk, GB": round(_free_gb(cache.folder()), 1),
            }
        )
    return rows


def _train_size(one: run.Run, module: types.ModuleType) -> int:
    """Training examples of a run on the paper's data, as the paper file says."""
    if hasattr(module, "paper_train_size"):
        return module.paper_train_size(one)
    return module.PAPER_TRAIN_SIZES[one.protocol.name]


def _fits(one: run.Run, module: types.ModuleType) -> float:
    return module.paper_fits(one) if hasattr(module, "paper_fits") else 1


def _phantom_gb(spec: phantom.PhantomSpec) -> float:
    """Films of 16 bits, masks of 8 and crops: about 3 bytes a pixel of about 2.1 views a patient."""
    return spec.patients * 2.1 * spec.height * spec.width * 3 / 1e9


def _free_gb(folder: pathlib.Path) -> float:
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    return shutil.disk_usage(there).free / 1e9


def text(facts: Sequence[Mapping[str, Any]]) -> str:
    """Rows of facts as an aligned table."""
    rows = [["" if value is None else str(value) for value in row.values()] for row in facts]
    return tables.text(tables.Table("", list(facts[0]), rows)).lstrip()


def execute_all(runs: Sequence[run.Run], settings: run.Settings, seeds: int) -> list[records.Record]:
    """Every run with every seed, one after the other."""
    from mammo_tf.training import precision

    precision.deterministic()
    LOG.info("%s", precision.describe_device())
    if settings.root is None:
        LOG.info("no folder of %s given: a synthetic phantom takes its place", settings.dataset.NAME)
    found = []
    for seed in range(settings.seed, settings.seed + seeds):
        for one in runs:
            found.append(run.execute(one, dataclasses.replace(settings, seed=seed)))
    return found


def null_all(
    runs: Sequence[run.Run],
    settings: run.Settings,
    count: int,
    *,
    noise: bool = False,
    into: pathlib.Path | None = None,
) -> list[nulls.Null]:
    """The null test of every run; `count` of 0 leaves the number of deals to `nulls`, and `into` where they go."""
    from mammo_tf.training import precision

    precision.deterministic()
    return [nulls.run_null(one, settings, count or None, noise=noise, into=into) for one in runs]


def null_of(
    folder: pathlib.Path, experiments: Mapping[str, types.ModuleType], count: int, *, noise: bool = False
) -> nulls.Null:
    """The null test of the run that a folder holds, called as it was; written there too.

    Args:
        folder: of the run, as `run.execute` leaves it: with `settings.json`.
        experiments: paper files by key.
        count, noise: as for `null_all`.

    Raises:
        cases.MammoError: the folder does not say how the run was called, or no paper file has its row.
    """
    facts = run_settings.read(folder)
    if facts["paper"] not in experiments:
        raise cases.MammoError(f"{folder}: no paper file of {facts['paper']}; there are {', '.join(experiments)}")
    one, settings = run_settings.restored(facts, experiments[facts["paper"]])
    folder = folder.resolve()
    out = folder.parent.parent if folder.parent.name == one.paper else folder.parent
    digest = run.identity(one, settings, run.open_data(one, settings).fingerprint)
    if not folder.name.endswith(f"-{digest}"):
        LOG.warning("%s: code, paper file or data have changed since; the test is of the run as it is now", folder)
    return null_all([one], dataclasses.replace(settings, out=out), count, noise=noise, into=folder)[0]


def show_null(found: Sequence[nulls.Null], *, as_json: bool) -> None:
    """Prints the mean AUC of each run where nothing tells the label, and whether it is what it should be."""
    if as_json:
        print(json.dumps([one.as_json() for one in found], indent=1))
        return
    dealt = {nulls.LABELS: "Labels dealt anew to patients", nulls.NOISE: "Noise in the place of the images"}
    titles = [dealt[kind] for kind in dict.fromkeys(one.kind for one in found)]
    columns = ["run", "protocol", "deals", "mean AUC, three standard errors", "0.5 is within"]
    rows = [[one.run, one.protocol, *report_nulls.cells(one)] for one in found]
    print(tables.text(tables.Table("; ".join(titles), columns, rows)))


def show(module: types.ModuleType, found: Sequence[records.Record], *, as_json: bool) -> None:
    """Prints the paper's table, the measured ones, and where everything lies."""
    if as_json:
        print(json.dumps([records.as_json(record) for record in found], indent=1))
        return
    shown = [report_paper.numbers(module)]
    for section in report.sections(module, found):
        shown += [dataclasses.replace(t, title=f"{section.title}: {t.title}") for t in section.tables]
    print("\n" + "\n\n".join(map(tables.text, shown)))
    if any(record.dataset_kind == "phantom" for record in found):
        print("\n" + report.PHANTOM)
    parent = pathlib.Path(found[0].folder).parent
    print(f"\nrecords and figures: {parent}\nTensorBoard:         tensorboard --logdir {parent}")
