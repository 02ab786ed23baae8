import struct

import imagecodecs
import numpy as np
import pytest
from pydicom import uid as uids

from mammo_tf.datasets import dicom_stream
from tests import dicom_samples as samples


def frame(marker, rows=5, columns=7, components=1, precision=12):
    return b"\xff" + bytes([marker]) + struct.pack(">HBHHB", 11, precision, rows, columns, components) + b"\1\x11\0"


def size(right=7, bottom=5, *, left=0, top=0, width=7, height=5, components=1, depth=11):
    numbers = struct.pack(">HHLLLLLLLLHB", 41, 0, right, bottom, left, top, width, height, 0, 0, components, depth)
    return b"\xff\x4f\xff\x51" + numbers + b"\1\1"


@pytest.mark.parametrize("syntax", samples.ENCODERS, ids=lambda uid: uid.name)
def test_what_encoders_write(syntax):
    bits = 8 if syntax == uids.JPEGBaseline8Bit else 12
    stream = bytes(samples.ENCODERS[syntax](samples.texture(bits), bitspersample=bits))
    found, codec = dicom_stream.parse(stream), dicom_stream.CODECS[syntax]
    assert (found.rows, found.columns, found.components) == (37, 29, 1)
    assert found.process in codec.processes and bits <= found.precision <= 16
    assert codec.lossy == (syntax in samples.LOSSY) and dicom_stream.END in stream[-64:]
    assert len(stream) * 8 >= codec.least_bits * 37 * 29


def test_colour():
    stream = bytes(imagecodecs.jpeg8_encode(np.zeros((4, 6, 3), np.uint8)))
    assert dicom_stream.parse(stream) == dicom_stream.Frame(0xC0, 4, 6, 3, 8)


def test_segments_and_fill_bytes_before_the_frame_are_jumped_over():
    stream = b"\xff\xd8\xff\xe0\0\x04\xff\xc0\xff\x01\xff\xff\xff\xc4\0\x03\0" + frame(0xC3, 300, 200, precision=16)
    assert dicom_stream.parse(stream) == dicom_stream.Frame(0xC3, 300, 200, 1, 16)
    assert dicom_stream.parse(b"\xff\xd8" + frame(0xC2)).name == "JPEG progressive"
    assert dicom_stream.parse(b"\xff\xd8" + frame(0xC9)).name == "JPEG process 9"


def test_jpeg_2000_counts_from_its_offset_and_may_lie_in_a_box():
    assert dicom_stream.parse(size(107, 25, left=100, top=20)) == dicom_stream.Frame(0x51, 5, 7, 1, 12)
    assert dicom_stream.parse(b"\0\0\0\x0cjP  \r\n\x87\n" + size(depth=0x8F)).precision == 16


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "neither JPEG nor JPEG 2000"),
        (b"\x89PNG", "begins with 89 50 4e 47"),
        (b"\xff\xd8", "cut off"),
        (b"\xff\xd8\xff", "cut off"),
        (b"\xff\xd8" + frame(0xC3)[:7], "cut off"),
        (b"\xff\xd8\xff\xe0\xff\xff", "cut off"),
        (b"\xff\xd8\x00\x00", "no marker at byte 2"),
        (b"\xff\xd8\xff\xda\0\x08", "no frame header"),
        (b"\xff\xd8\xff\xd9", "no frame header"),
        (size()[:30], "cut off"),
        (size(width=0), "tiles are empty"),
        (size(8000, 8000, width=1, height=1), "cut into 64000000 tiles"),
    ],
)
def test_damaged_headers(head, reason):
    with pytest.raises(ValueError, match=reason):
        dicom_stream.parse(head)
