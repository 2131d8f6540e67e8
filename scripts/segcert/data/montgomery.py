"""Reader of the Montgomery County chest X-rays (Jaeger et al. 2014)."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from segcert.data.errors import DataError
from segcert.data.images import Sample, read_gray

IMAGES = "MontgomerySet/CXR_png"
MASKS = ("MontgomerySet/ManualMask/leftMask", "MontgomerySet/ManualMask/rightMask")
NAME = re.compile(r"MCUCXR_(\d{4})_[01]\.png")


def read_montgomery(archive: Path) -> Iterator[Sample]:
    """Yield every X-ray of the official archive with its lungs: the union of left and right mask, as class 1.

    The group is the patient's number. Stray files are passed over. Raises DataError, naming archive and member,
    for a damaged archive, a missing mask, a mask of another size, and an image that is no image.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = set(file.namelist())
            images = sorted(
                name for name in members if PurePosixPath(name).parent == PurePosixPath(IMAGES) and _patient(name)
            )
            if not images:
                raise DataError(f"{archive}: holds no {IMAGES}/MCUCXR_NNNN_D.png; is it the official archive?")
            for name in images:
                yield _read_sample(file, members, name)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive}: not a whole zip archive ({error}); delete it and run snakemake again") from error


def _read_sample(file: zipfile.ZipFile, members: set[str], name: str) -> Sample:
    image = read_gray(file, name)
    mask = np.zeros(image.shape, np.uint8)
    for folder in MASKS:
        mask_name = f"{folder}/{PurePosixPath(name).name}"
        if mask_name not in members:
            raise DataError(
                f"{file.filename}: {name} has no mask {mask_name}; fetch the archive again or take the image out"
            )
        half = read_gray(file, mask_name)
        if half.shape != image.shape:
            raise DataError(
                f"{file.filename}: {mask_name} is {half.shape[1]}x{half.shape[0]}, "
                f"its image {image.shape[1]}x{image.shape[0]}; "
                "expected the same size: fetch the archive again"
            )
        mask[half > 127] = 1
    return Sample(name=PurePosixPath(name).stem, group=_patient(name), image=image, mask=mask)


def _patient(name: str) -> str:
    match = NAME.fullmatch(PurePosixPath(name).name)
    return match[1] if match else ""
