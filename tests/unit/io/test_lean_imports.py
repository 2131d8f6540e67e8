"""Partial imports of large libraries. The omitted parts can be imported completely later."""

import os
import subprocess
import sys

import pytest
from tests.support.pages import ROOT

from segcert.io.lean_imports import lean

PROGRAM = """
import sys
from segcert.networks.diffusers_parts import DDPMScheduler, UNet2DModel
assert not {"torch._dynamo", "scipy.stats", "diffusers.models.transformers"} & set(sys.modules)
import diffusers, torch._dynamo
assert diffusers.UNet2DModel is UNet2DModel
assert diffusers.DDPMScheduler is DDPMScheduler
from diffusers import DiTTransformer2DModel
"""


def test_diffusers_is_imported_partly_and_can_be_imported_completely_later():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=environment)


def test_modules_are_restored_after_a_failed_import():
    before = dict(sys.modules)
    with pytest.raises(ImportError), lean(bare=["wave"], absent=["chunk_of_nothing"]):
        import chunk_of_nothing  # noqa: F401
    assert {name for name in ("wave", "chunk_of_nothing") if name in sys.modules} <= before.keys()
    with pytest.raises(ModuleNotFoundError, match="no_such_library"), lean(bare=["no_such_library.part"]):
        pass
