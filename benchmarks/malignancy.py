"""What patch nets know of malignancy alone: lesion patches, malignant against benign, from kept predictions.

The score is P(malignant) / P(lesion), so that finding a lesion, or telling masses from calcifications, earns nothing.

    python benchmarks/malignancy.py
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np

from mammo_tf import artifacts, tables
from mammo_tf.evaluation import intervals

MALIGNANT, LESION = (1, 3), (1, 2, 3, 4)  # of patch_sets.CLASSES


def main(folder: pathlib.Path) -> None:
    for path in sorted(folder.glob("patch_*.csv")):
        p = artifacts.read_predictions(path)
        rows = p.labels > 0
        some = p.probabilities[rows]
        score = some[:, MALIGNANT].sum(axis=1) / some[:, LESION].sum(axis=1)
        malignant = np.isin(p.labels[rows], MALIGNANT).astype(int)
        print(f"{path.stem}: {tables.with_interval(intervals.auc(malignant, score, p.patients[rows]))}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "results/shen2019"))
