"""ISIC 2018, Task 1: skin lesions in dermoscopy (Codella et al. 2019; Tschandl et al. 2018)."""

from segcert.data.catalogue import Archive, Dataset, ImageKey, SplitRule
from segcert.data.release import Layout
from segcert.data.splits import GROUPS

BASE = "https://isic-challenge-data.s3.amazonaws.com/2018/"
PAGE = "https://challenge.isic-archive.com/data/#2018"
PARTS = {"Training": "train", "Validation": "val", "Test": "test"}
SHA256 = {
    ("Training", "Input"): "80f98572347a2d7a376227fa9eb2e4f7459d317cb619865b8b9910c81446675f",
    ("Training", "GroundTruth"): "99f8b2bb3c4d6af483362010715f7e7d5d122d9f6c02cac0e0d15bef77c7604c",
    ("Validation", "Input"): "0ea920fcfe512d12a6e620b50b50233c059f67b10146e1479c82be58ff15a797",
    ("Validation", "GroundTruth"): "f6911e9c0a64e6d687dd3ca466ca927dd5e82145cb2163b7a1e5b37d7a716285",
    ("Test", "Input"): "e59ae1f69f4ed16f09db2cb1d76c2a828487b63d28f6ab85997f5616869b127d",
    ("Test", "GroundTruth"): "2e8f6edce454a5bdee52485e39f92bd6eddf357e81f39018d05512175238ef82",
}
FOLDERS = {"Input": "ISIC2018_Task1-2_{part}_Input", "GroundTruth": "ISIC2018_Task1_{part}_GroundTruth"}
NAMES = {"Input": r"(?P<name>ISIC_\d{7})\.jpg", "GroundTruth": r"(?P<name>ISIC_\d{7})_segmentation\.png"}


def _archive(part: str, kind: str) -> Archive:
    folder = FOLDERS[kind].format(part=part)
    return Archive(
        name=f"{folder}.zip",
        holds=f"{folder}/{NAMES[kind]}",
        page=PAGE,
        url=f"{BASE}{folder}.zip",
        sha256=SHA256[part, kind],
        bytes=10_400_000_000 if (part, kind) == ("Training", "Input") else None,
    )


def _pattern(kind: str) -> str:
    part = f"(?P<part>{'|'.join(PARTS)})"
    return f"{FOLDERS[kind].format(part=part)}/{NAMES[kind]}"


def official(key: ImageKey) -> str:
    """Return the official split of an image."""
    return PARTS[str(key.part)]


DATASET = Dataset(
    name="isic2018",
    title="ISIC 2018 skin lesions (Task 1)",
    any_orientation=True,
    modality="dermoscopy",
    channels=3,
    classes=("background", "lesion"),
    citation="Codella N, Rotemberg V, Tschandl P, et al. Skin lesion analysis toward melanoma detection 2018. "
    "arXiv:1902.03368, 2019. Tschandl P, Rosendahl C, Kittler H. The HAM10000 dataset. Sci Data 2018;5:180161.",
    licence="CC-0 or CC BY-NC, image by image",
    terms="Attribute images as LICENSE.txt and ATTRIBUTION.txt in the archives require; cite both papers.",
    splits={
        "official": SplitRule(
            "the challenge's official split: 2594 train, 100 val, 1000 test",
            official,
            counts={"train": 2594, "val": 100, "test": 1000},
        ),
        "groups": GROUPS,
    },
    group="image",
    archives=tuple(_archive(part, kind) for part, kind in SHA256),
    images=3694,
)

LAYOUT = Layout(images=_pattern("Input"), masks={"lesion": [_pattern("GroundTruth")]})
