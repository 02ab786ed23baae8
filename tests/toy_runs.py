"""A method that learns one number, and runs of it: what the tests of `rows`, `run` and `measure` share."""

import dataclasses
import functools
import json
import time

import numpy as np

from mammo_tf import run
from mammo_tf.datasets import folder, phantom, splits

BUDGET = run.Budget("smoke", phantom.PhantomSpec(patients=24, height=128, width=96, spacing_mm=1.6), draws=100)
SLEEP = 0.4  # seconds that `slow_method` takes a split


@dataclasses.dataclass(frozen=True)
class MeanIntensity:
    """Scores an image by its mean gray value; notes in the run's folder what it was given, and takes its time."""

    noise: float = 0.0
    seconds: float = 0.0

    def fit(self, train, val, context):
        rng = np.random.default_rng(context.seed)
        time.sleep(self.seconds)
        given = {name: str(path) for name, path in context.inputs.items()}
        (context.folder / "given.json").write_text(json.dumps({"inputs": given, "train": len(train)}))
        return functools.partial(predict, shift=self.noise * rng.normal())


def predict(examples, *, shift):
    score = np.array([e.views[0].pixels().mean() / e.views[0].max_value + shift for e in examples])
    score = np.clip(score, 0.01, 0.99)
    return np.stack([1 - score, score], axis=1).astype(np.float32)


def method(budget):
    return MeanIntensity()


def noisy_method(budget):
    return MeanIntensity(noise=0.05)


def slow_method(budget):
    return MeanIntensity(seconds=SLEEP)


def a_run(**changes):
    base = run.Run(
        paper="toy",
        name="mean_intensity",
        method=method,
        data=folder.whole_images,
        split=splits.patient_holdout,
        protocol=run.Rules("honest", "test"),
        policy=folder.policy,
    )
    return dataclasses.replace(base, **changes)


def settings(tmp_path, **changes):
    return dataclasses.replace(run.Settings(budget=BUDGET, dataset=folder, out=tmp_path), **changes)
