"""An exported model, reloaded in a process that cannot import mammo_tf, answers as the run did."""

import dataclasses
import functools
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf import cases, export
from mammo_tf.models import resnet
from mammo_tf.pipeline import build, normalize, resize, views
from tests import samples

SIDE = 64
RELOAD = """
import sys
sys.modules["mammo_tf"] = None
try:
    import mammo_tf
    raise SystemExit("mammo_tf can be imported")
except ImportError:
    pass
import json, numpy as np, tensorflow as tf
folder, data, out = sys.argv[1:]
model = tf.saved_model.load(folder)
given = np.load(data)
raw, prepared = given["raw"], given["prepared"]
serve, serve_float = model.signatures["serve"], model.signatures["serve_float"]
np.savez(
    out,
    raw=serve(image=tf.constant(raw), max_value=tf.constant(4095.0))["probabilities"],
    float=serve_float(image=tf.constant(raw.astype(np.float32) / 4095))["probabilities"],
    prepared=model.prepared(tf.constant(prepared)),
)
print(json.dumps(sorted(model.signatures)))
print(model.metadata.numpy().decode())
"""


@pytest.fixture(scope="session", params=["float32", "mixed_bfloat16"])
def run_folder(request, tmp_path_factory):
    """A run's folder with an untrained ResNet-18 whose moving statistics are not the initial ones."""
    folder = tmp_path_factory.mktemp(request.param)
    old = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    model = keras.Model(image, resnet.resnet18(image, seed=3, width=16))
    keras.config.set_dtype_policy(old)
    rng = np.random.default_rng(0)
    for variable in model.non_trainable_variables:
        if "variance" in variable.path:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
    model.save(folder / "model.keras")
    contract = {"normalization": normalize.PerImage(3).describe(), "side": SIDE}
    (folder / "preprocessing.json").write_text(json.dumps(contract))
    return folder, model


@pytest.fixture(scope="session")
def reloaded(run_folder, tmp_path_factory):
    """(answers of the other process, answers expected, its printed lines)."""
    folder, model = run_folder
    target = tmp_path_factory.mktemp("export")
    export.export(dataclasses.replace(samples.record(), folder=str(folder)), target / "saved")
    raw = np.random.default_rng(1).integers(0, 4096, (3, 90, 51), dtype=np.uint16)
    resized = np.stack([resize.area(image.astype(np.float32) / 4095, SIDE, SIDE) for image in raw])
    prepared = np.asarray(normalize.PerImage(3)(resized[..., None]))
    logits = np.asarray(export.in_float32(model)(prepared, training=False))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.savez(target / "data.npz", raw=raw, prepared=prepared)
    paths = [str(target / name) for name in ("saved", "data.npz", "out.npz")]
    command = [sys.executable, "-I", "-c", RELOAD, *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd=target)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(target / "out.npz")), expected, done.stdout.splitlines()


def test_probabilities_agree_from_both_ends(reloaded):
    found, expected, _ = reloaded
    assert np.abs(found["prepared"] - expected).max() < 1e-5
    assert np.abs(found["raw"] - expected).max() < 1e-3
    assert np.ptp(expected[:, 1]) > 1e-4  # the images do differ


def test_both_signatures_give_the_same_for_the_same_image(reloaded):
    found, _, _ = reloaded
    np.testing.assert_allclose(found["raw"], found["float"], atol=1e-6)


def rectangular(folder, pipeline, normalizer):
    """A run's folder with a small net on the images of a pipeline."""
    image = keras.Input((*pipeline.shape, pipeline.depth), name="image")
    start = keras.initializers.HeNormal(1)
    x = keras.layers.Conv2D(8, 5, 4, activation="relu", kernel_initializer=start, name="conv")(image)
    x = keras.layers.Flatten(name="flatten")(x)
    start = keras.initializers.RandomNormal(stddev=0.01, seed=2)
    model = keras.Model(image, keras.layers.Dense(2, kernel_initializer=start, name="logits")(x))
    model.save(folder / "model.keras")
    contract = {"normalization": normalizer.describe(), **pipeline.describe()}
    (folder / "preprocessing.json").write_text(json.dumps(contract))
    return model


@pytest.mark.parametrize("rule", [resize.area, resize.cubic])
def test_a_raw_image_of_another_size_is_answered_as_in_evaluation(tmp_path, rule):
    pipeline = build.Pipeline((48, 32), normalize.train_mean, batch=2, resize=rule)
    raw = np.random.default_rng(1).integers(0, 65536, (3, 133, 75)).astype(np.uint16)
    raw[:, 30:60] //= 50  # an edge and dark noise, where cubic resizing falls below 0
    examples = []
    for i, pixels in enumerate(raw):
        view = cases.View(f"v{i}", "p", None, cases.Projection.CC, functools.partial(np.asarray, pixels), 65535)
        examples.append(cases.Example(f"e{i}", "p", (view,), 1.0))
    arrays = pipeline.load(examples)
    normalizer = pipeline.normalize(arrays.images)
    model = rectangular(tmp_path, pipeline, normalizer)
    logits = [np.asarray(model(x, training=False)) for x, _, _ in pipeline.evaluate(arrays, normalizer)]
    expected = np.asarray(tf.nn.softmax(np.concatenate(logits)))
    record = dataclasses.replace(samples.record(), folder=str(tmp_path))
    exported = export.export(record, tmp_path / "saved")
    serve = tf.saved_model.load(str(exported)).signatures["serve"]
    found = serve(image=tf.constant(raw), max_value=tf.constant(65535.0))["probabilities"]
    assert np.ptp(expected[:, 1]) > 1e-2  # the images do differ
    assert np.abs(found - expected).max() < 1e-3
    told = json.loads((exported / export.METADATA).read_text())["input"]["resize"]
    assert told.startswith("to 48 x 32: " + rule.__name__)


@pytest.mark.parametrize(
    ("contract", "message"),
    [("{}", "side"), ('{"side": [4]}', "IndexError"), ('{"side": 4, "resize": "lanczos"}', "lanczos"), ("x", "JSON")],
)
def test_preprocessing_that_is_none_is_named(tmp_path, contract, message):
    path = tmp_path / "preprocessing.json"
    path.write_text(contract)
    with pytest.raises(cases.DataError, match=message) as caught:
        export.read_preprocessing(path)
    assert caught.value.path == str(path)


def test_preprocessing_without_a_rule_is_that_of_older_runs(tmp_path):
    path = tmp_path / "preprocessing.json"
    path.write_text(json.dumps({"side": 64, "normalization": normalize.PerImage(3).describe()}))
    assert export.read_preprocessing(path) == export.Preprocessing(normalize.PerImage(3), (64, 64), resize.area)


def test_metadata_travels_inside(reloaded):
    _, _, printed = reloaded
    assert json.loads(printed[0]) == ["serve", "serve_float"]
    metadata = json.loads("\n".join(printed[1:]))
    assert metadata["class_names"] == ["benign", "malignant"] and metadata["label_policy"] == "pathology"
    assert "not for clinical use" in metadata["use"] and "phantom" in metadata["trained_on"]
    assert metadata["normalization"]["kind"] == "per_image"


def test_a_folder_in_the_way_and_a_run_without_a_model_are_refused(run_folder, tmp_path):
    record = dataclasses.replace(samples.record(), folder=str(run_folder[0]))
    (tmp_path / "mine").write_text("keep me")
    with pytest.raises(cases.DataError, match="not empty"):
        export.export(record, tmp_path)
    with pytest.raises(cases.DataError, match=r"model\.keras"):
        export.export(dataclasses.replace(record, folder=str(tmp_path)), tmp_path / "out")


def test_two_views_are_served_as_two_channels_and_cut_to_the_middle(tmp_path):
    pipeline = views.PairPipeline((40, 40), normalize.per_image, batch=2, channels=1, margin=4)
    raw = np.random.default_rng(1).integers(0, 65536, (3, 133, 75, 2)).astype(np.uint16)
    raw[:, 20:70, :, 0] //= 3
    examples = []
    for i, pixels in enumerate(raw):
        both = (functools.partial(np.ascontiguousarray, pixels[..., k]) for k in (0, 1))
        some = (cases.View(f"v{i}", "p", None, cases.Projection.CC, load, 65535) for load in both)
        examples.append(cases.Example(f"e{i}", "p", tuple(some), 1.0))
    arrays = pipeline.load(examples)
    normalizer = pipeline.normalize(arrays.images)
    model = rectangular(tmp_path, pipeline, normalizer)
    logits = [np.asarray(model(x, training=False)) for x, _, _ in pipeline.evaluate(arrays, normalizer)]
    expected = np.asarray(tf.nn.softmax(np.concatenate(logits)))
    record = dataclasses.replace(samples.record(), folder=str(tmp_path))
    exported = export.export(record, tmp_path / "saved")
    serve = tf.saved_model.load(str(exported)).signatures["serve"]
    found = serve(image=tf.constant(raw), max_value=tf.constant(65535.0))["probabilities"]
    assert np.ptp(expected[:, 1]) > 1e-2
    assert np.abs(found - expected).max() < 1e-3
    told = json.loads((exported / export.METADATA).read_text())["input"]
    assert told["resize"].startswith("to 48 x 48") and told["resize"].endswith("then the central 40 x 40")
    assert told["serve"].startswith("image (B, H, W, 2)")
