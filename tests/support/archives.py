"""Write synthetic archives in the official formats, and hostile archives."""

import io
import struct
import zipfile
import zlib

import numpy as np
import tifffile
from PIL import Image

from segcert.data.phantom import draw_phantom
from segcert.provenance.digests import file_digest

SIZE = 48


def encoded(pixels, kind="PNG", **options):
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(buffer, pixels)
    else:
        Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def picture(name, height=SIZE, width=SIZE):
    """Draw an image (H, W) and its mask of class ids. The name determines both."""
    raster, mask = draw_phantom(name, SIZE)
    return raster.pixels[0, :height, :width].astype(np.uint8), mask[:height, :width]


def binary(mask, *classes):
    """Return an array that is 255 where a mask contains one of the classes, and 0 elsewhere."""
    return np.where(np.isin(mask, classes), 255, 0).astype(np.uint8)


def colour(gray):
    """Convert a gray image to an RGB image with colour."""
    return np.stack([gray, gray // 2, 255 - gray], axis=-1)


def write_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    """Write a zip archive. `members` maps names to contents."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def montgomery_archive(path, patients=3, compression=zipfile.ZIP_DEFLATED):
    """Write an archive in Montgomery's layout, with phantoms of 48x40 pixels and two stray files."""
    members = {"MontgomerySet/CXR_png/Thumbs.db": b"stray", "__MACOSX/MontgomerySet/CXR_png/._MCUCXR_0001_1.png": b"x"}
    for number in range(1, patients + 1):
        name = f"MCUCXR_{number:04d}_{number % 2}.png"
        image, mask = picture(name, height=40)
        left, right = binary(mask, 1), binary(mask, 1)
        left[:, :24], right[:, 24:] = 0, 0
        members[f"MontgomerySet/CXR_png/{name}"] = encoded(image)
        members[f"MontgomerySet/ManualMask/leftMask/{name}"] = encoded(left)
        members[f"MontgomerySet/ManualMask/rightMask/{name}"] = encoded(right)
    return write_zip(path, members, compression)


def shenzhen_archives(folder, patients=10, without_mask=(2,)):
    """Write Shenzhen's archives of images (gray, saved as RGB) and masks; some images have no mask."""
    images, masks = {}, {}
    for number in range(1, patients + 1):
        name = f"CHNCXR_{number:04d}_{number % 2}"
        image, mask = picture(name)
        images[f"ChinaSet_AllFiles/CXR_png/{name}.png"] = encoded(np.stack([image] * 3, axis=-1))
        images[f"ChinaSet_AllFiles/ClinicalReadings/{name}.txt"] = b"male 45yrs\nnormal"
        if number not in without_mask:
            masks[f"mask/mask/{name}_mask.png"] = encoded(binary(mask, 1))
    write_zip(folder / "ChinaSet_AllFiles.zip", images)
    return write_zip(folder / "shcxr-lung-mask.zip", masks)


def jsrt_image(name):
    """Draw a raw JSRT image (2048x2048) and its overlapping masks (1024x1024) by structure, determined by the name."""
    image, mask = picture(name)
    stored = 4095 - 16 * np.kron(image.astype(np.uint16), np.ones((43, 43), np.uint16))[:2048, :2048]
    large = np.kron(mask, np.ones((22, 22), np.uint8))[:1024, :1024]
    chest = binary(large, 1, 2)
    bar = np.zeros_like(chest)
    bar[150:400] = 255
    half = np.arange(1024) < 512
    masks = {
        "left lung": np.where(half, 0, chest),
        "right lung": np.where(half, chest, 0),
        "heart": binary(large, 2),
        "left clavicle": np.where(half, 0, bar),
        "right clavicle": np.where(half, bar, 0),
    }
    return stored.astype(">u2").tobytes(), {kind: values.astype(np.uint8) for kind, values in masks.items()}


def jsrt_archives(folder, count=6):
    """Write JSRT images as All247images.zip and SCR masks as masks.zip: odd numbers in fold 1, even ones in fold 2."""
    images, masks = {"All247images/CLNDAT_EN.txt": b"text"}, {}
    for number in range(1, count + 1):
        name = f"JPC{'LN' if number % 3 else 'NN'}{number:03d}"
        images[f"All247images/{name}.IMG"], of_image = jsrt_image(name)
        for kind, values in of_image.items():
            masks[f"fold{2 - number % 2}/masks/{kind}/{name}.gif"] = encoded(values, "GIF")
    write_zip(folder / "All247images.zip", images)
    return write_zip(folder / "masks.zip", masks)


def isic_archives(folder, counts=None):
    """Write ISIC 2018's six archives (Task 1). `counts` is the number of images in each part."""
    number = 0
    for part, count in (counts or {"Training": 4, "Validation": 2, "Test": 2}).items():
        inputs, truths = f"ISIC2018_Task1-2_{part}_Input", f"ISIC2018_Task1_{part}_GroundTruth"
        images, masks = {f"{inputs}/LICENSE.txt": b"text", f"{inputs}/ATTRIBUTION.txt": b"text"}, {}
        for _ in range(count):
            number += 1
            name = f"ISIC_{number:07d}"
            image, mask = picture(name)
            images[f"{inputs}/{name}.jpg"] = encoded(colour(image), "JPEG", quality=95)
            masks[f"{truths}/{name}_segmentation.png"] = encoded(binary(mask, 2))
        write_zip(folder / f"{inputs}.zip", images)
        write_zip(folder / f"{truths}.zip", masks)


def cvc_members(frames):
    """Return images and masks of CVC-ClinicDB frames by their names in the archive."""
    members = {}
    for frame in frames:
        image, mask = picture(f"frame {frame}", height=36)
        members[f"CVC-ClinicDB/Original/{frame}.tif"] = encoded(colour(image), "TIFF")
        members[f"CVC-ClinicDB/Ground Truth/{frame}.tif"] = encoded(binary(mask, 2), "TIFF")
    return members


def kvasir_archive(path, count=4):
    """Write a Kvasir-SEG archive, whose images and masks are JPEG files."""
    members = {"Kvasir-SEG/kavsir_bboxes.json": b"{}"}
    for number in range(count):
        image, mask = picture(f"kvasir {number}")
        truth = np.stack([binary(mask, 2)] * 3, axis=-1)
        members[f"Kvasir-SEG/images/cju{number:04d}x.jpg"] = encoded(colour(image), "JPEG", quality=95)
        members[f"Kvasir-SEG/masks/cju{number:04d}x.jpg"] = encoded(truth, "JPEG", quality=60)
    return write_zip(path, members)


def write_rar(path, members, mode=0o100644):
    """Write a RAR 4 archive with uncompressed members, as on Unix. No free program can write RAR files."""

    def block(kind, flags, body, data=b""):
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head + data

    parts = [b"Rar!\x1a\x07\x00", block(0x73, 0, bytes(6))]
    for name, data in members.items():
        title = name.replace("/", "\\").encode()
        size, date = len(data), 0x5A21_0000
        sizes = struct.pack("<IIBIIBBHI", size, size, 3, zlib.crc32(data), date, 29, 0x30, len(title), mode)
        parts.append(block(0x74, 0x8000, sizes + title, data))
    path.write_bytes(b"".join([*parts, block(0x7B, 0x4000, b"")]))
    return path


def rewrite(archive, member, content):
    """Replace a member of an archive, or remove it if `content` is None."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members[member] = content
    return write_zip(archive, {name: data for name, data in members.items() if data is not None})


def mirror_of(folder):
    """Make a folder of archives a mirror: write its SHA256SUMS."""
    archives = [path for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"]
    (folder / "SHA256SUMS").write_text("".join(f"{file_digest(path)}  {path.name}\n" for path in archives))
    return folder
