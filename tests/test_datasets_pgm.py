import mmap
import resource

import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import pgm

SIX = bytes([10, 13, 32, 35, 9, 0])


@pytest.mark.parametrize(
    "head",
    [
        b"P5\n# a 7 8\n3 2\n255\n",
        b"P5 3 2 255 ",
        b"P5\n3\n# x\n# y\n2\n255\n",
        b"P5#at once\n3 2#behind a number\n255\n",
        b"P5\r\n# CRLF\r\n3 2\r255\n",
        b"P5 3 2 255# before the blank\n",
    ],
)
def test_headers_with_and_without_comments(tmp_path, head):
    (tmp_path / "a.pgm").write_bytes(head + SIX)
    assert pgm.read_pixels(tmp_path / "a.pgm").tolist() == [[10, 13, 32], [35, 9, 0]]


def test_one_blank_ends_the_header_and_the_next_byte_is_a_pixel(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 255\n\n#")
    assert pgm.read_pixels(tmp_path / "a.pgm").tolist() == [[10, 35]]


def test_16_bits_are_big_endian(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 4095\n" + bytes([15, 255, 1, 0]))
    found = pgm.read_pixels(tmp_path / "a.pgm")
    assert found.dtype == np.uint16 and found.tolist() == [[4095, 256]]
    assert pgm.read_header(tmp_path / "a.pgm").max_value == 4095


@pytest.mark.parametrize(("top", "bytes_each"), [(1, 1), (255, 1), (256, 2), (65535, 2)])
def test_the_largest_value_decides_the_bytes_of_a_pixel(tmp_path, top, bytes_each):
    values = [0, 1, 1, 0]
    raw = b"".join(value.to_bytes(bytes_each, "big") for value in values)
    (tmp_path / "a.pgm").write_bytes(f"P5 2 2 {top}\n".encode() + raw)
    found = pgm.read_pixels(tmp_path / "a.pgm")
    assert found.dtype == f"u{bytes_each}" and found.ravel().tolist() == values
    (tmp_path / "a.pgm").write_bytes(f"P5 2 2 {top}\n".encode() + raw[:-1])
    with pytest.raises(cases.DataError, match=f"truncated: expected {4 * bytes_each} bytes of pixels, found"):
        pgm.read_header(tmp_path / "a.pgm")


@pytest.mark.parametrize(("top", "dtype"), [(99, np.uint8), (300, np.uint16)])
def test_plain_numbers(tmp_path, top, dtype):
    (tmp_path / "a.pgm").write_bytes(f"P2 # digits\n3 2\n{top}\n1 2 3 # a row\n\t4\n5\n 99".encode())
    found = pgm.read_pixels(tmp_path / "a.pgm")
    assert found.dtype == dtype and found.tolist() == [[1, 2, 3], [4, 5, 99]]


@pytest.mark.parametrize(
    ("head", "pixels", "top"),
    [
        (b"P5 2 1 100\n", bytes([100, 101]), 100),
        (b"P5 2 1 4095\n", bytes([15, 255, 16, 0]), 4095),
        (b"P2 2 1 255\n", b"3 256", 255),
    ],
)
def test_a_pixel_above_the_largest_value_allowed_is_refused(tmp_path, head, pixels, top):
    (tmp_path / "a.pgm").write_bytes(head + pixels)
    assert pgm.read_header(tmp_path / "a.pgm").max_value == top
    with pytest.raises(cases.DataError, match=rf"a\.pgm: holds the value {top + 1}; its header allows at most {top}"):
        pgm.read_pixels(tmp_path / "a.pgm")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"P6 1 1 255\n777", "not a PGM"),
        (b"", "not a PGM"),
        (b"P5 -1 4 255\n", "not a PGM"),
        (b"P5 #" + b"x" * 5000 + b"\n1 1 255\n7", "not a PGM"),
        (b"P5 0 4 255\n", "make no image"),
        (b"P5 1 1 0\n7", "make no image"),
        (b"P5 1 1 70000\n....", "make no image"),
        (b"P5 99999 99999 255\n", r"absurd size of 99999 rows and 99999 columns \(at most 200,000,000 pixels\)"),
        (b"P5 20000 10000 255\n....", "truncated: expected 200000000 bytes of pixels, found 4"),
        (b"P2 2 2 255\n1 2 3", "truncated: expected 7 bytes of pixels, found 5"),
        (b"P2 2 2 255\n100 2 3", "expected 4 numbers, found 3 words"),
        (b"P2 2 2 255\n1 2 x 4", "truncated or damaged"),
        (b"P2 2 2 255\n1 2 3 99999999999999999999", "truncated or damaged"),
    ],
)
def test_what_is_no_pgm_says_why(tmp_path, raw, reason):
    (tmp_path / "a.pgm").write_bytes(raw)
    with pytest.raises(cases.DataError, match=rf"a\.pgm: .*{reason}"):
        pgm.read_pixels(tmp_path / "a.pgm")


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(cases.MissingError, match="no such file"):
        pgm.read_header(tmp_path / "a.pgm")
    with pytest.raises(cases.DataError, match="cannot be read"):
        pgm.read_header(tmp_path)


def test_binary_pixels_of_8_bits_take_no_memory_before_they_are_used(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 14000 14000 255\n")
    with (tmp_path / "a.pgm").open("r+b") as file:
        file.truncate(14000 * 14000 + 19)  # a hole: no disk either
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = pgm.read_pixels(tmp_path / "a.pgm")
    assert pixels.shape == (14000, 14000) and isinstance(pixels.base, mmap.mmap) and not pixels[-1, -1]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_what_is_written_is_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    pgm.write(tmp_path / "a.pgm", pixels)
    assert np.array_equal(pgm.read_pixels(tmp_path / "a.pgm"), pixels)
    assert b"#" in (tmp_path / "a.pgm").read_bytes()[:10]
