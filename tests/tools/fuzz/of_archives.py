"""Fuzz the readers of data set archives (zip, tar, 7z, rar) and of their members."""

import contextlib
import io
import tempfile
from pathlib import Path

from tests.tools.fuzz.containers import as_tar, as_zip, packed
from tests.tools.fuzz.contract import Target

MEMBERS = {
    "MontgomerySet/CXR_png/MCUCXR_0001_0.png": b"one",
    "MontgomerySet/ManualMask/leftMask/MCUCXR_0001_0.png": b"two",
    "Thumbs.db": b"",
}


def _read(path):
    from segcert.data.archives import open_archive
    from segcert.data.errors import DataError

    with open_archive(path) as files:
        for file in files:
            with contextlib.suppress(DataError):
                file.read()


def _target(name, seeds, build=None):
    from segcert.data.errors import DataError

    return Target(_read, seeds, (DataError,), name, build=build)


def _written(write, name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write(path)
        return path.read_bytes()


def zips():
    from tests.support.archives import write_zip

    return _target("set.zip", lambda: [packed(MEMBERS), _written(lambda p: write_zip(p, MEMBERS), "a.zip")], as_zip)


def tars():
    import tarfile

    def compressed(mode):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as file:
            for name, content in MEMBERS.items():
                about = tarfile.TarInfo(name)
                about.size = len(content)
                file.addfile(about, io.BytesIO(content))
        return buffer.getvalue()

    return _target("set.tar", lambda: [packed(MEMBERS | {"@link": b"MontgomerySet"}), compressed("w")], as_tar)


def gzipped_tars():
    import gzip

    return _target("set.tar.gz", lambda: [packed(MEMBERS)], lambda data: gzip.compress(as_tar(data), 1))


def seven_zips():
    import py7zr

    def write(path, **options):
        with py7zr.SevenZipFile(path, "w", **options) as file:
            for name, content in MEMBERS.items():
                file.writestr(content, name)

    copy = [{"id": py7zr.FILTER_COPY}]
    return _target(
        "set.7z", lambda: [_written(write, "a.7z"), _written(lambda path: write(path, filters=copy), "b.7z")]
    )


def rars():
    from tests.support.archives import write_rar

    return _target("set.rar", lambda: [_written(lambda path: write_rar(path, MEMBERS), "a.rar")])


def releases():
    """Return a target that reads releases from archives with hostile images."""
    from tests.support.archives import binary, colour, encoded, picture

    from segcert.data import catalogue
    from segcert.data.archives import open_archive
    from segcert.data.errors import DataError

    names = [name for name in catalogue.NAMES if name != "phantom"]
    modules = [catalogue.module_of(name) for name in names]

    def read(path):
        with open_archive(path) as files:
            refused = 0
            for module in modules:
                try:
                    for pair in module.LAYOUT.find(files, module.DATASET).pairs[:3]:
                        pair.load()
                except DataError:
                    refused += 1
            if refused == len(modules):
                raise DataError(f"{path}: none reads it")

    def seeds():
        image, mask = (each[:12, :12] for each in picture("seed"))
        gray, rgb, truth = encoded(image), encoded(colour(image)), encoded(binary(mask, 1))
        return [
            packed({"CXR_png/MCUCXR_0001_0.png": gray, "ManualMask/leftMask/MCUCXR_0001_0.png": truth,
                    "ManualMask/rightMask/MCUCXR_0001_0.png": truth}),
            packed({"CXR_png/CHNCXR_0001_0.png": gray, "mask/CHNCXR_0001_0_mask.png": truth}),
            packed({"Original/7.tif": encoded(colour(image), "TIFF"),
                    "Ground Truth/7.tif": encoded(binary(mask, 1), "TIFF")}),
            packed({"images/cju1.jpg": encoded(colour(image), "JPEG"), "masks/cju1.jpg": encoded(image, "JPEG")}),
            packed({"ISIC2018_Task1-2_Test_Input/ISIC_0000001.jpg": encoded(colour(image), "JPEG"),
                    "ISIC2018_Task1_Test_GroundTruth/ISIC_0000001_segmentation.png": truth}),
            packed({"JPCLN001.IMG": b"\0" * 64, "fold1/masks/heart/JPCLN001.gif": encoded(image, "GIF")}),
            packed({"images/cju1.jpg": rgb, "masks/cju1.jpg": truth}),
        ]  # fmt: skip

    return Target(read, seeds, (DataError,), "set.zip", build=as_zip)
