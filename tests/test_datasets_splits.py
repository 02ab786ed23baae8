import dataclasses
import random

import pytest

from mammo_tf import cases
from mammo_tf.datasets import splits


def example(i, patient, label, part=None):
    return cases.Example(f"e{i:04d}", f"p{patient:04d}", (), float(label), roi_id=f"r{i // 3}", part=part)


def cohort(patients=100, each=3, positive_every=4):
    """Every fourth patient is positive; of a positive patient only the first example is."""
    return [
        example(p * each + k, p, p % positive_every == 0 and k == 0) for p in range(patients) for k in range(each)
    ]


def ids(part):
    return [e.id for e in part]


def patients(part):
    return {e.patient_id for e in part}


def test_holdout_deals_patients_of_each_class_by_the_fractions():
    parts = splits.patient_holdout(cohort(), seed=3)
    for part, negative, positive in ((parts.train, 48, 16), (parts.val, 12, 4), (parts.test, 15, 5)):
        assert len(patients(part)) == negative + positive
        assert len({e.patient_id for e in part if e.label == 1}) == positive
    assert len(parts.train) + len(parts.val) + len(parts.test) == 300
    assert not parts.leaks


@pytest.mark.parametrize(
    "deal",
    [
        splits.patient_holdout,
        lambda examples, seed: splits.random_examples(examples, seed, leak="crops"),
        lambda examples, seed: splits.patient_kfold(examples, seed, folds=3, val_fraction=0.2)[1],
        lambda examples, seed: splits.official_or_holdout(examples, seed, drop_shared=True),
        lambda examples, seed: splits.resplit_official_train(
            [dataclasses.replace(e, part="test" if e.patient_id < "p0020" else "train") for e in examples], seed
        ),
        lambda examples, seed: splits.official(
            [dataclasses.replace(e, part="test" if e.patient_id < "p0020" else "train") for e in examples], seed
        ),
    ],
)
def test_a_split_depends_on_the_seed_and_not_on_the_order(deal):
    examples = cohort()
    shuffled = random.Random(0).sample(examples, len(examples))
    assert deal(examples, 5) == deal(shuffled, 5)
    assert ids(deal(examples, 5).train) != ids(deal(examples, 6).train)


def test_folds_test_every_patient_once():
    folds = splits.patient_kfold(cohort(), seed=0, folds=5, val_fraction=0.25)
    tested = [e.id for parts in folds for e in parts.test]
    assert sorted(tested) == ids(cohort()) and [parts.fold for parts in folds] == [0, 1, 2, 3, 4]
    for parts in folds:
        assert len(patients(parts.test)) == 20 and len(patients(parts.val)) == 20 and len(patients(parts.train)) == 60
        assert sum(e.label for e in parts.test) == 5


def test_folds_refuse_more_folds_than_patients_of_a_class():
    with pytest.raises(cases.MammoError, match="6 folds, but the rarer class has 5 patients"):
        splits.patient_kfold(cohort(20), seed=0, folds=6, val_fraction=0.2)


def test_official_parts_are_kept_and_validation_comes_from_training():
    examples = [dataclasses.replace(e, part="test" if e.patient_id < "p0020" else "train") for e in cohort()]
    parts = splits.official(examples, seed=0, val_fraction=0.25)
    assert patients(parts.test) == {f"p{i:04d}" for i in range(20)}
    assert len(patients(parts.val)) == 20 and len(patients(parts.train)) == 60


def test_official_refuses_patients_in_both_parts_and_says_what_to_do():
    examples = [dataclasses.replace(e, part="test" if int(e.id[1:]) % 3 == 0 else "train") for e in cohort(10)]
    with pytest.raises(cases.MammoError, match=r"10 patient\(s\) stand in both.*one kind at a time"):
        splits.official(examples, seed=0)


def shared_cohort():
    """Patients 0 to 19 are tested, 16 to 19 with one of their three examples in the official training part."""
    out = []
    for e in cohort():
        number, extra = int(e.patient_id[1:]), int(e.id[1:]) % 3 == 2
        out.append(dataclasses.replace(e, part="train" if number >= 20 or (number >= 16 and extra) else "test"))
    return out


def test_shared_patients_are_dropped_from_training_and_named():
    parts = splits.official(shared_cohort(), seed=0, val_fraction=0.25, drop_shared=True)
    assert parts.dropped == ("p0016", "p0017", "p0018", "p0019") and not parts.leaks
    assert patients(parts.test) == {f"p{i:04d}" for i in range(20)} and len(parts.test) == 56
    assert len(patients(parts.val)) == 20 and len(patients(parts.train)) == 60
    with pytest.raises(cases.MammoError, match=r"4 patient\(s\) stand in both.*drop_shared"):
        splits.official(shared_cohort(), seed=0)
    whole = [dataclasses.replace(e, part="test" if e.patient_id < "p0020" else "train") for e in cohort()]
    assert splits.official(whole, 0, drop_shared=True) == splits.official(whole, 0)


def test_official_parts_or_a_holdout():
    whole = [dataclasses.replace(e, part="test" if e.patient_id < "p0020" else "train") for e in cohort()]
    assert splits.official_or_holdout(whole, 0, val_fraction=0.25) == splits.official(whole, 0, val_fraction=0.25)
    dealt = splits.official_or_holdout(cohort(), 0, val_fraction=0.25, test_fraction=0.2)
    assert dealt == splits.patient_holdout(cohort(), 0, fractions=(0.8 * 0.75, 0.8 * 0.25, 0.2))
    assert splits.official_or_holdout(shared_cohort(), 0, drop_shared=True).dropped
    with pytest.raises(cases.MammoError, match="240 of 300 examples have no official part"):
        splits.official_or_holdout([*whole[:60], *cohort()[60:]], 0)


def test_the_official_training_part_is_dealt_anew():
    """Of 80 patients, 20 of them positive: 76.5 %, 8.5 % and 15 % of either class."""
    whole = [dataclasses.replace(e, part="test" if e.patient_id < "p0020" else "train") for e in cohort()]
    parts = splits.resplit_official_train(whole, seed=0)
    assert [len(patients(part)) for part in (parts.train, parts.val, parts.test)] == [61, 7, 12]
    assert [sum(e.label for e in part) for part in (parts.train, parts.val, parts.test)] == [15, 2, 3]
    assert not any(e.patient_id < "p0020" for part in (parts.train, parts.val, parts.test) for e in part)
    some = splits.resplit_official_train(shared_cohort(), seed=0)
    assert {e.part for part in (some.train, some.val, some.test) for e in part} == {"train"}
    with pytest.raises(cases.MammoError, match="300 of 300 examples have no official part"):
        splits.resplit_official_train(cohort(), seed=0)


def test_official_refuses_examples_without_a_part():
    with pytest.raises(cases.MammoError, match="30 of 30 examples have no official part"):
        splits.official(cohort(10), seed=0)


def test_random_examples_ignores_patients_and_names_the_leak():
    parts = splits.random_examples(cohort(), seed=0, leak="crops of one ROI")
    assert parts.leaks == ("crops of one ROI",) and parts.test == ()
    assert len(parts.val) == 60 and sum(e.label for e in parts.val) == 5  # 20 % of 300, and of 25 positives
    assert patients(parts.train) & patients(parts.val)
    with pytest.raises(cases.MammoError, match="leak"):
        splits.random_examples(cohort(), seed=0, leak="")


def test_unknown_labels_are_refused_with_their_count():
    examples = [*cohort(10), example(900, 90, float("nan")), example(901, 91, float("nan"))]
    with pytest.raises(cases.MammoError, match="2 of 32 examples have no label"):
        splits.patient_holdout(examples, seed=0)


def test_a_class_missing_from_a_part_is_named_with_counts():
    two_positive = [example(i, i, i < 2) for i in range(40)]
    with pytest.raises(cases.MammoError, match=r"(val|test) has no example of class 1 \(train .* of class 1; val"):
        splits.patient_holdout(two_positive, seed=0)
    with pytest.raises(cases.MammoError, match="train has no example of class 0"):
        splits.patient_holdout([example(i, i, 1) for i in range(40)], seed=0)


def test_three_positive_patients_are_enough_for_three_parts():
    parts = splits.patient_holdout([example(i, i, i < 3) for i in range(40)], seed=0)
    assert [sum(e.label for e in part) for part in (parts.train, parts.val, parts.test)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("examples", "fractions", "message"),
    [
        ([], (0.8, 0.2), "no examples"),
        (cohort(10) + cohort(1), (0.8, 0.2), "3 example ids repeat"),
        (cohort(10), (0.8, 0.3), "sum 1"),
        (cohort(10), (0.8, 0.2, 0.0), "above 0"),
        ([example(0, 0, 2)], (0.8, 0.2), "labels are 0 or 1"),
    ],
)
def test_bad_calls_are_refused(examples, fractions, message):
    with pytest.raises(cases.MammoError, match=message):
        splits.patient_holdout(examples, seed=0, fractions=fractions)


def test_folds_may_have_no_validation_part():
    folds = splits.patient_kfold(cohort(), seed=0, folds=5, val_fraction=0)
    assert all(parts.val == () and len(patients(parts.train)) == 80 for parts in folds)
    with_part = splits.patient_kfold(cohort(), seed=0, folds=5, val_fraction=0.25)
    assert [parts.test for parts in folds] == [parts.test for parts in with_part]
    with pytest.raises(cases.MammoError, match="fractions above 0"):
        splits.patient_kfold(cohort(), seed=0, folds=5, val_fraction=-0.1)


def test_folds_over_examples_share_patients_and_say_so():
    examples = cohort()
    folds = splits.random_kfold(examples, seed=0, folds=4, val_fraction=0.25, leak="images of one patient")
    assert sorted(e.id for parts in folds for e in parts.test) == ids(examples)
    assert all(parts.leaks == ("images of one patient",) for parts in folds)
    assert any(patients(parts.train) & patients(parts.test) for parts in folds)
    assert {e.patient_id for parts in folds for e in parts.test} == {e.patient_id for e in examples}
    with pytest.raises(cases.MammoError, match="say so in `leak`"):
        splits.random_kfold(examples, seed=0, folds=4, val_fraction=0.25, leak="")
