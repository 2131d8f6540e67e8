"""Keys of stored draws contain everything that can change a vote, and nothing else."""

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.smoothing.test_sampler import IMAGE, Counting, smoothed

from segcert.data.raster import Raster
from segcert.measurements import code_of, measurements_of
from segcert.networks.registry import load_segmenter, save_segmenter
from segcert.networks.runtime import rounding
from segcert.provenance.packages import target_packages, version_of
from segcert.single_image.inputs import Networks, Sampling
from segcert.smoothing import sampler, shard
from segcert.smoothing.shard import Pairing
from segcert.smoothing.store import BlockStore

CPU = torch.device("cpu")
PICTURE = Raster(np.full((1, 8, 6), 200, np.uint8), 8)
NETWORK = """
import importlib
from torch import nn
{imports}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Conv2d(1, 2, 1)

    def forward(self, x):
        return self.weight(x) * 0 + {module}.logits(x)
"""
LAYERS = """
import torch

def logits(x):
    return torch.cat([torch.full_like(x, {level}), x], dim=1)
"""
WAYS = {
    "in the same folder": ("import own_layers", "own_layers", "."),
    "in another folder": ("import own_layers", "own_layers", "elsewhere"),
    "in a package": ("from own_package import own_layers", "own_layers", "./own_package"),
    "by name": ("own_layers = importlib.import_module('own_layers')", "own_layers", "."),
}


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """A function that writes a module into a folder from which Python imports, and forgets imported modules."""

    def write(folder, name, text):
        path = tmp_path / folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for loaded in [each for each in sys.modules if each.startswith("own_")]:
            del sys.modules[loaded]
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    yield write
    for loaded in [each for each in sys.modules if each.startswith("own_")]:
        del sys.modules[loaded]


def save_own(folder, architecture="own_net:Net", arguments=None):
    config = {"architecture": architecture, "arguments": arguments or {}, "classes": ["a", "b"], "image_size": 8}
    from segcert.networks.registry import build_segmenter

    torch.manual_seed(0)
    save_segmenter(folder, build_segmenter(architecture, arguments or {}), config | {"in_channels": 1})


@pytest.mark.parametrize("way", WAYS)
def test_votes_of_edited_code_of_a_user_are_drawn_again(own_code, tmp_path, way):
    """Class 1 was once certified nowhere, from the votes of the network before the edit."""
    imports, module, folder = WAYS[way]
    own_code(folder, "own_layers", LAYERS.format(level=0.9))
    own_code(".", "own_net", NETWORK.format(imports=imports, module=module))
    save_own(tmp_path / "network")
    store, shares = BlockStore(tmp_path / "store"), []
    for level in (0.9, 0.9, 0.1):
        own_code(folder, "own_layers", LAYERS.format(level=level))
        networks = Networks.load(tmp_path / "network", None)
        votes = networks.smoothed(PICTURE, Sampling(0.1), CPU, store).sample(PICTURE.unit(), 2, 20)
        shares.append(votes.estimation[1].mean() / votes.n)
    assert shares[0] == shares[1] < 0.3
    assert shares[2] == 1
    assert len(list((tmp_path / "store").glob("*/*.npz"))) == 4, "the second votes were stored votes of the first"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Return a copy of the library, from which digests are made."""
    copy = shutil.copytree(shard.SCRIPTS / "segcert", tmp_path / "scripts/segcert")
    monkeypatch.setattr(shard, "SCRIPTS", tmp_path / "scripts")
    return copy


def pairing(tmp_path, denoiser=None):
    save_own(tmp_path / "unet", "unet", {"in_channels": 1, "num_classes": 2, "width": 4, "depth": 1})
    return lambda: Pairing(tmp_path / "unet", denoiser)


@pytest.mark.parametrize(
    "module",
    [
        *("smoothing/sampler", "smoothing/noise", "smoothing/exact_noise", "smoothing/observables"),
        *("networks/unet", "networks/runtime", "networks/registry", "networks/replicated", "networks/exported"),
    ],
)
def test_an_edit_of_the_code_that_a_draw_passes_through_counts(tmp_path, copied, module):
    made = pairing(tmp_path)
    before = made().code
    path = copied / f"{module}.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    assert made().code != before


def test_the_code_of_a_denoiser_counts_only_behind_it(tmp_path, copied):
    made = [pairing(tmp_path), pairing(tmp_path, tmp_path / "denoiser")]
    before = [each().code for each in made]
    path = copied / "networks/denoiser.py"
    path.write_text(path.read_text() + "\nEDITED = 1\n")
    after = [each().code for each in made]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


def test_code_that_cannot_change_a_vote_does_not_count(tmp_path, copied):
    made = pairing(tmp_path)
    before = made().code
    for other in ("networks/resunetpp", "report/page", "certification/certificate", "single_image/explain", "cli"):
        path = copied / f"{other}.py"
        path.write_text(path.read_text() + "\nEDITED = 1\n")
    text = (copied / "smoothing/sampler.py").read_text()
    reworded = text.replace("found train mode, in which", "is in train mode, so").replace("Draw the votes of", "Get")
    assert reworded != text
    (copied / "smoothing/sampler.py").write_text(reworded)
    assert made().code == before


def key_of(**options):
    return smoothed(identity={"model": "m"}, **options).key(IMAGE)


def test_batch_size_and_precision_are_in_the_key():
    assert key_of(batch_size=8) != key_of(batch_size=32)
    assert key_of(precision="float32") != key_of(precision="bfloat16")
    assert key_of(packages={"diffusers": "0.35"}) != key_of(packages={"diffusers": "0.36"})


@pytest.mark.parametrize("package", [torch, np])
def test_versions_are_in_the_key(monkeypatch, package):
    before = key_of()
    monkeypatch.setattr(package, "__version__", type(package.__version__)("0.1"))
    assert key_of() != before


def test_threads_and_float32_arithmetic_are_in_the_key():
    before, threads = key_of(), torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert key_of() != before
        torch.set_num_threads(threads)
        assert key_of() == before
        torch.set_float32_matmul_precision("medium")
        assert key_of() != before
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")


def test_tf32_is_in_the_key_of_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GPU")
    before, allowed = rounding(torch.device("cuda")), torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = not allowed
        assert rounding(torch.device("cuda")) != before
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def test_blocks_of_other_threads_are_drawn_again(tmp_path):
    model, threads = Counting(), torch.get_num_threads()
    options = {"store": BlockStore(tmp_path), "identity": {"model": "m"}, "batch_size": 5}
    try:
        for number in (threads, threads + 1, threads):
            torch.set_num_threads(number)
            assert smoothed(model, **options).sample(IMAGE, 5, 20).origin["runtime"]["threads"] == number
    finally:
        torch.set_num_threads(threads)
    assert model.calls == 10, "the third votes are the first ones"


def test_the_version_of_diffusers_is_stated_only_behind_a_denoiser(tmp_path):
    bare, behind = pairing(tmp_path)().packages, pairing(tmp_path, tmp_path / "denoiser")().packages
    assert bare == {}
    assert behind == {"diffusers": importlib.metadata.version("diffusers")}


def test_packages_of_a_target_are_those_that_it_imports(own_code):
    own_code(".", "own_layers", "import scipy.ndimage\nimport json\n")
    own_code(".", "own_net", "import own_layers\nimport skimage\n")
    expected = {name: version_of(name) for name in ("scipy", "skimage")}
    assert target_packages("own_net:Net") == expected
    assert expected["skimage"] == importlib.metadata.version("scikit-image")
    (of_monai,) = target_packages("monai.networks.nets:UNet").items()
    assert of_monai[0] == "monai"
    assert of_monai[1].startswith(f"{importlib.metadata.version('monai')} ")


def test_a_denoised_draw_checks_other_versions_but_states_them(tmp_path, monkeypatch):
    """Another version may give the same draws, which `segcert verify` repeats. It says that the version is another."""
    one = smoothed(identity={"model": "m", "code": "a"})
    votes = one.sample(IMAGE, 2, 3)
    assert one.differences(votes) == []
    monkeypatch.setattr(np, "__version__", "0.1")
    other = smoothed(identity={"model": "m", "code": "b"})
    other.check(votes, IMAGE)
    expected = [f"numpy 0.1 (then {importlib.metadata.version('numpy')})", "the code that a draw passes through"]
    assert other.differences(votes) == expected
    assert sampler.RUNTIME in votes.origin


MEASURE = "from own_units import UNIT\n\ndef size(labels, pixel_size):\n    return UNIT * (labels > 0).sum()\n"


def test_a_measurement_is_named_by_its_import_closure(own_code):
    """A measurement was once named by its own module only: an edit of what it imports changed nothing."""
    own_code(".", "own_measure", MEASURE)
    digests, codes, values = [], [], []
    for unit in ("1", "100", "100  # a comment"):
        own_code("elsewhere", "own_units", f"UNIT = {unit}\n")
        (measurement,) = measurements_of(["own_measure:size"], ["a", "b"])
        digests.append(measurement.digest)
        codes.append(code_of("own_measure:size"))
        values.append(measurement.function(np.ones((4, 8), np.uint8)))
    assert values == [32, 3200, 3200]
    for named in (digests, codes):
        assert named[0] != named[1] == named[2]


def test_stored_values_of_an_edited_measurement_are_measured_again(own_code, tmp_path):
    own_code(".", "own_measure", MEASURE)
    options = {"store": BlockStore(tmp_path), "identity": {"model": "m"}}
    values = []
    for unit in (1, 100):
        own_code("elsewhere", "own_units", f"UNIT = {unit}\n")
        measured = measurements_of(["own_measure:size"], ["a", "b"])
        votes = smoothed(**options).sample(IMAGE, 2, 3, measurements=measured, keep_draws=True)
        values.append(votes.measurements["size"])
    assert np.array_equal(values[1], 100 * values[0])


def test_the_digest_of_a_loaded_segmenter_is_that_of_the_code_it_runs(own_code, tmp_path):
    own_code(".", "own_layers", LAYERS.format(level=0.9))
    own_code(".", "own_net", NETWORK.format(imports="import own_layers", module="own_layers"))
    save_own(tmp_path / "network")
    identity = Pairing(tmp_path / "network").identity("c")
    assert identity.keys() == {"segmenter", "denoiser", "code", "target"}
    assert json.loads(Path(tmp_path, "network/config.json").read_text())["architecture"] == "own_net:Net"
    assert load_segmenter(tmp_path / "network")[0] is not None
