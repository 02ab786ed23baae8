"""yi2017 at budget smoke: a row of each kind, then (slow) every row under both protocols; what `--list` prints."""

import csv
import gc
import json
import os
import pathlib

import keras
import numpy as np
import pytest

from mammo_tf import artifacts, cli, commands, dreaming, export, records, reuse
from mammo_tf.classical import handcrafted
from mammo_tf.models import alexnet, googlenet, inception_v3, resnet50, two_view, vgg
from mammo_tf.pipeline import normalize, views
from mammo_tf.training import schedule

ROOT = pathlib.Path(__file__).parent.parent
PAPER = commands.load_experiments(ROOT / "experiments")["yi2017"]
NAMES = list(dict.fromkeys(row.name for row in PAPER.RUNS))
PROTOCOLS = ("as_published", "honest")


@pytest.fixture(scope="session")
def out(tmp_path_factory):
    """One folder for all rows, so that each need is trained once."""
    return tmp_path_factory.mktemp("yi2017")


def command(out, *more):
    keras.backend.clear_session()
    gc.collect()
    arguments = ["--budget", "smoke", "--out", str(out), "--quiet", "--resume", *more]
    assert cli.experiment(PAPER, arguments) == 0


def smoke(name, protocol, out, *more):
    command(out, "--only", name, "--protocol", protocol, *more)
    (record,) = [r for r in records.load(out / "yi2017") if (r.run, r.protocol) == (name, protocol)]
    check(record)
    return record


def check(record):
    """The folder of a run is whole, and its record speaks of its predictions."""
    folder = pathlib.Path(record.folder)
    predictions = artifacts.read_predictions(folder / "predictions.csv")
    assert np.isfinite(predictions.scores).all() and len(set(predictions.scores)) > 1
    assert len(predictions.ids) == record.sizes["test"]["examples"] and record.reported == "test"
    assert {"confusion.png", "roc.png"} <= files(record)
    assert bool(record.leaks) == (record.protocol == "as_published")
    assert all(part["patient_share"] == 0 for part in record.audit.values() if isinstance(part, dict))


def files(record):
    return {path.name for path in pathlib.Path(record.folder).iterdir()}


def test_table_1_has_eighteen_rows_and_five_stand_apart():
    assert len(NAMES) == 23 and len(PAPER.RUNS) == 46
    extra = {row.name for row in PAPER.RUNS if row.extra}
    assert extra == {f"{net}_parallel_aug_nodog" for net in PAPER.NETS}
    published = {row.name: row.published for row in PAPER.RUNS if not row.extra}
    columns = {  # Table 1, alexnet to resnet
        ("noaug", "accuracy"): (0.70, 0.70, 0.78, 0.74, 0.72),
        ("noaug", "auc"): (0.82, 0.79, 0.87, 0.84, 0.80),
        ("noaug", "loss"): (1.24, 1.20, 1.51, 1.91, 0.78),
        ("aug", "accuracy"): (0.70, 0.72, 0.78, 0.84, 0.74),
        ("aug", "auc"): (0.78, 0.88, 0.87, 0.87, 0.81),
        ("aug", "loss"): (0.65, 0.58, 0.53, 1.49, 0.64),
    }
    for (way, metric), values in columns.items():
        assert tuple(published[f"{net}_parallel_{way}"][metric] for net in PAPER.NETS) == values
    assert published["googlenet_ensemble100"] == {"accuracy": 0.85, "auc": 0.91, "loss": 0.45}
    assert (published["sahiner"], published["huo"]) == ({"accuracy": 0.71}, {"accuracy": 0.60})
    assert sum("multimodal" in name for name in published) == 5
    assert set(PAPER.SETS["demo"]) <= set(NAMES) and len(PAPER.SETS["demo"]) == 16


def test_the_paper_s_hyper_parameters():
    paper = PAPER.BUDGETS["paper"]
    row = next(row for row in PAPER.RUNS if row.name == "googlenet_parallel_aug")
    method = row.method(paper)
    (stage,) = method.stages
    assert (stage.epochs, float(stage.optimizer().learning_rate)) == (800, pytest.approx(1e-3))
    assert isinstance(stage.optimizer(), keras.optimizers.Adam)
    assert isinstance(method.pipeline.normalize(np.zeros((1, 2, 2), np.uint16)), normalize.PerImage)
    assert [stage.decay(epoch) for epoch in (0, 1, 2)] == pytest.approx([1, 0.99, 0.9801])
    assert stage.penalty == (("", 1e-6),) and method.select is schedule.lowest_val_loss
    assert (method.pipeline.shape, method.pipeline.full, method.pipeline.batch) == ((224, 224), (256, 256), 120)
    assert method.net.keywords["dropout"] == 0.1
    assert method.net.keywords["dog"] == pytest.approx([2 ** (k / 2) for k in range(1, 9)])
    assert paper.members == 100 and len(PAPER.members(paper, protocol=PAPER.HONEST)) == 100
    assert method.pipeline.augment.rotate_deg == (-0.5, 359.5) and method.pipeline.augment.whole
    bare = next(row for row in PAPER.RUNS if row.name == "googlenet_parallel_noaug").method(paper).pipeline
    assert bare.augment.rotate_deg is None and bare.augment.translate == pytest.approx((-16.5 / 256, 16.5 / 256))
    pair = next(row for row in PAPER.RUNS if row.name == "vgg16_multimodal_aug").method(paper)
    assert isinstance(pair.pipeline, views.PairPipeline) and pair.net.func is two_view.multi_modal
    assert pair.pipeline.batch == 60 and pair.precision == "float32"


def row_of(name):
    return next(row for row in PAPER.RUNS if row.name == name)


def test_each_row_has_the_backbone_of_its_name_and_the_filter_bank_but_for_those_without():
    backbones = {
        "alexnet": (alexnet.alexnet_features, {"width": 64, "fc": 4096, "dropout": 0.1}),
        "vgg16": (vgg.vgg16_features, {"width": 64}),
        "googlenet": (googlenet.googlenet_features, {"width": 64}),
        "inceptionv3": (inception_v3.inception_v3_features, {"width": 32}),
        "resnet": (resnet50.resnet50_features, {"width": 64}),
    }
    assert tuple(backbones) == tuple(PAPER.NETS)
    for name in (name for name in NAMES if name.split("_")[0] in backbones and "ensemble" not in name):
        net = row_of(name).method(PAPER.BUDGETS["paper"]).net.keywords
        features, sizes = backbones[name.split("_")[0]]
        assert net["features"].func is features and sizes.items() <= net["features"].keywords.items()
        assert (net["dog"] is None) == name.endswith("_nodog")
    assert row_of("vgg16_multimodal_aug").method(PAPER.BUDGETS["paper"]).net.keywords["top"].dropout == 0.1


def test_alexnet_keeps_more_than_one_pixel_on_small_images():
    forms = [
        row_of("alexnet_parallel_aug").method(PAPER.BUDGETS[b]).net.keywords["features"] for b in ("paper", "demo")
    ]
    assert [(form.keywords["form"].stride, form.keywords["form"].grid) for form in forms] == [(4, 6), (2, 3)]
    image = keras.Input((80, 80, 9))
    net = keras.Model(image, forms[1](image))
    assert net.get_layer("block3_pool").output.shape[1:3] == (3, 3) == net.get_layer("pool").output.shape[1:3]


def test_the_choice_of_the_ensemble_s_net_is_among_the_fifteen():
    (names,) = PAPER.PICKED.values()
    assert len(names) == len(set(names)) == 15 and set(names) <= {row.name for row in PAPER.RUNS if not row.extra}


def test_a_budget_may_settle_and_the_demo_dreams_of_more_than_twenty_lesions():
    demo = PAPER.BUDGETS["demo"]
    fades = [PAPER.fade(epoch, budget=demo) for epoch in range(demo.epochs)]
    first = demo.epochs - demo.settle
    assert fades[first - 1] == pytest.approx(0.99 ** (first - 1)) and fades[first] == pytest.approx(0.1 * 0.99**first)
    assert demo.dreams.lesions >= 20 and demo.members >= 8


def test_the_parts_are_those_of_section_2_5():
    assert np.round(1092 * np.array(PAPER.FRACTIONS["as_published"])).tolist() == [893, 99, 100]
    assert round(1092 * PAPER.OTHER_PART[2]) == 206
    honest = {row.split.keywords["fractions"] for row in PAPER.RUNS if row.protocol.name == "honest"}
    assert honest == {(0.7, 0.1, 0.2)}  # one test part for nets and baselines


@pytest.fixture(scope="session")
def small(out):
    """The quickest parallel net, under the protocol that watches its test part."""
    return smoke("alexnet_parallel_noaug", "as_published", out)


def test_a_parallel_net_votes_and_is_watched(small):
    folder = pathlib.Path(small.folder)
    with (folder / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert {"test_loss", "test_accuracy", "test_auc"} <= set(row)
    assert small.test_reads == 2  # after the one epoch, and for the table
    assert {"model.keras", "curves.png", "saliency_1.png"} <= files(small)
    contract = json.loads((folder / "preprocessing.json").read_text())
    assert (contract["margin"], contract["views"]) == (6, "parallel")
    fitted = reuse.load(folder)
    assert isinstance(fitted.pipeline, views.ParallelPipeline) and fitted.pipeline.margin == 6


def test_a_parallel_net_is_exported_with_its_crop(small, tmp_path):
    export.export(small, tmp_path / "export")  # compares raw and prepared input
    told = json.loads((tmp_path / "export" / export.METADATA).read_text())
    assert told["input"]["resize"].startswith("to 92 x 92") and "central 80 x 80" in told["input"]["resize"]


def test_a_multi_modal_net_takes_pairs(out, tmp_path):
    pair = smoke("alexnet_multimodal_aug", "honest", out)
    assert pair.test_reads == 1
    export.export(pair, tmp_path / "export")
    assert "(B, H, W, 2)" in json.loads((tmp_path / "export" / export.METADATA).read_text())["input"]["serve"]


@pytest.mark.slow
@pytest.mark.xdist_group("as_published")
def test_googlenet_dreams_and_shows_what_it_sees(out):
    net = smoke("googlenet_parallel_aug", "as_published", out)
    assert {"seeds.png", "responses.png", "dreams.png", "dreams.npz", "dream_malignant.png"} <= files(net)
    assert {"dream_malignant.gif", "dream_benign.gif"} <= files(net)
    folder = pathlib.Path(net.folder)
    assert {"dream.gif", "dream.mp4"} <= {path.name for path in (folder / "dream_benign").iterdir()}
    assert {name for name in PAPER.CLAIMS if name.startswith("dream")} <= set(net.claims)
    assert net.claims["dream_opposition"].n == PAPER.BUDGETS["smoke"].dreams.lesions
    with np.load(folder / dreaming.FILE) as stored:
        assert stored["start"].shape == stored["malignant_image"].shape == (4, 80, 80)
        assert sorted(stored["labels"].tolist()) == [0, 0, 1, 1] and stored["masks"].any(axis=(1, 2)).all()


@pytest.mark.slow
@pytest.mark.xdist_group("as_published")
def test_members_are_shared_out_and_averaged(out):
    net = smoke("googlenet_parallel_aug", "as_published", out)
    command(out, "--only", "googlenet_ensemble100", "--protocol", "as_published", "--members", "1:2")
    found = {record.run: record for record in records.load(out / "yi2017") if record.protocol == "as_published"}
    member = found["googlenet_member001"]
    trained = pathlib.Path(member.folder) / "model.keras"
    written = trained.stat().st_mtime_ns
    ensemble = smoke("googlenet_ensemble100", "as_published", out)
    assert ensemble.needs == {"googlenet_parallel_aug": net.hash, "googlenet_member001": member.hash}
    each = [artifacts.read_predictions(pathlib.Path(r.folder) / "predictions.csv") for r in (net, member)]
    together = artifacts.read_predictions(pathlib.Path(ensemble.folder) / "predictions.csv")
    assert each[0].ids == together.ids and not np.allclose(each[0].scores, each[1].scores)
    np.testing.assert_allclose(together.scores, (each[0].scores + each[1].scores) / 2, atol=2e-3)
    assert {"ensemble.csv", "ensemble.png"} <= files(ensemble) and trained.stat().st_mtime_ns == written


def test_a_hand_crafted_baseline(out):
    record = smoke("sahiner", "honest", out)
    assert {"bands_0.png", "bands_1.png", handcrafted.FILE, handcrafted.ARRAYS} <= files(record)
    assert handcrafted.load(pathlib.Path(record.folder)).selected


@pytest.mark.skipif("MAMMO_TF_REAL_DATA" not in os.environ, reason="needs the real mini-MIAS")
def test_real_mammograms_are_examples_of_one_view(tmp_path):
    root = pathlib.Path(os.environ["MAMMO_TF_REAL_DATA"]) / "mini_mias"
    record = smoke("huo", "honest", tmp_path, "--root", f"mini_mias={root}")
    assert (record.dataset, record.dataset_kind) == ("mini_mias", "real")
    assert 50 <= sum(size["examples"] for size in record.sizes.values()) <= 57  # of 57 lesions with a place


@pytest.mark.slow
@pytest.mark.skipif("MAMMO_TF_REAL_DATA" not in os.environ, reason="needs the real mini-MIAS")
@pytest.mark.parametrize("name", ["alexnet_parallel_noaug", "alexnet_multimodal_aug"])
def test_other_rows_run_on_real_mammograms_of_one_view(name, tmp_path):
    root = pathlib.Path(os.environ["MAMMO_TF_REAL_DATA"]) / "mini_mias"
    record = smoke(name, "honest", tmp_path, "--root", f"mini_mias={root}")
    assert (record.dataset, record.dataset_kind) == ("mini_mias", "real")


def test_members_of_what_is_no_ensemble_are_refused(capsys):
    assert cli.experiment(PAPER, ["--budget", "smoke", "--only", "huo", "--members", "0:1"]) == 2
    assert "huo averages no other nets" in capsys.readouterr().err


def test_list_prints_the_paper_s_rows_apart(capsys):
    assert cli.experiment(PAPER, ["--list"]) == 0
    shown = capsys.readouterr().out
    assert "18 rows of the paper" in shown and "5 rows that the paper has not" in shown


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [pytest.param(p, marks=pytest.mark.xdist_group(p)) for p in PROTOCOLS])
@pytest.mark.parametrize("name", NAMES)
def test_every_row_at_budget_smoke(out, name, protocol):
    record = smoke(name, protocol, out)
    assert (record.budget, record.dataset, record.dataset_kind) == ("smoke", "ddsm", "phantom")
    trained = not name.startswith(("sahiner", "huo", "googlenet_ensemble"))
    assert ("model.keras" in files(record)) == trained
