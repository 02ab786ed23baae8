"""Hooks that draw the lesions of a run, on examples of two views and a net with a filter bank."""

import functools
import types

import keras
import numpy as np
import pytest

from mammo_tf import artifacts, cases, lesions_shown, regions
from mammo_tf.classical import handcrafted
from mammo_tf.models import two_view
from mammo_tf.pipeline import normalize, views
from mammo_tf.training import fitted

SIDE = 32
PIPELINE = views.ParallelPipeline(SIDE, normalize.per_image, channels=1)


def film(seed):
    """Noise with a bright disc."""
    y, x = np.mgrid[:90, :70]
    image = np.random.default_rng(seed).integers(0, 20000, (90, 70))
    return (image + 30000 * (np.hypot(y - 45, x - 35) < 12)).astype(np.uint16)


def view(i, projection):
    lesion = cases.Lesion(f"l{i}", cases.Pathology.BENIGN, "mass", regions.CircleRegion(35, 45, 12))
    load = functools.partial(film, i)
    whole = cases.View(f"v{i}", f"p{i}", None, projection, load, 65535, lesions=(lesion,))
    return whole.window(45 - 24, 35 - 24, 48, 48)


def example(i):
    pair = (view(i, cases.Projection.CC), view(i, cases.Projection.MLO))
    return cases.Example(f"e{i}", f"p{i}", pair, float(i % 2))


EXAMPLES = tuple(example(i) for i in range(4))


def features(x, *, seed=0):
    return keras.layers.Conv2D(2, 5, strides=4, name="conv")(x)


def done(folder, dog=(1.0, 2.0)):
    image = keras.Input((SIDE, SIDE, 1))
    model = keras.Model(image, two_view.one_view(image, features=features, dog=dog))
    net = fitted.Fitted(model, normalize.PerImage(1), PIPELINE, [], 0, 0, "float32", "")
    predictions = artifacts.Predictions.of(EXAMPLES, net(EXAMPLES))
    shown = artifacts.Shown("toy", ("benign", "malignant"), 50)
    return types.SimpleNamespace(folder=folder, fitted=net, predictions=predictions, shown=shown)


@pytest.fixture
def drawn(monkeypatch):
    """What was handed to the figures."""
    seen = []
    for module, name in (
        (lesions_shown.figures_mammograms, "seeds"),
        (lesions_shown.figures, "contact_sheet"),
        (lesions_shown.figures_bands, "straightened"),
    ):
        function = getattr(module, name)

        def spy(*args, _function=function, **how):
            seen.append((args, how))
            return _function(*args, **how)

        monkeypatch.setattr(module, name, spy)
    return seen


def test_the_first_example_of_each_class_is_shown_the_worst_first(tmp_path):
    assert [e.id for e in lesions_shown.of_each_class(done(tmp_path))] == ["e1", "e0"]


def test_seeds_show_both_views_with_the_crop_in_its_place(tmp_path, drawn):
    assert lesions_shown.seeds(done(tmp_path)) == {}
    (((whole, crops), how),) = drawn
    assert [box for _, _, box in whole] == [(21, 11, 48)] * 2 and how["title"].endswith("malignant")
    np.testing.assert_array_equal(whole[0][1], film(1))
    np.testing.assert_array_equal(crops[1], film(1)[21:69, 11:59])
    assert (tmp_path / "seeds.png").stat().st_size > 5000


def test_responses_are_the_input_and_a_picture_a_filter(tmp_path, drawn):
    lesions_shown.responses(done(tmp_path))
    ((sheet, titles, _), _) = drawn[0]
    assert titles == ["input", "DoG, sigma 1.00", "DoG, sigma 2.00"]
    assert len(sheet) == 3 and abs(float(np.mean(sheet[0]))) < 1e-3 and np.std(sheet[0]) == pytest.approx(1, abs=0.01)
    assert (tmp_path / "responses.png").is_file()


def test_a_net_without_a_filter_bank_shows_no_responses(tmp_path, drawn):
    assert lesions_shown.responses(done(tmp_path, dog=None)) == {} and not drawn
    assert not list(tmp_path.iterdir())


def test_the_size_of_a_net_is_a_claim(tmp_path):
    run = done(tmp_path)
    found = lesions_shown.size(run)["parameters"]
    assert found.value == found.low == found.high == run.fitted.model.count_params() / 1e6


def test_saliency_is_that_of_the_first_views(tmp_path):
    claims = lesions_shown.saliency(done(tmp_path))
    assert claims["saliency_rim_share"].n == 4 and (tmp_path / "saliency_1.png").is_file()


def test_bands_lie_below_their_mass(tmp_path, drawn):
    run = done(tmp_path)
    run.fitted = types.SimpleNamespace(method=handcrafted.HandCrafted(functools.partial(max, width=6), max, side=48))
    lesions_shown.bands(run)
    assert {path.name for path in tmp_path.iterdir()} == {"bands_0.png", "bands_1.png"}
    (image, mask, band), how = drawn[0]
    assert band.values.shape[0] == 6 and "malignant" in how["title"]
    assert image[mask].mean() > image[~mask].mean() + 0.2
