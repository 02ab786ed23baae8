"""Names and folders of DDSM's tree."""

import pathlib
import shutil

import cv2
import numpy as np
import pytest

from mammo_tf.datasets import ddsm, ljpeg
from mammo_tf.datasets import ddsm_files as files
from mammo_tf.datasets import ddsm_overlay as overlays
from tests import ddsm_samples as samples


@pytest.fixture
def case(tmp_path):
    return samples.write_case(tmp_path / "cases" / "cancers" / "cancer_01" / "case3013")


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("cases/cancers/cancer_01/case3013", ("cancers", "cancer_01")),
        ("DDSM/normals/normal_12/case0005", ("normals", "normal_12")),
        ("benign_without_callback_02/case1", ("benign_without_callbacks", "benign_without_callback_02")),
        ("Benigns/case0029", ("benigns", "")),
        ("films", ("", "")),
    ],
)
def test_folders_tell_category_and_volume(folder, place):
    assert files.place_of(pathlib.Path(folder) / "B-3013-1.ics") == place


def test_the_film_goes_before_its_copies_and_a_second_one_is_listed(case, tmp_path):
    cv2.imwrite(str(case / "B_3013_1.LEFT_CC.png"), samples.pixels(9))
    samples.pixels(8).astype(">u2").tofile(case / "B_3013_1.LEFT_CC.LJPEG.1")
    (tmp_path / "a").mkdir()
    shutil.copy(case / "B_3013_1.LEFT_CC.LJPEG", tmp_path / "a")
    dataset = ddsm.read(tmp_path, strict=True)  # a true copy is no problem
    assert np.array_equal(dataset.views[0].pixels(), samples.pixels())
    (tmp_path / "a" / "B_3013_1.LEFT_CC.LJPEG").write_bytes(ljpeg.encode(samples.pixels(7), 12))
    dataset = ddsm.read(tmp_path)
    assert np.array_equal(dataset.views[0].pixels(), samples.pixels())  # the one beside its case file
    (problem,) = dataset.problems
    assert problem.kind == "left out" and "one more file of B_3013_1.LEFT_CC" in problem.reason


def test_overlays_that_differ_leave_their_film_out(case):
    (case / "more").mkdir()
    overlays.write_overlay(case / "more" / "B_3013_1.RIGHT_MLO.OVERLAY", [samples.abnormality(pathology="BENIGN")])
    (problem,) = ddsm.read(case).problems
    assert "2 overlays of B_3013_1.RIGHT_MLO differ" in problem.reason
