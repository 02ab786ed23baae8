"""The mean ROC of folds against hand-made curves, scikit-learn's interpolation and the mean of the areas."""

import numpy as np
import pytest
from sklearn import metrics

from mammo_tf import figures, figures_folds, report_folds
from tests import samples


def folds(count=4, n=60):
    rng = np.random.default_rng(3)
    labels = [rng.permutation(np.arange(n) % 2) for _ in range(count)]
    return [(y, np.round(rng.normal(y, 1.2), 1)) for y in labels]


def test_a_curve_by_hand():
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    # (0, 0), (0, 1/2), (1/2, 1/2), (1/2, 1), (1, 1)
    found = figures_folds.heights(labels, scores, np.array([0, 0.25, 0.4999, 0.5, 1]))
    assert found == pytest.approx([0.5, 0.5, 0.5, 1, 1], abs=1e-9)
    tied = figures_folds.heights(np.array([0, 1]), np.array([0.5, 0.5]), np.array([0, 0.3, 1]))
    assert tied == pytest.approx([0, 0.3, 1])


def test_heights_are_those_of_linear_interpolation_between_the_steps():
    at = np.linspace(0.003, 0.997, 71)  # no corner lies there
    for labels, scores in folds():
        false_positive, true_positive, _ = metrics.roc_curve(labels, scores)
        expected = np.interp(at, false_positive, true_positive)
        assert figures_folds.heights(labels, scores, at) == pytest.approx(expected)


def test_the_mean_curve_has_the_mean_of_the_areas():
    at = np.linspace(0, 1, 20001)
    curve = np.mean([figures_folds.heights(*fold, at) for fold in folds()], axis=0)
    areas = [metrics.roc_auc_score(*fold) for fold in folds()]
    assert np.trapezoid(curve, at) == pytest.approx(np.mean(areas), abs=1e-4)


def test_few_folds_are_drawn_one_by_one_and_many_are_not(tmp_path):
    names = ("BI-RADS below 4", "BI-RADS 4 and up")
    figures_folds.draw(tmp_path, folds(), names, estimate=samples.estimate(0.8), note="phantom")
    assert {path.name for path in tmp_path.iterdir()} == {"mean_roc.png", "folds.png"}
    (tmp_path / "folds.png").unlink()
    figures_folds.draw(tmp_path, folds(11), names, estimate=None, note="phantom")
    assert not (tmp_path / "folds.png").exists()
    figure = figures_folds.mean_roc(folds(), estimate=samples.estimate(0.8), note="phantom")
    (label,) = [text for text in figure.axes[0].get_legend_handles_labels()[1] if "mean" in text]
    deviation = np.std([metrics.roc_auc_score(*fold) for fold in folds()], ddof=1)
    assert label == f"mean of 4 folds\nAUC 0.800 [0.750, 0.850]\nbetween folds: sd {deviation:.3f}"
    assert figures.to_array(figure).std() > 1


def test_the_table_of_folds():
    record = samples.record(per_fold={"auc": [0.5, 0.7, 0.9], "accuracy": [0.5, 0.5, 0.5]})
    table = report_folds.table([record, samples.record()])
    assert table.columns[3:] == ["fold 0", "fold 1", "fold 2", "mean", "sd", "least", "largest"]
    assert table.rows == [
        ["baseline_cnn", "honest", "0", "0.500", "0.700", "0.900", "0.700", "0.200", "0.500", "0.900"]
    ]
    assert report_folds.table([samples.record(), samples.record(per_fold={"auc": [0.5] * 11})]) is None
