"""BI-RADS of an example, and the histogram of answers by category with its two claims."""

import dataclasses
import types

import numpy as np
import pytest
from matplotlib import patches

from mammo_tf import artifacts, cases, categories, figures_categories
from tests import training_fakes as fakes


def with_birads(example, text):
    view = dataclasses.replace(example.views[0], attributes={"birads": text} if text else {})
    return dataclasses.replace(example, views=(view,))


TEXTS = ["1", "2", "2", "4a", "4c", "6"]
EXAMPLES = tuple(with_birads(e, text) for e, text in zip(fakes.examples(6, 0), TEXTS, strict=True))


def test_the_category_of_an_example():
    assert [categories.of(e) for e in EXAMPLES] == [1, 2, 2, 4, 4, 6]
    for wrong in ("", "0", "x"):
        with pytest.raises(cases.DataError, match=r"BI-RADS 1 to 6 is needed"):
            categories.of(with_birads(EXAMPLES[0], wrong))


def folds(folder, examples=EXAMPLES):
    scores = np.array([0.1, 0.9, 0.2, 0.5, 0.4, 0.3])
    found = []
    for k, rows in enumerate((slice(0, 3), slice(3, 6))):
        p = artifacts.Predictions.of(examples[rows], np.stack([1 - scores[rows], scores[rows]], axis=1), k)
        shown = artifacts.Shown("a note", ("benign", "malignant"), 200)
        found.append(types.SimpleNamespace(folder=folder / f"fold{k}", predictions=p, shown=shown))
    return found


def test_claims_and_picture_over_all_folds(tmp_path):
    found = categories.histogram(folds(tmp_path), answers=("no", "yes"))
    assert (tmp_path / "categories.png").is_file()
    assert found["called_malignant_4_up"].value == pytest.approx(1 / 3)  # 0.5 counts
    assert (
        found["called_malignant_below_4"].value == pytest.approx(1 / 3) and found["called_malignant_below_4"].n == 3
    )


def test_a_dataset_without_categories_has_no_histogram(tmp_path):
    bare = tuple(with_birads(e, "") for e in EXAMPLES)
    assert categories.histogram(folds(tmp_path, bare), answers=("no", "yes")) == {} and not list(tmp_path.iterdir())


def test_bars_are_the_counts():
    called = np.array([False, True, True, False, True])
    figure = figures_categories.histogram(np.array([1, 1, 2, 5, 5]), called, ("benign", "malignant"), note="n")
    (axes,) = figure.axes
    heights = [p.get_height() for p in axes.patches if isinstance(p, patches.Rectangle)]
    assert heights == [1, 0, 1, 1, 1, 1]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["1", "2", "5"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["called: benign", "called: malignant"]
