"""Fuzz the readers of images: PNG, JPEG, GIF, BMP, TIFF, DICOM."""

import io

import numpy as np
from tests.tools.fuzz.contract import Target


def _read(path):
    from segcert.data.decode import decode, decode_binary
    from segcert.data.errors import DataError
    from segcert.data.masks import read_mask

    data, refused = path.read_bytes(), []
    for decoder in (decode, decode_binary, read_mask):
        try:
            decoder(data)
        except DataError as error:
            refused.append(error)
    from segcert.data.user_data import read_own_image

    image = read_own_image(path, trained_bits=16)  # raises errors that name the file
    image.resized(8), image.gray(), image.unit(), image.inverted(), image.with_bits(8)
    try:
        image.padded().resized(8)
    except DataError as error:
        refused.append(error)


def _pictures():
    from PIL import Image

    gray = np.arange(48, dtype=np.uint8).reshape(6, 8)
    colour = np.stack([gray, gray * 2, gray * 3], axis=-1)
    palette = Image.fromarray(gray % 4)
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9])
    exif = Image.Exif()
    exif[0x0112] = 6
    return gray, colour, palette, exif


def _saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _raster_seeds():
    from PIL import Image

    gray, colour, palette, exif = _pictures()
    return [
        _saved(Image.fromarray(gray), "PNG"),
        _saved(Image.fromarray(colour), "PNG", exif=exif),
        _saved(Image.fromarray(gray.astype(np.uint16) * 256), "PNG"),
        _saved(palette, "PNG", transparency=1),
        _saved(palette, "GIF"),
        _saved(Image.fromarray(colour), "BMP"),
        _saved(Image.fromarray(gray).convert("1"), "PNG"),
        _saved(Image.fromarray(gray).convert("LA"), "PNG"),
        _saved(Image.fromarray(colour), "JPEG", quality=20),
        _saved(Image.fromarray(gray), "JPEG", quality=20, exif=exif),
        _saved(Image.fromarray(gray), "WEBP"),
    ]


def _tiff_seeds():
    import tifffile
    from PIL import Image

    gray, colour, palette, _ = _pictures()
    seeds = [_saved(palette, "TIFF"), _saved(Image.fromarray(colour), "TIFF", compression="tiff_lzw")]
    for pixels, options in (
        (gray, {}),
        (gray.astype(np.uint16) * 99, {"compression": "zlib"}),
        (colour, {}),
        (gray, {"photometric": "miniswhite", "byteorder": ">"}),
        (gray, {"tile": (16, 16)}),
        (gray, {"extratags": [(274, "H", 1, 6, True)]}),
        (np.stack([gray, gray]), {"photometric": "minisblack"}),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, **options)
        seeds.append(buffer.getvalue())
    return seeds


def _dicom_seeds():
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    seeds = []
    for syntax, interpretation, samples in (
        (ExplicitVRLittleEndian, "MONOCHROME2", 1),
        (ImplicitVRLittleEndian, "MONOCHROME1", 1),
        (ExplicitVRLittleEndian, "RGB", 3),
    ):
        file = pydicom.Dataset()
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = syntax
        file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = "1.2.3"
        file.Rows, file.Columns, file.SamplesPerPixel = 4, 6, samples
        file.PhotometricInterpretation, file.PixelRepresentation = interpretation, 0
        file.BitsAllocated, file.BitsStored, file.HighBit = (8, 8, 7) if samples == 3 else (16, 12, 11)
        if samples == 3:
            file.PlanarConfiguration = 0
        file.PixelSpacing = [0.2, 0.3]
        file.PixelData = np.arange(24 * samples, dtype=np.uint8 if samples == 3 else np.uint16).tobytes()
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, file, enforce_file_format=True)
        seeds.append(buffer.getvalue())
    return seeds


def _of(seeds, suffix):
    from segcert.data import decode as decoding
    from segcert.data.errors import DataError

    decoding.MAX_PIXELS = 2_000_000  # an image of this size is read in milliseconds

    return Target(_read, seeds, (DataError,), f"picture{suffix}")


def pictures():
    return _of(_raster_seeds, ".png")


def tiff():
    return _of(_tiff_seeds, ".tif")


def dicom():
    return _of(_dicom_seeds, ".dcm")
