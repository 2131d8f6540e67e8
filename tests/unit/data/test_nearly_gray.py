"""Colour files of gray pictures, and files that were compressed with loss: one rule for every format."""

import dataclasses
import io
import json

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit
from tests.unit.data.test_dicom import dicom, saved

from segcert.config import Config
from segcert.data.catalogue import Dataset
from segcert.data.dataset import PreparedDataset
from segcert.data.decode import decode
from segcert.data.errors import DataError
from segcert.data.lossy import is_lossy
from segcert.data.prepare import Form, prepare
from segcert.data.raster import NEARLY_GRAY, Raster
from segcert.data.user_data import OwnFolder, read_own_image
from segcert.networks.folders import Preprocessing
from segcert.provenance.digests import file_digest

GRAY = np.random.default_rng(0).integers(20, 230, (16, 16)).astype(np.uint8)
SMOOTH = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)


def tinted(difference):
    """Return the gray picture with channels that differ by this number of levels somewhere."""
    rgb = np.stack([GRAY] * 3, axis=-1)
    rgb[3, 4, 1] = GRAY[3, 4] + difference
    return rgb


def written(pixels, kind):
    buffer = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(buffer, pixels, photometric="rgb")
    elif kind == "DICOM":
        dataset = dicom(pixels.astype(np.uint16)[..., 0], stored=8)
        dataset.BitsAllocated, dataset.SamplesPerPixel, dataset.PlanarConfiguration = 8, 3, 0
        dataset.PhotometricInterpretation, dataset.PixelData = "RGB", pixels.tobytes()
        return saved(dataset)
    elif kind == "palette":
        Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(buffer, "PNG")
    else:
        Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "DICOM"])
@pytest.mark.parametrize("difference", [1, 3, NEARLY_GRAY])
def test_a_nearly_gray_file_becomes_its_luminance_and_says_so(kind, difference):
    image = decode(written(tinted(difference), kind))
    assert len(image.pixels) == 3
    gray = image.with_channels(1)
    expected = GRAY.astype(np.uint16).copy()
    expected[3, 4] = round(0.299 * GRAY[3, 4] + 0.587 * (GRAY[3, 4] + difference) + 0.114 * GRAY[3, 4])
    assert np.array_equal(gray.pixels[0], expected)
    step = f"nearly gray: its three channels differ by up to {difference} of 255; their luminance was taken"
    assert gray.applied[-1] == step


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "DICOM", "palette"])
def test_a_colour_file_is_refused_in_every_format(kind):
    with pytest.raises(DataError, match="the image has colour: its channels differ by more than 8 of 255 gray levels"):
        decode(written(tinted(NEARLY_GRAY + 10), kind)).with_channels(1)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "DICOM", "GIF"])
def test_equal_channels_need_no_remark(kind):
    image = decode(written(tinted(0), kind))
    gray = image.with_channels(1)
    assert np.array_equal(gray.pixels[0], GRAY)
    assert gray.applied == image.applied


def test_the_limit_is_a_share_of_white():
    rgb = np.full((3, 4, 4), 30000, np.uint16)
    rgb[0] += 8 * 257
    assert Raster(rgb, 16).with_channels(1).pixels.shape == (1, 4, 4)
    rgb[0] += 1
    with pytest.raises(DataError, match="the image has colour"):
        Raster(rgb, 16).with_channels(1)


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpegs_of_gray_pictures_are_gray(quality, subsampling):
    noisy = np.clip(
        np.stack([SMOOTH] * 3, -1).astype(int) + np.random.default_rng(1).integers(-1, 2, (64, 64, 3)), 0, 255
    )
    for pixels in (SMOOTH, np.stack([SMOOTH] * 3, -1), noisy.astype(np.uint8)):
        buffer = io.BytesIO()
        options = {} if pixels.ndim == 2 else {"subsampling": subsampling}
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, **options)
        gray = decode(buffer.getvalue()).with_channels(1)
        assert np.abs(gray.pixels[0].astype(int) - SMOOTH).max() < 40
        assert gray.applied[0] == "decompressed from JPEG, whose compression had changed the pixels"


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_other_numbers_of_channels_are_refused(channels):
    with pytest.raises(DataError, match=rf"channels: found {channels}; expected 1 \(gray\) or 3 \(RGB\)"):
        Raster(np.zeros((1, 4, 4), np.uint16), 8).with_channels(channels)


def jpeg(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_compression_with_loss_is_recorded(tmp_path):
    tiff = io.BytesIO()
    Image.fromarray(np.stack([SMOOTH] * 3, -1)).save(tiff, "TIFF", compression="jpeg")
    dataset = dicom(SMOOTH.astype(np.uint16), stored=8)
    dataset.LossyImageCompression = "01"
    for data in (jpeg(SMOOTH), tiff.getvalue(), saved(dataset)):
        assert is_lossy(decode(data).resized(8).applied)
    for data in (
        written(tinted(0), "PNG"),
        written(tinted(0), "TIFF"),
        saved(dicom(SMOOTH.astype(np.uint16), stored=8)),
    ):
        assert not is_lossy(decode(data).applied)


def test_a_dicom_file_with_jpeg_baseline_is_recorded(tmp_path):
    dataset = dicom(SMOOTH.astype(np.uint16), stored=8)
    dataset.BitsAllocated, dataset.HighBit = 8, 7
    dataset.PixelData = pydicom.encaps.encapsulate([jpeg(SMOOTH)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    image = decode(saved(dataset))
    assert is_lossy(image.applied)
    assert np.array_equal(image.pixels, decode(jpeg(SMOOTH)).pixels)


def test_jpeg_gif_and_bmp_files_are_read_like_all_others(tmp_path):
    for name in ("a.jpg", "a.gif", "a.bmp", "a.png", "a.tif"):
        Image.fromarray(SMOOTH).save(tmp_path / name)
        read = read_own_image(tmp_path / name).with_channels(1).pixels[0].astype(int)
        assert np.abs(read - SMOOTH).max() <= (3 if name == "a.jpg" else 0)
    Image.fromarray(SMOOTH).save(tmp_path / "a.webp")
    with pytest.raises(DataError, match=r"a\.webp: is not a PNG, JPEG, TIFF, GIF, BMP or DICOM file"):
        read_own_image(tmp_path / "a.webp")


def test_photos_with_previews_are_read_and_other_colours_refused():
    photo, preview = Image.fromarray(SMOOTH), Image.fromarray(SMOOTH[::2, ::2].copy())
    buffer = io.BytesIO()
    photo.save(buffer, "MPO", save_all=True, append_images=[preview])
    assert decode(buffer.getvalue()).size == (64, 64)
    cmyk = io.BytesIO()
    Image.fromarray(np.stack([SMOOTH] * 4, -1), "CMYK").save(cmyk, "JPEG")
    with pytest.raises(DataError, match="the file has CMYK colours; expected gray or RGB"):
        decode(cmyk.getvalue())


def own(folder, suffix, rgb):
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for k in range(12):
        mask = np.zeros((16, 16), np.uint8)
        mask[2 : 5 + k % 8] = 255
        Image.fromarray(np.roll(rgb, k, axis=0)).save(folder / f"images/{k:02d}.{suffix}", quality=95)
        Image.fromarray(mask).save(folder / f"masks/{k:02d}.png")
    settings = {"images": str(folder / "images"), "masks": str(folder / "masks")}
    config = Config.read(
        {"datasets": ["clinic"], "own_data": {"clinic": settings | {"values": {0: "background", 255: "lungs"}}}}
    )
    return OwnFolder("clinic", config.own_data["clinic"].model_dump())


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_data_set_says_that_its_images_were_compressed_with_loss(tmp_path, suffix, caplog):
    data = own(tmp_path, suffix, tinted(3))
    assert data.is_lossy() == (suffix == "jpg")
    found = data.find({str(path): file_digest(path) for path in data.files()})
    with caplog.at_level("INFO"):
        prepare(data.about, found, tmp_path / "prepared", Form(16))
    about = json.loads((tmp_path / "prepared/dataset.json").read_text())
    assert about.get("lossy") == (True if suffix == "jpg" else None)
    stated = Preprocessing.model_validate(PreparedDataset(tmp_path / "prepared/index.csv").about).stated()
    assert stated == {"bits": 8, "window": None, "keep_aspect": False} | ({"lossy": True} if suffix == "jpg" else {})
    if suffix == "png":
        assert "clinic: 12 images were nearly gray" in caplog.text


def test_a_gray_data_set_refuses_colour_images_with_one_line_for_all(tmp_path):
    data = own(tmp_path, "png", tinted(40))
    found = data.find({str(path): file_digest(path) for path in data.files()})
    with pytest.raises(
        DataError, match=r"the image has colour: .*; write `channels: 3` in own_data\.clinic.*\(and 11 more"
    ):
        prepare(data.about, found, tmp_path / "prepared", Form(16))


def test_catalogue_entries_do_not_change():
    """The new key is written only for data sets that need it: the data of the phantom stays as it was."""
    assert "lossy" not in {field.name for field in dataclasses.fields(Dataset)}
