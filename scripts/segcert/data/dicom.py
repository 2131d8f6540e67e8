"""Read DICOM images as a viewer displays them. pydicom computes the standard's grayscale pipeline.

The modality LUT, the VOI transformation (a table or a window) and the presentation LUT are applied to the stored values
(PS3.3 C.7.6.3, C.8.11.3, C.11; PS3.4 N.2). The transformation depends only on the header, not on the pixel values.
"""

import io
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from segcert.data.errors import DataError
from segcert.data.raster import check_size, pixel_shape
from segcert.measurements import AT_DETECTOR, MM, PIXEL_WIDTHS

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE, MAGIC = 128, b"DICM"
# A file without a preamble starts with a tag of group 0002 or 0008, in little-endian or big-endian byte order.
FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
MAX_BITS = 16
GRAY = ("MONOCHROME1", "MONOCHROME2")
# Functional groups of enhanced images. They contain attributes that other images store at the top level.
FRAME_GROUPS = ("PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence")

Values = npt.NDArray[Any]


class Spacing(NamedTuple):
    """Height and width of a pixel.

    Attributes
    ----------
    size
        Height and width in `unit`, both positive.
    unit
        "mm" for lengths in the patient; "mm at the detector" for lengths that an unknown magnification makes larger
        than those in the patient; or "original pixel widths" if only the shape of a pixel is known.
    """

    size: tuple[float, float]
    unit: str


class Displayed(NamedTuple):
    """A DICOM image as a viewer displays it.

    Attributes
    ----------
    planes
        Array of shape (C, H, W), uint16, from 0 (black) to 2^bits - 1 (white); C is 1 or 3.
    bits
        Bit depth, from 1 to 16.
    spacing
        Pixel size; None if the file states neither the size nor the shape of its pixels, or states contradictory
        values.
    applied
        Descriptions of the pipeline steps that changed the stored values, in order.
    """

    planes: npt.NDArray[np.uint16]
    bits: int
    spacing: Spacing | None
    applied: tuple[str, ...]


def is_dicom(data: bytes) -> bool:
    """Return True for a DICOM file, with or without its preamble."""
    if data[PREAMBLE : PREAMBLE + 4] == MAGIC:
        return True
    # The tag (group, element) is followed by an explicit VR (two capital letters) or by a four-byte length.
    return data[:2] in FIRST_GROUPS and len(data) > PREAMBLE and _starts_with_attribute(data)


def read_dicom(
    data: bytes, window: tuple[float, float] | None = None, frame: int | None = None, max_pixels: int | None = None
) -> Displayed:
    """Read a DICOM image as a viewer displays it.

    Parameters
    ----------
    data
        The bytes of the file.
    window
        The two outputs of the modality LUT that are displayed as black and as white (for CT, in Hounsfield units). This
        window replaces the window or VOI LUT in the file. The other steps are unchanged.
    frame
        Number of the frame to read from a multi-frame image, counted from 1.
    max_pixels
        Largest allowed number of pixels in a frame. None means that there is no limit.

    Raises
    ------
    DataError
        If the file contains no image; if it contains several frames and `frame` is None; if its values have more than
        16 bits; if they are negative and no window is known; or if its attributes contradict each other.
    """
    dataset = _parse(data)
    height, width = int(dataset.Rows), int(dataset.Columns)
    check_size(height, width, max_pixels)
    _check_bits(dataset)
    index = _frame_index(dataset, frame)
    _lift_functional_groups(dataset, index)
    stored = _stored_values(dataset, index)
    spacing = pixel_spacing(dataset)
    photometric = dataset.PhotometricInterpretation
    if photometric in GRAY:
        fractions, bits, applied = _display_gray(dataset, stored, window)
        planes = np.rint(fractions * ((1 << bits) - 1)).astype(np.uint16)[None]
        return Displayed(planes, bits, spacing, tuple(applied))
    if window is not None:
        raise DataError(
            f"the image is a colour image ({photometric}), but a window can be applied only to a gray image; omit "
            "the window"
        )
    if photometric == "PALETTE COLOR":
        return _look_up_palette(dataset, stored, spacing)
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise DataError(
            f"PhotometricInterpretation: found {photometric} with pixels of shape {stored.shape}; expected three "
            "channels"
        )
    applied = [] if photometric == "RGB" else [f"{photometric} to RGB"]
    return Displayed(_planes(stored), int(dataset.BitsStored), spacing, tuple(applied))


def pixel_spacing(dataset: "Dataset") -> Spacing | None:
    """Return the pixel size in the patient if it is known, otherwise the pixel size at the detector or the pixel shape.

    The first number of every spacing attribute is the distance between rows, which is the height of a pixel (PS3.3
    10.7.1.3). If the file states no spacing, the pixel shape is computed from PixelAspectRatio. The result is None if
    the pixels are square or if their shape is unknown.

    PixelSpacing is assumed to be calibrated if it differs from ImagerPixelSpacing or if the latter is missing (PS3.3
    10.7.1.3). ImagerPixelSpacing is measured at the detector and is therefore divided by the magnification. The
    magnification is read from the file, or computed from the distances of the patient and the detector from the source.
    A spacing that does not consist of two positive numbers is treated as missing.
    """
    calibrated = _two_lengths(dataset, "PixelSpacing")
    imager = _two_lengths(dataset, "ImagerPixelSpacing")
    if calibrated and (imager is None or calibrated != imager or "PixelSpacingCalibrationType" in dataset):
        return Spacing(calibrated, MM)
    if imager is None:
        if scanned := _two_lengths(dataset, "NominalScannedPixelSpacing"):
            return Spacing(scanned, AT_DETECTOR)
        ratio = _two_lengths(dataset, "PixelAspectRatio")
        shape = pixel_shape(*ratio) if ratio else None
        return Spacing(shape, PIXEL_WIDTHS) if shape else None
    magnification = _magnification(dataset)
    if magnification is None:
        return Spacing(imager, AT_DETECTOR)
    return Spacing((imager[0] / magnification, imager[1] / magnification), MM)


def quieten_pydicom() -> None:
    """Suppress pydicom's warnings, which may contain values from the header. This also works in threads."""
    warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")


def _parse(data: bytes) -> "Dataset":
    import pydicom

    quieten_pydicom()
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if "PixelData" not in dataset or "Rows" not in dataset or "PhotometricInterpretation" not in dataset:
        # An unknown SOP class is not quoted, because this attribute of a damaged file may contain anything.
        uid = dataset.get("SOPClassUID")
        kind = uid.name if uid in pydicom.uid.UID_dictionary else "unknown"
        raise DataError(f"the DICOM file contains no image (SOP class: {kind}); expected an image with pixel data")
    if "TransferSyntaxUID" not in dataset.file_meta:
        # Without a file header the pixel data must be uncompressed. pydicom detected the encoding while parsing.
        implicit, little = dataset.original_encoding
        if not little:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
        elif implicit:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        else:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    return dataset


def _check_bits(dataset: "Dataset") -> None:
    """Raise DataError for a pixel format that is not supported, because its values could be misread."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    if stored > MAX_BITS or allocated > MAX_BITS:
        raise DataError(f"the file uses {stored} of {allocated} bits per value; at most {MAX_BITS} are supported")
    if not 1 <= stored <= allocated:
        raise DataError(f"BitsStored: found {stored} with BitsAllocated {allocated}; expected 1 to {allocated}")
    high = int(dataset.get("HighBit", stored - 1))
    if high != stored - 1:
        raise DataError(f"HighBit: found {high} with BitsStored {stored}; expected {stored - 1}")
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        if keyword in dataset and dataset[keyword].is_empty:
            del dataset[keyword]
    for one, other in (("RescaleSlope", "RescaleIntercept"), ("WindowCenter", "WindowWidth")):
        if (one in dataset) != (other in dataset):
            missing, present = (one, other) if one not in dataset else (other, one)
            raise DataError(
                f"{missing}: missing, although {present} is present, so the file does not define how the image is "
                "displayed"
            )
    if dataset.get("PixelPresentation", "MONOCHROME") in ("COLOR", "MIXED"):
        raise DataError(f"PixelPresentation: found {dataset.PixelPresentation}; expected MONOCHROME or TRUE_COLOR")
    if "PresentationLUTSequence" in dataset:
        raise DataError("PresentationLUTSequence: this attribute is not supported; export the image as it is displayed")


def _frame_index(dataset: "Dataset", frame: int | None) -> int | None:
    """Return the zero-based index of the chosen frame; None if the image has only one frame."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frame is None:
        if frames > 1:
            raise DataError(f"the file has {frames} frames; choose one with `--frame`, from 1 to {frames}")
        return None
    if not 1 <= frame <= frames:
        raise DataError(f"frame: found {frame}; expected 1 to {frames}")
    return frame - 1 if frames > 1 else None


def _lift_functional_groups(dataset: "Dataset", index: int | None) -> None:
    """Copy a frame's attributes from the functional groups to the top level, where pydicom's functions expect them."""
    groups = list(dataset.get("SharedFunctionalGroupsSequence") or [])
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if len(per_frame) > (index or 0):
        groups.append(per_frame[index or 0])
    for group in groups:
        for name in FRAME_GROUPS:
            for item in (group.get(name) or [])[:1]:
                dataset.update({element.tag: element for element in item})


def _stored_values(dataset: "Dataset", index: int | None) -> Values:
    """Return the stored values, as an array of shape (H, W) for one channel or (H, W, 3) for three channels.

    Colours in other colour spaces are converted to RGB.

    Raises
    ------
    DataError
        If a value is outside the range that the attribute BitsStored allows.
    """
    from pydicom.pixels import pixel_array
    from pydicom.uid import JPEGExtended12Bit

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsStored > 8:
            values = _jpeg_of_12_bits(dataset, index or 0)
        else:
            values = pixel_array(dataset, index=index)
    lowest, highest = _stored_range(dataset)
    if values.min() < lowest or values.max() > highest:
        raise DataError(
            f"the file has values from {values.min()} to {values.max()}, but its {dataset.BitsStored} bits allow only "
            f"{lowest} to {highest}"
        )
    return values


def _stored_range(dataset: "Dataset") -> tuple[int, int]:
    """Return the lowest and the highest value that the file's pixel format can store."""
    bits = int(dataset.BitsStored)
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if dataset.PixelRepresentation else (0, (1 << bits) - 1)


def _jpeg_of_12_bits(dataset: "Dataset", index: int) -> Values:
    """Decode a 12-bit JPEG frame with libjpeg-turbo.

    None of the decoders for pydicom that segcert may distribute supports 12-bit JPEG.
    """
    import imagecodecs
    from pydicom.encaps import get_frame

    frames = int(dataset.get("NumberOfFrames") or 1)
    return np.asarray(imagecodecs.jpeg_decode(get_frame(dataset.PixelData, index, number_of_frames=frames)))


def _display_gray(
    dataset: "Dataset", stored: Values, window: tuple[float, float] | None
) -> tuple[npt.NDArray[np.float64], int, list[str]]:
    """Convert the stored values of a gray image to displayed values.

    Returns
    -------
    fractions
        Array of shape (H, W), from 0 (black) to 1 (white).
    bits
        Bit depth of the displayed values.
    applied
        Descriptions of the steps that changed the stored values, in order.
    """
    from pydicom.pixels import apply_modality_lut

    if stored.ndim != 2:
        raise DataError(
            f"the pixel data have the shape {stored.shape}; expected the shape (H, W) of a single gray image"
        )
    applied = []
    values = apply_modality_lut(stored, dataset)
    lowest, highest = _modality_range(dataset)
    bits = int(dataset.BitsStored)
    if dataset.get("ModalityLUTSequence"):
        applied.append("modality LUT")
        bits = int(dataset.ModalityLUTSequence[0].LUTDescriptor[2])
    elif values is not stored:
        applied.append(f"rescale: slope {dataset.RescaleSlope:g}, intercept {dataset.RescaleIntercept:g}")
    if window is not None:
        low, high = window
        if low >= max(lowest, highest) or high <= min(lowest, highest):
            raise DataError(
                f"the file can store values from {lowest:g} to {highest:g}; none of them is in the window from {low:g} "
                f"to {high:g}"
            )
        fractions = (np.clip(values.astype(np.float64), low, high) - low) / (high - low)
        applied.append(f"window from {low:g} to {high:g}, as asked")
    elif dataset.get("VOILUTSequence"):
        fractions, bits = _look_up_voi(dataset, values)
        applied.append("VOI LUT")
    elif "WindowCenter" in dataset:
        fractions = _apply_window(dataset, values, lowest, highest)
        center, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
        function = dataset.get("VOILUTFunction") or "LINEAR"
        applied.append(f"window: center {center:g}, width {width:g} ({function})")
    elif dataset.PixelRepresentation and not dataset.get("ModalityLUTSequence"):
        fractions, bits = _spread_signed(dataset, stored, bits)
    else:
        fractions = (values.astype(np.float64) - min(lowest, highest)) / abs(highest - lowest)
    if _is_inverted(dataset):
        fractions = 1 - fractions
        applied.append("inverted: low values are bright")
    padding = _padding(dataset, stored)
    if padding.any():
        fractions = np.where(padding, 0.0, fractions)
        applied.append("padding shown black")
    return fractions, bits, applied


def _modality_range(dataset: "Dataset") -> tuple[float, float]:
    """Return the modality LUT's outputs for the lowest and the highest value that can be stored."""
    if dataset.get("ModalityLUTSequence"):
        return 0.0, float((1 << int(dataset.ModalityLUTSequence[0].LUTDescriptor[2])) - 1)
    lowest, highest = _stored_range(dataset)
    if "RescaleSlope" not in dataset:
        return float(lowest), float(highest)
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    if slope == 0 or not math.isfinite(slope * highest + intercept):
        raise DataError(
            f"RescaleSlope: found {slope} with RescaleIntercept {intercept}; with these attributes, all values would "
            "be equal or infinite"
        )
    return slope * lowest + intercept, slope * highest + intercept


def _apply_window(dataset: "Dataset", values: Values, lowest: float, highest: float) -> npt.NDArray[np.float64]:
    """Apply the file's first window. Return the brightness of each pixel, from 0 (black) to 1 (white)."""
    from pydicom.pixels import apply_windowing

    try:
        shown = apply_windowing(values, dataset)
    except ValueError as error:  # such as a width of 0 or an unknown function
        raise DataError(f"the file's window cannot be applied ({error}); pass `--window LOW HIGH`") from error
    # pydicom scales the window to the range from `lowest` to `highest`, which contains all storable values after
    # rescaling.
    return np.clip((np.asarray(shown, dtype=np.float64) - lowest) / (highest - lowest), 0, 1)


def _look_up_voi(dataset: "Dataset", values: Values) -> tuple[npt.NDArray[np.float64], int]:
    """Apply the file's first VOI LUT.

    Returns the brightness of each pixel, from 0 (black) to 1 (white), and the bit depth of the LUT.
    """
    from pydicom.pixels import apply_voi

    entries, _, bits = dataset.VOILUTSequence[0].LUTDescriptor
    if bits == 8 and (entries == 0 or entries > 256):
        # For such a table, pydicom 3.0 wrongly reduces the index modulo 256.
        raise DataError(
            f"VOILUTSequence: found {entries or 65536} entries of 8 bits; lookup tables of this kind are not "
            "supported. Pass `--window LOW HIGH`"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about floats, but rescaled values are usually whole numbers
        shown = apply_voi(values, dataset)
    fractions = shown / np.float64((1 << bits) - 1)
    if fractions.max() > 1:
        raise DataError(f"VOILUTSequence: found entries with more than {bits} bits; pass `--window LOW HIGH`")
    return fractions, int(bits)


def _spread_signed(dataset: "Dataset", stored: Values, bits: int) -> tuple[npt.NDArray[np.float64], int]:
    """Scale the signed values of an image without a window to [0, 1].

    Returns the scaled values, and the bit depth without the sign bit.

    Raises DataError if any value is negative.
    """
    if stored.min() < 0:
        raise DataError(
            f"the file has signed values from {stored.min()} to {stored.max()} and no window; pass `--window LOW HIGH`"
        )
    fractions = stored / np.float64((1 << bits - 1) - 1)
    if float(dataset.get("RescaleSlope", 1)) < 0:
        fractions = 1 - fractions
    return fractions, bits - 1


def _is_inverted(dataset: "Dataset") -> bool:
    """Return True if low values are displayed as bright.

    This is determined by PresentationLUTShape or, if that attribute is missing, by the photometric interpretation. An
    image with MONOCHROME1 and the shape INVERSE is inverted only once (PS3.3 C.8.11.3). Raises DataError if the two
    attributes contradict each other.
    """
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    monochrome1 = bool(dataset.PhotometricInterpretation == "MONOCHROME1")
    if shape not in ("", "IDENTITY", "INVERSE"):
        raise DataError(f"PresentationLUTShape: found {shape}; expected IDENTITY or INVERSE")
    if monochrome1 and shape == "IDENTITY":
        raise DataError(
            "PresentationLUTShape: found IDENTITY with the PhotometricInterpretation MONOCHROME1. With IDENTITY, "
            "high values are bright, but with MONOCHROME1, they are dark"
        )
    return monochrome1 or shape == "INVERSE"


def _padding(dataset: "Dataset", stored: Values) -> npt.NDArray[np.bool_]:
    """Return a Boolean array of shape (H, W) that is True for padding (PixelPaddingValue, PS3.3 C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = (int(value), int(value if limit is None else limit))
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))


def _look_up_palette(dataset: "Dataset", stored: Values, spacing: Spacing | None) -> Displayed:
    from pydicom.pixels import apply_color_lut

    shown = apply_color_lut(stored, dataset)
    if shown.shape[-1] != 3:
        raise DataError("the palette has transparency; expected only red, green and blue")
    bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    if shown.max() >= 1 << bits:
        raise DataError(f"RedPaletteColorLookupTableData: found entries with more than {bits} bits")
    return Displayed(_planes(shown), bits, spacing, ("palette",))


def _planes(values: Values) -> npt.NDArray[np.uint16]:
    """Convert an array of shape (H, W, C) to a uint16 array of shape (C, H, W)."""
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.uint16)


def _two_lengths(dataset: "Dataset", keyword: str) -> tuple[float, float] | None:
    values = dataset.get(keyword)
    if isinstance(values, str) or not hasattr(values, "__len__") or len(values) != 2:  # a single number has no len()
        return None
    height, width = float(values[0]), float(values[1])
    usable = all(math.isfinite(length) and length > 0 for length in (height, width))
    return (height, width) if usable else None


def _magnification(dataset: "Dataset") -> float | None:
    """Return the ratio of a length at the detector to the same length in the patient; None if it is unknown."""
    given = _positive(dataset, "EstimatedRadiographicMagnificationFactor")
    to_detector, to_patient = (
        _positive(dataset, "DistanceSourceToDetector"),
        _positive(dataset, "DistanceSourceToPatient"),
    )
    computed = to_detector / to_patient if to_detector and to_patient else None
    factor = given or computed
    return factor if factor is not None and factor >= 1 else None


def _positive(dataset: "Dataset", keyword: str) -> float | None:
    value = dataset.get(keyword)
    if value is None or isinstance(value, str) or not math.isfinite(float(value)) or float(value) <= 0:
        return None
    return float(value)


def _first(value: Any) -> float:
    """Return the first value of an attribute that may have one value or several."""
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _starts_with_attribute(data: bytes) -> bool:
    """Return True if bytes 4 to 7 contain a value representation (two capital letters) or a plausible length."""
    if data[4:6].isalpha() and data[4:6].isupper():
        return True
    return int.from_bytes(data[4:8], "little") < 256
