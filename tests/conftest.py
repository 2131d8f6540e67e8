import gc
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def scripts():
    """The folder of the scripts and the library."""
    return ROOT / "scripts"


@pytest.fixture
def no_collection(monkeypatch):
    """Statsmodels' multipletests collects garbage at every call: 60 ms in a large process."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)
