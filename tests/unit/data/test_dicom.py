"""DICOM as displayed: against pydicom's own pipeline on its bundled files, and with every tag of it changed."""

import contextlib
import copy
import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from segcert.data.decode import decode
from segcert.data.dicom import is_dicom, pixel_spacing, read_dicom
from segcert.data.errors import DataError
from segcert.measurements import AT_DETECTOR, MM, PIXEL_WIDTHS

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
RAMP = np.arange(0, 4080, 17, dtype=np.uint16).reshape(12, 20)


def dicom(pixels=RAMP, *, signed=False, stored=12, photometric="MONOCHROME2", **attributes):
    """A data set of one gray frame, with further attributes by keyword."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, stored, stored - 1
    dataset.PixelRepresentation = int(signed)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.PixelData = pixels.astype("<i2" if signed else "<u2").tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def saved(dataset):
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def lut(entries, bits, first=0):
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return Sequence([item])


def displayed_by_pydicom(dataset):
    """Fractions of white, (H, W) or (H, W, 3), by pydicom's functions and its output range (PS3.3 C.11)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = pixel_array(dataset)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            shown = apply_color_lut(stored, dataset)
            return shown / (2.0 ** dataset.RedPaletteColorLookupTableDescriptor[2] - 1)
        if dataset.SamplesPerPixel == 3:
            return stored / (2.0**dataset.BitsStored - 1)
        shown = apply_voi_lut(apply_modality_lut(stored, dataset), dataset)
    bits, signed = dataset.BitsStored, dataset.PixelRepresentation
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if dataset.get("VOILUTSequence"):
        low, high = 0.0, 2.0 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif dataset.get("ModalityLUTSequence"):
        low, high = 0.0, 2.0 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    elif "WindowCenter" not in dataset and signed:  # the sign bit of values that are never negative is not used
        assert stored.min() >= 0
        shown, low = stored, 0.0
    elif "RescaleSlope" in dataset:
        low, high = (
            low * dataset.RescaleSlope + dataset.RescaleIntercept,
            high * dataset.RescaleSlope + dataset.RescaleIntercept,
        )
        if "WindowCenter" not in dataset:
            low, high = min(low, high), max(low, high)
    fractions = (shown - low) / (high - low)
    dark_is_high = (
        dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    )
    return 1 - fractions if dark_is_high else fractions


def assert_displayed(data, dataset):
    read = read_dicom(data)
    expected = displayed_by_pydicom(dataset)
    planes = expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1)
    assert np.array_equal(read.planes, np.rint(planes * (2**read.bits - 1)))


def bundled_images():
    """Path and data set of pydicom's single-frame files of up to 16 bits that pydicom decodes."""
    found = []
    for path in sorted(path for path in BUNDLED.rglob("*") if path.is_file()):
        with contextlib.suppress(Exception):  # no DICOM file, no image, or one that pydicom does not decode
            dataset = pydicom.dcmread(path)
            single = int(dataset.get("NumberOfFrames") or 1) == 1 and dataset.BitsAllocated <= 16
            pixel_array(dataset)
            if single:
                found.append((path, dataset))
    return found


def test_bundled_files_of_pydicom_are_read_as_pydicom_displays_them():
    images, refused = bundled_images(), {}
    for path, dataset in images:
        try:
            assert_displayed(path.read_bytes(), dataset)
        except DataError as error:
            refused[path.name] = str(error)
    assert len(images) > 60
    assert refused == {
        "JPEG2000.dcm": "the file has signed values from -30 to 245 and no window; pass `--window LOW HIGH`"
    }


def test_dicom_file_whose_preamble_is_a_tiff_header_is_read_as_dicom():
    data = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    assert data[:4] == b"II*\0"
    assert np.array_equal(decode(data).pixels, read_dicom(data).planes)


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm"])
def test_a_file_without_an_image_is_refused_by_its_kind(name):
    kind = {"test-SR.dcm": "Comprehensive SR", "rtplan.dcm": "RT Plan", "waveform_ecg.dcm": "12-lead ECG"}[name]
    with pytest.raises(DataError, match=f"contains no image .SOP class: {kind}"):
        read_dicom(Path(get_testdata_file(name)).read_bytes())


def test_frames_are_read_where_one_is_chosen():
    data = Path(get_testdata_file("SC_rgb_rle_2frame.dcm")).read_bytes()
    with pytest.raises(DataError, match="has 2 frames; choose one with `--frame`, from 1 to 2"):
        read_dicom(data)
    frames = pixel_array(pydicom.dcmread(io.BytesIO(data)))
    for number in (1, 2):
        assert np.array_equal(read_dicom(data, frame=number).planes, frames[number - 1].transpose(2, 0, 1))
    with pytest.raises(DataError, match="found 3; expected 1 to 2"):
        read_dicom(data, frame=3)


CHANGES = {
    "window": {"WindowCenter": 2000, "WindowWidth": 1000},
    "narrow window": {"WindowCenter": 2000, "WindowWidth": 1},
    "several windows": {"WindowCenter": [2000, 100], "WindowWidth": [1000, 50]},
    "no width": {"WindowCenter": 2000, "WindowWidth": 0},
    "no center": {"WindowWidth": 1000},
    "empty window": {"WindowCenter": None, "WindowWidth": None},
    "exact window": {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    "unknown function": {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "CUBIC"},
    "rescale": {"RescaleSlope": 2, "RescaleIntercept": -1024},
    "negative slope": {"RescaleSlope": -1, "RescaleIntercept": 4095},
    "slope 0": {"RescaleSlope": 0, "RescaleIntercept": 0},
    "slope alone": {"RescaleSlope": 2},
    "intercept alone": {"RescaleIntercept": 2},
    "rescale and window": {"RescaleSlope": 0.5, "RescaleIntercept": 7, "WindowCenter": 900, "WindowWidth": 700},
    "negative slope and window": {
        "RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2000, "WindowWidth": 700,
    },
    "modality LUT": {"ModalityLUTSequence": lut(np.arange(4096) // 3, 16)},
    "modality LUT and window": {
        "ModalityLUTSequence": lut(np.arange(4096) // 3, 16), "WindowCenter": 700, "WindowWidth": 600,
    },
    "VOI LUT": {"VOILUTSequence": lut((np.arange(4096) ** 2) >> 12, 12)},
    "VOI LUT from 500": {"VOILUTSequence": lut(np.arange(1000) * 4, 12, first=500)},
    "VOI LUT of bytes": {"VOILUTSequence": lut(np.arange(4096) // 16, 8)},
    "VOI LUT and window": {
        "VOILUTSequence": lut(4095 - np.arange(4096), 12), "WindowCenter": 700, "WindowWidth": 600,
    },
    "inverse": {"PresentationLUTShape": "INVERSE"},
    "identity": {"PresentationLUTShape": "IDENTITY"},
    "unknown shape": {"PresentationLUTShape": "LOG"},
    "white is zero": {"PhotometricInterpretation": "MONOCHROME1"},
    "white is zero, inverse": {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    "white is zero, identity": {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"},
    "white is zero, window": {
        "PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2000, "WindowWidth": 1000,
    },
    "RGB of one sample": {"PhotometricInterpretation": "RGB"},
    "palette without one": {"PhotometricInterpretation": "PALETTE COLOR"},
    "12 bits, the high ones": {"HighBit": 15},
    "11 bits stored": {"BitsStored": 11, "HighBit": 10},
    "16 bits stored": {"BitsStored": 16, "HighBit": 15},
    "17 bits stored": {"BitsStored": 17, "HighBit": 16},
    "8 bits allocated": {"BitsAllocated": 8},
    "signed": {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15},
    "signed and window": {
        "PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15, "WindowCenter": 2000, "WindowWidth": 1000,
    },
    "three samples": {"SamplesPerPixel": 3},
    "more rows": {"Rows": 13},
    "presentation LUT": {"PresentationLUTSequence": lut(np.arange(4096), 12)},
    "blend": {"PixelPresentation": "MIXED"},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_tag_shows_as_pydicom_displays_it_or_is_refused(change):
    dataset = dicom()
    for keyword, value in copy.deepcopy(CHANGES[change]).items():
        setattr(dataset, keyword, value)
    data = saved(dataset)
    try:
        read_dicom(data)
    except Exception:  # `decode` makes a DataError of each; test_decode has them
        return
    reread = pydicom.dcmread(io.BytesIO(data))
    for keyword in ("WindowCenter", "WindowWidth"):
        if keyword in reread and reread[keyword].is_empty:
            del reread[keyword]
    assert_displayed(data, reread)


REFUSED = {
    "no width": "Window Width",
    "no center": "WindowCenter: missing, although WindowWidth is present",
    "unknown function": "CUBIC",
    "slope 0": "all values would be equal or infinite",
    "slope alone": "RescaleIntercept: missing",
    "intercept alone": "RescaleSlope: missing",
    "VOI LUT of bytes": "4096 entries of 8 bits",
    "unknown shape": "expected IDENTITY or INVERSE",
    "white is zero, identity": "With IDENTITY, high values are bright",
    "12 bits, the high ones": "HighBit: found 15",
    "17 bits stored": "at most 16 are supported",
    "presentation LUT": "PresentationLUTSequence: this attribute is not supported",
    "blend": "found MIXED",
}


@pytest.mark.parametrize("change", REFUSED)
def test_contradictions_are_refused_with_their_reason(change):
    dataset = dicom()
    for keyword, value in copy.deepcopy(CHANGES[change]).items():
        setattr(dataset, keyword, value)
    with pytest.raises(DataError, match=REFUSED[change]):
        read_dicom(saved(dataset))


def test_a_window_that_is_asked_for_replaces_that_of_the_file():
    dataset = dicom(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=10, WindowWidth=20)
    read = read_dicom(saved(dataset), window=(0.0, 5000.0))
    expected = np.rint(np.clip((RAMP * 2.0 - 1000) / 5000, 0, 1) * 4095)
    assert np.array_equal(read.planes[0], expected)
    assert read.applied == ("rescale: slope 2, intercept -1000", "window from 0 to 5000, as asked")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, 34])
def test_padding_is_black(photometric, limit):
    dataset = dicom(photometric=photometric, PixelPaddingValue=0)
    if limit is not None:
        dataset.PixelPaddingRangeLimit = limit
    read = read_dicom(saved(dataset))
    padding = (limit or 0) >= RAMP
    assert not read.planes[0][padding].any()
    content = 4095 - RAMP if photometric == "MONOCHROME1" else RAMP
    assert np.array_equal(read.planes[0][~padding], content[~padding])
    assert read.applied[-1] == "padding shown black"


def test_signed_values_are_read_where_they_are_never_negative_or_have_a_window():
    low = dicom(RAMP - 100, signed=True, stored=16)
    with pytest.raises(DataError, match="signed values from -100 to 3963 and no window"):
        read_dicom(saved(low))
    read = read_dicom(saved(low), window=(-100, 3963))
    assert np.array_equal(read.planes[0], np.rint(RAMP / 4063 * 65535))
    assert read_dicom(saved(dicom(signed=True, stored=13))).bits == 12
    assert np.array_equal(read_dicom(saved(dicom(signed=True, stored=13))).planes[0], RAMP)


def test_windows_in_functional_groups_are_applied():
    voi, group = Dataset(), Dataset()
    voi.WindowCenter, voi.WindowWidth = 2000, 1000
    group.FrameVOILUTSequence = Sequence([voi])
    enhanced = read_dicom(saved(dicom(SharedFunctionalGroupsSequence=Sequence([group]))))
    assert np.array_equal(enhanced.planes, read_dicom(saved(dicom(WindowCenter=2000, WindowWidth=1000))).planes)


def test_a_file_without_preamble_is_read():
    buffer = io.BytesIO()
    plain = pydicom.dcmread(io.BytesIO(saved(dicom())))
    plain.preamble = None
    plain.file_meta = FileMetaDataset()
    plain.save_as(buffer, implicit_vr=True, little_endian=True)
    data = buffer.getvalue()
    assert data[128:132] != b"DICM"
    assert is_dicom(data)
    assert np.array_equal(read_dicom(data).planes[0], RAMP)
    assert not is_dicom(b"\x08\x00 text that starts with two odd bytes" + b" " * 200)
    assert not is_dicom(b"<html>" + b" " * 200)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"PixelSpacing": [0.2, 0.3]}, ((0.2, 0.3), MM)),
        ({"PixelSpacing": [0.2]}, None),
        ({"PixelSpacing": [0, 0.3]}, None),
        ({"PixelSpacing": None}, None),
        ({"ImagerPixelSpacing": [0.2, 0.2]}, ((0.2, 0.2), AT_DETECTOR)),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]}, ((0.2, 0.2), AT_DETECTOR)),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.15, 0.15]}, ((0.15, 0.15), MM)),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"},
            ((0.2, 0.2), MM),
        ),
        ({"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 1.25}, ((0.16, 0.16), MM)),
        ({"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 0}, ((0.2, 0.2), AT_DETECTOR)),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "DistanceSourceToDetector": 1800, "DistanceSourceToPatient": 1440},
            ((0.16, 0.16), MM),
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "DistanceSourceToDetector": 1000, "DistanceSourceToPatient": 1800},
            ((0.2, 0.2), AT_DETECTOR),
        ),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, ((0.1, 0.1), AT_DETECTOR)),
        ({"ImagerPixelSpacing": [0.2, 0.3]}, ((0.2, 0.3), AT_DETECTOR)),
        ({"PixelAspectRatio": [3, 2]}, ((1.5, 1.0), PIXEL_WIDTHS)),
        ({"PixelAspectRatio": [1, 1]}, None),
        ({"PixelAspectRatio": [0, 1]}, None),
        ({"PixelAspectRatio": 2}, None),
        ({"PixelAspectRatio": [3, 2], "PixelSpacing": [0.2, 0.2]}, ((0.2, 0.2), MM)),
    ],
)
def test_pixel_size_is_that_in_the_patient_where_it_is_known(attributes, expected):
    found = pixel_spacing(pydicom.dcmread(io.BytesIO(saved(dicom(**attributes)))))
    if expected is None:
        assert found is None
    else:
        assert (pytest.approx(found.size), found.unit) == expected
