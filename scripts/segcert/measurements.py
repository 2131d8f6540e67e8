"""Measurements that a clinician takes from a mask, such as area and diameter.

Each measurement is a function of one label map. The unit of a length follows from what is known about the pixels
(`pixel_scale`). It is one of:

- "mm": lengths in the patient;
- "mm at the detector": lengths in the patient are smaller, by an unknown magnification;
- "pixels": pixels of the label map, if their size is unknown and resizing did not change their aspect ratio;
- "original pixels": pixels of the file, if their size is unknown and resizing changed their aspect ratio;
- "original pixel widths": widths of a pixel in the file, which is not square and has an unknown size.

Areas are in mm2 or in mm2 at the detector. Without a size in mm, they are numbers of pixels of the label map.
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
AREA_UNITS = {MM: "mm2", AT_DETECTOR: "mm2 at the detector"}  # by the unit of lengths

BUILT_IN = ("area", "diameter", "cardiothoracic_ratio")
SECOND_LUNG = 0.2  # least area of the second lung field, as a share of the area of the first
SMALLEST_HEART = 0.02  # least area of a heart, as a share of the area of the lung fields
DECISION = re.compile(r"([\w.]+) *> *(-?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?)")


class MeasurementError(ValueError):
    """Error for a measurement that does not exist, cannot be imported, or needs classes that the data set lacks."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A scalar function of a label map.

    Attributes
    ----------
    name
        Name in tables, for example "area_lungs" or "cardiothoracic_ratio". A user-supplied measurement is named after
        its function.
    unit
        Unit of a length or of an area, as listed above; "" for a ratio or a user-supplied measurement.
    function
        Function that takes a uint8 label map of shape (H, W) and returns a float; NaN if the measurement is undefined
        for this label map. A certified interval treats NaN as minus infinity for its lower end and as infinity for its
        upper end.
    digest
        SHA-256 of the code that computes the measurement. Stored values are reused only if this digest is unchanged.
    """

    name: str
    unit: str
    function: Callable[[Labels], float]
    digest: str


def pixel_scale(
    pixel_size: PixelSize | None, length_unit: str, stretch: tuple[float, float]
) -> tuple[PixelSize | None, str]:
    """Return the pixel size with which to measure lengths in a resized image, and the unit of these lengths.

    Parameters
    ----------
    pixel_size
        Height and width of a pixel in the resized image, in `length_unit`; None if unknown.
    length_unit
        The unit of `pixel_size`.
    stretch
        Height and width, in original pixels, of the area that a pixel in the resized image covers. If they differ, the
        pixels of the resized image are not square, and a length in such pixels would have no meaning.
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
    """Return the measurements named by `specifications`, as in the configuration key `measurements`.

    Parameters
    ----------
    specifications
        "area" and "diameter" (one measurement per class, without the background), "cardiothoracic_ratio" (needs classes
        named "lungs" and "heart"), and "package.module:function" for your own function (see Notes).
    classes
        Names of the class ids 0, 1, ...; class 0 is the background.
    pixel_size
        Height and width of a pixel in `length_unit`, or None if the pixel size is unknown.
    length_unit
        Unit of lengths, as `pixel_scale` returns it.

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
    Your own function has the signature ``function(labels, pixel_size) -> float``, and both arguments are passed by
    position:

    - `labels` is the label map of one draw: a numpy array of uint8 class ids, of shape (H, W); 0 is the background. Do
      not change it.
    - `pixel_size` is the height and width of a pixel in the patient in mm, two floats. It is None if they are unknown,
      for example if the file states only their size at the detector.
    - The result is one number, which is converted to float. Return NaN if a structure that the measurement needs is
      absent. With 0 instead, a missed structure would get a certified decision "below the threshold".

    The function is called once per draw, which is n0 + n times per image. It must depend only on its arguments, because
    its values are stored. Its module must be importable, for example from a folder on PYTHONPATH. Tables show the
    measurement under the function's name, without a unit. The values are recomputed when the pixel size, the code of
    the module or the code of a module that it imports changes. This requires new draws unless label maps were kept.

    Examples
    --------
    Put this function, which returns the share of the image that is not background, into `my_measurements.py`:

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
    """Return the `specifications` that can be measured on a data set with the given classes."""
    heart = {"lungs", "heart"} <= set(classes)
    return [name for name in specifications if name != "cardiothoracic_ratio" or heart]


def check_measurements(
    specifications: Sequence[str], decisions: Sequence[str], classes: Sequence[Sequence[str]]
) -> None:
    """Raise MeasurementError for an unknown measurement, or for a decision about a quantity that is not measured.

    `classes` contains the class names of each data set. A measurement may need classes that some data sets lack (see
    `applicable`).
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
    """Return the area of a class in squares of the pixel size's unit, or in pixels if the pixel size is unknown.

    It is NaN if the class is absent.
    """
    height, width = pixel_size or (1.0, 1.0)
    return float(np.count_nonzero(labels == class_id)) * height * width or math.nan


def diameter(labels: Labels, class_id: int, pixel_size: PixelSize | None = None) -> float:
    """Return the diameter of a class in the unit of the pixel size, or in pixels if the pixel size is unknown.

    The diameter is the longest distance between two pixel corners in the largest 8-connected piece, so one pixel has
    the diameter sqrt(2). It is NaN if the class is absent.
    """
    from scipy.spatial import ConvexHull  # here, because most runs do not measure a diameter
    from scipy.spatial.distance import pdist

    pieces = _largest_pieces(labels == class_id, 1)
    if not pieces:
        return math.nan
    rows, columns = np.nonzero(pieces[0])
    corners = np.concatenate([np.stack([rows + i, columns + j], axis=1) for i in (0, 1) for j in (0, 1)])
    corners = corners * np.array(pixel_size or (1.0, 1.0))
    return float(pdist(corners[ConvexHull(corners).vertices]).max())


def cardiothoracic_ratio(labels: Labels, lungs: int, heart: int) -> float:
    """Return the width of the heart divided by that of the lung fields, each from its leftmost to its rightmost pixel.

    The lung fields are the largest 8-connected piece of the class `lungs`, and the second largest if it has at least
    SECOND_LUNG of the area of the first. The heart is the largest 8-connected piece of the class `heart` within the
    rows of the lung fields. Other pieces, such as stray pixels, do not count.

    The ratio is NaN if a structure is absent. This is the case if there are no lungs, or if the heart has less than
    SMALLEST_HEART of the area of the lung fields. It is also the case if the heart reaches beyond the lung fields on
    one side, because a lung was then missed.

    The clinical ratio divides the widest transverse diameter of the heart by the widest inner diameter of the rib cage.
    A mask does not show the ribs, so the lung fields stand for the rib cage. Their leftmost and rightmost pixels may be
    in different rows.
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
    """Return the `count` largest 8-connected pieces of a mask, largest first; fewer if the mask has fewer.

    Of equally large pieces, the one that a scan by rows meets first comes first.
    """
    from scipy import ndimage  # here, because importing it is slow

    pieces, found = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=found + 1)[1:]
    return [pieces == place + 1 for place in np.argsort(-sizes, kind="stable")[:count]]


def _edges(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return the leftmost column of a mask, and the column after its rightmost one."""
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(columns[-1]) + 1


def _measurements_of(
    name: str, classes: tuple[str, ...], pixel_size: PixelSize | None, length_unit: str
) -> list[Measurement]:
    if name in ("area", "diameter"):
        function, unit = (diameter, length_unit) if name == "diameter" else (area, AREA_UNITS.get(length_unit, PIXELS))
        size = None if unit == PIXELS else pixel_size  # a number of pixels does not depend on their shape
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
    """Return the digest of a user-supplied measurement's code: its module and all that this module imports.

    If the measurement is in an installed package, return the package's version and a digest of its files.
    """
    return target_digest(specification) or " ".join(target_packages(specification).values()) or None


@functools.cache
def _code_of_this_module() -> str:
    return syntax_digest(Path(__file__).read_bytes(), __file__)


@functools.cache
def _code_and_packages(_module: ModuleType, specification: str) -> tuple[str | None, dict[str, str]]:
    """Return a measurement's code and packages as they were when this process imported its module."""
    return code_of(specification), {"numpy": version_of("numpy"), **target_packages(specification)}
