import collections
import random

import pytest

from mammo_tf import cases
from mammo_tf.datasets import split_subsets, splits


def cohort(patients=100, positive_every=5):
    """Three examples a patient; of every fifth one the first is positive."""
    return [
        cases.Example(f"e{3 * p + k:04d}", f"p{p:04d}", (), float(p % positive_every == 0 and k == 0))
        for p in range(patients)
        for k in range(3)
    ]


def patients(part):
    return {e.patient_id for e in part}


def positives(part):
    return {e.patient_id for e in part if e.label == 1}


def test_subsets_share_their_validation_part_and_differ_in_training():
    found = split_subsets.train_subsets(cohort(), seed=1, patients=20)
    assert [parts.fold for parts in found] == [0, 1, 2, 3, 4]
    whole = splits.patient_holdout(cohort(), seed=1, fractions=(0.7, 0.3))
    for parts in found:
        assert parts.val == whole.val and not parts.test and not parts.leaks
        assert len(patients(parts.train)) == 20 and len(positives(parts.train)) == 4 and len(parts.train) == 60
        assert set(parts.train) <= set(whole.train)
    assert len({frozenset(patients(parts.train)) for parts in found}) == 5


def test_every_training_patient_has_her_chance():
    found = split_subsets.train_subsets(cohort(), seed=0, patients=35, repeats=40)
    counts = collections.Counter(name for parts in found for name in patients(parts.train))
    assert len(counts) == 70 and min(counts.values()) >= 8 and max(counts.values()) <= 32  # 20 of 40 expected


def test_all_patients_train_once():
    (all_of_them,) = split_subsets.train_subsets(cohort(), seed=1)
    assert all_of_them == splits.patient_holdout(cohort(), seed=1, fractions=(0.7, 0.3))
    assert split_subsets.train_subsets(cohort(), seed=1, patients=70) == (all_of_them,)
    assert split_subsets.train_subsets(cohort(), seed=1, patients=500) == (all_of_them,)


def test_larger_subsets_hold_the_smaller_ones_and_both_classes():
    before = set()
    training = split_subsets.train_subsets(cohort(), seed=2)[0].train
    for count in range(2, 71):
        examples = split_subsets.subset(training, count, [2, 1])
        now = patients(examples)
        assert len(now) == count and before <= now and 0 < len(positives(examples)) < count
        assert abs(len(positives(examples)) - count / 5) <= 0.8
        if count in (2, 33, 69):
            assert examples == split_subsets.train_subsets(cohort(), seed=2, patients=count, repeats=2)[1].train
        before = now


def test_one_positive_patient_is_in_every_subset():
    examples = [cases.Example(f"e{p}", f"p{p}", (), float(p == 7)) for p in range(40)]
    for count in (2, 3, 11, 39):
        found = split_subsets.subset(examples, count, [0])
        assert len(found) == count and positives(found) == {"p7"}


def test_folds_keep_their_test_parts_and_train_on_fewer():
    whole = splits.patient_kfold(cohort(), 3, folds=5, val_fraction=0.25)
    found = split_subsets.kfold_subsets(cohort(), 3, folds=5, val_fraction=0.25, patients=20)
    for few, full in zip(found, whole, strict=True):
        assert (few.val, few.test, few.fold) == (full.val, full.test, full.fold)
        assert len(patients(few.train)) == 20 and len(positives(few.train)) == 4
        assert set(few.train) < set(full.train)
    assert split_subsets.kfold_subsets(cohort(), 3, val_fraction=0.25) == whole
    many = split_subsets.kfold_subsets(cohort(), 3, val_fraction=0.25, patients=72)
    assert many == whole and len(patients(many[0].train)) == 60  # all there are


@pytest.mark.parametrize(
    "deal",
    [
        lambda examples, seed: split_subsets.train_subsets(examples, seed, patients=20)[2],
        lambda examples, seed: split_subsets.kfold_subsets(examples, seed, val_fraction=0.2, patients=20)[1],
    ],
)
def test_subsets_depend_on_the_seed_and_not_on_the_order(deal):
    shuffled = random.Random(0).sample(cohort(), 300)
    assert deal(cohort(), 5) == deal(shuffled, 5)
    assert deal(cohort(), 5).train != deal(cohort(), 6).train


@pytest.mark.parametrize("options", [{"patients": 1}, {"repeats": 0}, {"fractions": (0.6, 0.2, 0.2)}])
def test_bad_calls_are_refused(options):
    with pytest.raises(cases.MammoError, match="split: "):
        split_subsets.train_subsets(cohort(), 0, **options)
    with pytest.raises(cases.MammoError, match="patients=0"):
        split_subsets.kfold_subsets(cohort(), 0, val_fraction=0.2, patients=0)
