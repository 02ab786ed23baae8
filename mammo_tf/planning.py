"""Before and after the runs of a paper: what each will cost, doing them all, and showing what came out.

facts = planning.costs(ao2020.RUNS, ao2020)
"""

from __future__ import annotations

import dataclasses
import json
import logging
import pathlib
import resource
import shutil
import sys
import time
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammo_tf import cache, cases, records, report, run, tables

LOG = logging.getLogger("mammo_tf")


def costs(runs: Sequence[run.Run], module: types.ModuleType) -> list[dict[str, Any]]:
    """Each run with its epochs and image side per budget, and the seconds that kept records measured."""
    measured = _measured_seconds(module.KEY)
    rows = []
    for one in runs:
        row: dict[str, Any] = {"run": one.name, "protocol": one.protocol.name, "reported": one.protocol.reported}
        for name, budget in module.BUDGETS.items():
            method = one.method(budget)
            epochs = sum(stage.epochs for stage in getattr(method, "stages", ()))
            row[f"{name}: epochs"] = epochs
            row[f"{name}: side"] = getattr(getattr(method, "pipeline", None), "side", None)
            row[f"{name}: seconds"] = measured.get((one.name, one.protocol.name, name))
        rows.append(row)
    return rows


def _measured_seconds(key: str) -> dict[tuple[str, str, str], float]:
    folder = pathlib.Path("results") / key
    found = records.load(folder) if folder.is_dir() else []
    return {(r.run, r.protocol, r.budget): r.seconds for r in found}


def estimate(runs: Sequence[run.Run], module: types.ModuleType, seed: int) -> list[dict[str, Any]]:
    """Times two real training steps of each net at budget `paper` and scales them up.

    The sizes are the paper's: 4,725 crops, 80 % of them for training (ao2020, Section 3.1), or those of the module's
    `PAPER_TRAIN_SIZES`, protocol -> training examples.
    """
    if "paper" not in module.BUDGETS:
        raise cases.MammoError(f"--estimate: {module.KEY} has no budget paper; it has {', '.join(module.BUDGETS)}")
    budget = module.BUDGETS["paper"]
    rows = []
    for one in runs:
        method = one.method(budget)
        batch, size = method.pipeline.batch, module.PAPER_TRAIN_SIZES[one.protocol.name]
        seconds = time_step(method, seed)
        steps = sum(stage.epochs for stage in method.stages) * -(-size // batch)
        rows.append(
            {
                "run": one.name,
                "protocol": one.protocol.name,
                "seconds a step": round(seconds, 3),
                "steps": steps,
                "hours": round(seconds * steps / 3600, 1),
                "peak memory, GB": round(_peak_gb(), 1),
                "images in memory, GB": round(size * method.pipeline.side**2 * 2 / 1e9, 2),
                "free disk, GB": round(shutil.disk_usage(cache.folder().parent).free / 1e9, 1),
            }
        )
    return rows


def time_step(method: Any, seed: int, repeats: int = 2) -> float:
    """Seconds a training step of a net takes on noise at its own size, after one step to warm up."""
    from mammo_tf.training import fit, precision

    pipeline = method.pipeline
    chosen = precision.resolve("auto")
    context = cases.Context(seed=seed, budget="paper", folder=None)
    model = dataclasses.replace(method, pretrained=None).build(context, chosen)
    fit.compile_model(model, method.stages[0].optimizer())
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((pipeline.batch, pipeline.side, pipeline.side, pipeline.channels), np.float32)
    y = rng.integers(0, 2, pipeline.batch)
    model.train_on_batch(x, y)
    started = time.perf_counter()
    for _ in range(repeats):
        model.train_on_batch(x, y)
    return (time.perf_counter() - started) / repeats


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform != "darwin" else 1024**3)


def text(facts: Sequence[Mapping[str, Any]]) -> str:
    """Rows of facts as an aligned table."""
    rows = [["" if value is None else str(value) for value in row.values()] for row in facts]
    return tables.text(tables.Table("", list(facts[0]), rows)).lstrip()


def execute_all(runs: Sequence[run.Run], settings: run.Settings, seeds: int) -> list[records.Record]:
    """Every run with every seed, one after the other."""
    deterministic()
    found = []
    for seed in range(settings.seed, settings.seed + seeds):
        for one in runs:
            started = time.perf_counter()
            found.append(run.execute(one, dataclasses.replace(settings, seed=seed)))
            LOG.debug("%s took %.0f s", one.name, time.perf_counter() - started)
    return found


def deterministic() -> None:
    """Makes TensorFlow's kernels repeat themselves bit for bit (0 to 8 % slower)."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def show(module: types.ModuleType, found: Sequence[records.Record], *, as_json: bool) -> None:
    """Prints the paper's table, the measured ones, and where everything lies."""
    if as_json:
        print(json.dumps([records.as_json(record) for record in found], indent=1))
        return
    shown = [report.paper_table(module)]
    for section in report.sections(module, found):
        shown += [dataclasses.replace(t, title=f"{section.title}: {t.title}") for t in section.tables]
    print("\n" + "\n\n".join(map(tables.text, shown)))
    if any(record.dataset_kind == "phantom" for record in found):
        print("\n" + report.PHANTOM)
    parent = pathlib.Path(found[0].folder).parent
    print(f"\nrecords and figures: {parent}\nTensorBoard:         tensorboard --logdir {parent}")
