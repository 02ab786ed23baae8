"""Scaling, selection and SMOTE fitted on everything before the split, in the folds of a run: a leak by design.

`selected_folds.as_published` is the same on arrays. Here each fold is a fit of its own, as `run` wants it: the method
gets the test part of its fold as well (`Context.leaked`), so that it has everything that was fitted on. Synthetic
images are dealt to the folds like others and are tested with them; they are no examples, so what a run reports speaks
of real images alone, and the synthetic ones wait in `Fitted.decisions_there`.

    parts = kfold(examples, seed=0, folds=10, smote=True, leak="SMOTE was fitted before the split")
    SelectedFirst(measure, recipe, folds=10).fit(train, (), context)(test)       # (N, 2) probabilities
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from mammo_tf import cases
from mammo_tf.classical import selected, selected_folds

ALGORITHM_VERSION = 1
LOG = logging.getLogger("mammo_tf")


def kfold(
    examples: Iterable[cases.Example], seed: int, *, folds: int, smote: bool, leak: str
) -> tuple[cases.Splits, ...]:
    """Examples dealt to folds together with the synthetic ones that SMOTE would make of them, whoever the patient.

    Args:
        examples: with labels 0 or 1 and unique ids.
        seed: of the deal.
        folds: how many.
        smote: whether the smaller class is filled up before the deal.
        leak: in words, for the record.

    Raises:
        MammoError: a class has fewer examples than folds, an id repeats, or the leak has no name.
    """
    examples = sorted(examples, key=_id)
    if not leak or len({example.id for example in examples}) < len(examples):
        raise cases.MammoError("folds: ids repeat" if leak else "folds: fitting before the split is a leak; name it")
    dealt = _dealt(_labels(examples), seed, folds, smote)[: len(examples)]
    return tuple(
        cases.Splits(
            tuple(e for e, fold in zip(examples, dealt, strict=True) if fold != k),
            (),
            tuple(e for e, fold in zip(examples, dealt, strict=True) if fold == k),
            fold=k,
            leaks=(leak,),
        )
        for k in range(folds)
    )


def _dealt(labels: np.ndarray, seed: int, folds: int, smote: bool) -> np.ndarray:
    """The fold of each example and then of each synthetic one, (N + S,)."""
    counts = np.bincount(labels, minlength=2)
    made = int(counts.max() - counts.min()) if smote else 0
    everyone = np.append(labels, np.full(made, int(np.argmin(counts))))
    return selected_folds.kfold(everyone, np.arange(len(everyone)), seed, folds=folds)


def _labels(examples: Sequence[cases.Example]) -> np.ndarray:
    return np.array([example.label for example in examples]).astype(int)


def _id(example: cases.Example) -> str:
    return example.id


@dataclasses.dataclass(frozen=True)
class SelectedFirst:
    """The method: in a fold the classifier alone is fitted; all before it has seen the test part.

    Attributes:
        features, recipe: as those of `selected.Selected`.
        folds: how many there are.
    """

    features: Callable[[cases.Context], selected.Measure]
    recipe: selected.Recipe
    folds: int = selected_folds.FOLDS

    def fit(self, train: Sequence[cases.Example], val: Sequence[cases.Example], context: cases.Context) -> Fitted:
        """Learns in the fold whose test part is `context.leaked`.

        Raises:
            DataError: a file cannot be read.
            MammoError: as `selected.learn`; `context.leaked` is no fold of `kfold` with this seed.
        """
        del val
        everyone = sorted((*train, *context.leaked), key=_id)
        labels, seed = _labels(everyone), context.seed
        fold = _dealt(labels, seed, self.folds, self.recipe.smote)
        tested = {example.id for example in context.leaked}
        here = {int(k) for example, k in zip(everyone, fold, strict=False) if example.id in tested}
        if len(here) != 1 or sum(fold[: len(everyone)] == min(here)) != len(tested):
            raise cases.MammoError(f"folds: the {len(tested)} examples tested are no fold of {self.folds}")
        measure = self.features(context)
        features = measure(everyone)
        columns = selected.prepared(self.recipe, features, labels)
        ready, classes = columns(features), labels
        if self.recipe.smote:
            ready, classes = selected.balanced(ready, labels, seed)
        test = fold == here.pop()
        decide = self.recipe.classify(ready[~test], classes[~test], seed)
        made = len(classes) - len(labels)
        learned = selected.Learned(columns, decide, features.shape[1], made)
        LOG.info("selected first: %d of %d features, %d synthetic images", len(columns.columns), learned.width, made)
        for note in learned.notes:
            LOG.warning("selected first: %s", note)
        return Fitted(measure, learned, self.recipe, seed, classes[test], decide(ready[test]))


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted(selected.Fitted):
    """What was learned, and the whole test part of its fold.

    Attributes:
        labels_there: of the test part, synthetic images included, (M,).
        decisions_there: decision scores of the same, (M,).
    """

    labels_there: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, int))
    decisions_there: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
