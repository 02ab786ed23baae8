import numpy as np
import pydicom
import pytest
from pydicom import uid as uids

from mammo_tf import cases
from mammo_tf.datasets import dicom, dicom_intensity
from tests import dicom_samples as samples

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
TWELVE = {"BitsStored": 12, "HighBit": 11}


def table(entries, first, bits, *, dtype="<u2", vr="US"):
    """A sequence of one lookup table (PS3.3 C.11.1 and C.11.2)."""
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, dtype).tobytes())
    return pydicom.Sequence([item])


def shown_by_pydicom(path):
    """pydicom's own rendering, (H, W) float: modality first, then the VOI transformation."""
    data = pydicom.dcmread(path)
    values = pydicom.pixels.apply_modality_lut(data.pixel_array, data)
    return pydicom.pixels.apply_voi_lut(values, data).astype(float)


@pytest.mark.parametrize(
    ("function", "center", "width", "expected"),
    [
        # (x - 2047.5) / 4095 + 0.5, and the standard's own example: c = 2048, w = 4096 covers 0 to 4095
        ("LINEAR", 2048, 4096, {0: 0, 1: 1 / 4095, 2048: 2048 / 4095, 4095: 1}),
        ("LINEAR", 1000, 1, {999: 0, 1000: 1}),
        ("LINEAR", 1000, 2, {998: 0, 999: 0, 1000: 1}),
        ("LINEAR_EXACT", 1000, 2, {999: 0, 1000: 0.5, 1001: 1}),
        ("LINEAR_EXACT", 1000, 0.5, {999: 0, 1000: 0.5, 1001: 1}),
        ("SIGMOID", 2000, 400, {2000: 0.5, 2400: 1 / (1 + np.exp(-4)), 1900: 1 / (1 + np.e), 0: 2.06e-9}),
    ],
)
def test_windows_by_hand(function, center, width, expected):
    found = dicom_intensity.window(np.array(list(expected), float), center, width, function)
    assert found / 65535 == pytest.approx(list(expected.values()), abs=1e-9)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("slope", [1, 0.5])
def test_windows_are_those_of_pydicom_and_the_dark_end_is_turned_last(tmp_path, function, photometric, slope):
    path = samples.edited(
        tmp_path / "a.dcm",
        RAMP,
        PhotometricInterpretation=photometric,
        RescaleSlope=slope,
        RescaleIntercept=-100.5,
        WindowCenter=[700.25, 40],
        WindowWidth=[900, 80],
        VOILUTFunction=function,
        **TWELVE,
    )
    theirs, found = shown_by_pydicom(path), dicom.read_pixels(path, "voi")
    # pydicom spreads over what the rescaled values can be; LINEAR and the others end exactly there
    expected = (theirs + 100.5) / (4095 * slope) * 65535
    if photometric == "MONOCHROME1":
        expected = 65535 - expected
    assert found.dtype == np.uint16 and np.abs(found - expected).max() <= 0.51


def test_a_negative_slope_turns_the_gray_values_round(tmp_path):
    fields = {"RescaleSlope": -1, "RescaleIntercept": 10, "WindowCenter": 8, "WindowWidth": 4}
    path = samples.edited(
        tmp_path / "a.dcm", np.array([[0, 2, 4, 6]], np.uint16), VOILUTFunction="LINEAR_EXACT", **fields
    )
    assert dicom.read_pixels(path, "voi").tolist() == [[65535, 32768, 0, 0]]  # of 10, 8, 6, 4, shown from 6 to 10


@pytest.mark.parametrize("first", [0, 100, 4000])
@pytest.mark.parametrize("bits", [10, 12, 16])  # with 8 pydicom's index overflows beyond 256 entries
def test_voi_tables_are_those_of_pydicom_and_go_before_a_window(tmp_path, first, bits):
    entries = np.linspace(0, 2**bits - 1, 1000).round() ** 2 // (2**bits - 1)
    fields = {"VOILUTSequence": table(entries, first, bits), "WindowCenter": 9, "WindowWidth": 9}
    path = samples.edited(tmp_path / "a.dcm", RAMP, **fields, **TWELVE)
    expected = shown_by_pydicom(path) * 65535 / (2**bits - 1)
    assert np.abs(dicom.read_pixels(path, "voi") - expected).max() <= 0.51


def test_tables_of_eight_bits_may_be_packed_two_to_a_word(tmp_path):
    path = samples.edited(
        tmp_path / "a.dcm",
        np.arange(4, dtype=np.uint8)[None],
        VOILUTSequence=table([9, 0, 255, 51], 0, 8, dtype="u1"),
    )
    assert dicom.read_pixels(path, "voi").tolist() == [[9 * 257, 0, 65535, 51 * 257]]


def test_a_modality_table_goes_before_the_window(tmp_path):
    pixels = np.array([[0, 1, 2, 3]], np.uint16)
    fields = {"ModalityLUTSequence": table([50, 0, 100, 25], 0, 16), "WindowCenter": 50, "WindowWidth": 100}
    path = samples.edited(tmp_path / "a.dcm", pixels, VOILUTFunction="LINEAR_EXACT", **fields)
    assert dicom.read_pixels(path, "voi").tolist() == [[32768, 0, 65535, 16384]]
    assert np.abs(shown_by_pydicom(path) - dicom.read_pixels(path, "voi")).max() <= 1


@pytest.mark.parametrize(
    "syntax", [uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian, uids.ExplicitVRBigEndian]
)
def test_tables_of_signed_pixels_begin_below_zero_in_every_syntax(tmp_path, syntax):
    pixels = np.array([[-3, -2, -1, 0, 1]], np.int16).view(np.uint16)
    order = ">u2" if syntax == uids.ExplicitVRBigEndian else "<u2"
    fields = {"VOILUTSequence": table([0, 255, 51], -2, 8, vr="SS", dtype=order), "PixelRepresentation": 1}
    path = samples.edited(tmp_path / "a.dcm", pixels, syntax=syntax, **fields)
    assert dicom.read_pixels(path, "voi").tolist() == [[0, 0, 65535, 51 * 257, 51 * 257]]


@pytest.mark.parametrize("vr", ["US", "SS"])
@pytest.mark.parametrize("intercept", [0, -1024])
def test_a_table_that_begins_above_all_values_begins_below_zero(tmp_path, vr, intercept):
    """Files that call the numbers of a table unsigned, though its values are not."""
    lut = table([0, 255, 51], -2 if vr == "SS" else 65534, 8, vr=vr)
    fields = {"VOILUTSequence": lut, "RescaleSlope": 1, "RescaleIntercept": intercept, **TWELVE}
    stored = np.array([[-3, -2, -1, 0, 1]], np.int16) - intercept
    fields["PixelRepresentation"] = int(not intercept)
    path = samples.edited(tmp_path / "a.dcm", stored.view(np.uint16), **fields)
    assert dicom.read_pixels(path, "voi").tolist() == [[0, 0, 65535, 51 * 257, 51 * 257]]


def test_a_table_of_no_entries_has_65536(tmp_path):
    lut = table(np.arange(65536)[::-1], 0, 16)
    assert lut[0].LUTDescriptor[0] == 0
    path = samples.edited(tmp_path / "a.dcm", np.array([[0, 1, 40000, 65535]], np.uint16), VOILUTSequence=lut)
    assert dicom.read_pixels(path, "voi").tolist() == [[65535, 65534, 25535, 0]]


def test_an_empty_sequence_of_tables_leaves_it_to_the_window(tmp_path):
    fields = {"VOILUTSequence": pydicom.Sequence(), "ModalityLUTSequence": pydicom.Sequence()}
    path = samples.edited(tmp_path / "a.dcm", np.array([[4, 5]], np.uint16), WindowCenter=5, WindowWidth=1, **fields)
    assert dicom.read_pixels(path, "voi").tolist() == [[0, 65535]]


def test_without_a_window_voi_spreads_all_that_the_storage_allows(tmp_path):
    dicom.write(tmp_path / "a.dcm", np.array([[0, 1, 4095]], np.uint16), bits_stored=12)
    assert dicom.read_pixels(tmp_path / "a.dcm", "voi").tolist() == [[0, 16, 65535]]
    path = samples.edited(tmp_path / "a.dcm", np.array([[0, 255]], np.uint8), RescaleSlope=-2, RescaleIntercept=7)
    assert dicom.read_pixels(path, "voi").tolist() == [[65535, 0]]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"WindowCenter": 5, "WindowWidth": 0}, "center 5 and width 0 make no window of kind LINEAR"),
        ({"WindowCenter": 5, "WindowWidth": 0.5}, "width 0.5 make no window of kind LINEAR"),
        ({"WindowCenter": 5, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "no window of kind SIGMOID"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "'CUBIC' is none of LINEAR"),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "a slope of 0.0 and an intercept of 5.0 tell no value"),
        ({"WindowCenter": 5}, "no WindowWidth beside WindowCenter"),
        ({"VOILUTSequence": table([1, 2, 3], 0, 0)}, "3 entries of 1 to 16 bits, found 3 of 0"),
        ({"VOILUTSequence": pydicom.Sequence([pydicom.Dataset()])}, "three numbers that describe the table, found 0"),
    ],
)
def test_a_window_that_is_none_stops_voi_alone(tmp_path, fields, reason):
    path = samples.edited(tmp_path / "a.dcm", **fields)
    with pytest.raises(cases.DataError, match=reason):
        dicom.read_pixels(path, "voi")
    assert np.array_equal(dicom.read_pixels(path), samples.PIXELS)


def test_a_table_shorter_than_it_says_is_a_data_error(tmp_path):
    lut = table([1, 2, 3], 0, 16)
    lut[0].LUTDescriptor = [9, 0, 16]
    with pytest.raises(cases.DataError, match="expected 9 entries of 1 to 16 bits, found 6 of 16"):
        dicom.read_pixels(samples.edited(tmp_path / "a.dcm", VOILUTSequence=lut), "voi")


@pytest.mark.parametrize(
    ("photometric", "values"),
    [("MONOCHROME2", [0, 0, 21845, 65535, 0]), ("MONOCHROME1", [65535, 65535, 43690, 0, 0])],
)
def test_minmax_spreads_what_is_not_padding(tmp_path, photometric, values):
    pixels = np.array([[100, 100, 200, 400, 4000]], np.uint16)
    fields = {"PixelPaddingValue": 4000, "PhotometricInterpretation": photometric}
    path = samples.edited(tmp_path / "a.dcm", pixels, **fields, **TWELVE)
    assert dicom.read_pixels(path, "minmax").tolist() == [values]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("padding", [None, 7])
def test_a_flat_image_becomes_dark(tmp_path, photometric, padding):
    fields = {"PhotometricInterpretation": photometric} | ({"PixelPaddingValue": padding} if padding else {})
    path = samples.edited(tmp_path / "a.dcm", np.full((2, 3), 7, np.uint16), **fields)
    assert dicom.read_pixels(path, "minmax").tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("photometric", "fields", "raw"),
    [
        ("MONOCHROME2", {"PixelPaddingValue": 4095}, [0, 5, 10, 15, 0]),
        ("MONOCHROME2", {"PixelPaddingValue": 5, "PixelPaddingRangeLimit": 10}, [0, 0, 0, 15, 4095]),
        ("MONOCHROME2", {"PixelPaddingValue": 10, "PixelPaddingRangeLimit": 5}, [0, 0, 0, 15, 4095]),
        ("MONOCHROME1", {"PixelPaddingValue": 0}, [0, 4090, 4085, 4080, 0]),
        ("MONOCHROME1", {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 10}, [0, 0, 0, 4080, 0]),
        ("MONOCHROME2", {"PixelPaddingValue": 5000}, [0, 5, 10, 15, 4095]),  # no pixel of 12 bits can have it
    ],
)
def test_padding_becomes_background(tmp_path, photometric, fields, raw):
    pixels = np.array([[0, 5, 10, 15, 4095]], np.uint16)
    path = samples.edited(tmp_path / "a.dcm", pixels, PhotometricInterpretation=photometric, **fields, **TWELVE)
    before = path.read_bytes()
    assert dicom.read_pixels(path).tolist() == [raw]
    is_padding = np.array(raw) == 0
    assert (dicom.read_pixels(path, "voi")[0] == 0).tolist() == is_padding.tolist()
    assert path.read_bytes() == before


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_padding_of_signed_pixels_counts_by_its_bits_whatever_its_representation(tmp_path, vr):
    pixels = np.array([[-2000, -1, 0, 2047]], np.int16).view(np.uint16)
    path = samples.edited(tmp_path / "a.dcm", pixels, PixelRepresentation=1, **TWELVE)
    data = pydicom.dcmread(path)
    data.add_new("PixelPaddingValue", vr, -2000 if vr == "SS" else 65536 - 2000)
    data.save_as(path)
    assert dicom.read_header(path).padding == (48, 48)
    assert dicom.read_pixels(path).tolist() == [[0, 2047, 2048, 4095]]
    assert dicom.read_pixels(path, "minmax").tolist() == [[0, 0, 32, 65535]]


def test_largest_values_and_unknown_policies(tmp_path):
    dicom.write(tmp_path / "a.dcm", samples.PIXELS, bits_stored=12)
    header = dicom.read_header(tmp_path / "a.dcm")
    assert [dicom.max_value(header, policy) for policy in ("raw", "voi", "minmax")] == [4095, 65535, 65535]
    assert dicom.max_value(header) == 4095
    with pytest.raises(cases.MammoError, match="intensity 'window' is none of raw, voi, minmax"):
        dicom.max_value(header, "window")
    with pytest.raises(cases.MammoError, match="'RAW' is none of"):
        dicom.read_pixels(tmp_path / "no such file", "RAW")


def test_rows_looked_up_in_parts_are_those_looked_up_at_once(monkeypatch):
    values = np.random.default_rng(0).integers(0, 256, (37, 11)).astype(np.uint8)
    lut = np.random.default_rng(1).integers(0, 65536, 256).astype(np.uint16)
    monkeypatch.setattr(dicom_intensity, "_CHUNK", 50)
    assert np.array_equal(dicom_intensity._look_up(lut, values), lut[values])
