import os
import pathlib
import warnings

import numpy as np
import pydicom
import pytest
from pydicom import uid as uids

from mammo_tf import cases
from mammo_tf.datasets import dicom
from tests import dicom_samples as samples

REAL = os.environ.get("MAMMO_TF_REAL_DATA")
PIXELS, edited = samples.PIXELS, samples.edited
READABLE = {
    *("CT_small.dcm", "JPGExtended.dcm", "JPEG-lossy.dcm", "examples_overlay.dcm", "image_dfl.dcm", "JPEG2000.dcm"),
    *("693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm"),
    *("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm"),
    *("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm"),
}
SHIPPED = pathlib.Path(pydicom.data.__file__).parent / "test_files"  # by pydicom, in its package


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
    "syntax",
    [
        uids.ImplicitVRLittleEndian,
        uids.ExplicitVRLittleEndian,
        uids.ExplicitVRBigEndian,
        uids.DeflatedExplicitVRLittleEndian,
    ],
)
def test_every_uncompressed_syntax_gives_the_pixels_of_pydicom(tmp_path, syntax):
    path = edited(tmp_path / "a.dcm", syntax=syntax)
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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_signed_pixels_are_shifted_so_that_none_is_negative(tmp_path, dtype):
    bits = 8 * np.dtype(dtype).itemsize
    pixels = np.array([[-(2 ** (bits - 1)), -1, 0, 2 ** (bits - 1) - 1]], f"i{bits // 8}").view(dtype)
    path = edited(tmp_path / "a.dcm", pixels, PixelRepresentation=1)
    assert dicom.read_pixels(path).tolist() == [[0, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1]]
    path = edited(tmp_path / "a.dcm", pixels, PixelRepresentation=1, PhotometricInterpretation="MONOCHROME1")
    assert dicom.read_pixels(path).tolist() == [[2**bits - 1, 2 ** (bits - 1), 2 ** (bits - 1) - 1, 0]]


def test_signed_pixels_of_12_bits_with_and_without_their_sign_carried_on(tmp_path):
    pixels = np.array([[0xF800, 0x0800, 0x0FFF, 0x07FF, 0xF7FF]], np.uint16)
    path = edited(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert dicom.read_pixels(path).tolist() == [[0, 0, 2047, 4095, 4095]]


def test_left_justified_pixels_are_shifted(tmp_path):
    pixels = np.array([[0xABCD, 0x0010, 0xFFFF]], np.uint16)
    path = edited(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=15)
    assert dicom.read_pixels(path).tolist() == [[0xABC, 1, 0xFFF]] and dicom.read_header(path).max_value == 4095
    path = edited(tmp_path / "a.dcm", pixels, BitsStored=8, HighBit=11, PixelRepresentation=1)
    assert dicom.read_pixels(path).tolist() == [[0xBC ^ 0x80, 0x81, 0x7F]]


def test_a_file_is_never_changed_by_what_is_computed_from_it(tmp_path):
    path = edited(tmp_path / "a.dcm", BitsStored=12, HighBit=11, PixelPaddingValue=300)
    before = path.read_bytes()
    for intensity in ("raw", "voi", "minmax"):
        assert dicom.read_pixels(path, intensity)[0, :2].tolist() == [0, 0]
    assert path.read_bytes() == before


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
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "gray pixels, found RGB with 3 sample"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "gray pixels, found PALETTE COLOR"),
        ({"NumberOfFrames": 57}, "one frame, found 57"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "8 or 16 bits allocated, found 32"),
        ({"BitsStored": 17, "HighBit": 16}, "1 to 16 bits stored, found 17"),
        ({"BitsStored": 12, "HighBit": 10}, "high bit to be 11 to 15, found 10"),
        ({"BitsStored": 12, "HighBit": 16}, "high bit to be 11 to 15, found 16"),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "8 or 16 bits allocated, found 1"),
        ({"Rows": 65535, "Columns": 65535}, "absurd size of 65535 rows and 65535 columns"),
        ({"Rows": 0}, "absurd size"),
        ({"Rows": 4}, "truncated: expected 32 bytes of pixels, found 24"),
        ({"Rows": None}, "not an image: no Rows"),
        ({"PhotometricInterpretation": ""}, "not an image: no PhotometricInterpretation"),
        ({"Rows": None, "BitsStored": None}, "not an image: no Rows, BitsStored"),
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


def test_trailing_bytes_and_links_are_no_fault_but_a_link_to_itself_is(tmp_path):
    for syntax in (uids.ExplicitVRLittleEndian, uids.DeflatedExplicitVRLittleEndian):
        path = edited(tmp_path / "a.dcm", syntax=syntax)
        path.write_bytes(path.read_bytes() + b"padding")
        (tmp_path / syntax).symlink_to(path)
        assert np.array_equal(dicom.read_pixels(tmp_path / syntax), PIXELS)
    (tmp_path / "self.dcm").symlink_to(tmp_path / "self.dcm")
    with pytest.raises(cases.DataError, match=r"self\.dcm: cannot be read: Too many levels"):
        dicom.read_header(tmp_path / "self.dcm")


def test_pixel_data_of_no_length_are_refused(tmp_path):
    path = edited(tmp_path / "a.dcm", PixelData=b"")
    with pytest.raises(cases.DataError, match="truncated: expected 24 bytes of pixels, found 0"):
        dicom.read_header(path)


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


@pytest.mark.parametrize(
    ("syntax", "name"), [("1.2.840.10008.1.2.4.102", "MPEG-4 AVC"), ("1.2.3.4", r"1\.2\.3\.4"), ("1.2.x", r"1\.2\.x")]
)
def test_other_transfer_syntaxes_are_refused_by_name(tmp_path, syntax, name):
    path = edited(tmp_path / "a.dcm")
    old, new = b"1.2.840.10008.1.2.1", syntax.encode()
    head = b"\x02\x00\x10\x00UI"
    length = len(old) + len(old) % 2
    before = head + length.to_bytes(2, "little") + old.ljust(length, b"\0")
    length = len(new) + len(new) % 2
    after = head + length.to_bytes(2, "little") + new.ljust(length, b"\0")
    path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(cases.DataError, match=rf"a\.dcm: unsupported transfer syntax {name}"):
        dicom.read_header(path)


def test_a_file_without_pixels_or_without_a_syntax_is_refused(tmp_path):
    path = edited(tmp_path / "a.dcm")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\xe0\x7f\x10\x00OW")])
    with pytest.raises(cases.DataError, match=r"a\.dcm: no pixel data"):
        dicom.read_header(path)
    path.write_bytes(whole.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI"))
    with pytest.raises(cases.DataError, match=r"a\.dcm: no transfer syntax"):
        dicom.read_header(path)


def test_pixels_of_floating_point_are_refused(tmp_path):
    path = edited(tmp_path / "a.dcm")
    data = pydicom.dcmread(path)
    del data.PixelData
    data.FloatPixelData = bytes(48)
    data.save_as(path)
    with pytest.raises(cases.DataError, match="expected pixels of integers, found floating-point ones"):
        dicom.read_header(path)


def test_a_missing_file_is_told_from_a_damaged_one(tmp_path):
    for read in (dicom.read_header, dicom.read_pixels):
        with pytest.raises(cases.MissingError, match="No such file"):
            read(tmp_path / "missing.dcm")


def test_a_lossy_past_counts_as_lossy(tmp_path):
    assert not dicom.read_header(edited(tmp_path / "a.dcm", LossyImageCompression="00")).lossy
    assert dicom.read_header(edited(tmp_path / "a.dcm", LossyImageCompression="01")).lossy


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.dcm")), ids=lambda path: path.name)
def test_the_files_of_pydicom_are_read_as_pydicom_reads_them_or_refused(path):
    try:
        header, found = dicom.read_header(path), dicom.read_pixels(path)
    except cases.DataError as error:
        assert error.path == str(path) and path.name not in READABLE, error
        return
    assert path.name in READABLE and found.shape == header.shape
    if header.syntax == uids.JPEGExtended12Bit:
        return  # pydicom has no plugin for 12 bits of it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about these files
        expected = pydicom.dcmread(path).pixel_array.astype(int)
    expected += 2 ** (header.bits_stored - 1) * header.signed
    if header.padding:
        expected[(expected >= header.padding[0]) & (expected <= header.padding[1])] = 0
    assert np.array_equal(found, expected)


@pytest.mark.skipif(not REAL, reason="MAMMO_TF_REAL_DATA is not set")
def test_the_compressed_film_of_nema_is_read_as_pydicom_reads_it():
    path = pathlib.Path(REAL) / "dicom" / "MG1_J2KI.dcm"
    header, found = dicom.read_header(path), dicom.read_pixels(path)
    assert header.shape == found.shape == (4664, 3064) and found.dtype == np.uint16
    assert (header.bits_stored, header.max_value, header.lossy, header.spacing_mm) == (12, 4095, True, None)
    expected = pydicom.dcmread(path).pixel_array
    inverted = header.photometric == "MONOCHROME1"
    assert np.array_equal(found, 4095 - expected if inverted else expected)
