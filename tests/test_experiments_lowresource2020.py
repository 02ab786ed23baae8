"""lowresource2020 at budget smoke: what each row is made of, rows of each kind by the command; (slow) every row."""

import dataclasses
import gc
import os
import pathlib

import keras
import numpy as np
import pytest

from mammo_tf import artifacts, cases, cli, commands, datasets, feature_nets, labels, records, rows, run
from mammo_tf.classical import margins, selected, selected_first
from mammo_tf.datasets import inbreast, mini_mias
from mammo_tf.models import nyu_resnet22, nyu_weights
from mammo_tf.pipeline import normalize
from mammo_tf.training import progressive, schedule, untrained
from tests import training_fakes as fakes

ROOT = pathlib.Path(__file__).parent.parent
REAL = os.environ.get("MAMMO_TF_REAL_DATA")
PAPER = commands.load_experiments(ROOT / "experiments")["lowresource2020"]
NAMES = list(dict.fromkeys(row.name for row in PAPER.RUNS))
ROWS = [(row.name, row.protocol.name) for row in PAPER.RUNS]
SMOKE, WHOLE = PAPER.BUDGETS["smoke"], PAPER.BUDGETS["paper"]


@pytest.fixture(scope="session")
def out(tmp_path_factory):
    """One folder for all rows, so that each stand-in is trained once."""
    return tmp_path_factory.mktemp("lowresource2020")


def smoke(name, protocol, out, *more):
    keras.backend.clear_session()
    gc.collect()
    arguments = ["--budget", "smoke", "--weights", "phantom", "--out", str(out), "--quiet", "--resume"]
    assert cli.experiment(PAPER, [*arguments, "--only", name, "--protocol", protocol, *more]) == 0
    (record,) = [r for r in records.load(out / "lowresource2020") if (r.run, r.protocol) == (name, protocol)]
    return record


def row_of(name, protocol="honest"):
    return next(row for row in PAPER.RUNS if (row.name, row.protocol.name) == (name, protocol))


def test_the_rows_are_those_of_both_tables_and_the_figure():
    paper = [row.name for row in PAPER.RUNS if row.protocol.name == "honest" and not row.extra]
    assert paper == [*PAPER.TABLE_1, "nyu_inference", *PAPER.TABLE_2]
    assert len(PAPER.TABLE_1) == 8 and len(PAPER.TABLE_2) == 18
    assert {name for name, _ in ROWS if ROWS.count((name, "as_published")) != 1} == {"nyu_inference"}
    assert len(set(ROWS)) == len(ROWS) == 2 * len(NAMES) - 1
    assert {row.name for row in PAPER.RUNS if row.extra} == {"resnet18_scratch", *PAPER.MORE}
    for claim, one, other in PAPER.COMPARISONS:
        assert claim and {one, other} <= set(NAMES)
    assert set(PAPER.SETS["demo"]) <= set(NAMES) and set(PAPER.TABLE_2) <= set(PAPER.SETS["demo"])
    assert len(PAPER.FINE_TUNED) == 4 and set(PAPER.FINE_TUNED) <= set(PAPER.TABLE_1)


def test_the_printed_digits_of_table_1_are_those_of_82_images_20_of_them_positive():
    """A fifth of 410: what `as_published` deals. Accuracy, precision and recall of all binary rows agree on it."""
    for name, (accuracy, _, precision, recall) in PAPER.TABLE_1.items():
        if name.endswith("binary"):
            hits = round(recall * 20)
            called = round(hits / precision)
            right = hits + 62 - (called - hits)
            assert (round(hits / 20, 3), round(right / 82, 3)) == (recall, accuracy)
            assert abs(hits / called - precision) < 1e-3
    assert round(0.2 * PAPER.IMAGES) == 82 and PAPER.HOLDOUTS["as_published"][1].keywords["fractions"] == (0.8, 0.2)


@pytest.mark.parametrize("name", [*PAPER.TABLE_2, *PAPER.MORE])
def test_a_row_of_table_2_does_what_its_name_says(name):
    recipe, paper = PAPER.recipe_of(name), PAPER.TABLE_2.get(name)
    assert recipe.smote == ("_smote_" in name) and recipe.selects == ("_lasso_" in name)
    kinds = {"svm": margins.linear_svm, "rbf": margins.rbf_svm, "lr": margins.logistic}
    assert recipe.classify is kinds[name.rpartition("_")[2]]
    if paper:
        total = 2048 if name.startswith("resnet50") else 4096
        assert paper[4] == (round(recipe.keep * 410) if recipe.selects else total)
    honest, leaky = (row_of(name, protocol).method(WHOLE) for protocol in ("honest", "as_published"))
    assert isinstance(honest, selected.Selected) and isinstance(leaky, selected_first.SelectedFirst)
    assert honest.recipe == leaky.recipe == recipe and leaky.folds == WHOLE.folds == 10
    nets = {"resnet50": 1, "squeezenet": 1, "nyu_lcc": 1, "nyu_avg": 2}
    assert len(honest.features.nets) == next(count for key, count in nets.items() if name.startswith(key))


@pytest.mark.parametrize(
    ("name", "width"), [("resnet50_all_svm", 2048), ("nyu_lcc_all_svm", 4096), ("squeezenet_all_svm", 512)]
)
def test_the_numbers_of_features_are_the_paper_s(name, width):
    features = row_of(name).method(WHOLE).features
    (cut,) = features.nets
    shape = cut.net(keras.Input(cut.shape)).shape
    assert features.image.shape == cut.shape[:2] == (224, 224)
    assert features.pool(np.zeros((1, *shape[1:]), np.float32)).shape == (1, width)


def test_the_nyu_net_of_native_size_gives_256_averaged_features():
    native = dataclasses.replace(SMOKE, nyu_side=0, nyu_width=16)
    features = row_of("nyu_avg_lasso_svm").method(native).features
    assert features.image == feature_nets.Picture(None, normalize.per_image, channels=1) and features.batch == 1
    assert [cut.load.keywords["view"] for cut in features.nets] == ["lcc", "lmlo"]
    x = keras.Input(features.nets[0].shape)
    net = keras.Model(x, features.nets[0].net(x))
    assert features.pool(np.asarray(net(np.zeros((1, 120, 90, 1), np.float32)))).shape == (1, 256)


def test_fine_tuning_has_phases_and_sizes():
    method = row_of("resnet50_binary").method(WHOLE)
    assert isinstance(method, progressive.Progressive) and (method.sides, method.pipeline.side) == ((112,), 224)
    head, whole = method.stages
    assert head.trainable == ("logits",) and whole.trainable == ("",)
    assert float(head.optimizer().learning_rate) > float(whole.optimizer().learning_rate)
    assert method.select is schedule.best_val_accuracy
    birads = row_of("resnet18_birads")
    assert birads.classes == tuple(f"BI-RADS {k}" for k in range(1, 7)) and birads.method(WHOLE).inner.classes == 6
    assert row_of("nyu_rcc_binary").method(WHOLE).pretrained.keywords == {"view": "rcc"}
    assert row_of("nyu_lmlo_binary").method(WHOLE).pretrained.keywords == {"view": "lmlo"}
    assert row_of("nyu_lmlo_binary").pretrained is nyu_weights.released
    inference = row_of("nyu_inference").method(WHOLE)
    assert isinstance(inference, untrained.Untrained) and inference.base.net.func is nyu_resnet22.compared
    assert PAPER.paper_fits(row_of("resnet50_binary")) == 1.25 and PAPER.paper_fits(row_of("nyu_rcc_binary")) == 1
    scratch = row_of("resnet18_scratch")
    assert scratch.pretrained is None and scratch.method(WHOLE).pretrained is None


@pytest.mark.parametrize(
    ("given", "nyu", "resnet"),
    [("imagenet", "nyu", "imagenet"), (None, "nyu", "imagenet"), ("phantom", "phantom_standin", "phantom_standin"),
     ("some/file.p", "file.p", "file.p")],
)  # fmt: skip
def test_a_record_names_the_weights(given, nyu, resnet):
    settings = run.Settings(SMOKE, inbreast, weights=given)
    names = [rows.weights_name(row_of(name), settings) for name in ("nyu_lcc_all_svm", "resnet50_all_svm")]
    assert names == [nyu, resnet] and rows.weights_name(row_of("resnet18_scratch"), settings) == "scratch"


def test_labels_are_the_dataset_s_own():
    found = [PAPER.outcome(name) for name in ("inbreast", "mini_mias", "cbis_ddsm")]
    assert found == [labels.birads_4_up, labels.mias_severity, labels.pathology]
    example = fakes.examples(1, 0)[0]
    view = dataclasses.replace(example.views[0], attributes={"birads": "4c"})
    parts = cases.Splits((dataclasses.replace(example, views=(view,)),), ())
    assert PAPER.to_birads(parts, SMOKE, 0)[0].train[0].label == 3.0


def test_breasts_are_pairs_of_windows_and_a_lone_view_is_none():
    def view(patient, side, projection):
        pixels = np.full((40, 30), 500, np.uint16)
        return cases.View(f"{patient}-{side}-{projection}", patient, cases.Side(side), cases.Projection(projection),
                          lambda: pixels, 4095)  # fmt: skip

    one = cases.Case("1", (view("1", "LEFT", "MLO"), view("1", "LEFT", "CC"), view("1", "RIGHT", "CC")))
    data = cases.Dataset("cbis_ddsm", "phantom", "", (one,), fingerprint="f")
    (pair,), _ = PAPER.breasts(data, SMOKE)
    assert [v.projection for v in pair.views] == ["CC", "MLO"] and pair.patient_id == "1"


RUN = [
    ("nyu_avg_lasso_smote_svm", "as_published"),
    ("nyu_avg_lasso_smote_svm", "honest"),
    ("nyu_inference", "honest"),
]


def check(record):
    row, folder = row_of(record.run, record.protocol), pathlib.Path(record.folder)
    found = artifacts.read_predictions(folder / "predictions.csv")
    assert record.seconds > 0 and record.reported == row.protocol.reported
    assert record.weights == ("scratch" if row.pretrained is None else "phantom_standin")
    assert bool(record.leaks) == (record.protocol == "as_published")
    shared = record.audit[record.reported]["patient_share"]
    assert (shared > 0) == (record.protocol == "as_published")
    if record.run in (*PAPER.TABLE_2, *PAPER.MORE):
        assert len(set(found.ids)) == len(found.ids) and record.folds == SMOKE.folds
        claims = record.claims
        assert claims["features_kept"].value > 0 and 0 <= claims["cv_balanced_accuracy"].value <= 1
        assert {"holdout_accuracy", "holdout_auc", "noise_auc", "noise_balanced_accuracy"} <= set(claims)
        synthetic = "are synthetic" in claims["cv_balanced_accuracy"].method
        assert synthetic == (record.protocol == "as_published" and "_smote_" in record.run)
        images = claims["cv_balanced_accuracy"].n
        assert images > len(found.ids) if synthetic else images == len(found.ids)
    elif record.run == "nyu_inference":
        assert (folder / "categories.png").is_file() and len(set(found.ids)) == len(found.ids)
        assert {"called_malignant_4_up", "called_malignant_below_4"} == set(record.claims)
    else:
        assert (folder / "model.keras").is_file() and record.training["epochs"] >= 1
        assert found.classes == (6 if record.run.endswith("birads") else 2)
        sides = [path.name for path in folder.iterdir() if path.name.startswith("side")]
        assert sides == ([f"side{SMOKE.sides[0]}"] if isinstance(row.method(SMOKE), progressive.Progressive) else [])


@pytest.mark.parametrize(("name", "protocol"), RUN, ids=["-".join(row) for row in RUN])
def test_rows_run(out, name, protocol):
    check(smoke(name, protocol, out))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "protocol"), ROWS, ids=["-".join(row) for row in ROWS])
def test_every_row_at_budget_smoke(out, name, protocol):
    check(smoke(name, protocol, out))


def test_the_auc_of_a_record_is_the_mean_over_folds_of_real_images(out):
    record = smoke("nyu_avg_lasso_smote_svm", "as_published", out)
    found = artifacts.read_predictions(pathlib.Path(record.folder) / "predictions.csv")
    aucs = []
    for fold in np.unique(found.folds):
        part = found.of_fold(fold)
        positive, negative = part.scores[part.labels == 1], part.scores[part.labels == 0]
        aucs.append(np.mean((positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)))
    assert record.metrics["auc"].value == pytest.approx(np.mean(aucs))
    assert record.leaks[0].startswith("scaling, Lasso, SMOTE fitted on all images before the split")


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
@pytest.mark.parametrize("protocol", ["as_published", "honest"])
def test_real_mammograms_with_real_weights(tmp_path, protocol):
    """SqueezeNet with its ImageNet weights on mini-MIAS, malignant against the rest."""
    (weights,) = pathlib.Path(REAL, "weights").glob("squeezenet*.h5")
    name = "squeezenet_lasso_smote_svm"
    arguments = ["--dataset", mini_mias.NAME, "--root", f"{mini_mias.NAME}={REAL}/mini_mias", "--budget", "paper",
                 "--weights", str(weights), "--out", str(tmp_path), "--quiet", "--only", name]  # fmt: skip
    assert cli.experiment(PAPER, [*arguments, "--protocol", protocol, "--set", "noises=0"]) == 0
    (record,) = records.load(tmp_path)
    assert record.dataset_kind == "real" and record.weights == weights.name
    found = record.claims["cv_balanced_accuracy"].value
    assert found > 0.9 if protocol == "as_published" else found < 0.75


def test_the_phantom_has_every_category():
    dataset = datasets.open_dataset(inbreast, None, spec=SMOKE.phantom)
    assert {int(labels.birads_number(view.attributes["birads"])) for view in dataset.views} == set(range(1, 7))
