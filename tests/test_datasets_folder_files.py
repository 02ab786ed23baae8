import pickle

import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import dicom, folder_files

GRAY = np.array([[0, 1, 2], [40, 50, 255]], np.uint8)


@pytest.fixture
def root(tmp_path):
    """One file of each form; the DICOM without an ending is told by its mark."""
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 4095], [7, 4000]], np.uint16))
    cv2.imwrite(str(tmp_path / "b.jpg"), GRAY)
    cv2.imwrite(str(tmp_path / "c.tif"), GRAY)
    (tmp_path / "d.pgm").write_bytes(b"P5 2 1 1023\n" + bytes([3, 255, 0, 7]))
    dicom.write(tmp_path / "e", np.array([[100, 300], [200, 300]], np.uint16), bits_stored=12, spacing_mm=0.07)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "shape", "top", "lossy", "spacing_mm"),
    [
        ("a.png", (2, 2), 65535, False, None),
        ("b.jpg", (2, 3), 255, True, None),
        ("c.tif", (2, 3), 255, False, None),
        ("d.pgm", (1, 2), 1023, False, None),
        ("e", (2, 2), 4095, False, 0.07),
    ],
)
def test_the_form_is_told_by_the_first_bytes(root, name, shape, top, lossy, spacing_mm):
    found = folder_files.stored(root / name)
    facts = (found.path, found.shape, found.max_value, found.lossy, found.spacing_mm)
    assert facts == (str(root / name), shape, top, lossy, spacing_mm)
    assert pickle.loads(pickle.dumps(found)).open().shape == shape
    assert folder_files.is_image(root / name)


def test_bits_lower_the_largest_value_and_a_larger_one_is_found_when_loaded(root):
    image = folder_files.stored(root / "a.png").with_bits("12")
    assert image.max_value == 4095 and image.open().max() == 4095
    few = folder_files.stored(root / "a.png").with_bits("11")
    with pytest.raises(cases.DataError, match=r"a\.png: holds the value 4095; its bits allow at most 2047"):
        pickle.loads(pickle.dumps(few)).open()


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a.png", ("", "16"), ()),
        ("b.jpg", ("", "8"), ("12",)),
        ("d.pgm", ("", "10"), ("9", "12")),
        ("e", ("", "12"), ("10", "16")),
    ],
)
def test_headers_that_know_their_bits_allow_no_others(root, name, good, bad):
    image = folder_files.stored(root / name)
    assert [image.with_bits(bits) for bits in good] == [image] * len(good)
    for bits in bad:
        with pytest.raises(cases.DataError, match=rf"bits {bits} allow values up to \d+, the file's header up to"):
            image.with_bits(bits)


def test_intensity_reaches_dicom_and_dicom_alone(root):
    image = folder_files.stored(root / "e", "minmax").with_bits("12")
    assert image.open().tolist() == [[0, 65535], [32768, 65535]] and image.max_value == 65535
    assert folder_files.stored(root / "e").open().tolist() == [[100, 300], [200, 300]]
    assert np.array_equal(folder_files.stored(root / "c.tif", "minmax").open(), GRAY)
    with pytest.raises(cases.MammoError, match="intensity"):
        folder_files.stored(root / "e", "bright")


def test_what_is_no_image_is_told_by_its_name(tmp_path):
    for name in ("x.dcm", "x.pgm", "x.png", "x", "x.txt"):
        (tmp_path / name).write_bytes(b"junk " * 100)
    reasons = {}
    for name in ("x.dcm", "x.pgm", "x.png"):
        assert folder_files.is_image(tmp_path / name)
        with pytest.raises(cases.DataError) as refused:
            folder_files.stored(tmp_path / name)
        reasons[name] = refused.value.reason
    assert "DICOM" in reasons["x.dcm"] and "PGM" in reasons["x.pgm"] and "PNG, JPEG or TIFF" in reasons["x.png"]
    assert not folder_files.is_image(tmp_path / "x") and not folder_files.is_image(tmp_path / "x.txt")
    with pytest.raises(cases.DataError, match="cannot be read"):
        folder_files.stored(tmp_path / "none.png")
