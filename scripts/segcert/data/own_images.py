"""Images of one's own that are certified one by one: PNG, TIFF and DICOM files."""

from pathlib import Path

from segcert.data.decoding import decode, file_format
from segcert.data.errors import DataError
from segcert.data.images import Raster


def read_own_image(path: str | Path, bits: int | None = None) -> Raster:
    """Read a PNG, TIFF or DICOM file; `bits` of its grid, where the file does not say it (segcert.data.decoding).

    Raises DataError, naming the file, for anything that is no such image.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    data = path.read_bytes()
    if not file_format(data):
        raise DataError(f"{path}: is no PNG, TIFF or DICOM file; convert it (JPEG loses what certificates speak of)")
    try:
        return decode(data, bits)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
