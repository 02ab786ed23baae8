"""Compressed pixels before they are decoded: which codec a transfer syntax asks for, and what a stream says it holds.

A stream's own header decides how much memory its decoder takes, so it is held against the DICOM header first.
Standards: ITU-T T.81 B.2 (JPEG), T.87 C.2 (JPEG-LS), T.800 A.5.1 (JPEG 2000), DICOM PS3.5 annexes A.4 and G (RLE).

    dicom_stream.CODECS[syntax].lossy
    dicom_stream.parse(first_bytes)   # Frame(process=0xC3, rows=4664, columns=3064, components=1, precision=12)
"""

from __future__ import annotations

import dataclasses
import struct

from pydicom import uid as uids

HEAD = 1 << 20  # bytes in which the header of a stream must end
_JPEG2000 = 0x51
_LOSSLESS, _LS = 0xC3, 0xF7
_DCT = (0xC0, 0xC1)
PROCESSES = {
    0xC0: "JPEG baseline",
    0xC1: "JPEG extended",
    0xC2: "JPEG progressive",
    _LOSSLESS: "JPEG lossless",
    _LS: "JPEG-LS",
    _JPEG2000: "JPEG 2000",
}
_TABLES = (0xC4, 0xC8, 0xCC)  # markers among those of frames that start none
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_MAX_TILES = 65_535
END = (
    b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike; where it lacks, decoders of JPEG fill up with gray in silence
)


@dataclasses.dataclass(frozen=True)
class Codec:
    """How the streams of one transfer syntax are decoded.

    Attributes:
        decoder: name of the function of imagecodecs.
        processes: marker codes of the frames allowed; () for RLE, which has none.
        lossy: whether pixels may differ from those before compression.
        least_bits: that a pixel takes in a stream at least; 0 where runs may be of any length.
    """

    decoder: str
    processes: tuple[int, ...]
    lossy: bool = False
    least_bits: float = 0.0


_DCT_CODEC = Codec("jpeg8_decode", _DCT, lossy=True, least_bits=1 / 32)  # two codes of a bit for 64 pixels
_LOSSLESS_CODEC = Codec("jpeg8_decode", (_LOSSLESS,), least_bits=1)
_J2K = Codec("jpeg2k_decode", (_JPEG2000,))
_LOSSY_J2K = Codec("jpeg2k_decode", (_JPEG2000,), lossy=True)
CODECS = {
    uids.RLELossless: Codec("packbits_decode", (), least_bits=1 / 8),  # two bytes stand for at most 128
    uids.JPEGBaseline8Bit: _DCT_CODEC,
    uids.JPEGExtended12Bit: _DCT_CODEC,
    uids.JPEGLossless: _LOSSLESS_CODEC,
    uids.JPEGLosslessSV1: _LOSSLESS_CODEC,
    uids.JPEGLSLossless: Codec("jpegls_decode", (_LS,)),
    uids.JPEGLSNearLossless: Codec("jpegls_decode", (_LS,), lossy=True),
    uids.JPEG2000Lossless: _J2K,
    uids.JPEG2000: _LOSSY_J2K,
    uids.HTJ2KLossless: _J2K,  # OpenJPEG decodes it too, and says so when it cannot
    uids.HTJ2KLosslessRPCL: _J2K,
    uids.HTJ2K: _LOSSY_J2K,
}


@dataclasses.dataclass(frozen=True)
class Frame:
    """What the header of a stream says: marker code of the process, size, samples a pixel, bits a sample."""

    process: int
    rows: int
    columns: int
    components: int
    precision: int

    @property
    def name(self) -> str:
        return PROCESSES.get(self.process, f"JPEG process {self.process - 0xC0}")


def parse(head: bytes) -> Frame:
    """Reads the header of a JPEG, JPEG-LS or JPEG 2000 stream.

    Args:
        head: its first bytes, at most `HEAD`.

    Raises:
        ValueError: none of them, or its header is damaged.
    """
    try:
        if head.startswith(b"\xff\xd8"):
            return _jpeg(head)
        start = head.find(b"\xff\x4f\xff\x51")  # at 0, or inside the boxes of a JP2 file
        if start < 0:
            raise ValueError(f"begins with {head[:4].hex(' ')}, as neither JPEG nor JPEG 2000 does")
        return _jpeg2000(head[start + 4 :])
    except (struct.error, IndexError):
        raise ValueError("its header is cut off") from None


def _jpeg(head: bytes) -> Frame:
    at = 2
    while True:
        if head[at] != 0xFF:
            raise ValueError(f"no marker at byte {at} of its header")
        marker = head[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif (0xC0 <= marker <= 0xCF and marker not in _TABLES) or marker == _LS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", head, at + 4)
            return Frame(marker, rows, columns, components, precision)
        elif marker in (0xD9, 0xDA):
            raise ValueError("no frame header in front of its data")
        else:
            at += 2 + struct.unpack_from(">H", head, at + 2)[0]


def _jpeg2000(head: bytes) -> Frame:
    right, bottom, left, top, width, height, _, _, components, depth = struct.unpack_from(">8LHB", head, 4)
    if not (width and height):
        raise ValueError("its tiles are empty")
    rows, columns = bottom - top, right - left
    tiles = -(-rows // height) * -(-columns // width)
    if tiles > _MAX_TILES:
        raise ValueError(f"cut into {tiles} tiles (at most {_MAX_TILES})")
    return Frame(_JPEG2000, rows, columns, components, (depth & 0x7F) + 1)
