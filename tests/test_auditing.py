"""The audit: a planted leak of each kind is found by its name, and what is clean passes."""

import dataclasses
import functools
import json
import os
import pathlib

import numpy as np
import pytest

from mammo_tf import auditing, cli, labels, records, run
from mammo_tf.datasets import about, cbis_ddsm, inbreast, phantom, splits
from mammo_tf.evaluation import folds
from tests import test_datasets_likeness as films
from tests import toy_runs

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
CLEAN = films.FILMS


def entry(patient, part, side="LEFT", view="CC", image=None):
    return about.Entry(image or f"{patient}{side}{view}{part}", patient, "BENIGN", side=side, view=view, part=part)


def kinds(found):
    return {one.kind: one.count for one in found}


def test_tables_that_share_patients_exposures_or_images():
    clean = [entry("1", "train"), entry("1", "train", view="MLO"), entry("2", "test"), entry("3", "")]
    assert auditing.of_tables(clean) == []
    found = auditing.of_tables([*clean, entry("2", "train", view="MLO"), entry("1", "test")])
    assert kinds(found) == {"patients in both official parts": 2, "exposures in both official parts": 1}
    assert found[0].examples == ("1", "2") and found[1].examples == ("1 LEFT CC",) and all(one.leak for one in found)
    twice = [entry("5", "train", image="x"), entry("6", "test", image="x")]
    assert kinds(auditing.of_tables(twice)) == {"images in both official parts": 1}


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_real_tables_of_cbis_ddsm():
    found = kinds(auditing.of_tables(cbis_ddsm.entries(pathlib.Path(REAL, "cbis_ddsm"))))
    assert found["patients in both official parts"] == 31 and found["exposures in both official parts"] == 29


def test_clean_films_pass():
    assert auditing.of_views(CLEAN, labels.pathology) == []


def test_one_film_under_two_patients_is_a_leak_and_twice_under_one_a_note():
    copy = films.copy_of(CLEAN[2], films.compressed)
    (found,) = auditing.of_views([*CLEAN, copy], labels.pathology)
    assert (found.kind, found.count, found.leak) == ("films of two patients or parts that are one", 1, True)
    assert CLEAN[2].id in found.examples[0] and copy.id in found.examples[0]
    own = films.copy_of(CLEAN[2], films.compressed, patient=CLEAN[2].patient_id)
    (found,) = auditing.of_views([*CLEAN, own], labels.pathology)
    assert (found.kind, found.leak) == ("films of one patient that are one", False)


def sized(view, label, wrong):
    """Malignant films come in another size, but for some."""
    grow = int(bool(label) != wrong) * 6
    pixels = np.pad(view.pixels(), ((0, grow), (0, 0)))
    return dataclasses.replace(view, load=functools.partial(np.asarray, pixels))


def test_a_label_that_goes_with_the_size_of_the_film_is_found():
    many = [
        v
        for case in phantom.cases(phantom.PhantomSpec(patients=60, height=128, width=96, spacing_mm=1.6))
        for v in case.views
    ]
    planted = [sized(v, labels.pathology.view(v), wrong=i % 8 == 0) for i, v in enumerate(many)]
    (found,) = auditing.source(planted, labels.pathology)
    assert found.kind == "the label goes with the source of the image" and found.examples == ("height",)
    assert found.note.startswith("AUC 0.8") and ", p 0.005, of" in found.note and "from height alone" in found.note
    rng = np.random.default_rng(0)
    chance = [sized(v, rng.random() < 0.5, wrong=False) for v in many]
    assert auditing.source(chance, labels.pathology) == [] and auditing.source(many, labels.pathology) == []
    assert auditing.source(many[:2], labels.pathology) == []


def noise(seed):
    """Labels of 40 patients with two films each, and two columns that know nothing of them."""
    rng = np.random.default_rng(seed)
    y = np.repeat(rng.integers(0, 2, 40), 2)
    table = np.column_stack([np.repeat(rng.integers(0, 4, 40), 2), rng.integers(0, 3, 80)]).astype(float)
    return table, y, np.repeat([f"p{i:02d}" for i in range(40)], 2)


def lucky(seeds):
    """Those whose interval alone would be a finding, and those that labels dealt anew do not reach either."""
    found = {seed: folds.evaluate(auditing._scored(*noise(seed)))["auc"] for seed in seeds}
    passed = [seed for seed, auc in found.items() if auc.value >= auditing.SOURCE_AUC and auc.low > 0.5]
    return passed, [s for s in passed if auditing._reached(*noise(s), found[s].value) <= auditing.SOURCE_P]


def test_noise_that_a_lucky_tree_tells_is_taken_for_noise():
    assert lucky([36]) == ([36], [])


@pytest.mark.slow
def test_of_200_sets_of_noise_eight_pass_the_interval_and_none_the_deals():
    passed, findings = lucky(range(200))
    assert (len(passed), findings) == (8, [])


def of_run(folder):
    (found,) = auditing.of_runs(folder).values()
    return found


def done(tmp_path, **changes):
    return pathlib.Path(run.execute(toy_runs.a_run(**changes), toy_runs.settings(tmp_path)).folder)


def test_an_honest_run_passes(tmp_path):
    assert of_run(done(tmp_path)) == []


def test_a_run_that_shares_patients_and_chooses_on_what_it_reports(tmp_path):
    deal = functools.partial(splits.random_examples, leak="images of one patient on both sides")
    folder = done(tmp_path, split=deal, protocol=run.Rules("as_published", "val"))
    found = kinds(of_run(folder))
    assert found["leaks that the protocol names"] == 1
    assert found["images of the val part whose patient is in training"] > 0
    assert found["threshold chosen on the part that is reported"] == 1
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "selection": "best_val_accuracy", "test_reads": 3}))
    found = of_run(folder)
    assert kinds(found)["epoch chosen on the part that is reported"] == 1
    assert kinds(found)["labels of the val part read more than once"] == 3
    assert not next(one for one in found if one.kind.startswith("labels of")).leak


def test_copies_and_training_images_in_the_test_part(tmp_path):
    folder = done(tmp_path)
    file = folder / "predictions.csv"
    head, first, second, *rest = file.read_text().splitlines()
    names = [line.split(",")[0] for line in (first, second)]
    first, second = first.replace(names[0], f"{names[0]}+2", 1), second.replace(names[1], f"{names[1]}@test", 1)
    file.write_text("\n".join([head, first, second, *rest]) + "\n")
    found = kinds(of_run(folder))
    assert found.pop("predictions of other images than the certificate's") == 2 + len(rest)
    assert found == {"altered copies in the test part": 1, "images of the test part that were learned from": 1}


def test_the_command_says_what_leaks_and_exits_with_1(tmp_path, capsys):
    honest = done(tmp_path)
    assert cli.main(["audit", str(honest)]) == 0
    assert "nothing that leaks was found" in capsys.readouterr().out
    deal = functools.partial(splits.random_examples, leak="shared")
    leaky = done(tmp_path, split=deal, protocol=run.Rules("as_published", "val"))
    assert cli.main(["audit", str(honest), str(leaky), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found[str(honest)] == [] and found[str(leaky)][0]["leak"] is True
    assert (
        cli.main(["audit", str(leaky)]) == 1
        and "  leak: 1 leaks that the protocol names: shared" in capsys.readouterr().out
    )
    assert cli.main(["audit", str(tmp_path / "nobody")]) == 2
    assert cli.main(["audit", "cbis_ddsm"]) == 2 and "name one folder" in capsys.readouterr().err


def test_a_phantom_on_disk_passes(tmp_path, capsys):
    spec = phantom.PhantomSpec(patients=8, height=128, width=96, spacing_mm=1.6)
    inbreast.write(phantom.cases(spec), tmp_path / "inb")
    assert cli.main(["audit", "inbreast", str(tmp_path / "inb")]) == 0
    assert "nothing that leaks" in capsys.readouterr().out


def test_kept_records_are_audited_as_their_runs(tmp_path):
    """What is kept has no folder of a run beside it; the record alone is enough."""
    folder = done(tmp_path)
    (record,) = records.load(folder)
    (folder / "predictions.csv").unlink()
    assert of_run(folder) == [] and record.protocol == "honest"
