import math

import numpy as np
import pytest

from segcert.certification.median_smoothing import median_interval
from segcert.measurements import (
    MeasurementError,
    applicable,
    cardiothoracic_ratio,
    check_measurements,
    diameter,
    measurements_of,
    parse_decision,
    pixel_scale,
)

CHEST = ["background", "lungs", "heart"]


def chest():
    labels = np.zeros((20, 30), np.uint8)
    labels[5:15, 3:10] = labels[5:15, 18:27] = 1  # from column 3 to 26: 24 pixels wide
    labels[8:14, 11:17] = 2  # 6 pixels wide
    return labels


def brute_force_diameter(mask, pixel_size):
    corners = {(r + i, c + j) for r, c in np.argwhere(mask) for i in (0, 1) for j in (0, 1)}
    scaled = np.array(sorted(corners)) * np.array(pixel_size)
    return max(math.dist(a, b) for a in scaled for b in scaled)


def test_areas_and_ratio_of_a_known_chest():
    values = {each.name: each.function(chest()) for each in measurements_of(["area", "cardiothoracic_ratio"], CHEST)}
    assert values == {"area_lungs": 160, "area_heart": 36, "cardiothoracic_ratio": 6 / 24}


def test_areas_and_diameters_in_mm():
    area, width = (
        next(each for each in measurements_of([name], CHEST, (0.5, 2.0)) if each.name.endswith("heart"))
        for name in ("area", "diameter")
    )
    assert (area.unit, area.function(chest())) == ("mm2", 36)
    assert (width.unit, width.function(chest())) == ("mm", pytest.approx(math.hypot(6 * 0.5, 6 * 2)))


@pytest.mark.parametrize("seed", range(8))
def test_the_diameter_equals_the_maximum_over_pairs_of_corners(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((12, 9), np.uint8)
    mask[2:9, 1:8] = rng.random((7, 7)) < 0.8
    mask[3:8, 2:7] = 1  # one component, whatever the random edge is
    mask[0, 8] = 0
    pixel_size = (0.7, 1.3)
    pieces_aside = mask.copy()
    assert diameter(pieces_aside, 1, pixel_size) <= brute_force_diameter(mask == 1, pixel_size) + 1e-9
    mask = np.zeros((12, 9), np.uint8)
    mask[2 : 4 + seed % 5, 1 : 3 + seed % 4] = 1
    assert diameter(mask, 1, pixel_size) == pytest.approx(brute_force_diameter(mask == 1, pixel_size))


def test_the_diameter_is_that_of_the_largest_component():
    labels = np.zeros((10, 10), np.uint8)
    labels[0, 0] = 1
    assert diameter(labels, 1) == pytest.approx(math.sqrt(2))
    labels[5:8, 5:9] = 1
    assert diameter(labels, 1) == pytest.approx(5)


@pytest.mark.parametrize("pixel_size", [None, (0.5, 2.0)])
@pytest.mark.parametrize("present", [(), (1,), (2,)])
def test_an_absent_structure_is_never_measured(present, pixel_size):
    labels = np.where(np.isin(chest(), present), chest(), 0)
    of_class = {"lungs": 1, "heart": 2}
    for each in measurements_of(["area", "diameter", "cardiothoracic_ratio"], CHEST, pixel_size):
        defined = of_class.get(each.name.rpartition("_")[2]) in present
        assert math.isnan(each.function(labels)) != defined, each.name


@pytest.mark.parametrize("stray", [(0, 0), (19, 29), (4, 12), (16, 15)])
@pytest.mark.parametrize("class_id", [1, 2])
def test_stray_pixels_do_not_change_the_ratio(class_id, stray):
    labels = chest()
    labels[stray] = class_id
    assert cardiothoracic_ratio(labels, 1, 2) == 6 / 24
    labels[labels == 3 - class_id] = 0  # the other structure is absent, and a stray pixel is no structure
    assert math.isnan(cardiothoracic_ratio(labels, 1, 2))


def test_a_stray_pixel_is_no_heart_and_no_second_lung():
    no_heart = np.where(chest() == 2, 0, chest())
    no_heart[10, 14] = 2
    assert math.isnan(cardiothoracic_ratio(no_heart, 1, 2))
    one_lung = chest()
    one_lung[:, 18:][one_lung[:, 18:] == 1] = 0
    one_lung[10, 29] = 1
    assert math.isnan(cardiothoracic_ratio(one_lung, 1, 2))


@pytest.mark.parametrize("missed", [slice(0, 15), slice(15, 30)])
def test_the_ratio_needs_the_lungs_on_both_sides_of_the_heart(missed):
    labels = chest()
    labels[:, missed][labels[:, missed] == 1] = 0
    assert math.isnan(cardiothoracic_ratio(labels, 1, 2))
    assert math.isnan(cardiothoracic_ratio(labels[:, ::-1], 1, 2))


def test_lungs_may_touch_each_other():
    labels = chest()
    labels[6, 10:18] = 1  # a bridge: one piece
    labels[0, 0] = labels[19, 29] = 1
    assert cardiothoracic_ratio(labels, 1, 2) == 6 / 24


def test_the_heart_counts_within_the_rows_of_the_lungs():
    labels = chest()
    labels[15:20, 8:25] = 2  # below the lungs, joined to the heart by its last row and larger than it
    labels[14, 12:16] = 2
    assert cardiothoracic_ratio(labels, 1, 2) == 6 / 24


def test_a_missed_heart_is_not_certified_as_normal():
    """A missed heart once had the ratio 0, so its interval lay below every threshold."""
    (ratio,) = measurements_of(["cardiothoracic_ratio"], CHEST)
    missed = [ratio.function(np.where(chest() == 2, 0, chest()))] * 100
    interval = median_interval(missed, sigma=0.25)
    assert (interval.low, interval.high) == (-math.inf, math.inf)
    assert interval.decide(0.5) is None


def test_a_user_supplied_function_is_imported():
    (measurement,) = measurements_of(["tests.unit.test_measurements:count_of_twos"], CHEST)
    assert measurement.name == "count_of_twos"
    assert measurement.function(chest()) == 36.0
    assert measurement.digest != measurements_of(["tests.unit.test_measurements:count_of_ones"], CHEST)[0].digest


def count_of_twos(labels, pixel_size):
    return (labels == 2).sum()


def count_of_ones(labels, pixel_size):
    return (labels == 1).sum()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("volume", "found 'volume'; expected one of area"),
        ("no.such.module:f", "cannot be imported"),
        ("math:no_such", "cannot be imported"),
        ("math:pi", "is of type float; expected a function"),
    ],
)
def test_unknown_measurements_are_named(name, message):
    with pytest.raises(MeasurementError, match=message):
        measurements_of([name], CHEST)


def test_the_ratio_needs_lungs_and_heart():
    assert applicable(["area", "cardiothoracic_ratio"], ["background", "lungs"]) == ["area"]
    with pytest.raises(MeasurementError, match="needs the classes lungs and heart; found background, lungs"):
        measurements_of(["cardiothoracic_ratio"], ["background", "lungs"])
    check_measurements(["cardiothoracic_ratio"], ["cardiothoracic_ratio > 0.5"], [["background", "lungs"]])
    check_measurements(["cardiothoracic_ratio"], ["cardiothoracic_ratio > 0.5"], [["background", "lungs"], CHEST])


def test_decisions():
    assert parse_decision("diameter_lesion > 6") == ("diameter_lesion", 6.0)
    for bad in ("ratio", "ratio > much", "a < 3"):
        with pytest.raises(MeasurementError, match="expected a measurement, the sign > and a number"):
            parse_decision(bad)
    with pytest.raises(MeasurementError, match="area_liver is not measured"):
        check_measurements(["area"], ["area_liver > 3"], [CHEST])


@pytest.mark.parametrize(
    ("size", "unit", "stretch", "expected"),
    [
        ((0.5, 0.4), "mm", (1.5, 1.25), ((0.5, 0.4), "mm")),
        ((0.5, 0.4), "mm at the detector", (1.0, 1.0), ((0.5, 0.4), "mm at the detector")),
        (None, "mm", (1.5, 1.5), (None, "pixels")),
        (None, "mm", (1.5, 1.25), ((1.5, 1.25), "original pixels")),
    ],
)
def test_the_unit_of_lengths_follows_from_what_is_known(size, unit, stretch, expected):
    assert pixel_scale(size, unit, stretch) == expected


@pytest.mark.parametrize(
    ("unit", "of_area", "square"),
    [
        ("mm", "mm2", 6.0),
        ("mm at the detector", "mm2 at the detector", 6.0),
        ("original pixels", "pixels", 1.0),
        ("original pixel widths", "pixels", 1.0),
    ],
)
def test_lengths_and_areas_have_the_unit_of_the_pixel_size(unit, of_area, square):
    """Pixels of 2 x 3: a square of 4 x 4 pixels is 8 high and 12 wide. A number of pixels does not depend on that."""
    labels = np.zeros((9, 9), np.uint8)
    labels[1:5, 2:6] = 1
    size, width = measurements_of(["area", "diameter"], ["background", "lesion"], (2.0, 3.0), unit)
    assert (size.unit, size.function(labels)) == (of_area, 16 * square)
    assert (width.unit, width.function(labels)) == (unit, pytest.approx(math.hypot(8, 12)))


def given_size(labels, pixel_size):
    return math.nan if pixel_size is None else pixel_size[0]


def test_a_user_supplied_function_gets_sizes_in_the_patient_only():
    name = f"{__name__}:given_size"
    (known,) = measurements_of([name], CHEST, (2.0, 3.0))
    assert known.function(chest()) == 2
    for unit in ("mm at the detector", "original pixels", "original pixel widths"):
        (unknown,) = measurements_of([name], CHEST, (2.0, 3.0), unit)
        assert (unknown.unit, math.isnan(unknown.function(chest()))) == ("", True)
