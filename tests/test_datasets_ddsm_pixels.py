"""Films of DDSM as `.LJPEG`, as raw, PNG and TIFF."""

import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import ddsm, ljpeg
from tests import ddsm_samples as samples


@pytest.fixture
def case(tmp_path):
    return samples.write_case(tmp_path / "cases" / "cancers" / "cancer_01" / "case3013")


@pytest.mark.parametrize(
    ("suffix", "depth"),
    [(".png", 16), (".LJPEG.png", 16), (".LJPEG.1.PNG", 16), (".tif", 16), (".LJPEG.tiff", 16), (".png", 8)],
)
def test_conversions_stand_in_for_the_film(case, suffix, depth):
    film = case / "B_3013_1.LEFT_CC.LJPEG"
    film.unlink()
    stored = samples.pixels() if depth == 16 else (samples.pixels() >> 4).astype(np.uint8)
    _, data = cv2.imencode(suffix[suffix.rindex(".") :].lower(), stored)
    (case / f"B_3013_1.LEFT_CC{suffix}").write_bytes(data.tobytes())
    dataset = ddsm.read(case, strict=True)
    view = dataset.views[0]
    assert np.array_equal(view.pixels(), stored) and view.max_value == (4095 if depth == 16 else 255)
    assert [repair.rule for repair in dataset.repairs] == (["bits of a PNG"] if depth == 16 else [])


def test_an_image_that_uses_all_of_its_bits_keeps_them(case):
    (case / "B_3013_1.LEFT_CC.LJPEG").unlink()
    stored = samples.pixels(bits=16)
    assert stored.max() > 4095 and cv2.imwrite(str(case / "B_3013_1.LEFT_CC.png"), stored)
    dataset = ddsm.read(case, strict=True)
    assert dataset.views[0].max_value == 65535 and dataset.repairs == ()


def test_what_the_program_made_of_a_film_is_read(case):
    for name, stored in (("LEFT_CC", samples.pixels(0)), ("RIGHT_MLO", samples.pixels(1))):
        (case / f"B_3013_1.{name}.LJPEG").unlink()
        stored.astype(">u2").tofile(case / f"B_3013_1.{name}.LJPEG.1")
    dataset = ddsm.read(case, strict=True)
    assert [np.array_equal(view.pixels(), samples.pixels(seed)) for seed, view in enumerate(dataset.views)] == [
        True,
        True,
    ]
    path = case / "B_3013_1.LEFT_CC.LJPEG.1"
    path.write_bytes(path.read_bytes()[:-2])
    assert "214 bytes, its case file says 12 x 9 pixels of 12 bits, 216 bytes" in ddsm.read(case).problems[0].reason
    path.write_bytes(b"\xff\xff" * 108)
    with pytest.raises(cases.DataError, match="holds 65535, its case file says 12 bits"):
        ddsm.read(case).views[0].pixels()


def test_a_turned_header_is_mended_and_another_size_refused(case):
    path = case / "B_3013_1.LEFT_CC.LJPEG"
    path.write_bytes(ljpeg.encode(samples.pixels().reshape(samples.SHAPE[::-1]), 12, predictor=3))
    dataset = ddsm.read(case, strict=True)
    assert np.array_equal(dataset.views[0].pixels(), samples.pixels())
    (repair,) = dataset.repairs
    assert repair.rule == "rows and columns turned"
    assert repair.what == "its header says (9, 12), its case file (12, 9): that counts"
    path.write_bytes(ljpeg.encode(samples.pixels(shape=(12, 10)), 12))
    (problem,) = ddsm.read(case).problems
    assert problem.reason == "film B_3013_1.LEFT_CC: is (12, 10) (rows, columns), its case file says (12, 9)"
    cv2.imwrite(str(case / "B_3013_1.LEFT_CC.png"), samples.pixels(shape=(9, 12)))
    path.unlink()
    (problem,) = ddsm.read(case).problems
    assert problem.path.endswith("B_3013_1.LEFT_CC.png") and "is (9, 12)" in problem.reason


def test_more_bits_than_the_case_file_says_are_found_when_loaded(case):
    (case / "B_3013_1.LEFT_CC.LJPEG").write_bytes(ljpeg.encode(samples.pixels(bits=16), 16))
    with pytest.raises(cases.DataError, match=r"LEFT_CC\.LJPEG: holds \d+, its case file says 12 bits"):
        ddsm.read(case).views[0].pixels()
