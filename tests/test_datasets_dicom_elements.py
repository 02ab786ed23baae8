import io
import struct
import time

import pytest

from mammo_tf.datasets import dicom_elements

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
ROWS, NAME, VOI, DESCRIPTOR, UNKNOWN = 0x00280010, 0x00100010, 0x00283010, 0x00283002, 0x00291010
UNDEFINED = 0xFFFFFFFF
END_OF_ITEM, END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0), struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def tag(number, order="<"):
    return struct.pack(f"{order}HH", number >> 16, number & 0xFFFF)


def implicit(number, value, length=None):
    return tag(number) + struct.pack("<L", len(value) if length is None else length) + value


def explicit(number, vr, value, length=None, order="<"):
    length = len(value) if length is None else length
    long = vr in ("SQ", "UN", "OB", "OW")
    return (
        tag(number, order)
        + vr.encode()
        + struct.pack(f"{order}HL" if long else f"{order}H", *([0] * long), length)
        + value
    )


def item(value, length=None):
    return implicit(0xFFFEE000, value, length)


def file(*elements, syntax=EXPLICIT):
    text = syntax.encode() + b"\0" * (len(syntax) % 2)
    return io.BytesIO(bytes(128) + b"DICM" + explicit(0x00020010, "UI", text) + b"".join(elements))


def read(*elements, syntax=EXPLICIT, names=("Rows", "VOILUTSequence", "LUTDescriptor", "WindowCenter")):
    return dicom_elements.read(file(*elements, syntax=syntax), names)


def test_numbers_and_texts_in_every_encoding():
    rows, window = struct.pack("<H", 4664), b"2047\\1800.5 "
    found = read(explicit(ROWS, "US", rows), explicit(0x00281050, "DS", window))
    assert (found.integers("Rows"), found.texts("WindowCenter")) == ((4664,), ("2047", "1800.5"))
    assert (found.integers("Columns"), found.texts("Columns")) == ((), ())
    assert read(implicit(ROWS, rows), syntax=IMPLICIT).integers("Rows") == (4664,)
    found = read(explicit(ROWS, "US", rows[::-1], order=">"), syntax=BIG)
    assert found.integers("Rows") == (4664,) and found.order == ">" and found.syntax == BIG


def test_a_file_that_contradicts_its_own_syntax_is_read_as_it_is():
    rows = struct.pack("<H", 7)
    assert read(explicit(ROWS, "US", rows), syntax=IMPLICIT).integers("Rows") == (7,)
    assert read(implicit(ROWS, rows), syntax=EXPLICIT).integers("Rows") == (7,)


def test_what_is_not_asked_for_is_not_read():
    class Watched(io.BytesIO):
        def read(self, *count):
            seen.append(super().read(*count))
            return seen[-1]

    seen: list[bytes] = []
    data = file(explicit(NAME, "PN", b"Doe^Jane"), explicit(ROWS, "US", b"\1\0")).getvalue()
    assert dicom_elements.read(Watched(data), ("Rows",)).values == {"Rows": ("US", b"\1\0")}
    assert not any(b"Doe" in piece for piece in seen)


@pytest.mark.parametrize("inner", ["defined", "undefined"])
@pytest.mark.parametrize("outer", ["defined", "undefined"])
def test_the_first_item_of_a_sequence_is_found_and_what_follows_it_too(inner, outer):
    first, second = (explicit(DESCRIPTOR, "US", struct.pack("<3H", *three)) for three in ((3, 5, 8), (9, 9, 9)))
    items = b"".join(
        item(one) if inner == "defined" else item(one, 0)[:4] + struct.pack("<L", UNDEFINED) + one + END_OF_ITEM
        for one in (first, second)
    )
    sequence = explicit(VOI, "SQ", items) if outer == "defined" else explicit(VOI, "SQ", items + END, UNDEFINED)
    found = read(sequence, explicit(0x00321032, "PN", b"Doe^Jane"), explicit(0x7FE00010, "OW", b"\0\0"))
    assert found.items["VOILUTSequence"].integers("LUTDescriptor") == (3, 5, 8)
    assert "LUTDescriptor" not in found.values and found.pixels.tag == dicom_elements.PIXELS


@pytest.mark.parametrize("empty", [explicit(VOI, "SQ", b""), explicit(VOI, "SQ", END, UNDEFINED)])
def test_an_empty_sequence_has_no_item(empty):
    found = read(empty, explicit(ROWS + 0x1000000, "US", b"\1\0"), explicit(0x7FE00010, "OW", b"\0\0"))
    assert not found.items and found.pixels.length == 2


def test_unknown_elements_of_undefined_length_hold_implicit_ones_and_may_be_nested():
    deepest = implicit(UNKNOWN, item(implicit(ROWS, b"\7\0")) + END, UNDEFINED)
    unknown = explicit(0x00090010, "UN", item(deepest + END_OF_ITEM, UNDEFINED) + END, UNDEFINED)
    assert read(unknown, explicit(ROWS, "US", b"\1\0")).integers("Rows") == (1,)


def test_an_icon_of_compressed_pixels_is_jumped_over():
    icon = explicit(0x7FE00010, "OB", item(b"") + item(b"\xff\xd8\xff\xd9") + END, UNDEFINED)
    sequence = explicit(0x00880200, "SQ", item(icon + END_OF_ITEM, UNDEFINED) + END, UNDEFINED)
    found = read(sequence, explicit(0x7FE00010, "OW", b"\1\2\3\4"))
    assert found.pixels.length == 4 and found.pixels.vr == "OW"


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ((explicit(ROWS, "US", b"\1"),), r"cut off in element \(0028,0010\)|cut off"),
        ((explicit(0x00280009, "US", b"", 500),), r"cut off: element \(0028,0009\) reaches 500 bytes beyond the end"),
        ((explicit(ROWS, "US", b"\1\0"), b"\x28\0"), "cut off at byte"),
        ((explicit(0x00280009, "OB", b"", UNDEFINED),), "cut off at byte"),
        ((explicit(0x00280009, "AE", b""), tag(ROWS) + b"\0\0\0\0"), r"element \(0028,0010\) has the representation"),
        ((explicit(0x00281050, "UN", b"", 1 << 20),), "too long for what it should hold"),
    ],
)
def test_damaged_headers(elements, reason):
    elements = (*elements[:-1], elements[-1][:-1]) if reason.startswith("cut off in") else elements
    with pytest.raises(ValueError, match=reason):
        read(*elements)


def test_no_mark():
    for data in (b"", b"DICM", bytes(128) + b"DICX" + bytes(100)):
        with pytest.raises(dicom_elements.NoDicomError, match="no DICM mark"):
            dicom_elements.read(io.BytesIO(data), ())


def test_a_header_of_endless_elements_is_given_up_in_time():
    start = time.process_time()
    with pytest.raises(ValueError, match="more than 200,000 elements"):
        read(explicit(0x00090010, "LO", b"") * 300_000)
    with pytest.raises(ValueError, match="more than 200,000 elements"):
        read(explicit(0x00090010, "SQ", item(b"", UNDEFINED) * 300_000, UNDEFINED))
    assert time.process_time() - start < 5
