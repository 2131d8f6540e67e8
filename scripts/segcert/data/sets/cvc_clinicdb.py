"""CVC-ClinicDB: polyps in colonoscopy (Bernal et al. 2015)."""

import bisect
import dataclasses
import hashlib

from segcert.data.catalogue import Archive, Dataset, ImageKey, SplitRule
from segcert.data.errors import DataError
from segcert.data.release import Layout
from segcert.data.splits import GROUPS

FRAMES = 612
# Number of the last frame in each of the 29 video sequences
LAST = "25 50 67 78 103 126 151 177 199 205 227 252 277 297 317 342 363 383 408 428 447 466 478 503 528 546 571 591 612"
LAST_FRAMES = [int(frame) for frame in LAST.split()]
TRAIN, VAL = 490, 61  # numbers of frames, as in the code of Laousy et al. 2023; the other 61 are test frames


def frame_name(number: str) -> str:
    """Convert a frame number to an image name: "7" becomes "cvc_007"."""
    return f"cvc_{int(number):03d}"


def sequence(name: str) -> str:
    """Return the video sequence that a frame belongs to. Raises DataError for a frame that is not in the release."""
    number = int(name.removeprefix("cvc_"))
    if not 1 <= number <= FRAMES:
        raise DataError(f"cvc_clinicdb: found frame {number}; expected 1 to {FRAMES}. Delete the file for this frame")
    return f"sequence_{bisect.bisect_left(LAST_FRAMES, number) + 1:02d}"


NAMES = [frame_name(str(number)) for number in range(1, FRAMES + 1)]
SHUFFLED = sorted(NAMES, key=lambda name: hashlib.sha256(name.encode()).digest())  # arbitrary but reproducible order


def by_frame(key: ImageKey) -> str:
    """Choose the split of a frame. Adjacent frames may be in different splits.

    There are 490 frames for training, 61 for validation and 61 for testing.
    """
    rank = SHUFFLED.index(key.image)
    return "train" if rank < TRAIN else "val" if rank < TRAIN + VAL else "test"


DATASET = Dataset(
    name="cvc_clinicdb",
    title="CVC-ClinicDB polyps",
    any_orientation=True,
    modality="colonoscopy",
    channels=3,
    classes=("background", "polyp"),
    citation="Bernal J, Sanchez FJ, Fernandez-Esparrach G, Gil D, Rodriguez C, Vilarino F. WM-DOVA maps for accurate "
    "polyp highlighting in colonoscopy. Comput Med Imaging Graph 2015;43:99-111.",
    licence="Research and education only",
    terms="For research and education; cite the source.",
    splits={
        "groups": dataclasses.replace(GROUPS, counts={"train": 454, "val": 44, "test": 114}),
        "frames": SplitRule(
            "490/61/61 frames in a fixed random order: the split sizes of Laousy et al. 2023, whose order is unknown",
            by_frame,
            leaks=True,
            counts={"train": TRAIN, "val": VAL, "test": FRAMES - TRAIN - VAL},
        ),
    },
    group="video sequence",
    archives=(
        Archive(
            name="CVC-ClinicDB.rar",
            holds=r"(?:Original|Ground Truth)/\d+\.tif",
            page="https://polyp.grand-challenge.org/CVCClinicDB/",
        ),
    ),
    images=FRAMES,
    native_sizes=((288, 384),),
)

LAYOUT = Layout(
    images=r"Original/(?P<name>\d+)\.tif",
    masks={"polyp": [r"Ground Truth/(?P<name>\d+)\.tif"]},
    name=frame_name,
    group_of=sequence,
)
