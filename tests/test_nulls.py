"""Labels dealt anew, or noise: what stays, an honest run at one half, a leaking one above it; the commands."""

import dataclasses
import functools
import json
import pathlib
import shutil
import types

import numpy as np
import pytest

from mammo_tf import cases, cli, commands, datasets, null_records, nulls, records, regions, run
from mammo_tf.datasets import folder, split_everything, splits
from mammo_tf.evaluation import metrics
from tests import samples, toy_runs
from tests import training_fakes as fakes


def examples():
    found = fakes.examples(40, 0)
    return tuple(
        dataclasses.replace(e, patient_id=f"p{i // 2}", label=float(i % 10 < 2)) for i, e in enumerate(found)
    )


def test_a_deal_keeps_images_patients_and_their_number_and_moves_labels():
    before, after = examples(), nulls.permuted(examples(), 1)
    assert [e.id for e in after] == [e.id for e in before]
    by_patient = {e.patient_id: {o.label for o in after if o.patient_id == e.patient_id} for e in after}
    assert all(len(some) == 1 for some in by_patient.values())
    positive = sum(some == {1.0} for some in by_patient.values())
    assert positive == len({e.patient_id for e in before if e.label == 1}) == 4
    labels = {seed: [e.label for e in nulls.permuted(before, seed)] for seed in (1, 2)}
    assert labels[1] == [e.label for e in after] != labels[2]
    same = [a.label == max(o.label for o in before if o.patient_id == a.patient_id) for a in after]
    assert 0.3 < np.mean(same) < 1
    with pytest.raises(cases.MammoError, match="1 examples have labels other than 0 and 1: e0"):
        nulls.permuted([dataclasses.replace(before[0], label=float("nan")), *before[1:]], 0)


@dataclasses.dataclass(frozen=True)
class ByHeart:
    """Answers with the labels of images that it has seen, and at random for others."""

    def fit(self, train, val, context):
        known = {e.views[0].id: e.label for e in train}
        return functools.partial(recall, known=known, rng=np.random.default_rng(context.seed))


def recall(tested, *, known, rng):
    score = np.array([known.get(e.views[0].id, rng.random()) for e in tested])
    score = np.clip(0.98 * score + 0.01, 0.01, 0.99)
    return np.stack([1 - score, score], axis=1).astype(np.float32)


def by_heart(budget):
    return ByHeart()


def test_an_honest_run_is_at_one_half_and_a_leak_is_not(tmp_path):
    fair = nulls.run_null(toy_runs.a_run(method=by_heart), toy_runs.settings(tmp_path), 12)
    assert fair.holds and len(set(fair.aucs)) > 6 and fair.leaks == ()
    everything = functools.partial(split_everything.tested_on_training, leak="tested on training images")
    leaky = toy_runs.a_run(method=by_heart, split=everything, protocol=run.Rules("as_published", "test"))
    found = nulls.run_null(leaky, toy_runs.settings(tmp_path), 3)
    assert found.mean == pytest.approx(1) and not found.holds and found.leaks == ("tested on training images",)
    kept = sorted(path.name for path in (tmp_path / "null").iterdir() if path.suffix == ".json")
    assert len(kept) == 2 and not records.load(tmp_path / "null" / "toy")  # the runs themselves are gone
    told = json.loads((tmp_path / "null" / kept[0]).read_text())
    assert told["protocol"] == "as_published" and told["holds"] is False and len(told["aucs"]) == 3


def test_a_fixed_scorer_is_worth_one_half_over_deals_and_seeds():
    """One seed for all deals would put the same places of the sorted patients into the test part."""
    shown = datasets.open_dataset(folder, None, spec=toy_runs.BUDGET.phantom)
    found, _ = folder.whole_images(shown, toy_runs.BUDGET)
    scores = {e.id: toy_runs.predict([e], shift=0)[0, 1] for e in found}
    aucs = {False: [], True: []}
    for k in range(300):
        for own in aucs:
            test = splits.patient_holdout(nulls.permuted(found, k), k if own else 0).test
            aucs[own].append(metrics.auc([e.label for e in test], [scores[e.id] for e in test]))
    assert abs(np.mean(aucs[True]) - 0.5) < 3 * np.std(aucs[True]) / np.sqrt(300) < 0.05
    assert abs(np.mean(aucs[False]) - 0.5) > 3 * np.std(aucs[False]) / np.sqrt(300)


def stratified(patients, seed):
    """Three patients in eight tested, as many of either class as can be."""
    return splits.patient_holdout(patients, seed, fractions=(0.4, 0.2, 0.4))


def test_parts_keep_their_images_and_positives_and_labels_move_within_them():
    found = tuple(dataclasses.replace(e, label=float(int(e.patient_id[1:]) % 2)) for e in examples())
    before = stratified(found, 3)
    (after,) = nulls.permuted_parts([before], 5)
    for name in ("train", "val", "test"):
        old, new = getattr(before, name), getattr(after, name)
        assert [e.id for e in new] == [e.id for e in old]
        assert sum(e.label for e in new) == sum(e.label for e in old)
        assert len({(e.patient_id, e.label) for e in new}) == len({e.patient_id for e in new})
    assert [e.label for e in after.train] != [e.label for e in before.train]
    several = splits.patient_kfold(found, 0, folds=3, val_fraction=0.25)
    dealt = nulls.permuted_parts(several, 5)
    labels = {(e.patient_id, e.label) for parts in dealt for e in (*parts.train, *parts.val, *parts.test)}
    assert len(labels) == 20 and [len(p.test) for p in dealt] == [len(p.test) for p in several]
    with pytest.raises(cases.MammoError, match="labels other than 0 and 1"):
        nulls.permuted_parts([dataclasses.replace(before, test=(dataclasses.replace(before.test[0], label=2.0),))], 0)


def test_a_run_that_needs_nets_keeps_its_split_which_is_theirs(tmp_path):
    split = functools.partial(splits.patient_holdout, fractions=(0.5, 0.2, 0.3))
    need = toy_runs.a_run(name="need", split=split, after=())
    one = toy_runs.a_run(
        method=by_heart, split=run.AtBudget(functools.partial(at_budget, split=split)), needs=(need,)
    )
    found = nulls.run_null(one, toy_runs.settings(tmp_path, seed=2), 6)
    assert found.seeds == (2,) * 6 and len(set(found.aucs)) > 2 and found.holds
    left = [path.name for path in (tmp_path / "null" / "toy").iterdir()]
    assert len(left) == 1 and left[0].startswith("need-honest")  # trained once


def at_budget(budget, *, split):
    return split


def test_noise_has_the_size_and_type_of_each_image_and_nothing_of_it():
    shown = datasets.open_dataset(folder, None, spec=toy_runs.BUDGET.phantom)
    one, again, other = nulls.noisy(shown, 1), nulls.noisy(shown, 1), nulls.noisy(shown, 2)
    assert len({shown.fingerprint, one.fingerprint, other.fingerprint}) == 3
    for before, a, b, c in zip(shown.views, one.views, again.views, other.views, strict=True):
        noise = a.pixels()
        assert (noise.shape, noise.dtype, a.shape) == (before.pixels().shape, before.pixels().dtype, before.shape)
        assert noise.max() <= before.max_value and abs(noise.mean() / before.max_value - 0.5) < 0.02
        assert np.array_equal(noise, b.pixels()) and not np.array_equal(noise, c.pixels())
        assert (a.lesions, a.patient_id, a.max_value) == (before.lesions, before.patient_id, before.max_value)
        assert len({before.id, a.id, c.id}) == 3
        assert np.array_equal(a.window(3, 4, 20, 30).pixels(), noise[3:23, 4:34])
    first, second = (view.pixels() for view in one.views[:2])
    assert first.shape != second.shape or abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_noise_keeps_what_is_known_of_a_size_and_what_is_wrong_with_a_file():
    def broken():
        raise cases.DataError("x.dcm", "truncated")

    view = dataclasses.replace(fakes.examples(1, 0)[0].views[0], load=regions.SizedLoader(broken, 7, 5))
    one = cases.Dataset("d", "real", "", (cases.Case("p", (view,)),))
    (seen,) = nulls.noisy(one, 0).views
    assert seen.shape == (7, 5)
    with pytest.raises(cases.DataError, match=r"x.dcm: truncated"):
        seen.pixels()


def sized(dataset, budget):
    """Images cut smaller where they are positive: a box that tells the label."""
    found, problems = folder.whole_images(dataset, budget)
    cut = [dataclasses.replace(e, views=(e.views[0].window(0, 0, 60 - 20 * int(e.label), 60),)) for e in found]
    return tuple(cut), problems


@dataclasses.dataclass(frozen=True)
class ByBox:
    """Answers by the height of the crop, which no pixel tells."""

    def fit(self, train, val, context):
        return by_height


def by_height(tested):
    score = np.array([1 - e.views[0].shape[0] / 100 for e in tested], np.float32)
    return np.stack([1 - score, score], axis=1)


def by_box(budget):
    return ByBox()


def test_noise_is_worth_one_half_unless_something_else_tells(tmp_path):
    settings = toy_runs.settings(tmp_path)
    fair = nulls.run_null(toy_runs.a_run(), settings, 12, noise=True)
    assert fair.holds and fair.kind == "noise" and len(set(fair.aucs)) > 6
    told = nulls.run_null(toy_runs.a_run(data=sized, method=by_box), settings, 3, noise=True)
    assert told.mean == 1 and not told.holds
    names = {path.name for path in (tmp_path / "null").glob("*.json")}
    assert names == {"mean_intensity-honest-folder-phantom-smoke-s0-noise.json"}


def test_what_is_kept_says_what_was_run(tmp_path):
    found = nulls.run_null(toy_runs.a_run(), toy_runs.settings(tmp_path, seed=5), 3)
    assert (found.paper, found.run, found.kind, found.seeds) == ("toy", "mean_intensity", "labels", (5, 6, 7))
    assert found.weights == "scratch" and found.sizes["test"]["examples"] > 0 and found.hardware and found.created
    (path,) = (tmp_path / "null").glob("*.json")
    assert path.stem == "mean_intensity-honest-folder-phantom-smoke-s5" == found.label
    assert str(tmp_path) not in path.read_text() and null_records.load(tmp_path) == [found]


def test_what_cannot_be_dealt_is_refused(tmp_path):
    for wrong in (toy_runs.a_run(classes=("a", "b", "c")),):
        with pytest.raises(cases.MammoError, match="of a run of two classes"):
            nulls.run_null(wrong, toy_runs.settings(tmp_path), 5)
    with pytest.raises(cases.MammoError, match="1 deals"):
        nulls.run_null(toy_runs.a_run(), toy_runs.settings(tmp_path), 1)


def test_the_number_of_deals_follows_the_method(tmp_path, monkeypatch):
    monkeypatch.setattr(nulls, "CLASSICAL", 4)
    assert len(nulls.run_null(toy_runs.a_run(), toy_runs.settings(tmp_path)).aucs) == 4


def test_the_command(tmp_path, capsys):
    row = toy_runs.a_run(method=by_heart, split=functools.partial(splits.patient_holdout, fractions=(0.6, 0.2, 0.2)))
    paper = types.SimpleNamespace(
        __doc__="toy", KEY="toy", DATASETS=(folder,), RUNS=(row,), BUDGETS={"demo": toy_runs.BUDGET}
    )
    assert cli.experiment(paper, ["--null", "4", "--out", str(tmp_path), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "Labels dealt anew to patients" in said and "mean_intensity  honest    4" in said
    assert cli.experiment(paper, ["--null", "3", "--out", str(tmp_path), "--quiet", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert len(found["aucs"]) == 3 and found["run"] == "mean_intensity"
    assert cli.experiment(paper, ["--noise", "--out", str(tmp_path), "--quiet"]) == 2
    assert "--noise belongs to --null" in capsys.readouterr().err
    assert cli.experiment(paper, ["--null", "3", "--noise", "--out", str(tmp_path), "--quiet"]) == 0
    assert "Noise in the place of the images" in capsys.readouterr().out


PAPER = """\"\"\"A toy paper.\"\"\"

from mammo_tf.datasets import folder
from tests import toy_runs

KEY = "toy"
DATASETS = (folder,)
BUDGETS = {"smoke": toy_runs.BUDGET}
RUNS = (toy_runs.a_run(after=()),)
"""


@pytest.fixture
def paper_files(tmp_path):
    files = tmp_path / "papers"
    files.mkdir()
    (files / "toy_of_nulls.py").write_text(PAPER)
    return str(files)


def test_a_run_is_asked_from_its_folder_as_it_was_called_and_kept(tmp_path, paper_files, capsys):
    (module,) = commands.load_experiments(pathlib.Path(paper_files)).values()
    how = ["--budget", "smoke", "--set", "draws=50", "--seed", "4", "--out", str(tmp_path / "runs"), "--quiet"]
    assert cli.experiment(module, how) == 0
    (record,) = records.load(tmp_path / "runs")
    capsys.readouterr()
    assert cli.main(["null", record.folder, "4", "--experiments", paper_files, "--quiet"]) == 0
    assert "mean_intensity  honest    4" in capsys.readouterr().out
    assert cli.main(["null", record.folder, "3", "--noise", "--json", "--experiments", paper_files, "--quiet"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["count"], told["budget"], told["seeds"]) == ("noise", 3, "smoke+draws=50", [4, 5, 6])
    own, noise = null_records.load(record.folder)
    assert own.label == record.label and noise.label == f"{record.label}-noise"
    assert [one.hash for one in records.load(tmp_path / "runs")] == [record.hash]
    assert cli.experiment(module, [*how, "--null", "4"]) == 0  # the paper file's way
    assert null_records.load(tmp_path / "runs" / "null")[0].aucs == own.aucs
    results = tmp_path / "results"
    assert cli.main(["keep", str(tmp_path / "runs"), "--results", str(results)]) == 0
    kept = results / "toy" / "null"
    assert sorted(path.stem for path in kept.iterdir()) == [record.label, f"{record.label}-noise"]
    assert [one.label for one in records.load(results)] == [record.label]
    assert str(tmp_path) not in (kept / f"{record.label}.json").read_text()
    shutil.rmtree(kept)
    assert cli.main(["keep", str(tmp_path / "runs" / "null"), "--results", str(results)]) == 0
    assert [path.stem for path in kept.iterdir()] == [record.label]
    out = ["--out", str(tmp_path), "--experiments", paper_files]
    assert cli.main(["report", "--runs", str(results), *out]) == 0
    assert "### toy: null tests" in (tmp_path / "RESULTS.md").read_text()


def test_a_folder_that_does_not_say_how_it_was_called_is_refused(tmp_path, paper_files, capsys, caplog):
    records.save(samples.record(), tmp_path / "record.json")
    assert cli.main(["null", str(tmp_path), "--experiments", paper_files]) == 2
    assert "python experiments/ao2020.py --null --only baseline_cnn" in capsys.readouterr().err
    record = run.execute(toy_runs.a_run(after=()), toy_runs.settings(tmp_path / "runs"))
    renamed = pathlib.Path(record.folder).rename(tmp_path / "runs" / "toy" / "another-00000000")
    assert cli.main(["null", str(renamed), "2", "--experiments", paper_files, "--quiet"]) == 0
    assert "have changed since" in caplog.text
    (tmp_path / "no papers").mkdir()
    assert cli.main(["null", str(renamed), "2", "--experiments", str(tmp_path / "no papers")]) == 2
    assert "no paper file of toy" in capsys.readouterr().err
