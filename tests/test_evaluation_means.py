"""`means`: Student's interval by scipy, over clusters by hand, and what has no bounds."""

import math

import numpy as np
import pytest
from scipy import stats

from mammo_tf.evaluation import means, wilson


def of(values, index):
    index = np.asarray(index)
    return wilson.ratios([(np.asarray(values, float), np.ones(len(index)), index)], int(index.max()) + 1)


def test_one_example_a_patient_is_students_test():
    values = np.random.default_rng(0).gamma(2, size=30)
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    found = of(values, np.arange(30))
    assert means.student(found) == pytest.approx((low, high))
    ratio = math.exp((high - values.mean()) / values.mean())
    assert means.student_log(found) == pytest.approx((values.mean() / ratio, values.mean() * ratio))


def test_patients_of_unequal_numbers_by_hand():
    """Patients of 3, 2, 1 values around a mean of 2: summed errors 0, -2, 2 over six, squares 8 / 36, times 3 / 2."""
    found = of([1, 2, 3, 1, 1, 4], [0, 0, 0, 1, 1, 2])
    half = stats.t.ppf(0.975, 2) * math.sqrt(8 / 36 * 3 / 2)
    assert means.student(found) == pytest.approx((2 - half, 2 + half))


def test_copies_of_a_patients_values_add_nothing():
    values = np.random.default_rng(1).normal(size=25)
    once, thrice = of(values, np.arange(25)), of(values.repeat(3), np.arange(25).repeat(3))
    assert means.student(thrice) == pytest.approx(means.student(once))


def test_one_patient_has_no_bounds_and_what_is_not_positive_no_logarithm():
    assert all(map(math.isnan, (*means.student(of([1, 2], [0, 0])), *means.student_log(of([1, 2], [0, 0])))))
    below = of([-1, -2, 0.5], [0, 1, 2])
    assert all(map(math.isnan, means.student_log(below))) and means.student(below)[1] > means.student(below)[0]
