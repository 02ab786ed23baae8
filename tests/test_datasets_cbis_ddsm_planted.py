"""Faults are drawn from names alone, as often as published."""

import numpy as np
import pytest

from mammo_tf import regions
from mammo_tf.datasets import cbis_ddsm_planted as planted
from mammo_tf.datasets import cbis_ddsm_tables as tables

MASS_TRAIN, MASS_TEST, CALC_TRAIN, CALC_TEST = tables.TABLES
NAMES = [f"X_P_{i:05d}_LEFT_CC_1" for i in range(3000)]


def test_draws_are_uniform_and_independent_of_one_another():
    one, other = ([planted.draw(name, fault) for name in NAMES] for fault in ("split", "swapped"))
    assert np.histogram(one, 10, (0, 1))[0] == pytest.approx(300, abs=70)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.06
    assert planted.draw("a", "split") == planted.draw("a", "split")


def test_crop_and_mask_change_places_as_often_as_published():
    drawn = [planted.lesion_paths(MASS_TRAIN, name) for name in NAMES]
    assert np.mean([swapped for _, _, swapped in drawn]) == pytest.approx(585 / 1316, abs=0.03)
    split = [crop.split("/")[2] != mask.split("/")[2] for crop, mask, _ in drawn]
    assert np.mean(split) == pytest.approx(92 / 1318, abs=0.02)
    studies = [crop.split("/")[1] != mask.split("/")[1] for crop, mask, _ in drawn]
    assert studies == split
    assert not any(planted.lesion_paths(table, name)[2] for table in tables.TABLES[1:] for name in NAMES[:300])


def test_which_file_is_the_mask_by_the_tables():
    ends = {table: set() for table in tables.TABLES}
    for table in tables.TABLES:
        for name in NAMES[:300]:
            crop, mask, _ = planted.lesion_paths(table, name)
            if crop.split("/")[2] == mask.split("/")[2]:
                ends[table].add((crop[-5:], mask[-5:]))
    assert ends[MASS_TRAIN] == ends[MASS_TEST] == {("0.dcm", "1.dcm")}
    assert ends[CALC_TRAIN] == ends[CALC_TEST] == {("1.dcm", "0.dcm")}


def test_abnormality_ids_do_not_always_begin_with_1():
    found = [planted.numbers(CALC_TRAIN, name, 2) for name in NAMES]
    assert {tuple(some) for some in found} == {("1", "2"), ("2", "3")}
    assert np.mean([some[0] == "2" for some in found]) == pytest.approx(57 / 1227, abs=0.012)


def test_odd_values():
    density = [planted.density(CALC_TEST, name, "3") for name in NAMES]
    assert set(density) == {"0", "3"} and np.mean(np.equal(density, "0")) == pytest.approx(2 / 284, abs=0.006)
    assert {planted.density(MASS_TRAIN, name, "3") for name in NAMES} == {"3"}
    subtlety = [planted.words(MASS_TRAIN, name, {"subtlety": "4"})["subtlety"] for name in NAMES]
    assert set(subtlety) == {"0", "4"} and np.mean(np.equal(subtlety, "0")) == pytest.approx(2 / 1318, abs=0.002)
    types = [planted.words(CALC_TRAIN, name, {"calc type": "COARSE", "subtlety": "1"})["calc type"] for name in NAMES]
    names, counts = np.unique(types, return_counts=True)
    assert list(names) == ["COARSE", "COARSE-LUCENT_CENTER", "COARSE-LUCENT_CENTERED"]
    assert counts[1:] / 3000 == pytest.approx([196 / 1872, 44 / 1872], abs=0.02)
    types = {planted.words(CALC_TRAIN, name, {"calc type": "PLEOMORPHIC"})["calc type"] for name in NAMES}
    assert types == {"PLEOMORPHIC", "PLEOMORPHIC-PLEOMORPHIC"}
    assert planted.words(CALC_TRAIN, NAMES[0], {"calc type": "AMORPHOUS"}) == {"calc type": "AMORPHOUS"}


def test_masks_of_another_size():
    mask = np.zeros((300, 225), bool)
    mask[100:140, 80:110] = True
    crop = np.arange(4)
    shapes = [planted.as_stored(mask, crop, name).shape for name in NAMES]
    assert set(shapes) == {(300, 225), (261, 196), (304, 227)}
    odd = [shape != (300, 225) for shape in shapes]
    assert np.mean(odd) == pytest.approx(planted.OTHER_SIZE, abs=0.004) and planted.OTHER_SIZE > 8 / 3568
    small = planted.as_stored(mask, crop, NAMES[shapes.index((261, 196))])
    assert np.subtract(regions.box(small), (87, 70, 122, 96)) == pytest.approx(0, abs=1)  # the box times 0.87
    large = planted.as_stored(mask, crop, NAMES[shapes.index((304, 227))])
    assert regions.box(large) == (104, 82, 144, 112)


def test_what_cannot_be_mended_is_not_planted(monkeypatch):
    monkeypatch.setattr(planted, "OTHER_SIZE", 1.0)
    mask = np.ones((9, 5), bool)
    assert {planted.as_stored(mask, np.ones(4), name).shape for name in NAMES[:50]} == {(9, 5)}  # a flat crop
    shapes = {planted.as_stored(mask, np.arange(4), name).shape for name in NAMES[:50]}
    assert shapes == {(8, 4), (10, 6)}
    mask = np.arange(45).reshape(9, 5) == 2  # a pixel that is lost in (8, 4)
    shapes = {planted.as_stored(mask, np.arange(4), name).shape for name in NAMES[:50]}
    assert shapes == {(9, 5), (10, 6)}
