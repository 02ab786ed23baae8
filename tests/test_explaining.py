"""`explaining`: files as examples, heat of a run's patch net, the hooks; on nets of one convolution."""

import dataclasses
import json
import os
import pathlib

import cv2
import keras
import numpy as np
import pytest

from mammo_tf import artifacts, audit, cases, explaining, regions, reuse, run
from mammo_tf.datasets import dicom, patch_sets, patch_table, pgm
from mammo_tf.evaluation import compare
from mammo_tf.models import all_conv
from mammo_tf.pipeline import resize
from tests import samples, tiny_nets

# Keras 3.15 saves TensorFlow's variables through numpy.array, and numpy 2 warns of their signature.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TEST = tiny_nets.images(8, seed=1, prefix="t", gap=20000)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Of a whole-image net that started from a patch net."""
    root = tmp_path_factory.mktemp("runs")
    tiny_nets.kept_patch_net(root / "patch")
    found = tiny_nets.kept(root / "whole", tiny_nets.whole_net(sign=1))
    (found / run.NEEDS_FILE).write_text(json.dumps({"patch_net": "../patch"}))
    return found


def record(folder, **changes):
    return dataclasses.replace(samples.record(run="whole", paper="toy", **changes), folder=str(folder))


def done(folder, net, tmp_path, examples=TEST, fold=0):
    """A fitted split as the hooks see it; its files go to a folder of the test."""
    out = tmp_path / "out"
    out.mkdir()
    if folder is not None:
        (out / run.NEEDS_FILE).write_text(json.dumps({"whole": str(folder)}))
    predictions = artifacts.Predictions.of(examples, net(examples), fold)
    parts = cases.Splits(tiny_nets.windows(1, prefix="a"), tiny_nets.windows(1, prefix="b"))
    ledger = audit.Ledger(out / "reads.json")
    return run.Done(out, net, parts, predictions, {}, tiny_nets.SHOWN, ledger, "test", None)


def malignant(heat):
    """P(malignant mass) + P(malignant calcification)."""
    return heat[..., patch_sets.CLASSES.index("malignant mass")] + heat[..., 3]


PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300


def test_a_png_of_16_bits_is_an_example_whose_bits_can_be_told(tmp_path):
    cv2.imwrite(str(tmp_path / "a view.png"), PIXELS)
    example = explaining.example_of(tmp_path / "a view.png", None)
    (view,) = example.views
    assert (example.id, example.patient_id, view.max_value) == ("a view", "a view", 65535)
    np.testing.assert_array_equal(view.pixels(), PIXELS)
    assert explaining.example_of(tmp_path / "a view.png", 12).views[0].max_value == 4095


def test_dicom_follows_its_header_and_the_runs_intensity(tmp_path):
    dicom.write(tmp_path / "a.dcm", PIXELS, bits_stored=12)
    view = explaining.example_of(tmp_path / "a.dcm", None).views[0]
    assert view.max_value == 4095
    np.testing.assert_array_equal(view.pixels(), PIXELS)
    stretched = explaining.example_of(tmp_path / "a.dcm", None, "minmax").views[0]
    assert stretched.pixels().max() == stretched.max_value and stretched.pixels().min() == 0


def test_a_pgm_is_read_and_a_missing_or_strange_file_is_named(tmp_path):
    pgm.write(tmp_path / "a.pgm", np.full((3, 4), 7, np.uint8))
    view = explaining.example_of(tmp_path / "a.pgm", None).views[0]
    assert view.max_value == 255 and view.pixels().max() == 7
    with pytest.raises(cases.MissingError, match=r"gone\.png: no such file"):
        explaining.example_of(tmp_path / "gone.png", None)
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(cases.DataError, match=r"text\.png: not an image"):
        explaining.example_of(tmp_path / "text.png", None)


def test_files_are_drawn_with_the_heat_of_the_patch_net_behind_the_run(folder, tmp_path):
    pixels = [e.views[0].pixels() for e in TEST[:2]]
    files = [tmp_path / f"view{i}.png" for i in range(2)]
    for file, image in zip(files, pixels, strict=True):
        cv2.imwrite(str(file), image)
    out = tmp_path / "new" / "folder"
    paths = explaining.explain(record(folder), images=files, out=out)
    assert paths == [out / "heatmaps.png", out / "heatmaps.npz"] and all(path.stat().st_size for path in paths)
    shown = explaining.read(out)
    heat = reuse.heatmaps(reuse.heatmap_net(folder.parent / "patch", tiny_nets.SHAPE), TEST[:2])
    assert shown.heat.shape == (2, 8, 6)  # half cells of 16 pixels
    np.testing.assert_allclose(shown.heat, explaining.placed(malignant(heat), tiny_nets.SHAPE), atol=1e-6)
    np.testing.assert_array_equal(shown.images, pixels)
    answers = tiny_nets.whole_net(sign=1)(TEST[:2])[:, 1]
    assert shown.titles == tuple(f"view{i}\nP(malignant) {p:.2f}" for i, p in enumerate(answers))
    assert "patch net that it started from" in shown.source and not shown.masks.any()


def test_every_roi_of_an_image_is_shown_however_small():
    large, small = regions.CircleRegion(30, 20, 8), regions.CircleRegion(80, 100, 1)
    lesions = [
        cases.Lesion(id, cases.Pathology.BENIGN, "mass", at)
        for id, at in (("large", large), ("no place", None), ("small", small))
    ]
    view = dataclasses.replace(TEST[0].views[0], lesions=tuple(lesions))
    mask = explaining.roi_mask(view, (32, 24))  # a quarter of each side
    expected = np.maximum(*(lesion.region.mask(view.shape) for lesion in (lesions[0], lesions[2])))
    np.testing.assert_array_equal(mask, expected.reshape(32, 4, 24, 4).any(axis=(1, 3)))
    assert mask[:15].any() and mask[15:].any()
    assert not explaining.roi_mask(TEST[0].views[0], (32, 24)).any()


def test_heat_lies_at_the_centres_of_its_windows():
    heat = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    found = explaining.placed(heat, tiny_nets.SHAPE)[0]
    for row in range(3):
        for column in range(2):
            centre = 32 * row + 32, 32 * column + 32  # of a window of 64 pixels, where four half cells meet
            y, x = (at // 16 for at in centre)
            assert (found[y - 1 : y + 1, x - 1 : x + 1] == heat[0, row, column]).all()
    rim = np.ones(found.shape, bool)
    rim[1:-1, 1:-1] = False
    assert np.isnan(found[rim]).all() and np.isfinite(found[~rim]).all()


@pytest.mark.skipif("MAMMO_TF_REAL_DATA" not in os.environ, reason="MAMMO_TF_REAL_DATA is not set")
def test_real_views_get_their_heat(folder, tmp_path):
    data = pathlib.Path(os.environ["MAMMO_TF_REAL_DATA"])
    twelve = [data / "inbreast" / "22580192.png", *sorted((data / "gmic_exam0").glob("0_*.png"))]
    sixteen = sorted((data / "nyu").glob("*.png"))
    for files, bits in ((twelve, 12), (sixteen, None)):
        explaining.explain(record(folder), images=files, out=tmp_path, bits=bits)
        shown = explaining.read(tmp_path)
        assert len(files) == len(shown.titles) > 1 and shown.images.shape == (len(files), *tiny_nets.SHAPE)
        assert (shown.images.reshape(len(files), -1).std(axis=1) > 5000).all()  # none is black or flat
        assert np.nanmin(shown.heat) >= 0 and np.nanmax(shown.heat) <= 1


def test_a_run_without_a_net_of_its_own_has_the_heat_of_the_patch_net_behind_it(folder, tmp_path):
    """An average of nets, or a forest: the size of the images is that of the examples it kept."""
    average = tmp_path / "average"
    average.mkdir()
    (average / run.NEEDS_FILE).write_text(json.dumps({"whole": str(folder)}))
    cv2.imwrite(str(tmp_path / "view.png"), TEST[0].views[0].pixels())
    with pytest.raises(cases.DataError, match="no examples kept"):
        explaining.explain(record(average), images=[tmp_path / "view.png"], out=tmp_path / "out")
    shown = explaining.Shown(
        np.zeros((1, *tiny_nets.SHAPE), np.uint16),
        np.zeros((1, 8, 6), np.float32),
        np.zeros((1, *tiny_nets.SHAPE), bool),
        ("a",),
        "b",
    )
    explaining.save(shown, average, "note")
    explaining.explain(record(average), images=[tmp_path / "view.png"], out=tmp_path / "out")
    explaining.explain(record(folder), images=[tmp_path / "view.png"], out=tmp_path / "whole")
    found, expected = explaining.read(tmp_path / "out"), explaining.read(tmp_path / "whole")
    np.testing.assert_array_equal(found.heat, expected.heat)
    assert found.titles == ("view",)


def test_values_above_the_bits_that_are_told_are_refused(folder, tmp_path):
    cv2.imwrite(str(tmp_path / "view.png"), TEST[0].views[0].pixels())
    with pytest.raises(cases.DataError, match="above max_value 4095"):
        explaining.explain(record(folder), images=[tmp_path / "view.png"], out=tmp_path, bits=12)


def test_without_files_the_examples_that_the_run_kept_are_drawn(folder, tmp_path):
    with pytest.raises(cases.DataError, match="name some by --images"):
        explaining.explain(record(folder), out=tmp_path)
    seen = done(folder, tiny_nets.whole_net(sign=1), tmp_path)
    assert explaining.pictures(seen) == {}
    explaining.explain(record(seen.folder), out=tmp_path / "again")
    one, other = explaining.read(seen.folder), explaining.read(tmp_path / "again")
    for field in dataclasses.fields(explaining.Shown):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    surest = [title.partition("\n")[0] for title in one.titles]
    assert {"true positive", "true negative"} & set(surest) and len(one.images) == len(surest)
    scores = seen.predictions.scores
    positive = int(np.argmax(np.where(seen.predictions.labels == 1, scores, -1)))
    assert f"true positive\nP {scores[positive]:.2f}" in one.titles


def test_a_method_or_a_heatmap_that_there_is_not_is_named(folder, tmp_path):
    with pytest.raises(cases.MammoError, match="--method tea leaves: there are heatmap, saliency"):
        explaining.explain(record(folder), method="tea leaves", out=tmp_path)
    with pytest.raises(cases.MammoError, match="--class benign: --method heatmap shows malignant"):
        explaining.explain(record(folder), name="benign", out=tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), TEST[0].views[0].pixels())
    alone = tiny_nets.kept(tmp_path / "alone", tiny_nets.whole_net(sign=1))
    with pytest.raises(cases.DataError, match="neither the run nor what it started from"):
        explaining.explain(record(alone), images=[tmp_path / "a.png"], out=tmp_path)


def test_a_net_with_a_heatmap_of_its_own_is_asked_for_it(tmp_path):
    image = keras.Input((*tiny_nets.SHAPE, 1), name="image")
    heat = all_conv.Heatmap(classes=5, pool=2)(tiny_nets.features(image))
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(keras.layers.Flatten(name="top_flatten")(heat)))
    fitted = tiny_nets.whole_net(model=model)
    net, source = explaining.heat_net(tmp_path, fitted)
    found = reuse.heatmaps(net, TEST[:2])
    assert source == "heatmap inside the net" and found.shape == (2, 3, 2, 5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    relu = keras.Model(image, model.get_layer("heatmap").output)
    inside = reuse.heatmaps(dataclasses.replace(fitted, model=relu), TEST[:2])
    assert (np.argmax(found, axis=-1) == np.argmax(inside, axis=-1))[inside.max(axis=-1) > 0].all()


def test_no_picture_of_patch_nets_nor_of_what_has_no_heat(folder, tmp_path):
    seen = done(None, tiny_nets.whole_net(sign=1), tmp_path)
    assert explaining.pictures(seen) == {} and not (seen.folder / "heatmaps.png").exists()
    three = dataclasses.replace(seen.predictions, probabilities=np.full((8, 3), 1 / 3))
    (seen.folder / run.NEEDS_FILE).write_text(json.dumps({"whole": str(folder)}))
    assert explaining.pictures(dataclasses.replace(seen, predictions=three)) == {}
    assert not (seen.folder / "heatmaps.png").exists()


def test_the_shape_is_that_of_the_net_inside():
    net = tiny_nets.whole_net()
    assert explaining.shape_of(net) == tiny_nets.SHAPE
    assert explaining.shape_of(reuse.Averaged((net, net), True, ("a", "b"))) == tiny_nets.SHAPE
    assert explaining.shape_of(reuse.RegionForest(net, np.asarray)) == tiny_nets.SHAPE
    assert explaining.shape_of(len) is None


def test_a_patch_net_is_slid_over_images_of_the_size_that_its_patches_are_of(folder, tmp_path):
    patch = tiny_nets.kept_patch_net(tmp_path / "patch")
    cv2.imwrite(str(tmp_path / "view.png"), TEST[0].views[0].pixels())
    several = record(patch, class_names=list(patch_sets.CLASSES))
    with pytest.raises(cases.DataError, match=r"patches\.csv: no such file"):
        explaining.explain(several, images=[tmp_path / "view.png"], out=tmp_path)
    parts = cases.Splits(tiny_nets.windows(1, prefix="a"), tiny_nets.windows(1, prefix="b"))
    patch_table.write(patch / explaining.PATCHES, parts)
    explaining.explain(several, images=[tmp_path / "view.png"], out=tmp_path)
    shown = explaining.read(tmp_path)
    heat = reuse.heatmaps(reuse.heatmap_net(folder.parent / "patch", tiny_nets.SHAPE), TEST[:1])
    np.testing.assert_allclose(shown.heat, explaining.placed(malignant(heat), tiny_nets.SHAPE), atol=1e-6)
    assert (shown.titles, shown.source) == (("view",), "heatmap of the patch net")


def test_the_heat_of_a_patch_net_is_drawn_over_one_image_a_class(tmp_path):
    net, examples = tiny_nets.patch_net(), tiny_nets.windows(2, prefix="x")
    seen = done(None, net, tmp_path, examples)
    tiny_nets.kept(seen.folder, net)
    seen = dataclasses.replace(seen, shown=dataclasses.replace(tiny_nets.SHOWN, class_names=patch_sets.CLASSES))
    assert explaining.patch_heat(seen) == {}
    shown = explaining.read(seen.folder)
    assert shown.titles == patch_sets.CLASSES[1:]  # in the order of the classes, without the background
    pages = [example.views[0].load.view.pixels() for example in examples[::4]]
    for i, page in enumerate((0, 0, 0, 1)):  # labels 0 to 3 of the first image, 4 of the second
        np.testing.assert_array_equal(shown.images[i], pages[page])
    background = tuple(e for e in examples if e.label == 0)
    (tmp_path / "none").mkdir()
    nothing = done(None, net, tmp_path / "none", background)
    assert explaining.patch_heat(nothing) == {} and not (nothing.folder / explaining.FILE).exists()


def test_what_four_flips_add_is_measured_paired_and_read_once_more(tmp_path):
    examples = tiny_nets.images(40, seed=3, gap=900)
    net = tiny_nets.whole_net(seed=11)
    seen = done(None, net, tmp_path, examples)
    claims = explaining.flips(seen)
    p = seen.predictions
    flipped = net.four_flips(examples).mean(axis=0)[:, 1]
    expected = compare.compare(p.labels, flipped, p.scores, p.patients)
    assert claims["auc_flip_gain"].value == pytest.approx(expected.auc.value)
    plain = run.measure.intervals.auc(p.labels, p.scores, p.patients).value
    assert claims["auc_four_flips"].value == pytest.approx(plain + expected.auc.value)
    assert not np.allclose(flipped, p.scores, atol=1e-3)
    written = artifacts.read_predictions(seen.folder / "predictions_flips.csv")
    np.testing.assert_allclose(written.scores, flipped, atol=1e-6)
    assert seen.ledger.count("test") == 1


def test_the_patches_of_a_run_are_listed_and_those_of_one_image_drawn(tmp_path):
    circle = cases.Lesion("l", cases.Pathology.MALIGNANT, "mass", regions.CircleRegion(60, 50, 10))
    image = dataclasses.replace(TEST[0].views[0], lesions=(circle,))
    page = image.resized(*tiny_nets.SHAPE, resize.area)
    mine = [
        cases.Example(f"t/{k}", "p", (page.window(top, 0, 64, 64),), float(k), roi_id="l" if k else "")
        for k, top in enumerate((0, 30, 64))
    ]
    parts = cases.Splits((*tiny_nets.windows(1, prefix="a")[:1], *mine), tiny_nets.windows(1, prefix="b"))
    shown = dataclasses.replace(tiny_nets.SHOWN, class_names=patch_sets.CLASSES)
    seen = dataclasses.replace(done(None, tiny_nets.whole_net(), tmp_path), parts=parts, shown=shown)
    assert explaining.patch_picture(seen) == {}
    rows = (seen.folder / "patches.csv").read_text().splitlines()
    assert len(rows) == 1 + 4 + 4 and (seen.folder / "patches.png").stat().st_size > 1000
