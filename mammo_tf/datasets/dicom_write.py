"""Writes uncompressed grayscale DICOM, the same bytes for the same arguments.

Standard: DICOM PS3.3 A.8.1 (Secondary Capture), PS3.5 B.2 (UIDs made from UUIDs), PS3.10 section 7.

    dicom_write.write("1-1.dcm", pixels, dicom_write.Labels("P_00001", side="LEFT", projection="CC"), bits_stored=12)
"""

from __future__ import annotations

import dataclasses
import hashlib
import os

import numpy as np
import pydicom
from pydicom import uid as uids


@dataclasses.dataclass(frozen=True)
class Labels:
    """The identifying fields that `write` stores; UIDs come from `uid`.

    Attributes:
        patient_id: a pseudonym.
        study, series, instance: UIDs; where empty they are derived from the patient's id and the pixels.
        description: of the series.
        side, projection: of the breast; empty where unknown.
    """

    patient_id: str = "ANON"
    study: str = ""
    series: str = ""
    instance: str = ""
    description: str = ""
    side: str = ""
    projection: str = ""


def uid(*parts: str) -> str:
    """A UID made of the parts alone, under the root 2.25 (PS3.5 B.2): the same parts, the same UID."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def write(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    labels: Labels | None = None,
    *,
    bits_stored: int | None = None,
    photometric: str = "MONOCHROME2",
    spacing_mm: float | None = None,
) -> None:
    """Writes pixels as an uncompressed Secondary Capture image, the same bytes for the same arguments.

    Args:
        path: the file; its folder exists.
        pixels: (H, W) uint8 or uint16, stored as they are.
        labels: whose image it is.
        bits_stored: bits that hold the value; those of the dtype when None.
        photometric: how a reader is to show the values.
        spacing_mm: side of a pixel.

    Raises:
        ValueError: pixels of another type or shape, or values that need more than `bits_stored` bits.
    """
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 (H, W), got {pixels.dtype} {pixels.shape}")
    allocated = pixels.dtype.itemsize * 8
    stored = bits_stored or allocated
    if stored < allocated and int(pixels.max()) >> stored:
        raise ValueError(f"the value {int(pixels.max())} does not fit into {stored} bits")
    data = pydicom.Dataset()
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = allocated, stored, stored - 1
    data.SamplesPerPixel, data.PixelRepresentation, data.PhotometricInterpretation = 1, 0, photometric
    if spacing_mm is not None:
        data.PixelSpacing = [f"{spacing_mm:.6g}"] * 2
    raw = np.ascontiguousarray(pixels, f"<u{allocated // 8}").tobytes()
    data.add_new("PixelData", "OB" if allocated == 8 else "OW", raw)
    _label(data, labels or Labels())
    pydicom.dcmwrite(path, data, enforce_file_format=True)


def _label(data: pydicom.Dataset, labels: Labels) -> None:
    content = hashlib.sha256(data.PixelData).hexdigest()
    data.PatientID, data.PatientName, data.PatientBirthDate, data.PatientSex = labels.patient_id, "", "", ""
    data.Modality, data.BodyPartExamined, data.ConversionType = "MG", "BREAST", "WSD"
    data.StudyDate = data.StudyTime = data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.SeriesNumber, data.InstanceNumber, data.SeriesDescription = 1, 1, labels.description
    data.Laterality, data.ViewPosition = labels.side[:1], labels.projection
    data.PatientOrientation = ""
    data.StudyInstanceUID = labels.study or uid("study", labels.patient_id)
    data.SeriesInstanceUID = labels.series or uid("series", labels.patient_id, content)
    data.SOPInstanceUID = labels.instance or uid("instance", labels.patient_id, content)
    data.SOPClassUID = uids.SecondaryCaptureImageStorage
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.ImplementationClassUID = uid("mammo_tf")  # pydicom's own would change the bytes with its version
    meta.ImplementationVersionName = "MAMMO_TF"
    data.file_meta = meta
