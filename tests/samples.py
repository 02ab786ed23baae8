"""Small hand-made values that several tests share."""

import dataclasses
import pathlib
import types

from mammo_tf import artifacts, records
from mammo_tf.evaluation import intervals

ROOT = pathlib.Path(__file__).parent.parent


def scale(factor, x=1.0):
    return factor * x


def estimate(value, half=0.05, n=40):
    return intervals.Estimate(value, value - half, value + half, n, "bootstrap")


def record(**changes):
    """A record of one phantom run, with round numbers."""
    size = {"examples": 40, "patients": 20, "positives": 18, "rois": 40}
    names = ("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "log_loss", "auc")
    fields = {
        "paper": "ao2020",
        "run": "baseline_cnn",
        "protocol": "honest",
        "hash": "0123abcd",
        "dataset": "cbis_ddsm",
        "dataset_kind": "phantom",
        "fingerprint": "f" * 16,
        "label_policy": "pathology",
        "class_names": ["benign", "malignant"],
        "budget": "demo",
        "seed": 0,
        "weights": "scratch",
        "precision": "float32",
        "reported": "test",
        "sizes": {"train": size, "val": size, "test": size},
        "metrics": {name: estimate(0.6 + 0.01 * i) for i, name in enumerate(names)},
        "tuned": {name: estimate(0.5) for name in names},
        "threshold": 0.4,
        "threshold_rule": "youden",
        "majority": {"accuracy": estimate(0.55)},
        "training": {
            "best_epoch": 3,
            "epochs": 8,
            "train_accuracy": 0.8,
            "val_accuracy": 0.7,
            "last_val_accuracy": 0.65,
            "epochs_to_95": 2,
        },
        "claims": {
            "saliency_rim_share": estimate(0.4),
            "uniform_rim_share": estimate(0.3),
            "saliency_rim_gain": estimate(0.1),
        },
        "selection": "best_val_accuracy",
        "leaks": [],
        "audit": {"val": {"roi_share": 0.0, "patient_share": 0.0}, "test": {"roi_share": 0.0, "patient_share": 0.0}},
        "test_reads": 1,
        "problems": [],
        "repairs": {},
        "intensity": "raw",
        "seconds": 60.0,
        "memory_mb": 900.0,
        "versions": {"python": "3.11"},
        "hardware": "a processor, 2 cores",
        "commit": "abc",
        "created": "2026-01-01T00:00:00+00:00",
    }
    return records.Record(**{**fields, **changes})


def module(**names):
    """Something that quacks like a paper file."""
    return types.SimpleNamespace(__doc__="A toy paper.", **names)


def kept(tmp_path, predictions, **changes):
    """A record whose run has left these predictions in its folder."""
    made = record(paper="toy", **changes)
    folder = tmp_path / f"{made.label}-{made.hash}"
    folder.mkdir()
    if predictions is not None:
        artifacts.write_predictions(folder / "predictions.csv", predictions)
    return dataclasses.replace(made, folder=str(folder))
