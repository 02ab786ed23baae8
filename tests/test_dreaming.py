"""Which lesions are dreamt of, and what is measured of the dreams, on a net whose gradient is known."""

import functools
import types

import keras
import numpy as np
import pytest

from mammo_tf import artifacts, cases, dreaming, regions
from mammo_tf.pipeline import normalize, views
from mammo_tf.training import fitted

SIDE = 24
PIPELINE = views.ParallelPipeline(SIDE, normalize.per_image, channels=1, margin=2)


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 65536, (28, 28)).astype(np.uint16)


def example(i, label, outlined=True):
    region = regions.CircleRegion(14, 14, 6) if outlined else None
    lesion = cases.Lesion(f"l{i}", cases.Pathology.BENIGN, "mass", region)
    load = functools.partial(pixels, i)
    view = cases.View(f"v{i}", f"p{i}", None, cases.Projection.CC, load, 65535, lesions=(lesion,))
    return cases.Example(f"e{i}", f"p{i}", (view, view), float(label))


def centre_minus_rim():
    """A linear net: class 1 is a bright middle, class 0 its opposite."""
    image = keras.Input((SIDE, SIDE, 1))
    kernel = np.full((SIDE, SIDE, 1, 2), -0.01, np.float32)
    kernel[8:16, 8:16] = 0.05
    kernel[..., 0] *= -1
    x = keras.layers.Conv2D(2, SIDE, name="conv")(image)
    model = keras.Model(image, keras.layers.Flatten(name="logits")(x))
    model.get_layer("conv").set_weights([kernel, np.zeros(2, np.float32)])
    return model


def done(folder, examples, plan):
    normalizer = normalize.PerImage(1)
    net = fitted.Fitted(centre_minus_rim(), normalizer, PIPELINE, [], 0, 0, "float32", "")
    predictions = artifacts.Predictions.of(examples, net(examples))
    shown = artifacts.Shown("toy", ("benign", "malignant"), 100)
    budget = types.SimpleNamespace(dreams=plan)
    return types.SimpleNamespace(
        folder=folder, fitted=net, predictions=predictions, shown=shown, budget=budget, reported="test"
    )


def test_lesions_are_taken_of_both_classes_where_there_are_enough(tmp_path):
    some = tuple(example(i, i % 4 == 0) for i in range(12))  # three malignant
    run = done(tmp_path, some, dreaming.Plan())
    assert dreaming.chosen(run, 6).labels.tolist() == [0, 0, 0, 1, 1, 1]
    more = dreaming.chosen(run, 10)
    assert (more.labels == 1).sum() == 3 and len(more.labels) == 10
    assert more.images.shape == (10, SIDE, SIDE, 1) and more.masks[0, 12, 12] and not more.masks[0, 0, 0]
    assert len(dreaming.chosen(run, 99).labels) == 12


def test_lesions_without_an_outline_are_passed_over(tmp_path):
    run = done(tmp_path, (example(0, 1, outlined=False), example(1, 1)), dreaming.Plan())
    assert dreaming.chosen(run, 4).ids == ("e1",)
    bare = done(tmp_path, (example(0, 1, outlined=False),), dreaming.Plan())
    with pytest.raises(cases.MammoError, match="none of 1 examples of the test part has an outline"):
        dreaming.chosen(bare, 4)


def test_dreams_of_a_linear_net_rise_and_are_opposite(tmp_path):
    run = done(tmp_path, tuple(example(i, i % 2) for i in range(4)), dreaming.Plan(4, 12, 0.5))
    claims = dreaming.dreams(run)
    assert claims["dream_score_malignant"].low > 0 and claims["dream_score_benign"].low > 0
    assert claims["dream_opposition"].value < -0.95
    assert claims["dream_contrast_gap"].value > 0  # the middle lies within the outline
    assert claims["dream_inside_accumulated"].n == 4
    assert claims["dream_opposition_untrained"].value < -0.95  # so says any linear net, trained or not
    assert claims["dream_inside_area"].value == pytest.approx(0.197, abs=0.01)  # pi 6^2 / 24^2
    single, accumulated = (claims[f"dream_inside_{name}"].value for name in ("single", "accumulated"))
    assert claims["dream_inside_gain"].value == pytest.approx(accumulated - single)
    assert single == pytest.approx(
        (64 * 8 + 49 / 8) / 576, abs=1e-3
    )  # 64 pixels at sqrt 8 deviations, 512 at -1 / sqrt 8
    names = {path.name for path in tmp_path.iterdir()}
    assert {"dreams.npz", "dreams.png", "dream_malignant.png", "dream_benign.gif", "dream_malignant"} <= names
    with np.load(tmp_path / dreaming.FILE) as stored:
        change = (stored["malignant_image"] - stored["start"])[:, 8:16, 8:16].mean()
    assert change > 0


def test_lesions_are_drawn_not_taken_from_the_top(tmp_path):
    run = done(tmp_path, tuple(example(i, i == 30) for i in range(31)), dreaming.Plan())
    picked = dreaming.chosen(run, 6).ids
    assert set(picked) != {"e0", "e1", "e2", "e3", "e4", "e30"} and "e30" in picked and len(set(picked)) == 6
    assert dreaming.chosen(run, 6).ids == picked


def test_what_training_adds_is_a_difference_lesion_by_lesion():
    own = {name: np.array([1.0, 3.0]) for name in (*dreaming.COMPARED, "dream_score_benign")}
    before = {name: np.array([0.5, 4.0]) for name in own}
    found = dreaming.compared(own, before)
    assert found["dream_opposition_learned"].tolist() == [0.5, -1.0]
    assert found["dream_opposition_untrained"].tolist() == [0.5, 4.0] and "dream_score_benign_learned" not in found
