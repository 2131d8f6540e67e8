"""Measurements that a clinician takes from a mask, such as an area or a diameter.

Each measurement is a function of a label map. The unit of a length depends on the information about the pixels (see
`pixel_scale`). It is one of:

- "mm": millimetres in the patient;
- "mm at the detector": millimetres at the detector (lengths in the patient are smaller by an unknown factor);
- "pixels": pixels of the label map, if their size is unknown and resizing did not change their aspect ratio;
- "original pixels": pixels of the file, if their size is unknown and resizing changed their aspect ratio;
- "original pixel widths": widths of a pixel in the file, if its pixels are not square and have an unknown size.

Areas are in mm2 or in mm2 at the detector. If the pixel size in mm is unknown, they are numbers of pixels of the label
map.
"""

import dataclasses
import functools
import importlib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.provenance.code import syntax_digest, target_digest
from segcert.provenance.digests import value_digest
from segcert.provenance.packages import target_packages, version_of

Labels = npt.NDArray[np.uint8]
PixelSize = tuple[float, float]

MM, AT_DETECTOR = "mm", "mm at the detector"
PIXELS, ORIGINAL_PIXELS, PIXEL_WIDTHS = "pixels", "original pixels", "original pixel widths"
AREA_UNITS = {MM: "mm2", AT_DETECTOR: "mm2 at the detector"}  # unit of areas for each unit of lengths

BUILT_IN = ("area", "diameter", "cardiothoracic_ratio")
SECOND_LUNG = 0.2  # smallest area of the second lung field, as a share of the area of the first
SMALLEST_HEART = 0.02  # smallest area of a heart, as a share of the area of the lung fields
DECISION = re.compile(r"([\w.]+) *> *(-?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?)")


class MeasurementError(ValueError):
    """Error raised for a measurement that does not exist, cannot be imported, or needs classes that are missing."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A scalar function of a label map.

    Attributes
    ----------
    name
        Name in tables, for example "area_lungs" or "cardiothoracic_ratio". A user-supplied measurement has the name of
        its function.
    unit
        Unit of a length or an area (see the list at the top of this module), or "" for a ratio or a user-supplied
        measurement.
    function
        Function that takes a uint8 label map of shape (H, W) and returns a float, or NaN if the measurement is
        undefined for this label map. For a certified interval, NaN is treated as minus infinity at the lower end and as
        infinity at the upper end.
    digest
        SHA-256 digest of the code that computes the measurement. Stored values are only reused if the digest has not
        changed.
    """

    name: str
    unit: str
    function: Callable[[Labels], float]
    digest: str


def pixel_scale(
    pixel_size: PixelSize | None, length_unit: str, stretch: tuple[float, float]
) -> tuple[PixelSize | None, str]:
    """Return the pixel size for measuring lengths in a resized image, and the unit of these lengths.

    Parameters
    ----------
    pixel_size
        Height and width of a pixel in the resized image, in `length_unit`, or None if they are unknown.
    length_unit
        The unit of `pixel_size`.
    stretch
        Height and width, in original pixels, of the area that is covered by a pixel in the resized image. If they
        differ, the pixels of the resized image are not square, and a length in such pixels would have no meaning.
    """
    if pixel_size:
        return pixel_size, length_unit
    down, across = stretch
    return (None, PIXELS) if down == across else (stretch, ORIGINAL_PIXELS)


def measurements_of(
    specifications: Sequence[str],
    classes: Sequence[str],
    pixel_size: PixelSize | None = None,
    length_unit: str = MM,
) -> tuple[Measurement, ...]:
    """Return the measurements for a list of specifications, as in the configuration key `measurements`.

    Parameters
    ----------
    specifications
        Each specification is "area" or "diameter" (one measurement for each class except the background),
        "cardiothoracic_ratio" (requires classes named "lungs" and "heart"), or "package.module:function" for your own
        function. See the notes below for such a function.
    classes
        Names of the class ids 0, 1, ...; class 0 is the background.
    pixel_size
        Height and width of a pixel in `length_unit`, or None if the pixel size is unknown.
    length_unit
        Unit of lengths, as returned by `pixel_scale`.

    Returns
    -------
    tuple of Measurement
        The measurements, in the order of `specifications`.

    Raises
    ------
    MeasurementError
        If a measurement does not exist, cannot be imported, or needs classes that are not in `classes`.

    Notes
    -----
    Your own function must have the signature ``function(labels, pixel_size) -> float``. Both arguments are passed by
    position:

    - `labels` is the label map of a draw: a numpy array of uint8 class ids, of shape (H, W). Class 0 is the background.
      The function must not modify this array.
    - `pixel_size` is a pair of floats: the height and the width, in mm, of the area in the patient that a pixel covers.
      It is None if this size is unknown, for example if the file only contains the pixel size at the detector.
    - The return value is a number, which is converted to float. Return NaN if a required structure is absent. If you
      returned 0, a structure that the network missed could lead to the certified decision "below the threshold".

    The function is called once per draw, which is n0 + n times per image. Its result must depend only on its arguments,
    because the values are stored. Its module must be importable, for example from a folder on PYTHONPATH. In tables,
    the measurement has the name of the function and no unit. The values are recomputed when the pixel size, the code of
    the module, or the code of a module that it imports changes. This requires new draws unless label maps were kept.

    Examples
    --------
    Write this function, which returns the share of the image that is not background, to `my_measurements.py`:

    >>> def foreground_share(labels, pixel_size):
    ...     return (labels > 0).mean() or float("nan")  # NaN if all is background

    Then write `measurements: [area, "my_measurements:foreground_share"]` in the configuration.
    """
    return tuple(
        measurement
        for name in specifications
        for measurement in _measurements_of(name, tuple(classes), pixel_size, length_unit)
    )


def applicable(specifications: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Return those `specifications` that can be measured on a data set with the given classes."""
    heart = {"lungs", "heart"} <= set(classes)
    return [name for name in specifications if name != "cardiothoracic_ratio" or heart]


def check_measurements(
    specifications: Sequence[str], decisions: Sequence[str], classes: Sequence[Sequence[str]]
) -> None:
    """Raise MeasurementError for an unknown measurement, or for a decision about a quantity that is not measured.

    `classes` contains the class names of each data set. A measurement may require classes that some of the data sets
    lack (see `applicable`).
    """
    names = set(specifications) & {"cardiothoracic_ratio"}
    for of_dataset in classes:
        names |= {each.name for each in measurements_of(applicable(specifications, of_dataset), of_dataset)}
    for decision in decisions:
        name, _ = parse_decision(decision)
        if name not in names:
            raise MeasurementError(
                f"`decisions`: found {decision!r}, but {name} is not measured (measurements: "
                f"{', '.join(sorted(names)) or 'none'}). Add it to `measurements`, or write `decisions: []`"
            )


def parse_decision(text: str) -> tuple[str, float]:
    """Return the measurement name and the threshold of a decision such as "cardiothoracic_ratio > 0.5".

    Raises MeasurementError if the text is malformed.
    """
    match = DECISION.fullmatch(text.strip())
    if not match:
        raise MeasurementError(
            f"`decisions`: found {text!r}; expected a measurement, the sign > and a number, "
            'for example "cardiothoracic_ratio > 0.5"'
        )
    return match[1], float(match[2])


def area(labels: Labels, class_id: int, pixel_size: PixelSize | None = None) -> float:
    """Return the area of a class in the squared unit of the pixel size, or in pixels if the pixel size is unknown.

    The area is NaN if the class is absent.
    """
    height, width = pixel_size or (1.0, 1.0)
    return float(np.count_nonzero(labels == class_id)) * height * width or math.nan


def diameter(labels: Labels, class_id: int, pixel_size: PixelSize | None = None) -> float:
    """Return the diameter of a class in the unit of the pixel size, or in pixels if the pixel size is unknown.

    The diameter is the longest distance between two pixel corners in the largest 8-connected component. For example,
    the diameter of a single pixel is sqrt(2). The diameter is NaN if the class is absent.
    """
    from scipy.spatial import ConvexHull  # imported here, because most runs do not measure a diameter
    from scipy.spatial.distance import pdist

    pieces = _largest_pieces(labels == class_id, 1)
    if not pieces:
        return math.nan
    rows, columns = np.nonzero(pieces[0])
    corners = np.concatenate([np.stack([rows + i, columns + j], axis=1) for i in (0, 1) for j in (0, 1)])
    corners = corners * np.array(pixel_size or (1.0, 1.0))
    return float(pdist(corners[ConvexHull(corners).vertices]).max())


def cardiothoracic_ratio(labels: Labels, lungs: int, heart: int) -> float:
    """Return the width of the heart divided by the width of the lung fields.

    Each width is measured from the leftmost pixel to the rightmost pixel, which may be in different rows. The lung
    fields are the largest 8-connected component of the class `lungs`, and also the second largest component if its area
    is at least SECOND_LUNG times that of the largest. The heart is the largest 8-connected component of the class
    `heart` within the rows of the lung fields. Other components, such as stray pixels, are ignored.

    The ratio is NaN if there are no lungs, or if the area of the heart is less than SMALLEST_HEART times the area of
    the lung fields. It is also NaN if the heart extends beyond the lung fields on one side, because this means that a
    lung was missed.

    The clinical ratio is the widest transverse diameter of the heart divided by the widest inner diameter of the rib
    cage. A mask does not contain the ribs, so the lung fields are used in place of the rib cage.
    """
    fields = _largest_pieces(labels == lungs, 2)
    if not fields:
        return math.nan
    if len(fields) == 2 and fields[1].sum() < SECOND_LUNG * fields[0].sum():
        fields.pop()
    chest = np.logical_or.reduce(fields)
    rows = np.flatnonzero(chest.any(axis=1))
    within = slice(rows[0], rows[-1] + 1)
    hearts = _largest_pieces(labels[within] == heart, 1)
    if not hearts or hearts[0].sum() < SMALLEST_HEART * chest.sum():
        return math.nan
    left, right = _edges(hearts[0])
    outer_left, outer_right = _edges(chest)
    if left < outer_left or right > outer_right:
        return math.nan
    return (right - left) / (outer_right - outer_left)


def _largest_pieces(mask: npt.NDArray[np.bool_], count: int) -> list[npt.NDArray[np.bool_]]:
    """Return the `count` largest 8-connected components of a mask, or all components if there are fewer.

    Components are sorted by decreasing size. Components of equal size are in the order of a scan by rows.
    """
    from scipy import ndimage  # imported here, because the import is slow

    pieces, found = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=found + 1)[1:]
    return [pieces == place + 1 for place in np.argsort(-sizes, kind="stable")[:count]]


def _edges(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return the leftmost column of a mask, and the column after its rightmost column."""
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(columns[-1]) + 1


def _measurements_of(
    name: str, classes: tuple[str, ...], pixel_size: PixelSize | None, length_unit: str
) -> list[Measurement]:
    if name in ("area", "diameter"):
        function, unit = (diameter, length_unit) if name == "diameter" else (area, AREA_UNITS.get(length_unit, PIXELS))
        size = None if unit == PIXELS else pixel_size  # a number of pixels does not depend on the shape of the pixels
        return [
            _built_in(f"{name}_{title}", unit if size else PIXELS, function, class_id, size)
            for class_id, title in enumerate(classes)
            if class_id > 0
        ]
    if name == "cardiothoracic_ratio":
        if not {"lungs", "heart"} <= set(classes):
            raise MeasurementError(
                "`measurements`: cardiothoracic_ratio needs the classes lungs and heart; found "
                f"{', '.join(classes)}. Remove cardiothoracic_ratio from `measurements`, or use a data set with both "
                "classes"
            )
        return [_built_in(name, "", cardiothoracic_ratio, classes.index("lungs"), classes.index("heart"))]
    if ":" in name:
        return [_imported(name, pixel_size if length_unit == MM else None)]
    raise MeasurementError(
        f"`measurements`: found {name!r}; expected one of {', '.join(BUILT_IN)}, or package.module:function"
    )


def _built_in(name: str, unit: str, function: Callable[..., float], *arguments: Any) -> Measurement:
    digest = value_digest([name, _code_of_this_module(), version_of("numpy"), version_of("scipy"), arguments])
    return Measurement(name, unit, lambda labels: function(labels, *arguments), digest)


def _imported(specification: str, pixel_size: PixelSize | None) -> Measurement:
    module_name, _, attribute = specification.partition(":")
    try:
        module = importlib.import_module(module_name)
        function = functools.reduce(getattr, attribute.split("."), module)
    except (ImportError, AttributeError, ValueError) as error:
        raise MeasurementError(
            f"`measurements`: {specification} cannot be imported ({error}); expected package.module:function. Add the "
            "module's folder to PYTHONPATH"
        ) from error
    if not callable(function):
        raise MeasurementError(
            f"`measurements`: {specification} is of type {type(function).__name__}; expected a function"
        )
    digest = value_digest([specification, pixel_size, *_code_and_packages(module, specification)])
    return Measurement(attribute, "", lambda labels: float(function(labels, pixel_size)), digest)


def code_of(specification: str) -> str | None:
    """Return a digest of the code of a user-supplied measurement, which is its module and everything that it imports.

    If the measurement is in an installed package, return the version of the package and a digest of its files.
    """
    return target_digest(specification) or " ".join(target_packages(specification).values()) or None


@functools.cache
def _code_of_this_module() -> str:
    return syntax_digest(Path(__file__).read_bytes(), __file__)


@functools.cache
def _code_and_packages(_module: ModuleType, specification: str) -> tuple[str | None, dict[str, str]]:
    """Return the code and the packages of a measurement, as they were when this process imported its module."""
    return code_of(specification), {"numpy": version_of("numpy"), **target_packages(specification)}
