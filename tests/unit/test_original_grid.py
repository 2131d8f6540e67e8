# ruff: noqa: F401, F811 (fixtures are imported)
"""Certificates of image files: the grid and the units of the file, and no identifiers from its header."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from tests.unit.data.test_dicom import dicom, saved
from tests.unit.test_cli import certified, image, run, save_tiny, segmenter

from segcert.provenance.digests import file_digest

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
LABELS, RADII = "labels.original-nearest.png", "radius.original-nearest.tif"


@pytest.fixture
def padding(tmp_path):
    """A segmenter that was trained on padded images."""
    folder = save_tiny(tmp_path / "padding", 1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"preprocessing": {"bits": 8, "keep_aspect": True}}))
    return folder


def read(folder, name):
    return json.loads((folder / f"{name}.certificate.json").read_text())


def sealed(folder, name, kind):
    """Put the present digest of a file into its certificate."""
    document = read(folder, name)
    document["files"][kind]["sha256"] = file_digest(folder / f"{name}.{kind}")
    (folder / f"{name}.certificate.json").write_text(json.dumps(document))


def test_a_squeezed_image(run, image, segmenter, tmp_path):
    certified(run, image, segmenter, tmp_path, "--radius-map", "--measure", "diameter", "--measure", "area")
    document = read(tmp_path, "chest")
    assert document["image"]["grid"] == {
        "original": [24, 20], "padding": [0, 0], "padded": [24, 20], "size": [16, 16], "squeeze": pytest.approx(1.2),
        "orientation": "as displayed", "to_original": "nearest neighbour",
    }  # fmt: skip
    rows, columns = (np.arange(24) * 2 + 1) * 16 // 48, (np.arange(20) * 2 + 1) * 16 // 40
    for found, original, opened in (
        ("labels.png", LABELS, Image.open),
        ("radius.tif", RADII, tifffile.imread),
    ):
        values = np.asarray(opened(tmp_path / f"chest.{found}"))
        assert np.array_equal(np.asarray(opened(tmp_path / f"chest.{original}")), values[np.ix_(rows, columns)])
    units = {each["name"]: each["unit"] for each in document["measurements"]}
    assert units["diameter_lungs"] == "original pixels"
    assert units["area_lungs"] == "pixels"
    text = run("explain", tmp_path / "chest.certificate.json")
    for part in (
        "certified at 16x16 pixels with 1 channel; the file has 20x24",
        "resized from 20x24 to 16x16 pixels",
        "covered only if the resized image stays within the radius",
        "ratio of width to height by 1.2",
        "20x24 pixels of the file, as displayed",
        "not certificates at that size",
    ):
        assert part in text
    assert f"chest.{LABELS}: every pixel" in run("verify", tmp_path / "chest.certificate.json")


def test_a_padded_and_turned_image(run, padding, tmp_path):
    """12 pixels wide and 24 high as displayed: 6 columns of padding on each side, and certified in halves."""
    pixels = np.random.default_rng(1).integers(0, 256, (12, 24)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    certified(run, tmp_path / "turned.png", padding, tmp_path / "out", "--size", 48, "--measure", "diameter")
    document = read(tmp_path / "out", "turned")
    grid = document["image"]["grid"]
    assert (grid["original"], grid["padding"], grid["padded"], grid["size"]) == ([24, 12], [0, 6], [24, 24], [48, 48])
    labels = np.asarray(Image.open(tmp_path / "out/turned.labels.png"))
    original = np.asarray(Image.open(tmp_path / f"out/turned.{LABELS}"))
    assert np.array_equal(original, labels[1::2, 12:36][:, 1::2])
    assert {each["unit"] for each in document["measurements"]} == {"pixels"}
    text = run("explain", tmp_path / "out/turned.certificate.json")
    assert "turned upright: the file states orientation 6" in text
    assert "ratio of width to height" not in text
    assert "all 70 draws" in run("verify", tmp_path / "out/turned.certificate.json")


def test_verify_checks_the_maps_on_the_grid_of_the_file(run, image, segmenter, tmp_path):
    certified(run, image, segmenter, tmp_path, "--radius-map", "--measure", "diameter")
    path = tmp_path / "chest.certificate.json"
    whole = path.read_text()
    for kind in (LABELS, RADII, "radius.tif"):
        file = tmp_path / f"chest.{kind}"
        content = file.read_bytes()
        if kind == LABELS:
            changed = np.array(Image.open(file))
            changed[0, 0] ^= 1
            Image.fromarray(changed).save(file)
        else:
            changed = tifffile.imread(file)
            changed[0, 0] += 0.1
            tifffile.imwrite(file, changed)
        assert f"chest.{kind}: found SHA-256" in run("verify", path)
        sealed(tmp_path, "chest", kind)
        assert f"chest.{kind}: this is not the picture that is computed from the votes" in run("verify", path)
        file.write_bytes(b"no image")
        sealed(tmp_path, "chest", kind)
        assert f"chest.{kind}: " in run("verify", path)
        file.write_bytes(content)
        path.write_text(whole)
    for old, new, message in (
        ('"squeeze": 1.2', '"squeeze": 1.0', "image.grid.squeeze: found 1.0"),
        ('"original pixels"', '"mm"', 'image.length_unit: found "mm"; the votes and the image give "original pixels"'),
        (
            '"unit": "original pixels"',
            '"unit": "mm"',
            'unit: found "mm"; the votes and the image give "original pixels"',
        ),
        (f'"{LABELS}"', '"other.png"', f"{LABELS} is missing"),
    ):
        count = -1 if "unit" in old else 1
        path.write_text(whole.replace(old, new, count))
        assert message in run("verify", path)


def test_earlier_certificates_without_a_grid_are_verified(run, image, segmenter, tmp_path):
    certified(run, image, segmenter, tmp_path)
    document = read(tmp_path, "chest")
    for key in ("grid", "length_unit", "path_withheld", "pixel_size_set"):
        del document["image"][key]
    del document["files"][LABELS]
    (tmp_path / f"chest.{LABELS}").unlink()
    (tmp_path / "chest.certificate.json").write_text(json.dumps(document))
    assert "all 70 draws" in run("verify", tmp_path / "chest.certificate.json")
    assert "covered only if" in run("explain", tmp_path / "chest.certificate.json")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("77654033/CR1/6154", ([0.1, 0.1], "mm at the detector", "mm2 at the detector")),
        ("98892001/CT2N/6293", ([0.545455, 0.596847], "mm", "mm2")),
    ],
)
def test_units_of_bundled_files(run, segmenter, tmp_path, name, expected):
    file = BUNDLED / "dicomdirtests" / name
    output = certified(
        run, file, segmenter, tmp_path, "--window", 0, 2000, "--measure", "area", "--measure", "diameter"
    )
    document = read(tmp_path, file.name)
    size, length, square = expected
    assert (document["image"]["pixel_size_mm"], document["image"]["length_unit"]) == (size, length)
    assert {each["unit"] for each in document["measurements"]} == {length, square}
    assert f" {length}\n" in run("explain", tmp_path / f"{file.name}.certificate.json")
    assert ("the pixels of the file are not square: 0.5455 high, 0.5968 wide, in mm" in output) == (length == "mm")
    assert "all 70 draws" in run("verify", tmp_path / f"{file.name}.certificate.json", "--image", file)


def test_a_pixel_size_that_is_set_replaces_that_of_the_file_and_is_shown(run, segmenter, tmp_path):
    file = BUNDLED / "dicomdirtests/98892001/CT2N/6293"
    certified(
        run, file, segmenter, tmp_path, "--window", 0, 2000, "--measure", "area", "--pixel-size", 2, 1, "--size", 8
    )
    path = tmp_path / "6293.certificate.json"
    found = read(tmp_path, "6293")["image"]
    assert (found["pixel_size_mm"], found["pixel_size_set"]) == ([4, 2], [2, 1])
    step = "pixel size set to 2 x 1 mm (height x width); the file states 0.545455 x 0.596847 mm"
    assert step in run("explain", path)
    assert "all 70 draws" in run("verify", path)
    path.write_text(path.read_text().replace("2.0,", "3.0,"))
    assert "image.pixel_size_mm.0: found 4.0" in run("verify", path)


def test_no_identifier_of_the_patient_is_written(run, segmenter, tmp_path):
    """The file's folder is the patient's number, its name contains the patient's name."""
    source = BUNDLED / "dicomdirtests/77654033/CR1/6154"
    file = tmp_path / "77654033" / "Doe_CR.dcm"
    file.parent.mkdir()
    shutil.copy(source, file)
    out = tmp_path / "out"
    output = certified(run, file, segmenter, out, "--window", 0, 2000)
    name = f"id-{file_digest(source)[:8]}_CR"
    path = out / f"{name}.certificate.json"
    assert path.is_file()
    assert output.startswith(f"{tmp_path}/id-{file_digest(source)[:8]}/{name}.dcm: ")
    refused = run("verify", path)
    assert "Pass --image FILE" in refused
    assert "all 70 draws" in run("verify", path, "--image", file)
    written = [each for each in out.rglob("*") if each.is_file()]
    texts = [output, refused, run("explain", path), *map(str, written)]
    texts += [each.read_bytes().decode("latin1") for each in written]
    for text in texts:
        for identifier in ("77654033", "Doe_", "Doe^", "Archibald"):
            assert identifier not in text


def test_an_error_names_the_file_without_the_patient(run, segmenter, tmp_path):
    file = tmp_path / "Doe^Ann.dcm"
    file.write_bytes(saved(dicom(PatientName="Doe^Ann", NumberOfFrames=2)))
    output = certified(run, file, segmenter, tmp_path / "out")
    shown = f"{tmp_path}/id-{file_digest(file)[:8]}.dcm"
    assert output == f"segcert: {shown}: the file has 2 frames; choose one with `--frame`, from 1 to 2"


def test_an_image_of_the_wrong_kind_is_named(run, segmenter, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(tmp_path / "skin.png")
    assert "skin.png: the image has colour" in certified(run, tmp_path / "skin.png", segmenter, tmp_path)


def test_pixels_of_a_known_shape_and_unknown_size(run, segmenter, tmp_path):
    (tmp_path / "a.dcm").write_bytes(saved(dicom(PixelAspectRatio=[2, 1])))  # 12 rows, 20 columns
    output = certified(
        run, tmp_path / "a.dcm", segmenter, tmp_path / "out", "--measure", "diameter", "--measure", "area"
    )
    document = read(tmp_path / "out", "a")
    assert document["image"]["pixel_size_mm"] is None
    assert {each["unit"] for each in document["measurements"]} == {"original pixel widths", "pixels"}
    assert "not square: 2 high, 1 wide, in original pixel widths" in output
