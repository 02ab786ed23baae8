import numpy as np
import pytest

from mammo_tf import figures, figures_forest
from mammo_tf.evaluation import intervals
from tests import samples


def marked(value):
    return intervals.Estimate(value, value - 0.1, value + 0.1, 20, "score interval; few positives (4 patients)", 10)


def rows():
    return [
        ("net", {"as_published": samples.estimate(0.9, half=0.05), "honest": samples.estimate(0.7, half=0.1)}),
        ("lone", {"honest": marked(0.6)}),
        ("undefined", {"honest": intervals.Estimate(float("nan"), float("nan"), float("nan"), 3, "undefined")}),
        ("bare", {"as_published": intervals.Estimate(0.8, float("nan"), float("nan"), 3, "degenerate")}),
    ]


def test_every_estimate_is_a_dot_with_its_interval():
    figure = figures_forest.forest(rows(), title="toy", note="phantom")
    (axes,) = figure.axes
    dots = {
        (round(x, 3), round(y, 2))
        for line in axes.lines
        for x, y in [line.get_data()]
        if len(x) == 1
        for x, y in [(x[0], y[0])]
    }
    assert dots == {(0.9, -0.17), (0.7, 0.17), (0.6, 1.0), (0.8, 3.0)}
    bars = sorted(tuple(np.round(s[:, 0], 3)) for c in axes.collections for s in c.get_segments())
    assert bars == [(0.5, 0.7), (0.6, 0.8), (0.85, 0.95)]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["net", "lone", "undefined", "bare"]
    assert "0.900 [0.850, 0.950]" in {text.get_text() for text in axes.texts}
    low, high = axes.get_xlim()
    assert low < 0.5 and high > 1 and axes.get_ylim() == pytest.approx((3.6, -0.6))


def test_marked_intervals_have_hollow_dots():
    (axes,) = figures_forest.forest(rows()).axes
    faces = {
        round(float(line.get_xdata()[0]), 3): line.get_markerfacecolor()
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    assert faces[0.6] == faces[0.8] == "white" and faces[0.9] != "white"
    assert "interval not to be trusted to the letter" in {t.get_text() for t in axes.get_legend().get_texts()}


def test_nothing_to_draw_says_so():
    assert not figures_forest.forest([]).axes
    assert figures.to_array(figures_forest.forest(rows()[:1])).shape[2] == 3
