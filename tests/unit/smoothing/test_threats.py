"""Families of changes: parameters add up, ranges as text, saturation, and what is refused."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from tests.support.half_spaces import FAMILIES, image_of
from tests.support.pages import text_of

from segcert.smoothing.noise import SamplingError
from segcert.smoothing.threats.composition import require_composition
from segcert.smoothing.threats.contrast import Contrast
from segcert.smoothing.threats.exposure import Exposure
from segcert.smoothing.threats.family import FAMILIES as NAMES
from segcert.smoothing.threats.family import Family, load_family
from segcert.smoothing.threats.field import HALF_WAVES, Field
from segcert.smoothing.threats.gamma import Gamma
from segcert.smoothing.threats.offset import Offset
from segcert.smoothing.threats.saturation import saturating_share
from segcert.smoothing.threats.white_balance import WhiteBalance

EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


class Blend(Family):
    """The image, blended with white: T_a(x) = 1 - exp(-a) (1 - x). Parameters add up."""

    name = "blend"

    def transform(self, x, parameters):
        return 1 - (1 - x) * (-parameters).exp()[:, :, None, None]

    def in_words(self, radius):
        return f"blend {radius}"


class Clipped(Blend):
    """Brightness that is clipped to [0, 1], so that changes do not undo each other."""

    def transform(self, x, parameters):
        return (x + parameters[:, :, None, None]).clip(0, 1)


class Curved(Blend):
    """Gain that is no exponential function of its parameter."""

    def transform(self, x, parameters):
        return x * (1 + parameters + parameters**2)[:, :, None, None]


class Smaller(Blend):
    def transform(self, x, parameters):
        return x[..., 1:]


class NotANumber(Blend):
    def transform(self, x, parameters):
        return x * torch.nan


class WithoutParameters(Blend):
    size = 0


class Two(Blend):
    size = 2

    def transform(self, x, parameters):
        return x + parameters.sum(dim=1)[:, None, None, None]


def test_every_name_is_in_the_table_and_has_its_family():
    assert {type(load_family(name)) for name in NAMES} == {type(family) for family in FAMILIES}
    assert load_family("tests.unit.smoothing.test_threats:Blend").name == "blend"
    own = Blend()
    assert load_family(own) is own


@EVERY_FAMILY
@examples(max_examples=60, deadline=None)
@given(data=st.data())
def test_parameters_add_up(family, data):
    """T_a(T_b(x)) = T_(a + b)(x), and T_0 changes nothing, for any image and any parameters up to 1."""
    numbers = st.lists(st.floats(-1, 1, width=32), min_size=family.size, max_size=family.size)
    a, b = (torch.tensor([data.draw(numbers)]) for _ in range(2))
    shape = (1, 3, data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)))
    x = torch.from_numpy(np.random.default_rng(data.draw(st.integers(0, 99))).random(shape, np.float32))
    twice, once = family.transform(family.transform(x, b), a), family.transform(x, a + b)
    torch.testing.assert_close(twice, once, rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(family.transform(x, torch.zeros_like(a)), x, rtol=1e-6, atol=1e-6)
    assert twice.shape == x.shape


@pytest.mark.parametrize(
    ("family", "parameters", "expected"),
    [
        (Exposure(), [math.log(2)], [0.5, 1.0, 2.0]),
        (Contrast(0.5), [math.log(2)], [0.0, 0.5, 1.5]),
        (Offset(), [-0.25], [0.0, 0.25, 0.75]),
        (Gamma(), [math.log(2)], [0.0625, 0.25, 1.0]),
        (Field(1), [math.log(2)], [0.5, 1.0, 2.0]),
        (WhiteBalance(), [math.log(2), 0, math.log(3)], [0.5, 0.5, 3.0]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_changes_by_hand(family, parameters, expected):
    """The values 0.25, 0.5 and 1 are in one channel; for white balance, in one each."""
    x = torch.tensor([0.25, 0.5, 1.0]).reshape((1, 3, 1, 1) if family.size == 3 else (1, 1, 1, 3))
    found = family.transform(x, torch.tensor([parameters])).flatten().tolist()
    assert found == pytest.approx(expected)


def test_the_radius_bounds_the_local_gain_of_a_field_and_the_bound_is_nearly_reached():
    rng = np.random.default_rng(0)
    x = torch.ones((1, 1, 64, 48))
    for terms in range(1, len(HALF_WAVES) + 1):
        family, largest = Field(terms), 0.0
        directions = [*rng.normal(size=(200, terms)), np.ones(terms)]  # in the corner, all terms are nearly 1
        for direction in directions:
            a = torch.tensor(0.2 * direction / np.linalg.norm(direction))[None]
            largest = max(largest, float(family.transform(x.double(), a).log().abs().max()))
        assert 0.2 * 0.99 < largest <= 0.2 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("family", "radius", "words"),
    [
        (Exposure(), math.log(1.25), "exposure x0.80 to x1.25"),
        (Exposure(), 0.2, "exposure x0.82 to x1.22"),
        (Exposure(), 0.001, "exposure x0.9991 to x1.0010"),
        (Contrast(), math.log(1.25), "contrast x0.80 to x1.25 about 127.5 of 255 gray levels"),
        (Offset(), 26.09 / 255, "+-26 gray levels everywhere"),
        (Gamma(), math.log(1.25), "gamma 0.80 to 1.25"),
        (Field(5), 0.11, "smooth gain of 5 terms, l2 norm up to 0.11: local gain within 12% everywhere"),
        (WhiteBalance(), 0.2, "one channel x0.82 to x1.22, or each of the three channels x0.90 to x1.12"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_words_never_say_more_than_the_radius(family, radius, words):
    assert family.in_words(radius) == words


def test_the_docs_give_the_radius_of_each_family_as_text():
    rows = re.findall(r"^\| `(\w+)` \|.* \| (.*) \|$", text_of("docs/explanation/methods.md"), re.MULTILINE)
    stated = {name: text for name, text in rows if name in NAMES}
    assert stated.keys() == NAMES.keys()
    for name, text in stated.items():
        assert text in load_family(name).in_words(0.2)


@EVERY_FAMILY
def test_no_covered_change_saturates_a_larger_share(family):
    rng = np.random.default_rng(0)
    image = rng.random((3, 8, 8)).astype(np.float32)
    stated, largest = saturating_share(image, family, 0.3), 0.0
    for direction in rng.normal(size=(300, family.size)):
        a = torch.tensor(0.3 * direction / np.linalg.norm(direction), dtype=torch.float32)[None]
        changed = family.transform(torch.from_numpy(image)[None], a)
        largest = max(largest, float(((changed < 0) | (changed > 1)).double().mean()))
    assert largest <= stated
    if family.size == 1:
        assert largest == stated
    assert (stated > 0) == (not isinstance(family, Gamma))
    assert saturating_share(image, family, 0.0) == 0


def test_a_share_that_nothing_bounds_is_refused():
    with pytest.raises(SamplingError, match="threat blend: does not say how many values saturate"):
        saturating_share(image_of(Two()), Two(), 0.1)


@EVERY_FAMILY
def test_the_check_of_composition_accepts_every_family(family):
    require_composition(family, image_of(family), 0.3)


@pytest.mark.parametrize("family", [Blend(), Two()])
def test_the_check_of_composition_accepts_a_right_family(family):
    require_composition(family, image_of(family), 0.3)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (Clipped(), "parameters do not add up"),
        (Curved(), "parameters do not add up"),
        (NotANumber(), "parameters do not add up"),
        (Smaller(), r"turned images of shape \(8, 1, 4, 4\) into \(8, 1, 4, 3\)"),
        (WithoutParameters(), "found 0 parameters; expected at least 1"),
    ],
)
def test_a_family_that_does_not_compose_is_refused(family, message):
    with pytest.raises(SamplingError, match=message):
        require_composition(family, image_of(family), 0.3)


@pytest.mark.parametrize(
    ("threat", "message"),
    [
        ("exposures", "threat: found 'exposures'; expected pixels, exposure, contrast"),
        (3, "threat: found 3; expected"),
        ("no_such_module:Family", "cannot be imported and built (No module named"),
        ("tests.unit.smoothing.test_threats:Nothing", "cannot be imported and built (module"),
        ("tests.unit.smoothing.test_threats:math", "cannot be imported and built ('module' object is not callable)"),
        ("builtins:dict", "threat 'builtins:dict': found a dict; expected"),
        ("segcert.smoothing.threats.family:Family", "cannot be imported and built (Can't instantiate abstract class"),
    ],
)
def test_a_threat_that_is_no_family_is_refused(threat, message):
    with pytest.raises(SamplingError, match=re.escape(message)):
        load_family(threat)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Field(0), "terms: found 0; expected 1 to 10 smooth terms"),
        (lambda: Field(11), "terms: found 11"),
        (lambda: Contrast(1.5), "gray: found 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(build, message):
    with pytest.raises(SamplingError, match=message):
        build()


def test_images_that_do_not_fit_are_refused_in_one_line():
    gray = np.full((1, 4, 4), 0.5, np.float32)
    assert WhiteBalance().refusal(gray) == "found an image of 1 channels; expected 3 (colour)"
    assert WhiteBalance().refusal(np.repeat(gray, 3, axis=0)) is None
    assert Gamma().refusal(gray - 1) == "found values from -0.5 to -0.5; a power needs values in [0, 1]"
    assert all(family.refusal(image_of(family)) is None for family in FAMILIES)
