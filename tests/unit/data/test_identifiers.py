"""Identifiers from DICOM headers: replaced in every text and path, and nothing else is."""

import hashlib
import io
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.unit.data.test_dicom import dicom, saved

from segcert.data.decode import decode
from segcert.data.errors import DataError
from segcert.data.identifiers import withheld
from segcert.data.user_data import read_own_image
from segcert.provenance.digests import file_digest

PATIENT = {
    "PatientName": "Doe^Ann Marie",
    "PatientID": "P-4711",
    "PatientBirthDate": "19470508",
    "AccessionNumber": "A 99",
    "StudyInstanceUID": "1.2.826.0.1.77",
    "ReferringPhysicianName": "Müller^Eva",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scans/DOE^ANN MARIE/ct.dcm", "scans/ID/ct.dcm"),
        ("doe_ann_1.dcm", "ID_ID_1.dcm"),
        ("DoeAnnMarieChest.dcm", "IDChest.dcm"),
        ("p-4711/1.2.826.0.1.77.dcm", "ID/ID.dcm"),
        ("born 19470508, A 99, by Mu\u0308ller", "born ID, ID, by ID"),
        ("cannot be read: doer, 3 of 4711", "cannot be read: doer, 3 of 4711"),
        ("Planned", "Planned"),
    ],
)
def test_identifiers_are_replaced_as_whole_words(text, expected):
    data = saved(dicom(**PATIENT))
    assert withheld(text, data).replace(f"id-{digest_of(data)}", "ID") == expected


def test_identifiers_in_sequences_are_replaced():
    item = Dataset()
    item.AccessionNumber = "ACC12345"
    data = saved(dicom(RequestAttributesSequence=Sequence([item])))
    assert withheld("ACC12345.dcm", data) == f"id-{digest_of(data)}.dcm"


def test_bundled_files_and_other_formats(tmp_path):
    path = next(Path(pydicom.__file__).parent.rglob("77654033/CR1/6154"))
    assert withheld(str(path), path) == str(path).replace("77654033", f"id-{file_digest(path)[:8]}")
    (tmp_path / "doe.png").write_bytes(b"\x89PNG 77654033 Doe")
    assert withheld("doe.png", tmp_path / "doe.png") == "doe.png"
    assert withheld("doe.png", tmp_path / "gone.png") == "doe.png"
    assert withheld("doe", tmp_path) == "doe"


@pytest.mark.parametrize(
    "attributes",
    [
        {"NumberOfFrames": 3},
        {"PresentationLUTShape": "DOE"},
        {"WindowCenter": 3},
        {"PixelData": b"\0"},
        {"VOILUTFunction": "DOE", "WindowCenter": 3, "WindowWidth": 2},
        {"SOPClassUID": "1.2.826.0.1.77"},
    ],
)
def test_no_error_repeats_an_identifier(tmp_path, attributes):
    """The path contains the patient's name, and so do attributes that errors repeat."""
    dataset = dicom(**PATIENT | attributes)
    if "SOPClassUID" in attributes:
        del dataset.PixelData
    path = tmp_path / "Doe^Ann Marie" / "P-4711.dcm"
    path.parent.mkdir()
    path.write_bytes(saved(dataset))
    for read in (lambda: read_own_image(path), lambda: decode(path.read_bytes())):
        with pytest.raises(DataError) as error:
            read()
        chain = [error.value, error.value.__cause__, error.value.__cause__ and error.value.__cause__.__cause__]
        for text in map(str, filter(None, chain)):
            for identifier in ("Doe", "DOE", "Ann", "4711", "1.2.826.0.1.77"):
                assert identifier not in text


def test_warnings_of_pydicom_repeat_nothing():
    """Pydicom warns about an invalid UID, and its warning contains the value."""
    data = saved(dicom(StudyInstanceUID="1.2.826.0.1.77")).replace(b"1.2.826.0.1.77", b"DOE^ANN^DOE^AN")
    with pytest.warns(UserWarning, match="DOE"):
        str(pydicom.dcmread(io.BytesIO(data)).StudyInstanceUID)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        decode(data)
        assert withheld("DOE^ANN^DOE^AN", data).startswith("id-")
    assert not shown


def digest_of(data):
    return hashlib.sha256(data).hexdigest()[:8]
