import re
import struct
import tracemalloc

import numpy as np
import pydicom
import pytest
from pydicom import uid as uids

from mammo_tf import cases
from mammo_tf.datasets import dicom
from tests import dicom_samples as samples

PIXELS = samples.texture(12)
SV1 = uids.JPEGLosslessSV1


def written(path, syntax=SV1, pixels=PIXELS, **fields):
    return samples.compressed(path, pixels, syntax, bits=12, **fields)


def assert_refused(path, reason):
    """Both readers refuse the file, before they take memory."""
    for read in (dicom.read_header, dicom.read_pixels):
        tracemalloc.start()
        with pytest.raises(cases.DataError, match=reason) as caught:
            read(path)
        assert caught.value.path == str(path) and tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("syntax", [SV1, uids.JPEGLSLossless, uids.JPEG2000Lossless, uids.RLELossless])
def test_a_file_cut_off_in_its_fragments_says_in_which_one(tmp_path, syntax):
    path = written(tmp_path / "a.dcm", syntax, fragments=2)
    whole, fragments = path.read_bytes(), dicom.read_header(path).fragments
    for which, (start, length) in enumerate(fragments, 1):
        path.write_bytes(whole[: start + length - 10])
        assert_refused(
            path, f"truncated: in fragment {which} of the compressed pixels the last 10 of {length} bytes are missing"
        )
    path.write_bytes(whole[: fragments[0][0] - 8])
    assert_refused(path, "truncated: no fragment of the compressed pixels is there")


def test_a_missing_end_of_the_list_is_forgiven_but_not_a_missing_end_of_the_stream(tmp_path):
    path = written(tmp_path / "a.dcm", fragments=2)
    whole, fragments = path.read_bytes(), dicom.read_header(path).fragments
    path.write_bytes(whole[: sum(fragments[1])])
    assert np.array_equal(dicom.read_pixels(path), PIXELS)
    path.write_bytes(whole[: sum(fragments[0])])
    assert_refused(path, "truncated: the stream of compressed pixels has no end mark")


def test_padding_after_the_end_mark_is_forgiven(tmp_path):
    stream = bytes(samples.ENCODERS[SV1](PIXELS, bitspersample=12))
    for padding in (b"\0", b"\xff", b"\0" * 7):
        assert np.array_equal(dicom.read_pixels(written(tmp_path / "a.dcm", stream=stream + padding)), PIXELS)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Rows": 38}, "expected 38 rows and 29 columns, found 37 and 29 in the stream of pixels"),
        ({"Columns": 30}, "expected 37 rows and 30 columns, found 37 and 29 in the stream"),
        ({"Rows": 8000, "Columns": 8001}, "absurd size of 8000 rows and 8001 columns .at most 64,000,000 pixels"),
        ({"Rows": 8000, "Columns": 8000}, "truncated: expected 8000000 to .* bytes of compressed pixels, found"),
        ({"HighBit": 15}, "expected the high bit of compressed pixels to be 11, found 15"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "expected at most 8 bits a pixel, found 12"),
        ({"NumberOfFrames": 2}, "expected one frame, found 2"),
        ({"stream": b"\xff\xd8" + bytes(700)}, "damaged stream of pixels: no marker at byte 2"),
        ({"stream": bytes(20_000)}, "damaged stream of pixels: begins with 00 00 00 00"),
        ({"stream": bytes(2_000_000)}, "damaged: expected 134 to .* bytes of compressed pixels, found 2000000"),
    ],
)
def test_a_stream_that_disagrees_with_the_header(tmp_path, fields, reason):
    assert_refused(written(tmp_path / "a.dcm", **fields), reason)


@pytest.mark.parametrize(
    ("syntax", "marker"),
    [(SV1, b"\xff\xc3"), (uids.JPEGExtended12Bit, b"\xff\xc1"), (uids.JPEGLSLossless, b"\xff\xf7")],
)
def test_a_bomb_is_known_by_the_size_in_its_stream(tmp_path, syntax, marker):
    stream = bytearray(samples.ENCODERS[syntax](PIXELS, bitspersample=12))
    at = stream.index(marker) + 5
    stream[at : at + 4] = struct.pack(">HH", 65500, 65500)
    path = written(tmp_path / "a.dcm", syntax, stream=bytes(stream))
    assert_refused(path, "expected 37 rows and 29 columns, found 65500 and 65500")


def test_a_bomb_of_jpeg_2000(tmp_path):
    stream = bytearray(samples.ENCODERS[uids.JPEG2000Lossless](PIXELS, bitspersample=12))
    stream[8:16] = struct.pack(">LL", 1 << 30, 1 << 30)
    path = written(tmp_path / "a.dcm", uids.JPEG2000Lossless, stream=bytes(stream))
    assert_refused(path, "damaged stream of pixels: cut into [0-9]+ tiles")


@pytest.mark.parametrize(
    ("syntax", "other", "reason"),
    [
        (SV1, uids.JPEGExtended12Bit, "expected a stream of JPEG lossless, found JPEG extended"),
        (uids.JPEGBaseline8Bit, SV1, "expected a stream of JPEG baseline or JPEG extended, found JPEG lossless"),
        (uids.JPEG2000, uids.JPEGLSLossless, "expected a stream of JPEG 2000, found JPEG-LS"),
    ],
)
def test_a_stream_of_another_kind(tmp_path, syntax, other, reason):
    stream = bytes(samples.ENCODERS[other](PIXELS, bitspersample=12))
    assert_refused(written(tmp_path / "a.dcm", syntax, stream=stream), reason)


def test_a_stream_in_colour(tmp_path):
    colour = np.repeat(samples.texture(8)[..., None], 3, 2)
    stream = samples.ENCODERS[uids.JPEGBaseline8Bit](colour, bitspersample=8)
    path = samples.compressed(tmp_path / "a.dcm", colour[..., 0], uids.JPEGBaseline8Bit, bits=8, stream=stream)
    assert_refused(path, "expected gray pixels, found 3 components in the stream of pixels")


def test_pixels_stored_otherwise_than_their_syntax_says(tmp_path):
    path = written(tmp_path / "a.dcm")
    whole, (start, _) = path.read_bytes(), dicom.read_header(path).fragments[0]
    name, plain = SV1.encode(), b"1.2.840.10008.1.2.1".ljust(len(SV1), b"\0")
    path.write_bytes(whole.replace(name, plain, 1))
    assert_refused(path, "expected uncompressed pixels, found fragments")
    path.write_bytes(whole[: start - 8] + b"\x28\0\x10\0" + whole[start - 4 :])
    assert_refused(path, re.escape("damaged: expected a fragment of pixels, found (0028,0010)"))
    samples.edited(path, PIXELS)
    data = pydicom.dcmread(path)
    whole = path.read_bytes().replace(
        b"\x02\0\x10\0UI\x14\0" + b"1.2.840.10008.1.2.1\0", b"\x02\0\x10\0UI\x16\0" + SV1.encode().ljust(22, b"\0")
    )
    path.write_bytes(whole)
    assert data.file_meta.TransferSyntaxUID != SV1
    assert_refused(path, "expected compressed pixels in fragments, found one block")
