"""A hyper-parameter search as TensorBoard's HParams tab shows it: what was searched in one folder, each trial below.

Trials of one search have the same hyper-parameters and metrics. TensorBoard takes the first search that it finds, so
start it on the folder of one search, not on one that holds several or the logs of trainings (`tensorboard`).

    write_search(folder, {"kernel": Discrete([1, 3, 5]), "rate": RealInterval(1e-5, 1e-2)}, ["val_auc"])
    write_trial(folder / "trial-1", {"kernel": 3, "rate": 1e-3}, {"val_auc": 0.83})
    # tensorboard --logdir FOLDER
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api, api_pb2, summary

from mammo_tf import cases, describe
from mammo_tf.training import tensorboard

Discrete, IntInterval, RealInterval = api.Discrete, api.IntInterval, api.RealInterval


def write_search(
    folder: Path, domains: Mapping[str, Discrete | IntInterval | RealInterval], metrics: Sequence[str]
) -> None:
    """Writes what is searched; it replaces the log that lies in the folder itself, not the trials below it.

    Args:
        folder: of the search.
        domains: hyper-parameter -> the values it may take.
        metrics: names of what each trial measures, the first the one that the table is read by.

    Raises:
        MammoError: there is no hyper-parameter or no metric.
    """
    if not domains or not metrics:
        raise cases.MammoError(
            f"search: hyper-parameters and metrics are needed, found {[*domains]} and {[*metrics]}"
        )
    writer = _fresh(folder)
    with writer.as_default(step=0):
        api.hparams_config(
            hparams=[api.HParam(name, domain) for name, domain in domains.items()],
            metrics=[api.Metric(name, display_name=name) for name in metrics],
        )
    writer.close()


def write_trial(folder: Path, hparams: Mapping[str, str | int | float | bool], metrics: Mapping[str, float]) -> None:
    """Writes one finished trial, a row of the table; it replaces the log that lies in the folder.

    Args:
        folder: of this trial alone, below that of its search. The row is called after it, with a few digits that
            tell it from a folder of the same name elsewhere, or TensorBoard would average the two.
        hparams: hyper-parameter -> the value tried.
        metrics: name -> the value measured. One that is not finite is left out, and the trial shown as failed.

    Raises:
        MammoError: there is no hyper-parameter or no metric, or a value is of another type.
    """
    if not hparams or not metrics:
        raise cases.MammoError(f"trial: hyper-parameters and metrics are needed, found {[*hparams]} and {[*metrics]}")
    for name, value in hparams.items():
        if not isinstance(value, str | int | float | np.integer | np.floating | np.bool_):
            raise cases.MammoError(f"trial: {name} must be a str, int, float or bool, found {value!r}")
    finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    status = api_pb2.STATUS_SUCCESS if len(finite) == len(metrics) else api_pb2.STATUS_FAILURE
    writer = _fresh(folder)
    with writer.as_default(step=0):
        api.hparams(dict(hparams), trial_id=row_name(folder))
        for name, value in finite.items():
            tf.summary.scalar(name, value)
        tf.summary.experimental.write_raw_pb(summary.session_end_pb(status).SerializeToString())
    writer.close()


def row_name(folder: Path) -> str:
    """What the table calls the trial of a folder."""
    return f"{Path(folder).name} {describe.digest(Path(folder).resolve(), digits=6)}"


def _fresh(folder: Path) -> tf.summary.SummaryWriter:
    tensorboard.trim(Path(folder), 0)
    return tf.summary.create_file_writer(str(folder))
