"""Kept records measured again: an aged one becomes what is kept, other values are refused."""

import dataclasses
import shutil

import pytest

from benchmarks import remeasure
from mammo_tf import cases, certificates, records
from tests import samples

KEPT = samples.ROOT / "results"
ROWS = (  # one part, ten folds, five classes
    "yi2017/huo-honest-ddsm-phantom-demo-s0",
    "lowresource2020/resnet50_lasso_lr-honest-inbreast-phantom-demo-s0",
    "shen2019/patch_vgg16_s10-honest-cbis_ddsm-phantom-demo-s0",
)


def aged(folder, row, **changes):
    """A copy of a kept record as another way to make intervals would have left it."""
    path = folder / f"{row}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(KEPT / f"{row}.csv", path.with_suffix(".csv"))
    record = records.load(KEPT / f"{row}.json")[0]
    old = dataclasses.replace(record.metrics["log_loss"], low=0.1, high=0.2, method="another")
    metrics = {**record.metrics, "log_loss": old}
    records.save(
        certificates.signed(dataclasses.replace(record, metrics=metrics, hash="0" * 8, folder="", **changes)), path
    )
    return path


def test_an_aged_record_becomes_the_kept_one(tmp_path, capsys):
    made = [aged(tmp_path, row) for row in ROWS]
    remeasure.main([str(tmp_path)])
    assert capsys.readouterr().out == "3 records changed\n"
    for row, path in zip(ROWS, made, strict=True):
        assert path.read_text() == (KEPT / f"{row}.json").read_text()
    remeasure.main([str(tmp_path)])
    assert capsys.readouterr().out == "0 records changed\n"


def test_without_predictions_a_record_stays(tmp_path, capsys):
    path = aged(tmp_path, ROWS[0])
    path.with_suffix(".csv").unlink()
    before = path.read_text()
    remeasure.main([str(tmp_path)])
    assert path.read_text() == before and f"no predictions, left as it was: {path.name}" in capsys.readouterr().out


def test_other_values_and_other_certificates_are_refused(tmp_path):
    record = records.load(KEPT / f"{ROWS[0]}.json")[0]
    moved = {**record.tuned, "recall": dataclasses.replace(record.tuned["recall"], value=0.5)}
    path = aged(tmp_path, ROWS[0], tuned=moved)
    before = path.read_text()
    with pytest.raises(cases.MammoError, match=r"huo-honest.*: recall was 0\.5 and is"):
        remeasure.main([str(tmp_path)])
    path.write_text(before.replace('"hash": "00000000"', '"hash": "00000001"'))
    with pytest.raises(cases.MammoError, match="its certificate is not that of the record"):
        remeasure.main([str(tmp_path)])
    assert "00000001" in path.read_text()  # nothing was written
    path = aged(tmp_path, ROWS[0], weights="resnet50.h5")
    with pytest.raises(cases.MammoError, match=r"started from resnet50\.h5"):
        remeasure.main([str(tmp_path)])
