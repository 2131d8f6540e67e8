"""Large libraries in part: what is left out stays out, and is there, whole, for those who ask for it."""

import subprocess
import sys

import pytest

from segcert.io.lean_imports import lean

PROGRAM = """
import sys
from segcert.networks.denoiser import DDPMScheduler, UNet2DModel
assert not {"torch._dynamo", "scipy.stats", "diffusers.models.transformers"} & set(sys.modules)
import diffusers, torch._dynamo
assert diffusers.UNet2DModel is UNet2DModel
assert diffusers.DDPMScheduler is DDPMScheduler
from diffusers import DiTTransformer2DModel
"""


def test_diffusers_is_imported_in_part_and_may_be_imported_whole_later():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)


def test_what_was_left_out_is_forgotten_when_an_import_fails():
    before = dict(sys.modules)
    with pytest.raises(ImportError), lean(bare=["wave"], absent=["chunk_of_nothing"]):
        import chunk_of_nothing  # noqa: F401
    assert {name for name in ("wave", "chunk_of_nothing") if name in sys.modules} <= before.keys()
    with pytest.raises(ModuleNotFoundError, match="no_such_library"), lean(bare=["no_such_library.part"]):
        pass
