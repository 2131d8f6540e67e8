"""Folders of networks: configuration and weights, state dicts and programs from elsewhere, checkpoints, ADM's file."""

import io
import json

from tests.tools.fuzz.containers import as_zip, members_of, packed, unpacked
from tests.tools.fuzz.contract import Target
from tests.tools.fuzz.edits import MARK, edited


def _unet():
    from segcert.networks.unet import UNet

    return {"in_channels": 1, "num_classes": 2, "channels": 2, "depth": 1}, UNet


def segmenters():
    """config.json and model.safetensors."""
    import torch
    from safetensors.torch import save

    from segcert.networks.folders import ModelError, segmenter_digest
    from segcert.networks.registry import input_channels, load_segmenter

    weights = save({"weight": torch.ones(1, 2), "bias": torch.zeros(1)})
    linear = {
        "architecture": "torch.nn:Linear", "arguments": {"in_features": 2, "out_features": 1},
        "classes": ["background", "x"], "image_size": 8, "in_channels": 1, "regime": "clean",
    }  # fmt: skip

    def read(path):
        members = members_of(path.read_bytes()) or {}
        folder, config = path.parent, edited(linear, path.read_bytes())
        (folder / "config.json").write_bytes(config or members.get("config.json", b""))
        (folder / "model.safetensors").write_bytes(weights if config else members.get("model.safetensors", b""))
        segmenter_digest(folder)
        _, config = load_segmenter(folder)
        input_channels(config)

    def seeds():
        call = linear | {"architecture": "os:system", "arguments": {"command": "true"}}
        unet = linear | {"architecture": "unet", "arguments": {"in_channels": 1, "num_classes": 2}}
        folders = [packed({"config.json": json.dumps(each).encode(), "model.safetensors": weights})
                   for each in (linear, call, unet)]  # fmt: skip
        return [*folders, MARK + bytes(4), MARK + bytes(range(12))]

    return Target(read, seeds, (ModelError,), "given", named=False)


def state_dicts():
    """What torch.save wrote, elsewhere."""
    import torch

    from segcert.networks.folders import ModelError
    from segcert.networks.pretrained import read_state_dict

    def seeds():
        found = []
        for value in ({"weight": torch.ones(2)}, {"state_dict": {"module.weight": torch.ones(2)}}):
            buffer = io.BytesIO()
            torch.save(value, buffer)
            found += [unpacked(buffer.getvalue()), buffer.getvalue()]
        buffer = io.BytesIO()
        torch.save({"weight": torch.ones(2)}, buffer, _use_new_zipfile_serialization=False)
        return [*found, buffer.getvalue()]

    return Target(read_state_dict, seeds, (ModelError,), "weights.pt", build=as_zip)


def safetensors():
    import torch
    from safetensors.torch import save

    from segcert.networks.folders import ModelError
    from segcert.networks.pretrained import read_state_dict

    return Target(
        read_state_dict, lambda: [save({"weight": torch.ones(2), "b": torch.zeros(1, 3)})], (ModelError,),
        "weights.safetensors",
    )  # fmt: skip


def adm():
    """OpenAI's checkpoint."""
    import torch

    from segcert.networks.adm import ADMLayout, import_adm
    from segcert.networks.folders import ModelError

    layout = ADMLayout(image_size=8, model_channels=32, channel_mult=(1,), num_res_blocks=1, attention_resolutions=())

    def seeds():
        buffer = io.BytesIO()
        torch.save({"time_embed.0.weight": torch.ones(2)}, buffer)
        return [unpacked(buffer.getvalue()), buffer.getvalue()]

    return Target(
        lambda path: import_adm(path, path.parent / "out", layout), seeds, (ModelError,), "adm.pt", build=as_zip
    )


def checkpoints():
    """Of an interrupted training."""
    import torch

    from segcert.training.state import Checkpoint

    def seeds():
        buffer = io.BytesIO()
        torch.save({"key": "k", "state": {"step": 3, "model": {"w": torch.ones(2)}}}, buffer)
        return [unpacked(buffer.getvalue()), buffer.getvalue()]

    return Target(lambda path: Checkpoint(path, "k").load(), seeds, (), "checkpoint.pt", build=as_zip)


def programs():
    """torch.export and TorchScript files, up to where they are known for what they are: what follows is code."""
    import zipfile

    import torch

    from segcert.networks import exported as module
    from segcert.networks.folders import ModelError

    def read(path):
        module._load_export = lambda _: (torch.nn.Identity(), None)
        module.load_exported(path)

    def seeds():
        buffer = io.BytesIO()
        torch.save({"w": torch.ones(2)}, buffer)
        weights = {"weights_config": {"w": {"path_name": "weight_0", "use_pickle": False}}}
        exported = {
            "p/archive_format": b"pt2",
            "p/data/weights/model_weights_config.json": json.dumps({"config": weights["weights_config"]}).encode(),
            "p/data/weights/x.pt": buffer.getvalue(),
        }
        assert zipfile
        return [packed(exported), packed({"p/constants.pkl": b"x", "p/data.pkl": b"y"}), buffer.getvalue()]  # fmt: skip

    return Target(read, seeds, (ModelError,), "network.pt2", build=as_zip)


def denoisers():
    """unet/config.json and scheduler/scheduler_config.json of a denoiser."""
    from segcert.networks.denoiser import DiffusionDenoiser
    from segcert.networks.folders import ModelError

    names = ("unet/config.json", "scheduler/scheduler_config.json", "unet/diffusion_pytorch_model.safetensors")

    def read(path):
        members = members_of(path.read_bytes()) or {}
        for name in names:
            (path.parent / name).parent.mkdir(exist_ok=True)
            (path.parent / name).write_bytes(members.get(name, b""))
        DiffusionDenoiser.load(path.parent)

    def seeds():
        import tempfile
        from pathlib import Path

        from diffusers import DDPMScheduler, UNet2DModel

        unet = UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(4,),
            layers_per_block=1,
            norm_num_groups=2,
            down_block_types=("DownBlock2D",),
            up_block_types=("UpBlock2D",),
        )
        with tempfile.TemporaryDirectory() as folder:
            unet.save_pretrained(Path(folder, "unet"))
            DDPMScheduler(num_train_timesteps=10).save_pretrained(Path(folder, "scheduler"))
            return [packed({name: Path(folder, name).read_bytes() for name in names})]  # fmt: skip

    return Target(read, seeds, (ModelError,), "given", named=False, longest=80000)
