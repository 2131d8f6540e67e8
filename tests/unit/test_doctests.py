"""Examples in docstrings."""

import doctest
import importlib

import pytest

MODULES = [
    "segcert.certification.certificate",
    "segcert.certification.median_smoothing",
    "segcert.certification.sample_size",
    "segcert.certification.radius_map",
    "segcert.smoothing.sampler",
    "segcert.votes",
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
