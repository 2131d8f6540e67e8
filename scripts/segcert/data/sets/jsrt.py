"""JSRT chest X-rays (Shiraishi et al. 2000) with the SCR masks (van Ginneken et al. 2006)."""

import numpy as np

from segcert.data.catalogue import Archive, Dataset, ImageKey, SplitRule
from segcert.data.errors import DataError
from segcert.data.raster import Raster
from segcert.data.release import Layout
from segcert.data.splits import GROUPS, by_hash

SIZE = 2048
BITS = 12
IMAGES = r"(?P<name>JPC(?:LN|NN)\d{3})\.(?:IMG|img)"
STRUCTURES = {
    "lungs": ("left lung", "right lung"),
    "heart": ("heart",),
    "clavicles": ("left clavicle", "right clavicle"),
}


def decode_img(data: bytes) -> Raster:
    """Decode a raw JSRT image of 2048x2048 pixels: 12-bit values in two big-endian bytes each, without a header.

    High values are dark in the file, so all values are inverted. The full 12-bit range is kept, so a gray level has the
    same meaning in every image. Raises DataError if the file has a different size or contains larger values.
    """
    if len(data) != 2 * SIZE**2:
        raise DataError(
            f"the file has {len(data)} bytes; expected {2 * SIZE**2} ({SIZE}x{SIZE} values of two bytes, no header)"
        )
    stored = np.frombuffer(data, ">u2").reshape(1, SIZE, SIZE)
    white = (1 << BITS) - 1
    if stored.max() > white:
        raise DataError(f"the file has values up to {stored.max()}; expected at most {white} (12 bits, big-endian)")
    return Raster(white - stored.astype(np.uint16), BITS)


def by_fold(key: ImageKey) -> str:
    """Choose the split according to the two folds of SCR.

    The first fold is for training (80%) and validation, and the second fold is for testing.
    """
    if key.part == "2":
        return "test"
    return by_hash(f"{key.dataset}/{key.group}", {"train": 0.8, "val": 0.2})


DATASET = Dataset(
    name="jsrt",
    title="JSRT chest X-rays with SCR masks",
    modality="X-ray",
    channels=1,
    classes=("background", *STRUCTURES),
    citation="Shiraishi J, Katsuragawa S, Ikezoe J, et al. Development of a digital image database for chest "
    "radiographs with and without a lung nodule. AJR 2000;174(1):71-74. Masks: van Ginneken B, Stegmann MB, Loog M. "
    "Segmentation of anatomical structures in chest radiographs using supervised methods. Med Image Anal "
    "2006;10(1):19-40.",
    licence="No redistribution (images and masks)",
    terms="For research and education, after registration; redistribution and commercial use are forbidden.",
    splits={
        "folds": SplitRule(
            "the two folds of SCR: the first for training (80%) and validation, the second for testing",
            by_fold,
            counts={"train": 99, "val": 25, "test": 123},  # the first fold contains the 124 images with odd numbers
        ),
        "groups": GROUPS,
    },
    group="patient",
    archives=(
        Archive(name="All247images.zip", holds=IMAGES, page="http://db.jsrt.or.jp/eng.php", note="(register there)"),
        Archive(
            name="masks.zip",
            holds=r"fold[12]/masks/[^/]+/JPC(?:LN|NN)\d{3}\.gif",
            page="https://zenodo.org/records/7056076",
            note="(the SCR masks)",
            md5="3e9bb1c4bc1f5b2672ac4bfeabab16f4",
        ),
    ),
    images=247,
    native_sizes=((SIZE, SIZE),),
    pixel_size=(0.175, 0.175),
    length_unit="mm at the detector",
    bits=BITS,
)

LAYOUT = Layout(
    images=IMAGES,
    # SCR's masks overlap. Heart and clavicles are painted over the lungs, and the clavicles over the heart.
    masks={
        title: [rf"fold(?P<part>[12])/masks/{organ}/(?P<name>JPC(?:LN|NN)\d{{3}})\.gif" for organ in organs]
        for title, organs in STRUCTURES.items()
    },
    decode=decode_img,
    mask_scale=2,
)
