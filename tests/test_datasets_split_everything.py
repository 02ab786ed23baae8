import dataclasses

import pytest

from mammo_tf import audit, cases
from mammo_tf.datasets import split_everything

EXAMPLES = tuple(cases.Example(f"e{i}", f"p{i // 2}", (), float(i % 2), roi_id=f"e{i}") for i in range(6))


def test_every_example_stands_in_training_and_again_in_the_test():
    parts = split_everything.tested_on_training(EXAMPLES[::-1], 3, leak="all of it")
    assert parts.train == EXAMPLES and parts.val == () and parts.leaks == ("all of it",)
    assert [e.id for e in parts.test] == [f"e{i}@test" for i in range(6)]
    assert audit.overlap(parts)["test"] == {
        "examples": 6,
        "with_patient_in_train": 6,
        "with_roi_in_train": 6,
        "patient_share": 1.0,
        "roi_share": 1.0,
    }


def test_the_leak_must_be_named_and_both_classes_be_there():
    with pytest.raises(cases.MammoError, match="name it"):
        split_everything.tested_on_training(EXAMPLES, 0, leak="")
    one_class = [dataclasses.replace(e, label=0.0) for e in EXAMPLES]
    with pytest.raises(cases.MammoError, match="no example of class 1"):
        split_everything.tested_on_training(one_class, 0, leak="x")
