"""kreiss2018 at budget smoke: what each row is made of, two rows by the command; (slow) every row, both protocols."""

import dataclasses
import gc
import itertools
import json
import pathlib

import keras
import numpy as np
import pytest

from mammo_tf import artifacts, audit, cli, commands, labels, records, tuning
from mammo_tf.datasets import splits
from mammo_tf.models import conv_head
from mammo_tf.pipeline import enlarge
from mammo_tf.training import schedule
from tests import training_fakes as fakes

ROOT = pathlib.Path(__file__).parent.parent
PAPER = commands.load_experiments(ROOT / "experiments")["kreiss2018"]
NAMES = list(dict.fromkeys(row.name for row in PAPER.RUNS))
ROWS = [(row.name, row.protocol.name) for row in PAPER.RUNS]
GRID = ("inceptionv3_cv", *(f"inceptionv3_cv_{way}" for way in ("test_augmented", "even", "even_test_augmented")))


@pytest.fixture(scope="session")
def out(tmp_path_factory):
    """One folder for all rows, so that the stand-in is trained once."""
    return tmp_path_factory.mktemp("kreiss2018")


def smoke(name, protocol, out, *more):
    keras.backend.clear_session()
    gc.collect()
    arguments = ["--budget", "smoke", "--weights", "phantom", "--out", str(out), "--quiet", "--resume"]
    assert cli.experiment(PAPER, [*arguments, "--only", name, "--protocol", protocol, *more]) == 0
    (record,) = [r for r in records.load(out / "kreiss2018") if (r.run, r.protocol) == (name, protocol)]
    return record


def row_of(name, protocol="honest"):
    return next(row for row in PAPER.RUNS if (row.name, row.protocol.name) == (name, protocol))


def examples(count=40):
    """Two images a patient, one patient in four positive."""
    found = fakes.examples(count, 0, shape=(12, 10))
    return tuple(
        dataclasses.replace(e, patient_id=f"p{i // 2}", label=float(i // 2 % 4 == 0), roi_id=e.id)
        for i, e in enumerate(found)
    )


def test_the_rows_are_those_of_the_report_and_its_next_steps():
    assert [
        *GRID,
        "tuned",
        "inceptionv3_all_data",
        "inceptionv3_cv_val",
        "inceptionv3_cv_balanced",
        "small_cnn",
        "inceptionv3_cv_augment_first",
        "lesion_kind",
    ] == NAMES
    assert len(PAPER.RUNS) == 20 and ("inceptionv3_cv_augment_first", "honest") not in ROWS
    assert {row.name for row in PAPER.RUNS if row.extra} == {*GRID[1:], "lesion_kind"}
    assert not any(row.published for row in PAPER.RUNS)  # the report prints no number
    for claim, one, other in PAPER.COMPARISONS:
        assert claim and {one, other} <= set(NAMES)


def test_the_report_s_hyper_parameters():
    paper = PAPER.BUDGETS["paper"]
    method = row_of("inceptionv3_cv").method(paper)
    (stage,) = method.stages
    optimizer = stage.optimizer()
    assert isinstance(optimizer, keras.optimizers.Adam) and float(optimizer.learning_rate) == pytest.approx(1e-3)
    assert stage.trainable == conv_head.PREFIXES and method.select is schedule.last_epoch
    assert (method.pipeline.shape, method.pipeline.batch, paper.folds) == ((299, 299), 32, 5)
    assert method.frozen.layer == conv_head.CUT
    head = method.net.keywords["head"]
    assert (head.filters, head.kernel, head.padding, head.fc) == (64, 3, "same", ())
    assert PAPER.birads("inbreast") is labels.birads_4_up
    assert row_of("inceptionv3_cv_val").method(paper).select is schedule.lowest_val_loss
    assert row_of("small_cnn").method(paper).frozen is None and row_of("small_cnn").pretrained is None
    found = [enlarge.Enlargement((8, 8), PAPER.AUGMENT, factors=paper.factors).copies(n, k, 0).sum() + n
             for k, n in enumerate(PAPER.INBREAST)]  # fmt: skip
    assert found == [3104, 1992]


def parts_of(name, protocol):
    """A row's folds of the hand-made images, before and after what it does to them."""
    budget = dataclasses.replace(PAPER.BUDGETS["demo"], folds=4, factors=(2.0, 3.0))
    row = row_of(name, protocol)
    split = row.split.make(budget) if hasattr(row.split, "make") else row.split
    dealt = split(examples(), 0)
    dealt = dealt if isinstance(dealt, tuple) else (dealt,)
    return dealt, [row.sample(parts, budget, 0)[0] for parts in dealt]


def counts(part):
    found = [example.label for example in part]
    return found.count(0.0), found.count(1.0)


@pytest.mark.parametrize("protocol", ["as_published", "honest"])
def test_training_parts_are_enlarged_after_the_split_and_tests_stay(protocol):
    for before, after in zip(*parts_of("inceptionv3_cv", protocol), strict=True):
        assert after.test == before.test and counts(after.train) == tuple(
            round(n * factor) for n, factor in zip(counts(before.train), (2, 3), strict=True)
        )
        shared = {e.patient_id for e in after.train} & {e.patient_id for e in after.test}
        assert bool(shared) == (protocol == "as_published")
    assert sorted(e.id for parts in parts_of("inceptionv3_cv", protocol)[0] for e in parts.test) == sorted(
        e.id for e in examples()
    )


def test_the_two_by_two_is_what_its_names_say():
    plain, even = parts_of("inceptionv3_cv", "as_published"), parts_of("inceptionv3_cv_even", "as_published")
    assert {counts(parts.train) for parts in even[1]} == {(45, 22)}  # 3/4 of 30 x 2 and of 10 x 3, whatever the fold
    assert len({counts(parts.train) for parts in plain[1]}) > 1
    for name, other in ((GRID[1], GRID[0]), (GRID[3], GRID[2])):
        for altered, same in zip(parts_of(name, "honest")[1], parts_of(other, "honest")[1], strict=True):
            assert [e.id for e in altered.train] == [e.id for e in same.train]
            assert [e.id for e in altered.test] == [f"{e.id}+1" for e in same.test]
            assert all(isinstance(e.views[0].load, enlarge.Altered) for e in altered.test)


def test_balanced_enlarges_the_positives_alone_and_crops():
    for before, after in zip(*parts_of("inceptionv3_cv_balanced", "honest"), strict=True):
        negatives, positives = counts(after.train)
        assert negatives == positives == counts(before.train)[0]
        assert all(e.label == 1 for e in after.train if "+" in e.id)
        assert {e.views[0].load.augment.crop for e in after.train if "+" in e.id} == {(0.85, 1.0)}


def test_all_data_is_tested_on_what_was_learned_from_and_honestly_not():
    (published,), _ = parts_of("inceptionv3_all_data", "as_published")
    assert len(published.train) == len(published.test) == 40 and not published.val
    assert audit.overlap(published)["test"]["patient_share"] == 1 and PAPER.ALL_DATA_LEAK in published.leaks
    (honest,), _ = parts_of("inceptionv3_all_data", "honest")
    assert audit.overlap(honest)["test"]["patient_share"] == 0 and not honest.leaks


def test_copies_made_before_the_split_lie_on_both_sides():
    """What the audit must find of `inceptionv3_cv_augment_first`."""
    row = row_of("inceptionv3_cv_augment_first", "as_published")
    assert row.sample is None and row.data is PAPER.enlarged_first
    made = enlarge.Enlargement((8, 8), PAPER.AUGMENT, factors=(3.0, 3.0))(examples(), 0)
    parts = row.split.make(dataclasses.replace(PAPER.BUDGETS["demo"], folds=4))(made, 0)
    assert all(audit.overlap(one)["test"]["roi_share"] > 0.8 for one in parts)
    assert "copies of one image" in parts[0].leaks[0]


def test_a_search_deals_by_patient_or_by_image_and_its_first_trial_is_the_report_s_head():
    budget = PAPER.BUDGETS["smoke"]
    for protocol, deal in (("honest", splits.patient_kfold), ("as_published", splits.random_kfold)):
        search = row_of("tuned", protocol).method(budget)
        assert isinstance(search, tuning.Tuned) and search.deal.func is deal and search.deal.keywords["folds"] == 2
    paper = row_of("tuned").method(PAPER.BUDGETS["paper"])
    plain, first = row_of("inceptionv3_cv").method(PAPER.BUDGETS["paper"]), paper.inner
    assert first.net.keywords["head"] == plain.net.keywords["head"] and first.class_weight is None
    assert (first.pipeline.shape, first.pipeline.batch) == (plain.pipeline.shape, plain.pipeline.batch)
    assert float(first.stages[0].optimizer().learning_rate) == pytest.approx(1e-3)
    assert PAPER.BUDGETS["demo"].trials >= 8
    names = {one.name for one in paper.space}
    assert {
        "kernel",
        "padding",
        "stride",
        "filters",
        "fc",
        "optimizer",
        "learning_rate",
        "batch",
        "class_weight",
    } == names


@pytest.mark.parametrize("side", [96, 160])
def test_every_head_of_the_search_fits_the_map(side):
    budget = dataclasses.replace(PAPER.BUDGETS["smoke"], side=side)
    x = keras.Input((PAPER.map_side(side), PAPER.map_side(side), 8))
    axes = {one.name: one.values for one in PAPER.SPACE if isinstance(one, tuning.Choice)}
    sizes = ("kernel", "padding", "stride", "fc")
    for values in itertools.product(*(axes[name] for name in sizes)):
        choices = {**row_of("tuned").method(budget).first(), **dict(zip(sizes, values, strict=True))}
        head = PAPER.candidate(choices, budget=budget).net.keywords["head"]
        assert head(x, classes=2, seed=0).shape == (None, 2)
    for name in axes["optimizer"]:
        stage = PAPER.candidate({**choices, "optimizer": name}, budget=budget).stages[0]
        assert type(stage.optimizer()).__name__.lower() == name


# The others differ from these in their folds and in what is enlarged, which the tests above look at.
RUN = [
    ("inceptionv3_cv", "honest"),
    ("tuned", "honest"),
    ("inceptionv3_all_data", "as_published"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "protocol"), RUN)
def test_a_row_of_each_kind_runs(name, protocol, out):
    record = smoke(name, protocol, out)
    folder = pathlib.Path(record.folder)
    predictions = artifacts.read_predictions(folder / "predictions.csv")
    assert np.isfinite(predictions.scores).all() and record.reported == "test"
    assert bool(record.leaks) == (protocol == "as_published")
    if name != "inceptionv3_all_data":
        assert record.folds == 2 and len(record.per_fold["auc"]) == 2
        assert {"mean_roc.png", "folds.png", "roc.png"} <= {path.name for path in folder.iterdir()}
        aucs = [auc_by_pairs(predictions.of_fold(k)) for k in (0, 1)]
        assert record.per_fold["auc"] == pytest.approx(aucs) and record.metrics["auc"].value == pytest.approx(
            np.mean(aucs)
        )
    if name == "tuned":
        trials = [json.loads((folder / f"fold{k}" / tuning.TRIALS).read_text())["trials"] for k in (0, 1)]
        assert [len(some) for some in trials] == [3, 3] and "tuned_promise" in record.claims


def auc_by_pairs(predictions):
    """By its definition: of all pairs of a positive and a negative image."""
    positive, negative = (predictions.scores[predictions.labels == label] for label in (1, 0))
    wins = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    return float(wins)
