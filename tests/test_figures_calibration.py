"""Pictures of precision, reliability and net benefit show the numbers they are given, also where there are few."""

import numpy as np
import pytest

from mammo_tf import figures, figures_calibration
from mammo_tf.evaluation import calibration, decision_curve, precision_recall
from tests import samples
from tests.test_evaluation_clustered import cohort


def labels_of(figure):
    return figure.axes[0].get_legend_handles_labels()[1]


def test_precision_and_recall():
    labels, scores, _ = cohort()
    figure = figures_calibration.precision_recall([(labels, scores)], estimate=samples.estimate(0.8), note="phantom")
    assert labels_of(figure) == ["AP 0.800 [0.750, 0.850]", "chance: 0.500 are positive"]
    x, y = figure.axes[0].lines[0].get_data()
    recall, precision, _ = precision_recall.curve(labels, scores)
    assert x[1:] == pytest.approx(recall) and y[1:] == pytest.approx(precision)
    area = (np.diff(x) * y[1:]).sum()  # steps: the area under the line is the number in its legend
    assert area == pytest.approx(precision_recall.average_precision(labels, scores, np.ones((1, 150)))[0])
    several = figures_calibration.precision_recall([(labels, scores)] * 3, estimate=samples.estimate(0.8))
    assert labels_of(several)[0] == "3 folds\nmean AP 0.800 [0.750, 0.850]" and len(several.axes[0].lines) == 4
    empty = figures_calibration.precision_recall([(np.zeros(3), scores[:3])])
    assert "no examples" in [text.get_text() for text in empty.texts]


def test_reliability():
    curves = [calibration.reliability(*cohort(seed), calibration.equal_width(5)) for seed in range(2)]
    figure = figures_calibration.reliability(curves[:1], notes=["ECE 0.1"], note="phantom")
    assert labels_of(figure) == ["calibrated", "ECE 0.1"]
    assert [bar.get_height() for bar in figure.axes[1].patches] == curves[0].counts.tolist()
    ends = figure.axes[0].collections[0].get_segments()  # the bars reach from low to high
    for end, share in zip(ends, curves[0].shares, strict=True):
        assert end[:, 1] == pytest.approx([share.low, share.high])
    both = figures_calibration.reliability(curves)
    assert labels_of(both) == ["calibrated", "2 folds"]
    assert sum(bar.get_height() for bar in both.axes[1].patches) == 300
    alone = calibration.reliability([1], [0.3], ["a"])
    assert figures.to_array(figures_calibration.reliability([alone])).std() > 1  # one patient: no interval, no fault


def test_net_benefit():
    curve = decision_curve.curve([cohort()], draws=50)
    figure = figures_calibration.decision_curve(curve, note="phantom")
    assert labels_of(figure) == ["95 %, point by point", "run", "act on all", "act on none"]
    lines = figure.axes[0].lines
    assert lines[0].get_ydata() == pytest.approx(curve.net_benefit)
    assert lines[1].get_ydata() == pytest.approx(curve.treat_all)
    assert "mean of 3 folds" in labels_of(figures_calibration.decision_curve(curve, folds=3))
    bottom, top = figure.axes[0].get_ylim()
    assert bottom < 0 < curve.net_benefit.max() < top
    assert figures.to_array(figure).std() > 1
