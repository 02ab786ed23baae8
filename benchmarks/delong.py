"""What the clustered DeLong variance costs: CPU seconds of 100,000 scores, and the ratio to a table of all pairs.

python benchmarks/delong.py --scores 100000 --pairs 4000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np

from mammo_tf.evaluation import auc_bounds, delong


def cohort(scores: int, seed: int = 0) -> delong.Scored:
    """Labels, scores and patients of four views each."""
    rng = np.random.default_rng(seed)
    patients = np.arange(scores) // 4
    labels = (patients % 2).astype(int)
    shared = rng.normal(size=scores // 4 + 1)[patients]
    return labels, 1.2 * labels + shared + rng.normal(size=scores), patients


def all_pairs(part: delong.Scored) -> tuple[float, float]:
    """AUC and Obuchowski's variance by their definitions, with a table of every pair."""
    labels, scores, patients = part
    x, y = scores[labels == 1], scores[labels == 0]
    psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    auc, count = psi.mean(), int(patients.max()) + 1
    d10 = np.bincount(patients[labels == 1], weights=psi.mean(axis=1) - auc, minlength=count)
    d01 = np.bincount(patients[labels == 0], weights=psi.mean(axis=0) - auc, minlength=count)
    i10, i01 = (len(np.unique(patients[labels == k])) for k in (1, 0))
    m, n = len(x), len(y)
    own = i10 / (i10 - 1) * d10 @ d10 / m**2 + i01 / (i01 - 1) * d01 @ d01 / n**2
    return float(auc), float(own + 2 * count / (count - 1) * d10 @ d01 / (m * n))


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """The least CPU time of some calls."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=4_000, help="scores where all pairs are made too")
    options = parser.parse_args(arguments)
    many, few = cohort(options.scores), cohort(options.pairs)
    found = delong.influence([many], int(many[2].max()) + 1)
    took = seconds(lambda: auc_bounds.single(delong.influence([many], int(many[2].max()) + 1)))
    print(f"{options.scores} scores: AUC {found.value:.4f}, variance and interval in {took:.3f} s CPU")
    slow = all_pairs(few)
    fast = delong.influence([few], int(few[2].max()) + 1)
    apart = max(abs(slow[0] - fast.value), abs(slow[1] - fast.variance))
    times = seconds(lambda: all_pairs(few)), seconds(lambda: delong.influence([few], int(few[2].max()) + 1))
    print(f"{options.pairs} scores: all pairs take {times[0] / times[1]:.0f} times as long; differ by {apart:.1e}")


if __name__ == "__main__":
    main()
