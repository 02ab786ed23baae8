"""All examples for training, and all of them again for the test: a leak by design, named by its caller.

Kreiss compares cross-validation with "training ALL data allocated for training (in all folds)" and testing "with
test set (in all folds)" (Results): the training parts of all folds are the whole of the data, and so are the test
parts.

    parts = split_everything.tested_on_training(examples, seed=0, leak="every test image was learned from")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from mammo_tf import cases
from mammo_tf.datasets import splits

ALGORITHM_VERSION = 1
AGAIN = "@test"  # ends the id of an example that stands in the test part for the second time


def tested_on_training(examples: Iterable[cases.Example], seed: int, *, leak: str) -> cases.Splits:
    """Everything trains, nothing validates, everything is tested under the id `<id>@test`.

    Args:
        examples: with labels 0 or 1 and unique ids.
        seed: changes nothing here; splits take one.
        leak: in words, for the record.

    Raises:
        cases.MammoError: a class is missing, a label is unknown, an id repeats, or the leak has no name.
    """
    if not leak:
        raise cases.MammoError("split: testing on training images is a leak; name it")
    examples = splits.sorted_examples(examples)
    again = tuple(dataclasses.replace(example, id=example.id + AGAIN) for example in examples)
    parts = cases.Splits(examples, (), again, leaks=(leak,))
    splits.require_classes(parts, ("train", "test"))
    return parts
