"""Streams of the program that wrote DDSM's, of an encoder written for these tests, and of the libraries."""

import struct

import imagecodecs
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.datasets import ljpeg

# What PVRG-JPEG 1.2.1 makes of IMAGE: `pvrg-jpeg -iw 5 -ih 4 -k PREDICTOR -p 12 [-r RESTART] -s STREAM RAW`.
IMAGE = np.array(
    [
        [2000, 2040, 3000, 100, 4095],
        [1990, 2100, 2900, 0, 4000],
        [0, 4095, 2047, 2048, 2049],
        [2050, 1500, 1501, 1499, 7],
    ],
    np.uint16,
)
FRAME, END = "ffd8ffc3000b{:02x}0004000501011100", "ffd9"
PROGRAM = {
    (
        12,
        1,
        0,
    ): "ffc4001b00000104030000000000000000000000000c01060a0b020407ffda000801010001000067ba27802559f37abdba6402559f"
    "4141c9ff00e3ff00aa90051d95c6a2bfff",
    (
        12,
        2,
        0,
    ): "ffc4001900000203010000000000000000000000000a0b04070c06ffda0008010100020000e3e39dc218dfff0017bca6e9ba81072f"
    "cb0aad000860d005977077476900bfff",
    (
        12,
        3,
        0,
    ): "ffc4001900000301010100000000000000000000000a0b0c040607ffda0008010100030000e3f39dc218dfff0097d90d72447bcf10"
    "7341cf14157400d004ddc977476d00df",
    (
        12,
        4,
        0,
    ): "ffc4001e00000102070100000000000000000000000c060b0002030407080a0dffda000801010004000047aa3bc012acf9bb5c8dab"
    "f1558393e444df2d54060200bcdda2006468ab",
    (
        12,
        5,
        0,
    ): "ffc4001b00000201050000000000000000000000000b0c06020407090affda000801010005000087ca3bc052adf9bb5cb5b4012a9f"
    "4c072fe42cde5ab0183004aed10069115f",
    (
        12,
        6,
        0,
    ): "ffc4001c00000103050000000000000000000000000c060a0b0405070809ffda000801010006000047dc1f78343979b4b9075f51a9"
    "280e4bae83149ab1180802076dde1ceb8463",
    (
        12,
        7,
        0,
    ): "ffc4001b00000202030100000000000000000000000b0c090a04050607ffda0008010100070000e3f617bc5a1dbcdc5f5595e1119e"
    "84072df2895480343060083b71df1d8118",
    (
        12,
        1,
        5,
    ): "ffdd00040005ffc4001b00000104030000000000000000000000000c01060a0b020407ffda000801010001000067ba27802559f37f"
    "ffd0d5edd32012acfa0fffd1a0e4ff00f1ff00d57fffd2200a3b2b8d457f",
    (
        12,
        4,
        10,
    ): "ffdd0004000affc4001e00000102070100000000000000000000000c060b0002030407080a0dffda000801010004000047aa3bc012"
    "acf9bb5c8dabf157ffd060e4f91137cb550180802f376880191a2a",
    (
        12,
        7,
        5,
    ): "ffdd00040005ffc4001b00000202030100000000000000000000000b0c090a04050607ffda0008010100070000e3f617bc5a1dbcdf"
    "ffd0c5f5595e1119e87fffd101cb7ca255200d0c3fffd260083b71df1d8118",
    (
        16,
        6,
        0,
    ): "ffc4001b00010001050100000000000000000000000f0a08090b0d0e0cffda00080101000600008845c17bbc568853cd4a5fc821e7"
    "df86fc4bc0e7ceb7c315c6a9d1840007f7b81d77c6bafc461f",
    (
        8,
        2,
        0,
    ): "ffc400190000030101010000000000000000000000030607080102ffda0008010100020000f1c7b82dff0084084503be24e8082e80"
    "cbabab99ff00",
}
AS_STORED = {8: (IMAGE >> 4).astype(np.uint8), 12: IMAGE, 16: IMAGE * 16 + np.uint16(9)}
LIBRARIES = (imagecodecs.jpeg8_decode, imagecodecs.jpegsof3_decode, imagecodecs.ljpeg_decode)


def of_program(bits, predictor, restart=0):
    return bytes.fromhex(FRAME.format(bits) + PROGRAM[bits, predictor, restart] + END)


def an_image(bits, shape=(9, 7), seed=0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    smooth = (np.sin(rows / 3) + np.cos(columns / 2) + 2) / 4 * (2**bits - 1)
    noisy = smooth + np.random.default_rng(seed).normal(0, 2**bits / 50, shape)
    pixels = np.clip(noisy, 0, 2**bits - 1).astype(np.uint8 if bits <= 8 else np.uint16)
    pixels[shape[0] // 2, shape[1] // 2 :] = 2**bits - 1
    pixels[shape[0] // 2, : shape[1] // 2] = 0
    return pixels


def stream(pixels, bits, predictor, *, lines=0, rule="t81", shift=0):
    """A stream pixel by pixel; every category has a code of five bits. `lines` between two restart markers."""
    rows, columns = pixels.shape
    values, start = (pixels.astype(int) >> shift).tolist(), 1 << bits - shift - 1
    parts, digits = [], ""
    for row in range(rows):
        if lines and row and row % lines == 0:
            parts.append(digits)
            digits = ""
        first = row == 0 or bool(rule == "t81" and lines and row % lines == 0)
        for column in range(columns):
            a = values[row][column - 1]
            b = start if first else values[row - 1][column]
            c = start if first else values[row - 1][column - 1]
            if column == 0:
                guess = b
            elif first and rule == "t81":
                guess = a
            else:
                guess = [a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1][predictor - 1]
            off = (values[row][column] - guess + 32768) % 65536 - 32768
            category = abs(off).bit_length()
            digits += f"{category:05b}"
            if 0 < category < 16:
                digits += f"{off if off > 0 else off + 2**category - 1:0{category}b}"
    data = b""
    for number, part in enumerate([*parts, digits]):
        mark = bytes([0xFF, 0xD0 + (number - 1) % 8]) if number else b""
        part += "1" * (-len(part) % 8)
        data += mark + int(part, 2).to_bytes(len(part) // 8, "big").replace(b"\xff", b"\xff\x00")
    head = b"\xff\xd8\xff\xc3" + struct.pack(">HBHHB3B", 11, bits, rows, columns, 1, 1, 0x11, 0)
    head += struct.pack(">2B2H", 0xFF, 0xDD, 4, lines * columns) if lines else b""
    head += b"\xff\xc4" + struct.pack(">HB16B", 36, 0, *(17 if length == 5 else 0 for length in range(1, 17)))
    head += bytes(range(17)) + b"\xff\xda" + struct.pack(">H6B", 8, 1, 1, 0, predictor, 0, shift)
    return head + data + b"\xff\xd9"


def fails(decode, data, pixels):
    try:
        return not np.array_equal(decode(data), pixels)
    except RuntimeError:  # of the libraries
        return True


@pytest.mark.parametrize(("bits", "predictor", "restart"), PROGRAM)
def test_streams_of_the_program_that_wrote_ddsm(bits, predictor, restart):
    found = ljpeg.decode(of_program(bits, predictor, restart))
    assert found.dtype == AS_STORED[bits].dtype and np.array_equal(found, AS_STORED[bits])


@pytest.mark.parametrize("predictor", range(1, 8))
def test_the_libraries_read_only_some_of_them(predictor):
    """Predictors 1, 4 and 5 give the same first line by either rule; the others are why we predict ourselves."""
    wrong = [fails(decode, of_program(12, predictor), IMAGE) for decode in LIBRARIES]
    assert wrong == [predictor not in (1, 4, 5)] * 3
    if (12, predictor, 5) in PROGRAM:
        assert fails(imagecodecs.jpeg8_decode, of_program(12, predictor, 5), IMAGE)


@pytest.mark.parametrize("lines", [0, 1, 4])
@pytest.mark.parametrize("bits", [2, 8, 12, 16])
@pytest.mark.parametrize("predictor", range(1, 8))
def test_streams_by_the_standard_decode_as_the_libraries_have_it(predictor, bits, lines):
    pixels = an_image(bits)
    data = stream(pixels, bits, predictor, lines=lines)
    assert np.array_equal(ljpeg.decode(data, rule="t81"), pixels)
    if bits > 2:
        assert np.array_equal(imagecodecs.jpeg8_decode(data), pixels)
    if bits > 2 and not lines:
        assert all(np.array_equal(decode(data), pixels) for decode in LIBRARIES)


@pytest.mark.parametrize("lines", [0, 1, 4])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("predictor", range(1, 8))
def test_streams_by_the_rule_of_the_program(predictor, bits, lines):
    pixels = an_image(bits)
    found = ljpeg.decode(stream(pixels, bits, predictor, lines=lines, rule="pvrg"))
    assert found.dtype == pixels.dtype and np.array_equal(found, pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (30, 21)])
@pytest.mark.parametrize("predictor", range(1, 8))
def test_what_is_encoded_is_decoded(predictor, shape):
    for bits in (8, 12, 16):
        pixels = an_image(bits, shape)
        data = ljpeg.encode(pixels, bits, predictor=predictor)
        assert np.array_equal(ljpeg.decode(data), pixels)
        if predictor in (1, 4, 5):
            assert all(np.array_equal(decode(data), pixels) for decode in LIBRARIES)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_any_values_of_sixteen_bits(predictor):
    """Differences wrap round, and 32768 has a category without bits of its own."""
    pixels = np.random.default_rng(predictor).integers(0, 65536, (12, 9)).astype(np.uint16)
    pixels[:2, :3] = [[32768, 0, 32768], [65535, 32767, 0]]
    assert np.array_equal(ljpeg.decode(ljpeg.encode(pixels, 16, predictor=predictor)), pixels)
    assert np.array_equal(ljpeg.decode(stream(pixels, 16, predictor, rule="pvrg")), pixels)


def test_a_point_transform_loses_the_lowest_bits():
    pixels = an_image(12)
    data = stream(pixels, 12, 4, shift=3)
    assert np.array_equal(ljpeg.decode(data), pixels >> 3 << 3)
    assert np.array_equal(imagecodecs.jpeg8_decode(data), pixels >> 3 << 3)


def test_the_header_without_the_pixels(tmp_path):
    (tmp_path / "a.LJPEG").write_bytes(of_program(12, 7, 5))
    header = ljpeg.read_header(tmp_path / "a.LJPEG")
    assert (header.shape, header.bits, header.predictor, header.restart, header.shift) == ((4, 5), 12, 7, 5, 0)
    assert header.lengths == (0, 0, 0, 0, 4, 4, 4, 5, 0, 3, 3, 2, 2, 0, 0, 0, 0)
    assert np.array_equal(ljpeg.read_pixels(tmp_path / "a.LJPEG"), IMAGE)
    assert ljpeg.encode(IMAGE, 12)[2:4] == b"\xff\xc3"  # as the program has it: the frame comes first, no JFIF


def test_every_cut_is_found(tmp_path):
    """With and without an end marker put behind it."""
    whole, path = ljpeg.encode(an_image(12, (10, 8)), 12, predictor=3), tmp_path / "a.LJPEG"
    for length in range(len(whole) - 1):
        for tail in (b"", b"\xff\xd9"):
            if whole[:length] + tail == whole:
                continue
            path.write_bytes(whole[:length] + tail)
            with pytest.raises(
                cases.DataError,
                match=r"a\.LJPEG: .*(truncated|not a lossless JPEG|damaged|expected|cannot be decoded)",
            ):
                ljpeg.read_pixels(path)


def test_a_wrong_bit_is_refused_or_gives_an_image_of_the_same_size():
    """The format has no checksum: a bit of a difference moves the rest of its line and no more."""
    whole, refused = ljpeg.encode(an_image(12, (40, 30)), 12), 0
    begin = ljpeg._parsed(whole, whole, len(whole), "").at[2]
    for i, at in enumerate(range(begin, len(whole) - 2, 13)):
        data = bytearray(whole)
        data[at] ^= 1 << i % 8
        try:
            assert ljpeg.decode(bytes(data)).shape == (40, 30)
        except cases.DataError as error:
            assert error.path == "stream" and error.reason
            refused += 1
    assert refused > 0.15 * (i + 1)


@pytest.mark.parametrize(
    ("at", "new", "reason"),
    [
        (0, "0000", "not a lossless JPEG: begins with 00 00 ff c3"),
        (3, "c0", r"expected a lossless JPEG \(process 3\) of one component, found process 0 and 1 components"),
        (11, "03", "found process 3 and 3 components"),
        (7, "0000", "absurd size of 0 rows and 5 columns"),
        (7, "ffffffff", r"absurd size of 65535 rows and 65535 columns \(at most 200,000,000 pixels\)"),
        (7, "30003000", "truncated: 12288 x 12288 pixels, 89 bytes"),
        (6, "11", "expected 2 to 16 bits, predictor 1 to 7 and a smaller shift, found 17, predictor 4"),
        (54, "00", "found 12, predictor 0"),
        (56, "0c", "found 12, predictor 4, shift 12"),
        (15, "00", "damaged: no marker at byte 15"),
        (51, "03", "damaged: expected one scan of one component"),
        (53, "30", "its header is damaged or truncated"),  # a table that is not there
        (4, "ffff", "not a lossless JPEG: its header is damaged or truncated"),
    ],
)
def test_a_header_with_a_fault_is_named(tmp_path, at, new, reason):
    data, path = bytearray(of_program(12, 4)), tmp_path / "a.LJPEG"
    data[at : at + len(new) // 2] = bytes.fromhex(new)
    path.write_bytes(data)
    with pytest.raises(cases.DataError, match=rf"a\.LJPEG: .*{reason}"):
        ljpeg.read_header(path)


def test_values_above_the_bits_and_odd_restarts_are_damage():
    with pytest.raises(cases.DataError, match="damaged: decodes to 65117, more than 8 bits hold"):
        ljpeg.decode(of_program(12, 1).replace(b"\x0b\x0c\x00", b"\x0b\x08\x00", 1), "x")
    with pytest.raises(
        cases.DataError, match="expected restarts at the beginning of lines, found them every 6 pixels"
    ):
        ljpeg.decode(of_program(12, 1, 5).replace(b"\xff\xdd\x00\x04\x00\x05", b"\xff\xdd\x00\x04\x00\x06"))


def test_what_is_not_there_and_what_cannot_be_encoded(tmp_path):
    with pytest.raises(cases.MissingError, match="no such file"):
        ljpeg.read_header(tmp_path / "a.LJPEG")
    with pytest.raises(cases.DataError, match="cannot be read"):
        ljpeg.read_pixels(tmp_path)
    for pixels, bits, predictor in ((IMAGE, 11, 1), (IMAGE, 12, 8), (IMAGE, 17, 1), (IMAGE[:0], 12, 1)):
        with pytest.raises(ValueError, match="expected 2 to 16 bits, predictor 1 to 7 and gray pixels that fit"):
            ljpeg.encode(pixels, bits, predictor=predictor)
