"""shen2019 at budget smoke: a row of each kind, then (slow) every row under both protocols; what `--list` prints."""

import dataclasses
import gc
import json
import pathlib

import cv2
import keras
import numpy as np
import pytest

from mammo_tf import artifacts, cli, commands, datasets, explaining, export, records, run
from mammo_tf.datasets import patch_sets
from mammo_tf.models import keras_weights

ROOT = pathlib.Path(__file__).parent.parent
PAPER = commands.load_experiments(ROOT / "experiments")["shen2019"]
NAMES = list(dict.fromkeys(row.name for row in PAPER.RUNS))
PROTOCOLS = ("as_published", "honest")
FLOAT32 = ("--precision", "float32")


@pytest.fixture(scope="session")
def out(tmp_path_factory):
    """One folder for all rows, so that each need is trained once."""
    return tmp_path_factory.mktemp("shen2019")


def smoke(name, protocol, out, *more):
    keras.backend.clear_session()  # two hundred trainings in one process
    gc.collect()
    arguments = [
        "--budget",
        "smoke",
        "--only",
        name,
        "--protocol",
        protocol,
        "--out",
        str(out),
        "--quiet",
        "--resume",
        *more,
    ]
    assert cli.experiment(PAPER, arguments) == 0
    (record,) = [r for r in records.load(out / "shen2019") if (r.run, r.protocol) == (name, protocol)]
    check(record)
    return record


def check(record):
    """The folder of a run is whole, and its record speaks of its predictions."""
    folder = pathlib.Path(record.folder)
    predictions = artifacts.read_predictions(folder / "predictions.csv")
    reported = record.sizes[record.reported]["examples"]
    assert np.isfinite(predictions.scores).all() and len(set(predictions.scores)) > 1
    assert len(np.unique(predictions.folds)) == record.folds
    assert len(predictions.ids) == reported if record.folds == 1 else len(predictions.ids) >= reported
    assert (folder / "confusion.png").is_file()
    assert bool(record.leaks) == (record.protocol == "as_published")
    assert record.dataset == ("inbreast" if record.run.startswith("inbreast") else "cbis_ddsm")


def files(record):
    return {path.name for path in pathlib.Path(record.folder).iterdir()}


def test_every_row_of_the_paper_is_there_with_its_numbers():
    paper = {row.name: row.published for row in PAPER.RUNS if not row.extra}
    assert len(paper) == 53  # 5 + 12 + 9 + 24 of Tables 1 to 4, two steps, and the ensembles on both datasets
    tables = [published["table"] for published in paper.values()]
    assert [tables.count(table) for table in "1234"] == [5, 12, 9, 24]
    assert len(PAPER.RUNS) == 2 * len(NAMES) == 2 * (53 + 7)
    assert paper["resnet_v256-128x1"] == {"table": "2", "auc": 0.87, "auc_four_flips": 0.88, "epoch": 36}
    assert paper["inbreast_vgg_resnet_20"] == {"table": "4", "patients": 20, "auc": 0.89}


def test_the_list_shows_the_papers_rows_and_the_extra_ones_apart(capsys):
    assert cli.experiment(PAPER, ["--list"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("53 rows of the paper") and "7 rows that the paper has not:" in text
    paper, extra = text.split("7 rows that the paper has not:")
    assert "table 2, auc 0.87, auc four flips 0.88, epoch 36" in paper and "inbreast_resnet_vgg_0" in extra


def test_the_demo_set_and_the_comparisons_name_rows_that_exist():
    named = {name for _, *pair in PAPER.COMPARISONS for name in pair} | set(PAPER.SETS["demo"])
    assert named <= set(NAMES)


def test_budgets_keep_to_the_design():
    for budget in PAPER.BUDGETS.values():
        assert budget.height % 32 == budget.width % 32 == 0 and min(budget.shape) >= 128
        assert budget.patch_side >= 64 and budget.grid == budget.patch_side // 32
    paper = PAPER.BUDGETS["paper"]
    assert (paper.shape, paper.patch_side, paper.grid) == ((1152, 896), 224, 7)


def test_the_inbreast_phantom_has_other_patients_than_the_cbis_phantom():
    for budget in PAPER.BUDGETS.values():
        other = PAPER.inbreast_phantom(budget)
        assert other.patients == budget.inbreast_patients and other.seed != budget.phantom.seed
    rows = [row for row in PAPER.RUNS if row.dataset is PAPER.inbreast]
    assert len(rows) == 2 * 29 and all(row.phantom_spec is PAPER.inbreast_phantom for row in rows)


def test_a_run_opens_the_phantom_of_its_own_dataset(monkeypatch):
    monkeypatch.setattr(datasets, "open_dataset", lambda module, root, spec, **how: (module, root, spec))
    budget = PAPER.BUDGETS["smoke"]
    settings = run.Settings(budget, PAPER.DATASETS[0])
    one, other = (next(r for r in PAPER.RUNS if r.name == n) for n in ("resnet_r1024x2", "inbreast_resnet_resnet_0"))
    assert run.open_data(one, settings) == (PAPER.cbis_ddsm, None, budget.phantom)
    assert run.open_data(other, settings) == (PAPER.inbreast, None, PAPER.inbreast_phantom(budget))


def test_a_switch_forbids_empty_air(monkeypatch):
    monkeypatch.setattr(patch_sets, "sample_parts", lambda parts, sampling, **how: sampling)
    for change, least in (({}, 0.0), ({"min_breast": 0.5}, 0.5)):
        budget = dataclasses.replace(PAPER.BUDGETS["smoke"], **change)
        assert PAPER.sample(None, budget, 0, patch_set="s1", protocol="honest").min_breast == least


@pytest.mark.parametrize("name", ["patch_resnet50_s10", "patch_vgg16_s10"])
def test_a_switch_asks_for_files_of_keras_2_0_and_a_standin_still_loads(name, tmp_path):
    row, smallest = next(row for row in PAPER.RUNS if row.name == name), PAPER.BUDGETS["smoke"]
    assert row.method(smallest).pretrained is keras_weights.load_by_name
    old = row.method(dataclasses.replace(smallest, keras20=1))
    assert old.pretrained is PAPER.keras20_or_ours
    x = keras.Input((64, 64, 3))
    one, other = (keras.Model(x, old.net(x, seed=seed)) for seed in (0, 1))
    one.save(tmp_path / "standin.keras")
    PAPER.keras20_or_ours(other, tmp_path / "standin.keras")
    kernels = [(layer.name, layer.get_weights(), other.get_layer(layer.name).get_weights()) for layer in one.layers]
    for layer, theirs, ours in kernels:
        same = all(np.array_equal(a, b) for a, b in zip(theirs, ours, strict=True))
        assert same == (layer != "logits"), layer


def test_only_the_demo_settles_warps_bilinearly_and_has_a_narrower_vgg16():
    row = next(row for row in PAPER.RUNS if row.name == "patch_vgg16_s10" and row.protocol.name == "honest")
    demo, paper = (row.method(PAPER.BUDGETS[name]) for name in ("demo", "paper"))
    assert [stage.decay for stage in paper.stages] == [None, None, None]
    assert [stage.decay for stage in demo.stages[:2]] == [None, None]
    epochs = demo.stages[2].epochs
    rates = [demo.stages[2].decay(epoch) for epoch in range(epochs)]
    assert rates == [1.0] * (epochs - 3) + [0.1] * 3
    assert (demo.pipeline.augment.order, paper.pipeline.augment.order) == (1, 0)
    assert (demo.net.keywords["width"], paper.net.keywords["width"]) == (8, 64)
    resnet = PAPER.size_of("resnet50", PAPER.BUDGETS["demo"])
    assert resnet == {"width": 16, "units": (1, 1, 1, 1)}


def test_paper_schedules_are_those_of_section_3_1_2():
    rows = {row.name: row for row in PAPER.RUNS if row.protocol.name == "as_published"}
    paper = PAPER.BUDGETS["paper"]
    patch = rows["patch_resnet50_s10"].method(paper).stages
    assert [stage.epochs for stage in patch] == [3, 10, 37]
    assert [stage.optimizer().learning_rate.numpy() for stage in patch] == pytest.approx([1e-3, 1e-4, 1e-5])
    assert [stage.trainable for stage in patch] == [("logits",), ("conv4_block6", "conv5_", "logits"), ("",)]
    assert sum(stage.epochs for stage in rows["patch_resnet50_s1"].method(paper).stages) == 200
    image = rows["vgg_v512x3"].method(paper).stages
    assert [(stage.epochs, stage.penalty[0][1], stage.patience) for stage in image] == [
        (30, 0.001, None),
        (20, 0.01, None),
        (200, 0.01, 30),
    ]
    assert {stage.bn_frozen for stage in image[:1]} == {"batch"}
    (transfer,) = rows["inbreast_vgg_vgg_72"].method(paper).stages
    assert (transfer.epochs, float(transfer.optimizer().learning_rate)) == (200, pytest.approx(1e-5))


@pytest.mark.slow
def test_patch_net_whole_image_net_and_the_rest_that_hangs_on_them(tmp_path):
    """Patch net -> all-convolutional net with flips and heatmaps -> INbreast with subsets; two steps.

    In float32, as exported nets compute; the slow rows take the precision of the machine.
    """
    patch = smoke("patch_resnet50_s10", "honest", tmp_path, *FLOAT32)
    assert list(patch.class_names) == list(patch_sets.CLASSES) and patch.weights == "phantom_standin"
    assert {"patches.csv", "patches.png", "heatmaps.png", "model.keras"} <= files(patch)
    image = smoke("resnet_v256-128x1", "honest", tmp_path, *FLOAT32)
    assert image.split == patch.split and image.needs == {"patch_resnet50_s10": patch.hash}
    assert {"predictions_flips.csv", "heatmaps.png", "heatmaps.npz"} <= files(image)
    assert set(image.claims) == {"auc_four_flips", "auc_flip_gain"} and image.test_reads == 2
    assert 0 < image.validation["auc"].value < 1
    two_step = smoke("two_step", "honest", tmp_path, *FLOAT32)
    assert two_step.needs == {"patch_resnet50_s10": patch.hash}
    cv2.imwrite(str(tmp_path / "view.png"), np.random.default_rng(0).integers(0, 65536, (160, 128), np.uint16))
    assert explaining.explain(two_step, images=[tmp_path / "view.png"], out=tmp_path / "explained")[0].is_file()
    assert smoke("resnet_fc_5", "honest", tmp_path, *FLOAT32).needs == {"patch_resnet50_s10": patch.hash}
    few = smoke("inbreast_resnet_vgg_20", "honest", tmp_path, *FLOAT32)
    assert (few.folds, few.label_policy) == (2, "birads_4_up_drop_3") and few.sizes["train"]["patients"] <= 20
    none = smoke("inbreast_resnet_vgg_0", "honest", tmp_path, *FLOAT32)
    assert none.needs == {"resnet_v256-128x1": image.hash} and not none.training
    exports_what_it_measured(image, tmp_path / "export")


def exports_what_it_measured(record, folder):
    """From raw 16-bit images of another size, within 1e-3 of the run's own probabilities."""
    import tensorflow as tf

    export.export(record, folder)
    served = tf.saved_model.load(str(folder)).signatures["serve"]
    row = next(r for r in PAPER.RUNS if (r.name, r.protocol.name) == (record.run, record.protocol))
    settings = run.Settings(PAPER.BUDGETS["smoke"], PAPER.DATASETS[0])
    views = {view.id: view for view in run.open_data(row, settings).views}
    predictions = artifacts.read_predictions(pathlib.Path(record.folder) / "predictions.csv")
    for id, score in zip(predictions.ids[:4], predictions.scores, strict=False):
        pixels = views[id].pixels()
        assert pixels.dtype == np.uint16 and pixels.shape != (128, 128)
        found = served(image=tf.constant(pixels[None]), max_value=tf.constant(float(views[id].max_value)))
        assert found["probabilities"].numpy()[0, 1] == pytest.approx(score, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [pytest.param(p, marks=pytest.mark.xdist_group(p)) for p in PROTOCOLS])
@pytest.mark.parametrize("name", NAMES)
def test_every_row_at_budget_smoke(out, name, protocol):
    record = smoke(name, protocol, out)
    assert (record.budget, record.dataset_kind) == ("smoke", "phantom")


@pytest.mark.slow
def test_a_repeated_seed_repeats_a_transfer(tmp_path):
    name = "inbreast_resnet_vgg_20"
    one, again = (smoke(name, "as_published", tmp_path / folder) for folder in ("one", "again"))
    assert json.dumps(one.stable()) == json.dumps(again.stable())
