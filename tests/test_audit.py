import math

import pytest

from mammo_tf import audit, cases
from mammo_tf.datasets import splits


def crops(rois=2000, each=3):
    """Three crops of each ROI, two ROIs a patient; every other patient is positive."""
    return [
        cases.Example(f"r{r}/c{k}", f"p{r // 2}", (), float(r // 2 % 2), roi_id=f"r{r}")
        for r in range(rois)
        for k in range(each)
    ]


def test_random_crops_have_siblings_in_training_as_often_as_theory_says():
    parts = splits.random_examples(crops(), seed=0, leak="siblings")
    found = audit.overlap(parts)
    # A crop of validation has no sibling in training when both others are in validation as well: 0.2 squared.
    assert found["val"]["roi_share"] == pytest.approx(0.96, abs=4 * math.sqrt(0.96 * 0.04 / 1200))
    assert found["val"]["patient_share"] > 0.99
    assert found["val"]["examples"] == 1200 and found["val"]["with_roi_in_train"] == 1200 * found["val"]["roi_share"]
    assert "test" not in found


def test_one_crop_of_each_roi_leaves_the_patients():
    found = audit.overlap(splits.random_examples(crops(each=1), seed=0, leak="patients"))["val"]
    assert found["roi_share"] == 0 and found["patient_share"] == pytest.approx(0.8, abs=0.08)


def test_patient_splits_share_nothing():
    found = audit.overlap(splits.patient_holdout(crops(200), seed=0))
    assert [found[name]["patient_share"] + found[name]["roi_share"] for name in ("val", "test")] == [0, 0]


def test_examples_without_a_roi_are_nobodys_siblings():
    examples = [cases.Example(f"e{i}", f"p{i}", (), i % 2) for i in range(20)]
    assert audit.overlap(splits.random_examples(examples, seed=0, leak="none"))["val"]["with_roi_in_train"] == 0


def test_sizes_count_examples_patients_positives_and_rois():
    parts = splits.patient_holdout(crops(200), seed=0, fractions=(0.8, 0.2))
    assert audit.sizes(parts) == {
        "train": {"examples": 480, "patients": 80, "positives": 240, "rois": 160},
        "val": {"examples": 120, "patients": 20, "positives": 60, "rois": 40},
    }


def test_an_empty_or_one_sided_part_is_refused():
    parts = splits.patient_holdout(crops(200), seed=0, fractions=(0.8, 0.2))
    audit.refuse_empty(parts, "val")
    with pytest.raises(cases.MammoError, match="reports the test part"):
        audit.refuse_empty(parts, "test")
    one_sided = cases.Splits(parts.train, tuple(e for e in parts.val if e.label == 0))
    with pytest.raises(cases.MammoError, match="val has no example of class 1"):
        audit.refuse_empty(one_sided, "val")


def test_an_earlier_run_on_the_same_patients_is_refused(tmp_path):
    first, second = (splits.patient_holdout(crops(200), seed=seed) for seed in (0, 1))
    audit.write_patients(tmp_path, first)
    audit.refuse_shared_patients(tmp_path, "abc", first, "abc")
    audit.refuse_shared_patients(tmp_path, "other data", second, "abc")
    with pytest.raises(cases.MammoError, match=r"patient\(s\) of its train part stand in this run's val part"):
        audit.refuse_shared_patients(tmp_path, "abc", second, "abc")
    swapped = cases.Splits(first.train, first.test, first.val)
    with pytest.raises(cases.MammoError, match="of its val part stand in this run's test part"):
        audit.refuse_shared_patients(tmp_path, "abc", swapped, "abc")


@pytest.mark.parametrize(("text", "message"), [(None, "cannot tell"), ("{", "not JSON"), ("{}", "expected lists")])
def test_a_run_without_its_patients_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "patients.json").write_text(text)
    with pytest.raises(cases.DataError, match=message):
        audit.refuse_shared_patients(tmp_path, "abc", splits.patient_holdout(crops(200), seed=0), "abc")
