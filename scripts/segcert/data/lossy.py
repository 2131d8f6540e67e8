"""Detect lossy compression, such as that of JPEG files.

Lossy compression changes the pixels before they are read, so it is recorded for each image. The certificate of such an
image applies to the decompressed pixels.
"""

import io
from collections.abc import Iterable

JPEG = b"\xff\xd8\xff"
STEP = "decompressed from "
JPEG_SUFFIXES = (".jpg", ".jpeg")
TIFF_JPEG = (6, 7, 34892)  # values of the Compression tag
# DICOM transfer syntaxes that are always lossy: JPEG baseline and JPEG extended
DICOM_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


def lossy_step(data: bytes, kind: str) -> str | None:
    """Return a description of an image file's lossy compression, or None if the file does not indicate any.

    `kind` is the format of the file, as returned by segcert.data.decode.file_format.
    """
    if data.startswith(JPEG):
        return f"{STEP}JPEG, whose compression had changed the pixels"
    if kind == "TIFF" and _tiff_is_lossy(data):
        return f"{STEP}JPEG within TIFF, whose compression had changed the pixels"
    if kind == "DICOM" and _dicom_is_lossy(data):
        return f"{STEP}a DICOM file whose compression had changed the pixels (Lossy Image Compression)"
    return None


def is_lossy(steps: Iterable[str]) -> bool:
    """Return True if one of the steps that were applied to an image is the decompression of lossy data.

    `steps` has the form of segcert.data.raster.Raster.applied.
    """
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
