"""The data of the image viewer on the results page, written as scripts inside the page or in files next to the page.

The viewer's data for a data set are split into parts. The part `images` contains the images, the ground truth and the
names. A part for each sigma contains the noisy and denoised copies. A part for each segmenter contains the predictions,
the certified labels, the radii and the numbers. Images are tiled into a single PNG. Labels and radius levels are stored
as bytes, image after image in row-major order, then deflated and encoded in base64.
"""

import base64
import io
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from segcert.certification.methods import METHODS
from segcert.data.dataset import PreparedDataset
from segcert.io.atomic import atomic_file
from segcert.report.html import data_uri, script_value
from segcert.report.style import to_rgb
from segcert.results.radius_rows import GRID_RADII
from segcert.results.table_columns import TABLES
from segcert.results.tables import records

Array = npt.NDArray[Any]
Maps = Mapping[str, Array]  # keys are image names
Key = tuple[str, str, str]  # segmenter, denoiser, sigma
Rows = list[dict[str, Any]]
EXTREMES = 5  # number of images at each end of the ranking by certified Dice
CLASS_NUMBERS = ["class_name", "dice", "iou", "vote_dice", "certified_dice", "certified_iou", "worst_case_dice"]
CLASS_NUMBERS += ["area", "area_low", "area_high"]
STRICT = {column.name for column in TABLES["classes"] if column.strict}  # hidden under a weaker guarantee
STRICT |= {column.end for column in TABLES["classes"] if column.strict}
IMAGE_NUMBERS = ["abstain", "radius", "radius_gray_levels"]
INTERVAL = ["measurement", "unit", "truth", "clean", "low", "median", "high", "threshold", "decision", "against_truth"]


def chosen_images(rows: pd.DataFrame, count: int) -> list[str]:
    """Return the first `count` images, and the five images at each end of the ranking by certified Dice.

    Certified Dice is averaged over models, sigmas and classes. The images are in the order of the rows.
    """
    names = list(rows["image"].unique())
    ranked = list(rows.groupby("image", sort=False)["certified_dice"].mean().dropna().sort_values(kind="stable").index)
    chosen = {*names[:count], *ranked[:EXTREMES], *ranked[-EXTREMES:]}
    return [name for name in names if name in chosen]


def write_viewer(
    index: str | Path,
    *,
    images: str | Path,
    noise: Mapping[str, str | Path],
    maps: Mapping[str, str | Path],
    predictions: Mapping[str, Maps],
    pictures: Mapping[tuple[str, str], Maps],
    labels: Mapping[Key, Maps],
    levels: Mapping[Key, Maps],
    metrics: pd.DataFrame,
    intervals: pd.DataFrame,
    most: int,
) -> None:
    """Write the viewer's data for a data set, with a file for each part. Segmenters are named <model>-<regime>.

    Parameters
    ----------
    images, noise, maps
        Paths of the files to write. `images` is the file for the part `images`. `noise` maps each sigma to a file, and
        `maps` maps each segmenter to a file.
    predictions
        Labels that were predicted without noise, shape (H, W), keyed by segmenter and then by image.
    pictures
        Noisy and denoised copies, shape (1 or 2, C, H, W), uint8, keyed by (denoiser, sigma) and then by image. Some
        images may be missing.
    labels, levels
        Certified labels, and radius levels as in segcert.results.radius_rows, keyed by (segmenter, denoiser, sigma) and
        then by image.
    metrics, intervals
        Rows of the data set in certificates.parquet and intervals.parquet.
    most
        Number of images, in addition to those with the lowest and the highest certified Dice.
    """
    dataset = PreparedDataset(Path(index))
    names = chosen_images(metrics, most)
    name = dataset.about["name"]
    about = {
        "names": names,
        "groups": [dataset.group(image) for image in names],
        "classes": dataset.about["classes"],
        "size": list(dataset.mask(names[0]).shape),
        "image": _sprite(dataset.image(image) for image in names),
        "truth": _deflated(dataset.mask(image) for image in names),
    }
    _write(images, name, "images", about)
    for sigma, path in noise.items():
        of_sigma = {denoiser: files for (denoiser, of), files in pictures.items() if of == sigma}
        _write(path, name, sigma, _noise(names, of_sigma))
    numbers, measured = _by_image(metrics), _by_image(intervals)
    for model, path in maps.items():
        behind = {}
        for key in (key for key in labels if key[0] == model):
            of_images = [measured.get(key, {}).get(image, []) for image in names]
            behind["/".join(key[1:])] = {
                "certified": _deflated(labels[key][image] for image in names),
                "levels": _deflated(levels[key][image] for image in names),
                "radii": levels[key][GRID_RADII].tolist(),
                "numbers": _numbers(names, numbers[key]),
                "intervals": [[_plain_row(row, INTERVAL) for row in rows] for rows in of_images],
            }
        prediction = _deflated(predictions[model][image] for image in names)
        _write(path, name, model, {"prediction": prediction, "behind": behind})


def _noise(names: Sequence[str], pictures: Mapping[str, Maps]) -> dict[str, Any]:
    """Return the part for a sigma. `tile` contains the position of each image in the PNG, or None if it is missing."""
    first = next(iter(pictures.values()))
    kept = [name for name in names if name in first]
    return {
        "tile": [kept.index(name) if name in kept else None for name in names],
        "noisy": _sprite(first[name][0] / 255 for name in kept),
        "denoised": {
            denoiser: _sprite(of_denoiser[name][1] / 255 for name in kept)
            for denoiser, of_denoiser in pictures.items()
            if denoiser != "none"
        },
    }


def _write(path: str | Path, dataset: str, part: str, content: Mapping[str, Any]) -> None:
    """Write a part as a script that passes the content of the part to the viewer."""
    call = ", ".join(map(script_value, (dataset, part, content)))
    with atomic_file(path) as temporary:
        temporary.write_text(f"segcertViewer.take({call});\n", encoding="ascii")


def _numbers(names: Sequence[str], rows: Mapping[str, Rows]) -> list[dict[str, Any]]:
    numbers = []
    for name in names:
        of_image = rows[name]
        weaker = METHODS[of_image[0]["method"]].weaker
        shown = [column for column in CLASS_NUMBERS if not (weaker and column in STRICT)]
        by_class = [_plain_row(row, shown) for row in of_image]
        numbers.append(_plain_row(of_image[0], IMAGE_NUMBERS) | {"classes": by_class})
    return numbers


def _by_image(frame: pd.DataFrame) -> dict[Key, dict[str, Rows]]:
    """Group the rows of a table by (segmenter, denoiser, sigma), and within each group by image."""
    found: dict[Key, dict[str, Rows]] = {}
    for row in records(frame):
        key = (f"{row['model']}-{row['regime']}", str(row["denoiser"]), f"{row['sigma']:g}")
        found.setdefault(key, {}).setdefault(row["image"], []).append(row)
    return found


def _plain_row(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return some columns of a row as values for JSON. NaN is replaced by None, and infinity by text."""
    plain = {}
    for column in columns:
        value = row[column].item() if isinstance(row[column], np.generic) else row[column]
        if isinstance(value, float) and not math.isfinite(value):
            value = None if math.isnan(value) else f"{value:+}"
        plain[column] = value
    return plain


def _sprite(pictures: Iterable[Array]) -> dict[str, Any] | None:
    """Tile images in [0, 1], of shape (C, H, W), into a nearly square PNG. Return None if there are no images."""
    tiles = [np.round(255 * np.clip(to_rgb(picture), 0, 1)).astype(np.uint8) for picture in pictures]
    if not tiles:
        return None
    columns = math.ceil(math.sqrt(len(tiles)))
    height, width, _ = tiles[0].shape
    sheet = np.zeros((math.ceil(len(tiles) / columns) * height, columns * width, 3), np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet[row * height :, column * width :][:height, :width] = tile
    gray = bool((sheet == sheet[..., :1]).all())
    file = io.BytesIO()
    Image.fromarray(sheet[..., 0] if gray else sheet).save(file, "PNG", optimize=True)
    return {"png": data_uri(file.getvalue()), "columns": columns, "width": width, "height": height}


def _deflated(maps: Iterable[Array]) -> str:
    stacked = np.stack([np.asarray(each, np.uint8) for each in maps])
    return base64.b64encode(zlib.compress(stacked.tobytes())).decode()
