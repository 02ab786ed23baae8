"""Deals examples to training, validation and test: by patient, by the dataset's own parts, or (leak named) at random.

`split_subsets` cuts training parts down to fewer patients.

A patient is positive if any of her examples is; parts are stratified by that label. Every split depends on the seed
and on the set of examples, never on their order. scikit-learn's StratifiedKFold makes the folds.

    parts = splits.patient_holdout(examples, seed=0, fractions=(0.64, 0.16, 0.2))
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from mammo_tf import cases

ALGORITHM_VERSION = 1


def patient_holdout(
    examples: Iterable[cases.Example], seed: int, *, fractions: Sequence[float] = (0.64, 0.16, 0.2)
) -> cases.Splits:
    """Patients dealt to training, validation and test.

    Args:
        examples: with labels 0 or 1 and unique ids.
        seed: of the deal.
        fractions: share of the patients of each class in (train, val, test), or (train, val); they add up to 1.

    Raises:
        cases.MammoError: a label is unknown, an id repeats, or a part would lack a class.
    """
    examples = sorted_examples(examples)
    _check_fractions(fractions, (2, 3))
    dealt = _deal(patient_labels(examples), fractions, np.random.default_rng(seed))
    parts = cases.Splits(*(of_patients(examples, names) for names in dealt))
    require_classes(parts, ("train", "val", "test")[: len(fractions)])
    return parts


def patient_kfold(
    examples: Iterable[cases.Example], seed: int, *, folds: int, val_fraction: float
) -> tuple[cases.Splits, ...]:
    """`folds` splits whose test parts hold each patient once; `val_fraction` of the other patients validate.

    With a `val_fraction` of 0 nobody does: such a run takes its last epoch and a fixed threshold.

    Raises:
        cases.MammoError: as `patient_holdout`, and when a class has fewer patients than folds.
    """
    from sklearn import model_selection  # takes a second to import

    examples = sorted_examples(examples)
    shares = (1 - val_fraction, val_fraction) if val_fraction else (1.0,)
    _check_fractions(shares, (1, 2))
    labels = patient_labels(examples)
    fewest = min(list(labels.values()).count(label) for label in (0.0, 1.0))
    if not 2 <= folds <= fewest:
        raise cases.MammoError(f"split: {folds} folds, but the rarer class has {fewest} patients; 2 to {fewest} work")
    names, classes = np.array(list(labels)), np.array(list(labels.values()))
    dealer = model_selection.StratifiedKFold(folds, shuffle=True, random_state=seed)
    out = []
    for fold, (rest, test) in enumerate(dealer.split(names, classes)):
        others = {name: labels[name] for name in names[rest]}
        dealt = _deal(others, shares, np.random.default_rng([seed, fold]))
        train, *val = (of_patients(examples, chosen) for chosen in dealt)
        tested = of_patients(examples, set(names[test]))
        out.append(cases.Splits(train, val[0] if val else (), tested, fold=fold))
        require_classes(out[-1], ("train", "val", "test") if val else ("train", "test"))
    return tuple(out)


def official(
    examples: Iterable[cases.Example], seed: int, *, val_fraction: float = 0.2, drop_shared: bool = False
) -> cases.Splits:
    """The dataset's own test part (`Example.part`); `val_fraction` of the official training patients validate.

    Args:
        examples: with labels 0 or 1, unique ids and an official part each.
        seed: of the deal to training and validation.
        val_fraction: share of the training patients of each class.
        drop_shared: take patients of both official parts out of training and validation, and name them in
            `Splits.dropped`; the test part stays whole.

    Raises:
        cases.MammoError: as `patient_holdout`; an example has no official part; a patient stands in both parts and
            `drop_shared` is False.
    """
    examples = _with_parts(sorted_examples(examples))
    _check_fractions((1 - val_fraction, val_fraction), (2,))
    test = tuple(e for e in examples if e.part == "test")
    rest = tuple(e for e in examples if e.part == "train")
    shared = {e.patient_id for e in rest} & {e.patient_id for e in test} if drop_shared else set()
    rest = tuple(e for e in rest if e.patient_id not in shared)
    try:
        cases.Splits(rest, (), test)
    except cases.MammoError as error:
        raise cases.MammoError(
            f"{error}. The official parts were drawn for each lesion kind on its own: take one kind at a time, "
            "drop these patients from training (drop_shared), or use patient_holdout"
        ) from None
    dealt = _deal(patient_labels(rest), (1 - val_fraction, val_fraction), np.random.default_rng(seed))
    train, val = (of_patients(rest, names) for names in dealt)
    parts = cases.Splits(train, val, test, dropped=tuple(sorted(shared)))
    require_classes(parts, ("train", "val", "test"))
    return parts


def official_or_holdout(
    examples: Iterable[cases.Example],
    seed: int,
    *,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    drop_shared: bool = False,
) -> cases.Splits:
    """`official` where the dataset has parts of its own; else a hold-out with `test_fraction` in the test part.

    In both cases `val_fraction` of the patients outside the test part validate.

    Raises:
        cases.MammoError: as `official` or `patient_holdout`; some examples have an official part, others none.
    """
    examples = tuple(examples)
    if any(example.part for example in examples):
        return official(examples, seed, val_fraction=val_fraction, drop_shared=drop_shared)
    rest = 1 - test_fraction
    return patient_holdout(examples, seed, fractions=(rest * (1 - val_fraction), rest * val_fraction, test_fraction))


def resplit_official_train(
    examples: Iterable[cases.Example], seed: int, *, fractions: Sequence[float] = (0.765, 0.085, 0.15)
) -> cases.Splits:
    """The official training part alone, dealt anew by patient; the official test part is not used.

    So Shen et al. 2019 split CBIS-DDSM (section 3.1.1: 85-15, then 10 % of the training patients for validation), as
    the counts of their public code show.

    Raises:
        cases.MammoError: as `patient_holdout`; an example has no official part, or none is of the training part.
    """
    examples = _with_parts(sorted_examples(examples))
    return patient_holdout((e for e in examples if e.part == "train"), seed, fractions=fractions)


def random_examples(
    examples: Iterable[cases.Example], seed: int, *, fractions: Sequence[float] = (0.8, 0.2), leak: str
) -> cases.Splits:
    """Examples dealt to training and validation, stratified by label, whoever the patient: ao2020, Section 3.1.

    Args:
        examples: with labels 0 or 1 and unique ids.
        seed: of the deal.
        fractions: of the examples of each class in (train, val).
        leak: what this lets leak, in words; it goes to `Splits.leaks` and from there to every report.

    Raises:
        cases.MammoError: as `patient_holdout`; `leak` is empty.
    """
    examples = sorted_examples(examples)
    _check_fractions(fractions, (2,))
    if not leak:
        raise cases.MammoError("split: a random split over examples shares patients; say so in `leak`")
    dealt = _deal({e.id: e.label for e in examples}, fractions, np.random.default_rng(seed))
    train, val = (tuple(e for e in examples if e.id in ids) for ids in dealt)
    parts = cases.Splits(train, val, leaks=(leak,))
    require_classes(parts)
    return parts


def random_kfold(
    examples: Iterable[cases.Example], seed: int, *, folds: int, val_fraction: float, leak: str
) -> tuple[cases.Splits, ...]:
    """`folds` splits over examples, stratified by label, whoever the patient; otherwise as `patient_kfold`.

    Args:
        leak: what this lets leak, in words; it goes to `Splits.leaks` and from there to every report.

    Raises:
        cases.MammoError: as `patient_kfold`, of examples; `leak` is empty.
    """
    if not leak:
        raise cases.MammoError("split: folds over examples share patients; say so in `leak`")
    examples = sorted_examples(examples)
    alone = [dataclasses.replace(example, patient_id=example.id) for example in examples]
    known = {example.id: example for example in examples}

    def whole(part: tuple[cases.Example, ...]) -> tuple[cases.Example, ...]:
        return tuple(known[example.id] for example in part)

    dealt = patient_kfold(alone, seed, folds=folds, val_fraction=val_fraction)
    return tuple(cases.Splits(whole(p.train), whole(p.val), whole(p.test), p.fold, leaks=(leak,)) for p in dealt)


def require_classes(parts: cases.Splits, names: Sequence[str] = ("train", "val")) -> None:
    """Raises cases.MammoError when one of the named parts holds no example of class 0 or of class 1."""
    counts = {name: Counter(e.label for e in getattr(parts, name)) for name in ("train", "val", "test")}
    for name in names:
        for label in (0.0, 1.0):
            if not counts[name][label]:
                have = "; ".join(f"{part} {n[0.0]} of class 0, {n[1.0]} of class 1" for part, n in counts.items())
                raise cases.MammoError(
                    f"split: {name} has no example of class {label:.0f} ({have}): every part needs both classes; "
                    "more patients or other fractions are needed"
                )


def sorted_examples(examples: Iterable[cases.Example]) -> tuple[cases.Example, ...]:
    """The examples by id; refuses none at all, labels other than 0 and 1, and ids that repeat."""
    examples = tuple(sorted(examples, key=lambda e: e.id))
    if not examples:
        raise cases.MammoError("split: there are no examples to split")
    if unknown := sum(math.isnan(e.label) for e in examples):
        raise cases.MammoError(
            f"split: {unknown} of {len(examples)} examples have no label (NaN); drop them by name before the split"
        )
    if other := sorted({e.label for e in examples} - {0.0, 1.0}):
        raise cases.MammoError(f"split: labels are 0 or 1, found {other[0]}")
    if repeated := [a.id for a, b in itertools.pairwise(examples) if a.id == b.id]:
        raise cases.MammoError(f"split: {len(repeated)} example ids repeat: {repeated[0]}, ...")
    return examples


def _with_parts(examples: tuple[cases.Example, ...]) -> tuple[cases.Example, ...]:
    if unknown := [e.id for e in examples if e.part not in ("train", "test")]:
        raise cases.MammoError(
            f"split: {len(unknown)} of {len(examples)} examples have no official part ({unknown[0]}, ...); "
            "use patient_holdout"
        )
    return examples


def _check_fractions(fractions: Sequence[float], lengths: tuple[int, ...]) -> None:
    if len(fractions) not in lengths or min(fractions) <= 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-9):
        expected = " or ".join(map(str, lengths))
        raise cases.MammoError(f"split: expected {expected} fractions above 0 with sum 1, found {tuple(fractions)}")


def patient_labels(examples: Iterable[cases.Example]) -> dict[str, float]:
    """Patient -> 1.0 if any of her examples is positive, else 0.0; sorted by patient."""
    labels: dict[str, float] = {}
    for example in examples:
        labels[example.patient_id] = max(labels.get(example.patient_id, 0.0), example.label)
    return dict(sorted(labels.items()))


def of_patients(examples: Iterable[cases.Example], patients: Collection[str]) -> tuple[cases.Example, ...]:
    return tuple(e for e in examples if e.patient_id in patients)


def _deal(labels: Mapping[str, float], fractions: Sequence[float], rng: np.random.Generator) -> list[set[str]]:
    """The names, shuffled within each class and cut by `fractions`."""
    parts: list[set[str]] = [set() for _ in fractions]
    for label in (0.0, 1.0):
        names = rng.permutation([name for name, its in labels.items() if its == label])
        ends = np.cumsum(apportion(len(names), fractions))
        for part, chosen in zip(parts, np.split(names, ends[:-1]), strict=True):
            part.update(map(str, chosen))
    return parts


def apportion(total: int, fractions: Sequence[float]) -> np.ndarray:
    """Whole numbers nearest to total * fractions (largest remainder), none 0 if that can be helped.

    >>> apportion(10, (0.64, 0.16, 0.2)).tolist(), apportion(3, (0.64, 0.16, 0.2)).tolist()
    ([6, 2, 2], [1, 1, 1])
    """
    exact = total * np.asarray(fractions)
    counts = np.floor(exact + 1e-9).astype(int)
    by_remainder = np.argsort(counts - exact, kind="stable")
    counts[by_remainder[: total - counts.sum()]] += 1
    while total >= len(counts) and counts.min() == 0:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return counts
