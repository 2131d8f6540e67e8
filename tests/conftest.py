from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def scripts():
    """The folder of the scripts and the library."""
    return ROOT / "scripts"
