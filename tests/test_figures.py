import subprocess
import sys

import numpy as np
import pytest

from mammo_tf import figures
from mammo_tf.evaluation import intervals

NOTE = "cbis_ddsm (phantom, not patients), honest, budget smoke"
LABELS = np.array([0, 0, 0, 1, 1, 1] * 5)
SCORES = np.linspace(0, 1, 30) ** 2
HISTORY = [
    {"epoch": i, "loss": 1 / i, "accuracy": 0.5 + i / 40, "val_loss": 1.2 / i, "val_accuracy": 0.5 + i / 50}
    for i in range(1, 11)
]
RUNS = {
    "augmented": {"history": HISTORY, "labels": LABELS, "scores": SCORES},
    "plain": {"history": HISTORY[:5], "labels": LABELS, "scores": 1 - SCORES},
}
IMAGES = np.random.default_rng(0).random((3, 16, 16))
MASKS = np.zeros((3, 16, 16), bool)
MASKS[0, 4:12, 4:12] = MASKS[1] = True  # one inside, one that fills the crop, one empty


def draw(name):
    return {
        "curves": lambda: figures.curves(HISTORY, best_epoch=7, note=NOTE),
        "roc": lambda: figures.roc(LABELS, SCORES, note=NOTE),
        "overlay": lambda: figures.overlay(RUNS, note=NOTE),
        "confusion": lambda: figures.confusion(np.array([[5, 1], [2, 7]]), ("benign", "malignant"), note=NOTE),
        "montage": lambda: figures.montage(IMAGES, IMAGES[:, ::2, ::2], "abc", outlines=MASKS, note=NOTE),
        "contact_sheet": lambda: figures.contact_sheet(IMAGES, "abc", 2, note=NOTE),
    }[name]()


def texts(figure):
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    legends = [t.get_text() for axes in figure.axes if axes.get_legend() for t in axes.get_legend().get_texts()]
    return [*inside, *legends, *(axes.get_title() for axes in figure.axes)]


def lines(axes):
    return {line.get_label(): line.get_ydata() for line in axes.lines}


@pytest.mark.parametrize("name", ["curves", "roc", "overlay", "confusion", "montage", "contact_sheet"])
def test_every_figure_draws_says_its_note_and_saves_the_same_bytes_twice(name, tmp_path):
    for file in ("one.png", "two.png"):
        figures.save(draw(name), tmp_path / file)
    data = (tmp_path / "one.png").read_bytes()
    assert data[:4] == b"\x89PNG" and data == (tmp_path / "two.png").read_bytes() and b"tEXt" not in data
    figure = draw(name)
    assert figures.to_png(figure) == data
    assert "phantom" in figure.get_suptitle()
    pixels = figures.to_array(figure)
    width, height = figure.get_size_inches() * figure.dpi
    assert pixels.dtype == np.uint8 and pixels.shape == (int(height), int(width), 3) and pixels.std() > 5


def test_curves_show_the_history():
    accuracy, loss = draw("curves").axes
    np.testing.assert_allclose(lines(accuracy)["training"], [row["accuracy"] for row in HISTORY])
    np.testing.assert_allclose(lines(loss)["validation"], [row["val_loss"] for row in HISTORY])
    assert "epoch 7, chosen" in lines(accuracy)
    assert "validation" not in lines(figures.curves([{"epoch": 1, "loss": 1.0, "accuracy": 0.5}]).axes[0])


def test_roc_shows_the_auc_with_its_interval():
    estimate = intervals.auc(LABELS, SCORES, np.arange(30))
    expected = f"AUC {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
    figure = figures.roc(LABELS, SCORES, estimate=estimate)
    assert texts(figure)[0] == expected
    line = figure.axes[0].lines[0]
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(estimate.value)


def test_roc_of_one_class_alone_is_drawn_empty():
    assert "AUC nan" in texts(figures.roc(np.ones(4), SCORES[:4]))[0]
    figures.to_array(figures.roc(np.ones(4), SCORES[:4]))


def test_overlay_has_a_colour_for_each_run_in_both_panels():
    left, middle, right = draw("overlay").axes
    assert [line.get_label() for line in middle.lines] == ["augmented", "plain"]
    solid = {line.get_label(): line.get_color() for line in left.lines if line.get_linestyle() == "-"}
    assert set(solid) == {"augmented", "plain"} and len(set(solid.values())) == 2
    assert {line.get_label().split("\n")[0]: line.get_color() for line in right.lines[:2]} == solid


def test_confusion_shows_counts_and_shares_of_the_true_class():
    assert texts(draw("confusion"))[:4] == ["5\n83%", "1\n17%", "2\n22%", "7\n78%"]
    empty_row = figures.confusion(np.array([[0, 0], [1, 1]]), ("a", "b"))
    assert texts(empty_row)[:2] == ["0\nnone", "0\nnone"]


def test_the_outline_lies_on_the_rim_of_the_lesion_in_crop_and_map():
    figure = draw("montage")
    crop, saliency = figure.axes[0], figure.axes[3]
    for axes, scale in ((crop, 1.0), (saliency, 0.5)):
        rim = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
        expected = [4 * scale - 0.5, 12 * scale - 0.5]  # edges of columns 4..11, pixel centres at whole numbers
        assert [rim[:, 0].min(), rim[:, 0].max()] == pytest.approx(expected)
    assert not figure.axes[2].collections  # no lesion, no outline


def test_nothing_to_show_is_said():
    nothing = np.zeros((0, 8, 8))
    for figure in (figures.montage(nothing, nothing, []), figures.contact_sheet(nothing, [], 4)):
        assert figure.texts[-1].get_text() == "no examples"
        figures.to_array(figure)


def test_a_map_of_zeros_can_be_drawn():
    drawn = figures.to_array(figures.montage(IMAGES, np.zeros((3, 16, 16)), "abc"))
    assert drawn.dtype == np.uint8 and np.ptp(drawn) > 100


def test_pyplot_is_never_loaded():
    code = "import sys, mammo_tf.figures; sys.exit('matplotlib.pyplot' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_training_without_validation_has_one_line():
    nan = float("nan")
    rows = [{"epoch": i, "accuracy": 0.5, "loss": 1 / i, "val_accuracy": nan, "val_loss": nan} for i in (1, 2)]
    assert list(lines(figures.curves(rows, best_epoch=2).axes[1])) == ["training", "epoch 2, chosen"]
