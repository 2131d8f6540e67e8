"""Configurations of simulated runs: a typical one, unusual ones, and a hostile one."""

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.tools.simulated.images import draw_image

from segcert.data.catalogue import Dataset

SMALL = {
    "image_size": 32,
    "segmenter": {"depth": 3},
    "sampling": {"test_images": 6},
    "phantom": {"train": 4, "val": 2, "test": 6},
    "report": {"examples": 3},
}
REGIMES = ["clean", "noise", "denoised"]
HOSTILE = (
    "<script>alert(\"title\")</script> & 'quotes' ü 中 {{ 7 * 7 }} $(touch canary) `touch canary` ; touch canary "
    "\\input{/etc/passwd} #read(\"/etc/passwd\") [x](javascript:alert(1)) | *a* \u202ecod\u202c =cmd|' /C calc'!A1"
)
SECRET = "s3cr3t-0f-the-mirror"  # noqa: S105 (belongs to nobody)


def usual(checkout: Path) -> dict[str, Any]:
    """Configure a typical run: two classes, two regimes, with and without the denoiser, three noise levels."""
    return {**SMALL, "run": "usual"}


def one_class(checkout: Path) -> dict[str, Any]:
    """Configure a run with one class, one measurement, no decision and no denoiser."""
    less = {"measurements": ["area"], "decisions": [], "denoisers": ["none"]}
    return {**SMALL, "run": "one_class", "datasets": ["montgomery"], **less}


def one_image(checkout: Path) -> dict[str, Any]:
    """Configure a run with a single test image, for which intervals over images are undefined."""
    phantom = {"train": 4, "val": 2, "test": 1}
    return {**SMALL, "run": "one_image", "phantom": phantom, "sampling": {"test_images": 1}}


def empty_structure(checkout: Path) -> dict[str, Any]:
    """Configure a run in which some images, or all test images, lack a structure, so that its Dice is undefined."""
    values = {0: "background", 1: "organ", 2: "lesion", 3: "device"}
    own = write_own(checkout / "own" / "sparse", values, missing={1: {2}, 3: {2}}, never={3})
    return _own_run("empty_structure", own)


def hostile_names(checkout: Path) -> dict[str, Any]:
    """Configure a run with markup in all free text: titles, citations, names of images and patients."""
    values = {0: "background", 255: "lesion"}
    name = "=1+1 <img src=x onerror=\"alert(1)\">&amp; 'é' %7B $(touch canary) `touch canary`; #{k}"
    group = "</script><script>alert({k})</script> \\input{x} $(touch canary)"
    own = write_own(checkout / "own" / "hostile", values, name=name, group=group)
    own |= dict.fromkeys(("title", "modality", "licence", "citation"), HOSTILE)
    return _own_run("Hostile-run_1", own) | {"mirror": f"https://ward:{SECRET}@mirror.invalid/sets"}


def weaker(checkout: Path) -> dict[str, Any]:
    """Configure a run with a weaker guarantee, one noise level, pooling, and a viewer in files outside the page."""
    page = checkout / "scripts/segcert/report/page.py"
    page.write_text(re.sub(r"^INLINE = .*$", "INLINE = 0", page.read_text(), flags=re.MULTILINE))
    images = {"phantom": {"train": 4, "val": 2, "test": 14}, "sampling": {"test_images": 14}}
    report = {"examples": 1, "viewer": 2}
    return {**SMALL, **images, "run": "weaker", "method": "kfwer", "sigmas": [0.125], "pool": 2, "report": report}


def two_sets(checkout: Path) -> dict[str, Any]:
    """Configure a run with a gray data set (two classes), a coloured one (one class), two models and all regimes."""
    more = {"datasets": ["phantom", "isic2018"], "models": ["unet", "resunetpp"], "regimes": REGIMES}
    return {**SMALL, "run": "two_sets", "sigmas": [0.25, 1.0], **more}


def large(checkout: Path) -> dict[str, Any]:
    """Configure a large run: five data sets with 60 test images each, three models, regimes and noise levels."""
    datasets = ["jsrt", "montgomery", "shenzhen", "isic2018", "cvc_clinicdb"]
    models = ["unet", "resunetpp", "deeplabv3plus"]
    sampling = {"test_images": 60}
    return {"run": "large", "datasets": datasets, "models": models, "regimes": REGIMES, "sampling": sampling}


Variant = Callable[[Path], dict[str, Any]]
VARIANTS: dict[str, Variant] = {
    each.__name__: each
    for each in (usual, one_class, one_image, empty_structure, hostile_names, weaker, two_sets, large)
}


def write_own(
    folder: Path,
    values: Mapping[int, str],
    *,
    test: int = 5,
    missing: Mapping[int, set[int]] | None = None,
    never: set[int] = frozenset(),  # type: ignore[assignment]
    name: str = "image {k}",
    group: str = "patient {k}",
) -> dict[str, Any]:
    """Write a user-supplied gray data set; return its settings for `own_data`.

    Parameters
    ----------
    folder
        Folder to write to.
    values
        Class names by their values in the masks.
    test
        Number of test images; there are four other images.
    missing
        Class ids that an image lacks, by the number of the image.
    never
        Class ids that no test image contains.
    name, group
        Names of the images and of their groups; {k} becomes the number of the image.
    """
    classes = tuple(values.values())
    about = Dataset("own", "", "", 1, classes, "", "", "", {}, "image")
    rows = []
    (folder / "files").mkdir(parents=True)
    for k in range(test + 4):
        image, mask = draw_image(f"{folder.name}_{k}", about, SMALL["image_size"])
        lacking = (missing or {}).get(k, set()) | (never if k < test else set())
        mask = np.where(np.isin(mask, list(lacking)), 0, mask)
        files = [f"files/{k}.png", f"files/{k}_mask.png"]
        Image.fromarray(image.pixels[0].astype(np.uint8)).save(folder / files[0])
        Image.fromarray(np.array(list(values), np.uint8)[mask]).save(folder / files[1])
        split = "test" if k < test else "val" if k == test else "train"
        rows.append([*files, name.replace("{k}", str(k)), group.replace("{k}", str(k)), split])
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "mask", "name", "group", "split"], *rows])
    return {"table": f"own/{folder.name}/table.csv", "values": dict(values)}


def _own_run(run: str, own: Mapping[str, Any]) -> dict[str, Any]:
    dataset = Path(own["table"]).parent.name
    data = {"datasets": [dataset], "own_data": {dataset: dict(own)}}
    return {**SMALL, "run": run, **data, "measurements": ["area"], "decisions": []}
