import struct
import zlib

import cv2
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import folder_images, pgm

NOISE = np.random.default_rng(0).integers(0, 65536, (120, 90), dtype=np.uint16)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows: int, columns: int, *, bits: int = 8, end: bool = True) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + (chunk(b"IEND", b"") if end else b"")
    )


def tiff(order: str, *, big: bool = False, tags=(), rows=2, columns=3, more=0, data=b"\1\2\3\4\5\6") -> bytes:
    """A TIFF of one strip, its pixels behind the directory."""
    word, count = ("Q", "Q") if big else ("I", "H")
    size = 20 if big else 12
    fields = {256: columns, 257: rows, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: rows, 279: len(data)} | dict(tags)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    directory = len(head) + struct.calcsize(order + count) + size * len(fields) + struct.calcsize(order + word)
    fields[273] = fields[273] or directory
    entries = b"".join(
        struct.pack(f"{order}HH{word}{word}", tag, 16 if big else 4, 1, value) for tag, value in fields.items()
    )
    return head + struct.pack(order + count, len(fields)) + entries + struct.pack(order + word, more) + data


def jpeg(rows: int, columns: int, *, quality: int = 90) -> bytes:
    return cv2.imencode(".jpg", np.full((rows, columns), 77, np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ].tobytes()


@pytest.mark.parametrize(("ending", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("jpg", 8)])
def test_headers_say_what_is_decoded(tmp_path, ending, bits):
    path, image = tmp_path / f"a.{ending}", (NOISE >> (16 - bits)).astype(f"u{bits // 8}")
    cv2.imwrite(str(path), image)
    header = folder_images.read_header(path)
    assert (header.shape, header.bits, header.max_value) == ((120, 90), bits, 2**bits - 1)
    assert header.lossy == (ending == "jpg")
    found = folder_images.read_image(path)
    assert found.dtype == image.dtype and (ending == "jpg" or np.array_equal(found, image))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_tiffs_of_either_order_and_width(tmp_path, order, big):
    (tmp_path / "a.tif").write_bytes(tiff(order, big=big))
    assert folder_images.read_header(tmp_path / "a.tif") == folder_images.Header(2, 3, 8)
    assert folder_images.read_image(tmp_path / "a.tif").tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(("bits", "expected"), [(8, [[254, 253]]), (16, [[65278, 64764]])])
def test_white_as_zero_is_turned_round(tmp_path, bits, expected):
    data = bytes([1, 2]) if bits == 8 else struct.pack("<HH", 257, 771)
    (tmp_path / "a.tif").write_bytes(tiff("<", tags={258: bits, 262: 0}, rows=1, columns=2, data=data))
    assert folder_images.read_image(tmp_path / "a.tif").tolist() == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (png(20_000, 20_000), r"absurd size of 20000 rows and 20000 columns \(at most 200,000,000 pixels\)"),
        (png(0, 5), "absurd size of 0 rows and 5 columns"),
        (tiff("<", rows=2**31, columns=2**31, big=True), "absurd size"),
        (jpeg(4, 4).replace(b"\x00\x04\x00\x04", b"\xff\xff\xff\xff"), "absurd size of 65535 rows and 65535 columns"),
        (png(4, 4, end=False), "truncated: a PNG without its last chunk IEND"),
        (png(4, 4, end=False)[:-3], "truncated: a PNG without its last chunk IEND"),
        (png(4, 4)[:20], "its header is damaged or truncated"),
        (png(4, 4).replace(b"IHDR", b"IHDX"), "a PNG without its header chunk IHDR"),
        (
            png(4, 4).replace(b"\0\0\0\4", b"\0\0\0\5", 1),
            "a PNG without its header chunk IHDR, or with a damaged one",
        ),
        (png(10_000, 10_000), "truncated: 68 bytes hold no 10000 x 10000 pixels, which take at least 96,899"),
        (jpeg(4, 4).replace(b"\x00\x04\x00\x04", b"\x27\x10\x27\x10"), "truncated: .* which take at least 195,312"),
        (tiff("<", rows=10_000, columns=10_000), "truncated: .* which take at least 100,000,000"),
        (tiff("<", rows=10_000, columns=10_000, tags={259: 5}), "truncated: .* which take at least 24,414"),
        (
            png(4, 4).replace(b"\0\0\0\x0bIDAT", b"\x7f\0\0\x0bIDAT"),
            "the chunks of the PNG do not lead to its last one",
        ),
        (png(4, 4), "its pixels are damaged"),  # 9 bytes of pixels for 20
        (jpeg(4, 4)[:-2], "truncated: a JPEG without its end-of-image marker"),
        (jpeg(4, 4)[:30], "not an image that can be decoded: its header is damaged or truncated"),
        (b"\xff\xd8\xff\xd9", "a JPEG without an image"),
        (b"\xff\xd8\xff\xe0\0\2\xff\xda\xff\xd9", "a JPEG without the header of its frame"),
        (tiff("<")[:-1], r"truncated: the pixels end at byte \d+, the file at \d+"),
        (tiff("<")[:60], "its header is damaged or truncated"),
        (tiff("<", more=8), "a TIFF of several pages"),
        (tiff("<", tags={258: 32}), "expected unsigned pixels of 8 or 16 bits, found unsigned ones of 32"),
        (tiff("<", tags={339: 2}), "found signed ones of 8"),
        (b"BM" + b"\0" * 60, "no PNG, JPEG or TIFF by its first bytes"),
        (b"", "the file is empty"),
    ],
)
def test_a_file_with_a_fault_says_which(tmp_path, raw, reason):
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(cases.DataError, match=rf"a: .*{reason}"):
        folder_images.read_image(tmp_path / "a")


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(cases.MissingError, match="no such file"):
        folder_images.read_header(tmp_path / "a.png")
    with pytest.raises(cases.DataError, match="cannot be read"):
        folder_images.read_header(tmp_path)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_every_way_of_cutting_a_file_short_is_found(tmp_path, ending):
    cv2.imwrite(
        str(tmp_path / f"a.{ending}"), (NOISE[:24, :20] >> 8).astype(np.uint8), [cv2.IMWRITE_TIFF_COMPRESSION, 1]
    )
    raw = (tmp_path / f"a.{ending}").read_bytes()
    folder_images.read_image(tmp_path / f"a.{ending}")
    path = tmp_path / f"b.{ending}"
    for length in range(0, len(raw), 7):
        path.write_bytes(raw[:length])
        with pytest.raises(cases.DataError, match=rf"b\.{ending}"):
            folder_images.read_header(path)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_bytes_behind_the_end_do_no_harm(tmp_path, ending):
    cv2.imwrite(str(tmp_path / f"a.{ending}"), (NOISE >> 8).astype(np.uint8))
    whole = folder_images.read_image(tmp_path / f"a.{ending}")
    with (tmp_path / f"a.{ending}").open("ab") as file:
        file.write(b"\0" * 300)
    assert np.array_equal(folder_images.read_image(tmp_path / f"a.{ending}"), whole)


def test_a_file_far_larger_than_its_pixels_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(4, 4))
    with (tmp_path / "a.png").open("r+b") as file:
        file.truncate(100_000_000)  # a hole: nothing is written
        file.seek(-12, 2)
        file.write(chunk(b"IEND", b""))
    with pytest.raises(cases.DataError, match="100,000,000 bytes are too many for 4 x 4 pixels"):
        folder_images.read_header(tmp_path / "a.png")


def test_a_pgm_is_not_for_this_module(tmp_path):
    pgm.write(tmp_path / "a.png", NOISE.astype(np.uint8))
    with pytest.raises(cases.DataError, match="no PNG, JPEG or TIFF"):
        folder_images.read_header(tmp_path / "a.png")


def test_a_1_bit_image_has_8_bits_once_decoded(tmp_path):
    mask = NOISE > 30000
    cv2.imwrite(str(tmp_path / "a.png"), mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    assert (tmp_path / "a.png").read_bytes()[24] == 1
    assert folder_images.read_header(tmp_path / "a.png").bits == 8
    assert np.array_equal(folder_images.read_image(tmp_path / "a.png"), mask * np.uint8(255))
