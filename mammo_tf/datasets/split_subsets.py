"""Training parts of fewer patients, for learning curves as in Table 4 of Shen et al. 2019 (20 to 72 patients).

One subset a size, as in the paper, says little: who is in it is luck. So each size is drawn several times, or once a
fold. Within a repeat (or fold) subsets are nested: that of 30 patients holds that of 20, so that a curve over the
sizes is one of patients added. Subsets keep the classes' shares, and each class has one patient at least.

    for parts in split_subsets.train_subsets(examples, seed=0, patients=20):
        print(parts.fold, len(parts.train))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from mammo_tf import cases
from mammo_tf.datasets import splits

ALGORITHM_VERSION = 1


def train_subsets(
    examples: Iterable[cases.Example],
    seed: int,
    *,
    fractions: Sequence[float] = (0.7, 0.3),
    patients: int | None = None,
    repeats: int = 5,
) -> tuple[cases.Splits, ...]:
    """One deal of the patients to training and validation, then `repeats` random subsets of the training patients.

    Args:
        examples: with labels 0 or 1 and unique ids.
        seed: of the deal and of the subsets.
        fractions: share of the patients of each class in (train, val).
        patients: how many train, at least 2; None for all.
        repeats: subsets of that size.

    Returns:
        Splits that share their validation part, `fold` 0 to repeats - 1; a single one where all patients train.

    Raises:
        cases.MammoError: as `splits.patient_holdout`; fewer than 2 patients or no repeat is asked for.
    """
    _check(patients, repeats)
    if len(fractions) != 2:
        raise cases.MammoError(f"split: expected 2 fractions, of training and validation, found {tuple(fractions)}")
    whole = splits.patient_holdout(examples, seed, fractions=fractions)
    if patients is None or patients >= len(splits.patient_labels(whole.train)):
        return (whole,)
    return tuple(
        dataclasses.replace(whole, train=subset(whole.train, patients, [seed, fold]), fold=fold)
        for fold in range(repeats)
    )


def kfold_subsets(
    examples: Iterable[cases.Example], seed: int, *, folds: int = 5, val_fraction: float, patients: int | None = None
) -> tuple[cases.Splits, ...]:
    """`splits.patient_kfold` with training parts of `patients` patients; validation and test parts stay whole.

    Args:
        examples, seed, folds, val_fraction: as for `splits.patient_kfold`.
        patients: how many train in a fold, at least 2; None, or more than a fold has, for all of them.

    Raises:
        cases.MammoError: as `splits.patient_kfold`; fewer than 2 patients are asked for.
    """
    _check(patients, 1)
    whole = splits.patient_kfold(examples, seed, folds=folds, val_fraction=val_fraction)
    if patients is None:
        return whole
    return tuple(
        dataclasses.replace(parts, train=subset(parts.train, patients, [seed, parts.fold])) for parts in whole
    )


def subset(examples: Iterable[cases.Example], patients: int, seed: Sequence[int]) -> tuple[cases.Example, ...]:
    """The examples, sorted by id, of that many patients, or of all where there are not so many.

    Whoever is in the subset of n patients is in that of n + 1 of the same seed.

    Args:
        examples: with labels 0 or 1, of both classes.
        patients: at least 2.
        seed: whole numbers of 0 and up.
    """
    examples = tuple(sorted(examples, key=lambda e: e.id))
    labels = splits.patient_labels(examples)
    names = [[name for name, label in labels.items() if label == of] for of in (0.0, 1.0)]
    if patients >= len(labels):
        return examples
    counts = splits.apportion(patients, [len(some) / len(labels) for some in names])
    rng = np.random.default_rng(seed)
    chosen = {str(name) for some, count in zip(names, counts, strict=True) for name in rng.permutation(some)[:count]}
    return splits.of_patients(examples, chosen)


def _check(patients: int | None, repeats: int) -> None:
    if (patients is not None and patients < 2) or repeats < 1:
        raise cases.MammoError(
            "split: a subset has at least 2 patients, one of each class, and at least one repeat; found "
            f"patients={patients}, repeats={repeats}"
        )
