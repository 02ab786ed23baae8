import os
import pathlib

import numpy as np
import pydicom
import pytest
from pydicom import uid as uids

from mammo_tf import cases
from mammo_tf.datasets import dicom

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300
BIG = uids.ExplicitVRBigEndian


def edited(path: pathlib.Path, pixels: np.ndarray = PIXELS, **fields) -> pathlib.Path:
    """A file as `write` makes it, with some fields of the header changed."""
    dicom.write(path, pixels)
    data = pydicom.dcmread(path)
    syntax = fields.pop("syntax", None)
    for name, value in fields.items():
        setattr(data, name, value)
    if syntax is not None:
        data.file_meta.TransferSyntaxUID = syntax
    if syntax in uids.JPEG2000TransferSyntaxes:
        data.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51"])
    implicit, little = syntax == uids.ImplicitVRLittleEndian, syntax != BIG
    pydicom.dcmwrite(path, data, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return path


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 10), (np.uint16, 12), (np.uint16, 16)])
def test_what_is_written_is_read(tmp_path, dtype, bits):
    pixels = np.random.default_rng(0).integers(0, 2**bits, (7, 5)).astype(dtype)  # odd: padded to an even length
    dicom.write(tmp_path / "a.dcm", pixels, bits_stored=bits, spacing_mm=0.0435)
    header, found = dicom.read_header(tmp_path / "a.dcm"), dicom.read_pixels(tmp_path / "a.dcm")
    assert header.shape == (7, 5) and header.bits_stored == bits and header.max_value == 2**bits - 1
    assert header.spacing_mm == 0.0435 and header.photometric == "MONOCHROME2"
    assert found.dtype == dtype and np.array_equal(found, pixels)
    assert np.array_equal(found, pydicom.dcmread(tmp_path / "a.dcm").pixel_array)


@pytest.mark.parametrize(
    "syntax", [uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian, uids.ExplicitVRBigEndian]
)
def test_every_uncompressed_syntax_gives_the_pixels_of_pydicom(tmp_path, syntax):
    path = edited(
        tmp_path / "a.dcm", syntax=syntax, PixelData=PIXELS.astype(">u2" if "Big" in syntax.name else "<u2").tobytes()
    )
    found = dicom.read_pixels(path)
    assert dicom.read_header(path).syntax == syntax and found.dtype == np.uint16
    assert np.array_equal(found, pydicom.dcmread(path).pixel_array) and np.array_equal(found, PIXELS)


def test_a_file_of_16_stored_bits_is_mapped_not_read(tmp_path):
    dicom.write(tmp_path / "a.dcm", PIXELS)
    found = dicom.read_pixels(tmp_path / "a.dcm")
    assert isinstance(found, np.memmap) and not found.flags.writeable


def test_monochrome1_is_inverted_by_bits_stored(tmp_path):
    pixels = np.array([[0, 1, 4095]], np.uint16)
    dicom.write(tmp_path / "a.dcm", pixels, bits_stored=12, photometric="MONOCHROME1")
    assert dicom.read_pixels(tmp_path / "a.dcm").tolist() == [[4095, 4094, 0]]


def test_bits_above_the_stored_ones_are_masked(tmp_path):
    pixels = np.array([[0xF001, 0x1FFF]], np.uint16)
    path = edited(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11)
    assert dicom.read_pixels(path).tolist() == [[0x001, 0xFFF]]


@pytest.mark.parametrize(
    ("fields", "spacing"),
    [
        ({}, None),
        ({"ImagerPixelSpacing": [0.07, 0.07]}, 0.07),
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.07, 0.07]}, 0.1),
        ({"PixelSpacing": [0.1, 0.2]}, None),
        ({"PixelSpacing": [0, 0]}, None),
    ],
)
def test_spacing(tmp_path, fields, spacing):
    assert dicom.read_header(edited(tmp_path / "a.dcm", **fields)).spacing_mm == spacing


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"syntax": uids.JPEG2000}, "unsupported transfer syntax JPEG 2000 Image Compression"),
        ({"syntax": uids.DeflatedExplicitVRLittleEndian}, "unsupported transfer syntax Deflated"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "gray pixels, found RGB with 3 sample"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "gray pixels, found PALETTE COLOR"),
        ({"NumberOfFrames": 57}, "one frame, found 57"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "8 or 16 bits allocated, found 32"),
        ({"BitsStored": 17, "HighBit": 16}, "1 to 16 bits stored, found 17"),
        ({"BitsStored": 12, "HighBit": 15}, "high bit to be 11, found 15"),
        ({"PixelRepresentation": 1}, "unsigned"),
        ({"Rows": 65535, "Columns": 65535}, "absurd size of 65535 rows and 65535 columns"),
        ({"Rows": 0}, "absurd size"),
        ({"Rows": 4}, "truncated: expected 32 bytes of pixels, found 24"),
        ({"Rows": None}, "not an image: no Rows"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, fields, reason):
    path = edited(tmp_path / "a.dcm", **fields)
    for read in (dicom.read_header, dicom.read_pixels):
        with pytest.raises(cases.DataError, match=reason) as caught:
            read(path)
        assert caught.value.path == str(path)


def test_a_truncated_file_says_how_much_is_missing(tmp_path):
    dicom.write(tmp_path / "a.dcm", PIXELS)
    whole = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "b.dcm").write_bytes(whole[:-10])
    with pytest.raises(cases.DataError, match=r"b\.dcm: truncated: expected 24 bytes of pixels, found 14"):
        dicom.read_pixels(tmp_path / "b.dcm")


@pytest.mark.parametrize("keep", [0, 10, 140, 200, 400, 600])
def test_a_file_cut_in_its_header_is_a_data_error(tmp_path, keep):
    dicom.write(tmp_path / "a.dcm", PIXELS)
    (tmp_path / "b.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:keep])
    with pytest.raises(cases.DataError, match=r"b\.dcm"):
        dicom.read_header(tmp_path / "b.dcm")


def test_other_files(tmp_path):
    (tmp_path / "a.txt").write_text("no image" * 50)
    with pytest.raises(cases.DataError, match="not a DICOM file"):
        dicom.read_header(tmp_path / "a.txt")
    with pytest.raises(cases.DataError, match="No such file"):
        dicom.read_header(tmp_path / "missing.dcm")
    with pytest.raises(cases.DataError, match="Is a directory"):
        dicom.read_header(tmp_path)


def test_names_and_dates_do_not_leave_the_file(tmp_path):
    path = edited(tmp_path / "a.dcm", PatientName="Doe^Jane", PatientBirthDate="19500102", PatientID="123-45")
    shown = repr(dicom.read_header(path))
    assert not any(secret in shown for secret in ("Doe", "1950", "123-45"))


def test_the_same_image_gives_the_same_bytes_and_another_gives_other_uids(tmp_path):
    labels = dicom.Labels(patient_id="P_00001", side="LEFT", projection="CC")
    for name, pixels in {"a": PIXELS, "b": PIXELS, "c": PIXELS + 1}.items():
        dicom.write(tmp_path / name, pixels, labels, spacing_mm=0.1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    one, other = pydicom.dcmread(tmp_path / "a"), pydicom.dcmread(tmp_path / "c")
    assert one.SOPInstanceUID != other.SOPInstanceUID and one.SOPInstanceUID.is_valid
    assert one.StudyInstanceUID == other.StudyInstanceUID
    assert (one.Laterality, one.ViewPosition, one.PatientID) == ("L", "CC", "P_00001")


def test_the_writer_refuses_what_it_cannot_store(tmp_path):
    with pytest.raises(ValueError, match="float32"):
        dicom.write(tmp_path / "a.dcm", np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="4096 does not fit into 12 bits"):
        dicom.write(tmp_path / "a.dcm", np.full((2, 2), 4096, np.uint16), bits_stored=12)


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_compressed_film_of_nema_is_refused_by_name():
    with pytest.raises(cases.DataError, match="unsupported transfer syntax JPEG 2000 Image Compression"):
        dicom.read_header(pathlib.Path(REAL) / "dicom" / "MG1_J2KI.dcm")
