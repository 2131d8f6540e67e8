"""Replace identifiers from DICOM headers, such as patient names, in texts, paths and file names."""

import contextlib
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from segcert.data.dicom import is_dicom, quieten_pydicom

if TYPE_CHECKING:
    from pydicom import Dataset

KEYWORDS = (
    "AccessionNumber",
    "FrameOfReferenceUID",
    "MediaStorageSOPInstanceUID",
    "MedicalRecordLocator",
    "OtherPatientIDs",
    "PatientAddress",
    "PatientBirthDate",
    "PatientID",
    "PatientTelephoneNumbers",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyID",
    "StudyInstanceUID",
)
NAME = "PN"  # value representation of a person's name
FRAMES = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")  # long sequences without identifiers
SHORTEST = 3  # minimum number of characters; shorter identifiers, such as the number 1, occur in too many texts
CERTAIN = 6  # characters; shorter identifiers are found only as whole words or numbers (Ann is not found in cannot)
LETTER = r"[^\W\d_]"
HEADER = 132  # number of bytes from which a DICOM file is recognised


def withheld(text: str, file: bytes | Path) -> str:
    """Replace every identifier from a DICOM file's header that occurs in a text with id-<digest>.

    Identifiers include the names of all persons, the patient ID, the study ID, the date of birth, and the UIDs of the
    study and the image. The search ignores case. Identifiers of fewer than three characters are not replaced, except
    those of two characters that are not ASCII. The digest is the beginning of the file's SHA-256, so that the file can
    still be identified.

    Parameters
    ----------
    text
        A message, a path or a name that may contain identifiers.
    file
        The bytes or the path of the file. If it is not a DICOM file, the text is returned unchanged.
    """
    if isinstance(file, Path) and not file.is_file():
        return text
    with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as stream:
        found = _identifiers(stream)
        if not found:
            return text
        pattern = "|".join(map(_pattern, sorted(found, key=len, reverse=True)))
        composed = unicodedata.normalize("NFC", text)
        if not re.search(pattern, composed, re.IGNORECASE):
            return text
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return re.sub(pattern, f"id-{digest[:8]}", composed, flags=re.IGNORECASE)


def _identifiers(stream: BinaryIO) -> set[str]:
    """Return the identifiers in a DICOM file's header; an empty set for any other file. Pixels are not read."""
    if not is_dicom(stream.read(HEADER)):
        return set()
    import pydicom

    quieten_pydicom()
    found: set[str] = set()
    stream.seek(0)
    with contextlib.suppress(Exception):  # the identifiers in a damaged header cannot be read
        dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
        for header in (dataset.file_meta, dataset):
            found |= set(_values(header))
    found = {unicodedata.normalize("NFC", each) for each in found}
    return {each for each in found if len(each) >= SHORTEST or (not each.isascii() and len(each) > 1)}


def _values(header: "Dataset") -> Iterator[str]:
    """Yield the values of all identifiers in a header and in its sequences."""
    for tag in list(header.keys()):
        with contextlib.suppress(Exception):  # an element that cannot be decoded
            element = header[tag]
            if element.VR == "SQ" and element.keyword not in FRAMES:
                for item in element.value or ():
                    yield from _values(item)
            elif element.VR == NAME or element.keyword in KEYWORDS:
                for value in map(str, element.value if element.VM > 1 else [element.value]):
                    parts = re.split(r"[\^=,\s]+", value) if element.VR == NAME else []
                    yield from (value.strip(), "".join(parts), "".join(reversed(parts)), *parts)


def _pattern(identifier: str) -> str:
    """Return a regular expression that finds an identifier. A short identifier must be a whole word or number."""
    pattern = re.escape(identifier)
    if len(identifier) >= CERTAIN:
        return pattern
    before, after = (r"\d" if end.isdigit() else LETTER for end in (identifier[0], identifier[-1]))
    return f"(?<!{before}){pattern}(?!{after})"
