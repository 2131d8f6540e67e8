"""Foreign networks: their folders, weights and checkpoints run no code, and errors name the file."""

import json
import sys

import pytest
import torch
from safetensors.torch import save_file
from tests.tools.fuzz.of_documents import document
from torch import nn

from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.folders import ModelError
from segcert.networks.registry import build_segmenter, load_segmenter
from segcert.provenance.digests import file_digest
from segcert.single_image.schema import DocumentError
from segcert.single_image.verify import verify
from segcert.training.state import Checkpoint


class CalledError(Exception):
    """A forbidden function was called."""


def canary(**_) -> int:
    raise CalledError


def unannotated():
    return nn.Linear(2, 1)


def network() -> nn.Module:
    return nn.Linear(2, 1)


HERE = sys.modules[__name__]


@pytest.mark.parametrize(
    "target", ["os:system", "subprocess:run", "builtins:exec", "hostile_networks:canary", "torch:load"]
)
def test_a_model_folder_can_only_call_networks(tmp_path, monkeypatch, target):
    """The name in config.json comes with the weights, possibly from strangers."""
    monkeypatch.setitem(sys.modules, "hostile_networks", HERE)
    save_file({}, tmp_path / "model.safetensors")
    config = {"architecture": target, "arguments": {"command": f"touch {tmp_path / 'touched'}"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="not declared to return a network, so it is not called"):
        load_segmenter(tmp_path)
    assert not (tmp_path / "touched").exists()


def test_a_foreign_certificate_runs_no_exported_network(tmp_path, monkeypatch):
    """The folder in the certificate contains code, which runs only if the user names it."""
    (tmp_path / "config.json").write_text('{"program": "torchscript"}')
    (tmp_path / "chest.png").write_bytes(b"x")
    stated = document()
    for kind, file in stated["files"].items():
        (tmp_path / file["path"]).write_text(kind)
        file["sha256"] = file_digest(tmp_path / file["path"])
    stated["image"] |= {"path": str(tmp_path / "chest.png"), "sha256": file_digest(tmp_path / "chest.png")}
    stated["networks"]["segmenter"]["path"] = str(tmp_path)
    monkeypatch.setattr("segcert.networks.registry.load_exported", canary)
    with pytest.raises(DocumentError, match=r"found an exported network.* If you trust it, pass --segmenter"):
        verify(tmp_path / "chest.certificate.json", stated, draws=1, device=torch.device("cpu"))


@pytest.mark.parametrize("name", ["network", "unannotated"])
def test_functions_that_return_a_network_are_called(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "hostile_networks", HERE)
    assert isinstance(build_segmenter(f"hostile_networks:{name}", {}), nn.Linear)


def test_a_tiny_model_folder_cannot_build_a_network_of_gigabytes(tmp_path):
    save_file({}, tmp_path / "model.safetensors")
    arguments = {"in_channels": 1, "num_classes": 2, "width": 4096, "depth": 4}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "unet", "arguments": arguments}))
    with pytest.raises(ModelError, match=r"weights, which is more than model\.safetensors can contain"):
        load_segmenter(tmp_path)


def test_a_damaged_denoiser_and_a_damaged_checkpoint_are_named(tmp_path, caplog):
    for name in ("unet/config.json", "unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{")
    with pytest.raises(ModelError, match=r"scheduler_config\.json: does not describe the noise schedule of a denoiser"):
        DiffusionDenoiser.load(tmp_path)
    (tmp_path / "a.pt").write_bytes(b"\x80\x02}q\0.")
    assert Checkpoint(tmp_path / "a.pt", "key").load() is None
    assert "a.pt: this checkpoint is damaged" in caplog.text
