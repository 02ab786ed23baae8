import sys
import time

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import uid as uids

from mammo_tf import cases
from mammo_tf.datasets import dicom, dicom_codecs
from tests import dicom_samples as samples

NO_PLUGIN = {uids.JPEGExtended12Bit, uids.HTJ2K, uids.HTJ2KLossless, uids.HTJ2KLosslessRPCL}
SYNTAXES = [uids.RLELossless, *samples.ENCODERS]


def bits_of(syntax):
    return 8 if syntax == uids.JPEGBaseline8Bit else 12


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", [uids.RLELossless, *samples.LOSSLESS], ids=lambda uid: uid.name)
def test_lossless_syntaxes_give_back_every_pixel(tmp_path, syntax, bits):
    pixels = samples.texture(bits)
    path = samples.compressed(tmp_path / "a.dcm", pixels, syntax, bits=bits)
    header, found = dicom.read_header(path), dicom.read_pixels(path)
    assert (header.syntax, header.lossy, header.max_value) == (syntax, False, 2**bits - 1)
    assert found.dtype == pixels.dtype and np.array_equal(found, pixels)


@pytest.mark.parametrize(
    ("syntax", "bits", "largest"),
    [
        (uids.JPEGBaseline8Bit, 8, 8),
        (uids.JPEGExtended12Bit, 12, 40),
        (uids.JPEGExtended12Bit, 8, 8),
        (uids.JPEGLSNearLossless, 12, 2),
        (uids.JPEG2000, 12, 16),
        (uids.HTJ2K, 12, 0),
    ],
)
def test_lossy_syntaxes_come_close_and_say_that_they_are_lossy(tmp_path, syntax, bits, largest):
    pixels = samples.texture(bits)
    path = samples.compressed(tmp_path / "a.dcm", pixels, syntax, bits=bits)
    found = dicom.read_pixels(path)
    assert dicom.read_header(path).lossy
    assert found.dtype == pixels.dtype and np.abs(found.astype(int) - pixels).max() <= largest


@pytest.mark.parametrize("syntax", [s for s in SYNTAXES if s not in NO_PLUGIN], ids=lambda uid: uid.name)
def test_pydicom_decodes_where_imagecodecs_is_not_there(tmp_path, syntax, monkeypatch):
    bits = bits_of(syntax)
    path = samples.compressed(tmp_path / "a.dcm", samples.texture(bits), syntax, bits=bits)
    first = dicom.read_pixels(path)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    second = dicom.read_pixels(path)
    tolerance = 1 if syntax in (uids.JPEG2000, uids.JPEGBaseline8Bit) else 0  # the last bit of an inverse transform
    assert second.dtype == first.dtype and np.abs(second.astype(int) - first).max() <= tolerance


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (uids.JPEGExtended12Bit, "does not support .*12-bit"),
        (uids.HTJ2KLossless, "import of imagecodecs halted.*, and pydicom has no plugin for High-Throughput"),
    ],
)
def test_where_neither_decodes_the_reason_is_given(tmp_path, syntax, reason, monkeypatch):
    path = samples.compressed(tmp_path / "a.dcm", samples.texture(12), syntax, bits=12)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(cases.DataError, match=rf"a\.dcm: the compressed pixels cannot be decoded: .*{reason}"):
        dicom.read_pixels(path)


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize(
    ("syntax", "in_stream"),
    [
        (uids.RLELossless, np.uint16),
        (uids.JPEGLosslessSV1, np.uint16),
        (uids.JPEG2000Lossless, np.uint16),
        (uids.JPEG2000Lossless, np.int16),
    ],
)
def test_signed_pixels_are_shifted_whether_or_not_the_stream_knows_of_the_sign(
    tmp_path, syntax, in_stream, fallback, monkeypatch
):
    signed = samples.texture(12).astype(np.int16) - 2048
    words = signed.view(np.uint16) if syntax == uids.RLELossless else (signed & 0xFFF).astype(np.uint16)
    stream = samples.rle(words) if syntax == uids.RLELossless else b""
    if in_stream is np.int16:
        stream = samples.ENCODERS[syntax](signed, bitspersample=12)
    path = samples.compressed(tmp_path / "a.dcm", words, syntax, bits=12, stream=stream, PixelRepresentation=1)
    if fallback:
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert np.array_equal(dicom.read_pixels(path), signed + 2048)


def test_a_stream_narrower_than_its_signed_pixels_is_extended_by_its_sign(tmp_path):
    signed = samples.texture(10).astype(np.int16) - 512
    words = (signed & 0x3FF).astype(np.uint16)
    stream = imagecodecs.jpeg8_encode(words, lossless=True, bitspersample=10)
    path = samples.compressed(
        tmp_path / "a.dcm", words, uids.JPEGLosslessSV1, bits=12, stream=stream, PixelRepresentation=1
    )
    assert np.array_equal(dicom.read_pixels(path), signed + 2048)


def test_a_lossy_stream_wider_than_its_pixels_is_cut_at_white_and_a_lossless_one_to_its_bits(tmp_path):
    over = np.full((8, 8), 4097, np.uint16)
    stream = samples.ENCODERS[uids.JPEG2000Lossless](over, bitspersample=16)
    for syntax, value in ((uids.JPEG2000, 4095), (uids.JPEG2000Lossless, 1)):
        path = samples.compressed(tmp_path / "a.dcm", over, syntax, bits=12, stream=stream)
        assert (dicom.read_pixels(path) == value).all()


def test_eight_bit_streams_become_16_bit_pixels_where_the_header_allocates_16(tmp_path):
    pixels = samples.texture(8)
    stream = samples.LOSSLESS[uids.JPEGLSLossless](pixels, bitspersample=8)
    path = samples.compressed(
        tmp_path / "a.dcm", pixels.astype(np.uint16), uids.JPEGLSLossless, bits=8, stream=stream
    )
    found = dicom.read_pixels(path)
    assert found.dtype == np.uint16 and np.array_equal(found, pixels)


@pytest.mark.parametrize("syntax", [uids.JPEGLosslessSV1, uids.JPEG2000Lossless, uids.RLELossless])
def test_streams_in_several_fragments_of_odd_padding(tmp_path, syntax):
    pixels = samples.texture(12)
    path = samples.compressed(tmp_path / "a.dcm", pixels, syntax, bits=12, fragments=3)
    assert len(dicom.read_header(path).fragments) == 3 and np.array_equal(dicom.read_pixels(path), pixels)


def test_left_justified_pixels_in_rle_are_shifted(tmp_path):
    pixels = samples.texture(12)
    path = samples.compressed(
        tmp_path / "a.dcm", pixels, uids.RLELossless, bits=12, stream=samples.rle(pixels << 4), HighBit=15
    )
    assert np.array_equal(dicom.read_pixels(path), pixels)


@pytest.mark.parametrize(
    "damage",
    [
        lambda stream: stream[:10],
        lambda stream: b"\x03" + stream[1:],
        lambda stream: stream[:8] + b"\xff\xff\xff\xff" + stream[12:],
        lambda stream: stream[:8] + stream[4:8] + stream[12:],
        lambda stream: stream[:64] + b"\x81" * (len(stream) - 64),
        lambda stream: stream[:64] + b"\x80" * (len(stream) - 64),
        lambda stream: stream[: len(stream) * 3 // 4],
    ],
)
def test_damaged_runs_are_data_errors(tmp_path, damage):
    pixels = samples.texture(16)
    stream = damage(samples.rle(pixels))
    path = samples.compressed(tmp_path / "a.dcm", pixels, uids.RLELossless, bits=16, stream=stream)
    with pytest.raises(cases.DataError, match=r"a\.dcm: (the compressed pixels cannot be decoded: |truncated)"):
        dicom.read_pixels(path)


def test_a_stream_that_imagecodecs_refuses_never_reaches_gdcm_which_may_end_the_process(tmp_path, monkeypatch):
    pixels = samples.texture(12)
    stream = bytearray(samples.ENCODERS[uids.JPEGLSLossless](pixels, bitspersample=12))
    stream[len(stream) // 2] ^= 0xFF
    path = samples.compressed(tmp_path / "a.dcm", pixels, uids.JPEGLSLossless, bits=12, stream=bytes(stream))
    asked = []
    monkeypatch.setattr(pydicom.pixels, "get_decoder", asked.append)
    with pytest.raises(cases.DataError, match="the compressed pixels cannot be decoded: charls"):
        dicom.read_pixels(path)
    assert not asked


@pytest.mark.parametrize("syntax", [uids.JPEGLSLossless, uids.JPEG2000Lossless], ids=lambda uid: uid.name)
def test_a_stream_cut_short_between_its_marks_is_a_data_error(tmp_path, syntax):
    pixels = samples.texture(12)
    whole = bytes(samples.ENCODERS[syntax](pixels, bitspersample=12))
    stream = whole[: len(whole) // 2] + b"\xff\xd9"
    path = samples.compressed(tmp_path / "a.dcm", pixels, syntax, bits=12, stream=stream)
    with pytest.raises(cases.DataError, match="the compressed pixels cannot be decoded: "):
        dicom.read_pixels(path)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_whatever_byte_is_damaged_the_answer_is_an_image_or_a_data_error_in_time(tmp_path, syntax):
    bits, rng = bits_of(syntax), np.random.default_rng(0)
    pixels = samples.texture(bits)
    whole = samples.compressed(tmp_path / "a.dcm", pixels, syntax, bits=bits).read_bytes()
    path, start = tmp_path / "b.dcm", time.process_time()
    for turn in range(40):
        bad = bytearray(whole)
        first = 132 if turn % 2 else dicom.read_header(tmp_path / "a.dcm").fragments[0][0]
        for at in rng.integers(first, len(bad), 4):
            bad[at] = rng.integers(256)
        path.write_bytes(bad)
        try:
            found = dicom.read_pixels(path)
        except cases.DataError as error:
            assert error.path == str(path) and error.reason
        else:
            assert found.ndim == 2 and found.dtype in (np.uint8, np.uint16)
    assert time.process_time() - start < 5


def test_a_deflated_file_of_endless_zeros_is_inflated_no_further_than_its_image(tmp_path):
    path = samples.edited(tmp_path / "a.dcm", syntax=uids.DeflatedExplicitVRLittleEndian)
    assert np.array_equal(dicom.read_pixels(path), samples.PIXELS)
    assert dicom_codecs.read(dicom.read_header(path)).shape == (3, 4)
    samples.edited(path, syntax=uids.DeflatedExplicitVRLittleEndian, PixelData=bytes(50_000_000))
    header = dicom.read_header(path)
    assert sum(len(piece) for piece in dicom_codecs._pieces(header)) == header.offset + 24
    assert not dicom.read_pixels(path).any()


def test_a_deflated_file_cut_off_says_how_much_is_missing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (200, 200)).astype(np.uint16)
    path = samples.edited(tmp_path / "a.dcm", pixels, syntax=uids.DeflatedExplicitVRLittleEndian)
    assert np.array_equal(dicom.read_pixels(path), pixels)
    path.write_bytes(path.read_bytes()[:-40_000])
    for read in (dicom.read_header, dicom.read_pixels):
        with pytest.raises(cases.DataError, match="truncated: expected 80000 bytes of pixels, found"):
            read(path)


def test_deflated_rubbish_is_a_data_error(tmp_path):
    path = samples.edited(tmp_path / "a.dcm", syntax=uids.DeflatedExplicitVRLittleEndian)
    body = dicom.read_header(path).body
    path.write_bytes(path.read_bytes()[:body] + b"\xff" * 100)
    with pytest.raises(cases.DataError, match="damaged DICOM header: error: Error -3"):
        dicom.read_header(path)


@pytest.mark.parametrize("swapped", [False, True])
def test_eight_bit_pixels_of_big_endian_words_lie_in_swapped_pairs(tmp_path, swapped):
    pixels = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)
    raw = bytes([2, 1, 4, 3, 6, 5, 8, 7, 0, 9] if swapped else [1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    path = samples.edited(tmp_path / "a.dcm", pixels, syntax=uids.ExplicitVRBigEndian, PixelData=raw)
    data = pydicom.dcmread(path)
    data["PixelData"].VR = "OW" if swapped else "OB"
    pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=False, force_encoding=True)
    assert dicom.read_pixels(path).tolist() == pixels.tolist() == pydicom.dcmread(path).pixel_array.tolist()
