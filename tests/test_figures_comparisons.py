import math

import numpy as np
import pytest

from mammo_tf import figures, figures_comparisons
from mammo_tf.evaluation import intervals

NOTE = "inbreast (phantom, not patients), honest, budget smoke"
LABELS = np.array([0, 0, 0, 1, 1, 1] * 5)
SCORES = np.linspace(0, 1, 30) ** 2
HISTORY = [{"epoch": i, "loss": 1 / i, "val_loss": 1.2 / i} for i in range(1, 11)]
NETS = {"wide": HISTORY, "narrow": HISTORY[:3]}
RUNS = {
    "wide": {"labels": LABELS, "scores": SCORES, "estimate": intervals.auc(LABELS, SCORES, np.arange(30))},
    "narrow": {"labels": LABELS, "scores": 1 - SCORES},
}
PANELS = {"DDSM": RUNS, "INbreast": {"narrow": RUNS["wide"]}}
SIZES = {
    "wide": [(40, intervals.Estimate(0.9, 0.8, 0.95, 100, "")), (0, intervals.Estimate(0.7, 0.55, 0.85, 100, ""))],
    "narrow": [
        (0, intervals.Estimate(0.6, 0.4, 0.8, 100, "")),
        (40, intervals.Estimate(1.0, math.nan, math.nan, 9, "")),
    ],
}
CURVE = [
    (
        count,
        {
            name: intervals.Estimate(v, v - 0.1, v + 0.1, 40, "")
            for name, v in (("auc", 0.8), ("log_loss", 1 / count))
        },
    )
    for count in (1, 2, 30)
]
DRAWN = {
    "ensemble": (figures_comparisons.ensemble, CURVE),
    "losses": (figures_comparisons.losses, NETS),
    "rocs": (figures_comparisons.rocs, PANELS),
    "table4": (figures_comparisons.table4, SIZES),
}


def draw(name):
    function, data = DRAWN[name]
    return function(data, note=NOTE)


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("name", list(DRAWN))
def test_every_figure_draws_says_its_note_and_gives_the_same_bytes_twice(name):
    figure = draw(name)
    data = figures.to_png(figure)
    assert data[:4] == b"\x89PNG" and data == figures.to_png(draw(name))
    assert "phantom" in figure.get_suptitle() and figures.to_array(figure).std() > 5


@pytest.mark.parametrize("name", list(DRAWN))
def test_nothing_to_show_is_said(name):
    assert DRAWN[name][0]({}).texts[-1].get_text() == "no examples"


def test_losses_are_two_lines_a_net_in_one_colour():
    lines = draw("losses").axes[0].lines
    assert [line.get_label() for line in lines] == [
        "wide, training", "wide, validation", "narrow, training", "narrow, validation",
    ]  # fmt: skip
    np.testing.assert_allclose(lines[1].get_ydata(), [row["val_loss"] for row in HISTORY])
    np.testing.assert_allclose(lines[2].get_ydata(), [1, 1 / 2, 1 / 3])
    assert [line.get_linestyle() for line in lines] == ["--", "-"] * 2
    colours = [line.get_color() for line in lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]


def test_rocs_have_a_panel_a_dataset_and_a_colour_a_net():
    left, right, below, other = draw("rocs").axes
    assert (left.get_title(), right.get_title()) == ("DDSM", "INbreast")
    value = RUNS["wide"]["estimate"]
    assert legend(below)[0] == f"wide: AUC {value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
    assert legend(below)[1].startswith("narrow: AUC 0.") and len(legend(other)) == 1
    assert right.lines[0].get_color() == left.lines[1].get_color() != left.lines[0].get_color()
    curve = left.lines[0]
    assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(value.value)


def test_legend_and_titles_of_five_rocs_lie_inside_the_figure_and_apart():
    five = {f"net number {i}": RUNS["wide"] for i in range(5)}
    figure = figures_comparisons.rocs({"DDSM": five, "INbreast": five}, note=NOTE)
    figures.to_array(figure)
    note = figure._suptitle.get_window_extent()
    for axes, below in zip(figure.axes[:2], figure.axes[2:], strict=True):
        box = below.get_legend().get_window_extent()
        assert box.y0 >= 0 and box.y1 <= axes.xaxis.label.get_window_extent().y0
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
        assert axes.title.get_window_extent().y1 <= note.y0


def test_table4_sorts_the_sizes_and_draws_the_intervals_that_there_are():
    axes = draw("table4").axes[0]
    wide, narrow = axes.lines[:2]
    np.testing.assert_allclose(wide.get_ydata(), [0.7, 0.9])
    np.testing.assert_allclose(wide.get_xdata(), [0, 40], atol=0.2)
    assert (wide.get_xdata() != narrow.get_xdata()).all()
    bars = sorted(tuple(bar.get_segments()[0][:, 1]) for bar in axes.collections)
    assert bars == [(0.4, 0.8), (0.55, 0.85), (0.8, 0.95)]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0\n(no fine-tuning)", "40"]
    assert axes.get_ylim()[0] < 0.4 and legend(axes) == ["wide", "narrow"]


def test_a_watched_test_part_is_a_dotted_line():
    watched = [{**row, "test_loss": 2 * row["loss"]} for row in HISTORY]
    (axes,) = figures_comparisons.losses({"net": watched}).axes
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [line.get_label() for line in dotted] == ["net, test"]
    np.testing.assert_allclose(dotted[0].get_ydata(), [2 / i for i in range(1, 11)])


def test_the_ensemble_has_a_panel_a_metric_with_its_band():
    left, right = draw("ensemble").axes
    assert (left.get_ylabel(), right.get_ylabel(), right.get_xscale()) == ("AUC", "log-loss", "log")
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1, 1 / 2, 1 / 30])
    ends = left.collections[0].get_paths()[0].vertices[:, 1]
    assert (ends.min(), ends.max()) == pytest.approx((0.7, 0.9))
