import itertools

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.evaluation import mcnemar
from mammo_tf.evaluation import printed_differences as printed


def test_by_hand():
    """82 images: 71 and 70 right, one image at best; 60 and 71, eleven, 2 / 2^11 each way."""
    rows = [{"accuracy": "0.866"}, {"accuracy": "0.854"}, {"accuracy": "0.732"}]
    found = {d.texts: d for d in printed.differences(rows, 82)}
    assert [d.images for d in found.values()] == [1, 11, 10]
    assert found["0.866", "0.854"].best == 1
    assert found["0.866", "0.732"].best == pytest.approx(3 * 2 / 2**11)  # the smallest of three
    assert found["0.854", "0.732"].best == pytest.approx(2 * 2 / 2**10)
    # independent: b = 71 * 22 / 82 = 19, c = 60 * 11 / 82 = 8
    assert found["0.866", "0.732"].independent == pytest.approx(3 * mcnemar.plain(19, 8))


def test_at_best_is_the_least_p_of_any_two_rows_with_these_numbers():
    """All tables of 8 images by brute force."""
    n, k, m = 8, 7, 3
    least = 1.0
    for other in itertools.combinations(range(n), m):
        a, b = np.arange(n) < k, np.isin(np.arange(n), other)
        least = min(least, mcnemar.plain(int((a & ~b).sum()), int((b & ~a).sum())))
    (found,) = printed.differences([{"accuracy": "0.875"}, {"accuracy": "0.375"}], n)
    assert found.best == pytest.approx(least) == pytest.approx(2 / 2**4)


def test_few_digits_allow_the_largest_difference():
    (found,) = printed.differences([{"accuracy": "0.9"}, {"accuracy": "0.8"}], 100)
    assert found.images == 20  # 95 and 75
    (cut,) = printed.differences([{"accuracy": "0.9"}, {"accuracy": "0.8"}], 100, rounding="down")
    assert cut.images == 19  # 99 and 80


def test_rows_without_the_metric_are_passed_over_and_impossible_digits_refused():
    rows = [{"accuracy": "0.9"}, {"recall": "0.5"}, {"accuracy": "0.8"}]
    (found,) = printed.differences(rows, 10)
    assert (found.one, found.other) == (0, 2)
    with pytest.raises(cases.MammoError, match="1 rows print recall"):
        printed.differences(rows, 10, metric="recall")
    with pytest.raises(cases.MammoError, match=r"accuracy 0\.85 is of no number of 10"):
        printed.differences([{"accuracy": "0.85"}, {"accuracy": "0.8"}], 10)
