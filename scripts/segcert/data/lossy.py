"""Lossy compression, as in JPEG files. It changes pixels before they are read, so it is recorded for each image.

The certificate of such an image applies to its decompressed pixels.
"""

import io
from collections.abc import Iterable

JPEG = b"\xff\xd8\xff"
STEP = "decompressed from "
JPEG_SUFFIXES = (".jpg", ".jpeg")
TIFF_JPEG = (6, 7, 34892)  # compression codes
# DICOM transfer syntaxes that always lose information: JPEG baseline and extended
DICOM_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


def lossy_step(data: bytes, kind: str) -> str | None:
    """Describe the lossy compression of an image file; None if the file states none.

    `kind` is the file's format: see segcert.data.decode.file_format.
    """
    if data.startswith(JPEG):
        return f"{STEP}JPEG, whose compression had changed the pixels"
    if kind == "TIFF" and _tiff_is_lossy(data):
        return f"{STEP}JPEG within TIFF, whose compression had changed the pixels"
    if kind == "DICOM" and _dicom_is_lossy(data):
        return f"{STEP}a DICOM file whose compression had changed the pixels (Lossy Image Compression)"
    return None


def is_lossy(steps: Iterable[str]) -> bool:
    """Return True if the steps applied to an image (segcert.data.raster.Raster.applied) show lossy compression."""
    return any(step.startswith(STEP) for step in steps)


def _tiff_is_lossy(data: bytes) -> bool:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return int(file.pages.first.tags.valueof("Compression", default=1)) in TIFF_JPEG


def _dicom_is_lossy(data: bytes) -> bool:
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    return dataset.get("LossyImageCompression") == "01" or syntax in DICOM_JPEG
