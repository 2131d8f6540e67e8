"""Fuzz the readers of network folders, pretrained weights, exported networks, checkpoints and OpenAI's ADM file."""

import io
import json

from tests.tools.fuzz.containers import as_zip, members_of, packed, unpacked, write_members
from tests.tools.fuzz.contract import Target
from tests.tools.fuzz.edits import MARK, edited


def _saved(value, **options):
    """Return the bytes of a file that torch.save writes."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def segmenters():
    """Return a target that reads a segmenter's folder: config.json and model.safetensors."""
    import torch
    from safetensors.torch import save

    from segcert.networks.folders import ModelError, segmenter_digest
    from segcert.networks.registry import input_channels, load_segmenter

    weights = save({"weight": torch.ones(1, 2), "bias": torch.zeros(1)})
    linear = {"architecture": "torch.nn:Linear", "arguments": {"in_features": 2, "out_features": 1}}
    linear |= {"classes": ["background", "x"], "image_size": 8, "in_channels": 1, "regime": "clean"}

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
        configs = [json.dumps(each).encode() for each in (linear, call, unet)]
        folders = [packed({"config.json": config, "model.safetensors": weights}) for config in configs]
        return [*folders, MARK + bytes(4), MARK + bytes(range(12))]

    return Target(read, seeds, (ModelError,), "input", named=False)


def state_dicts():
    """Return a target that reads pretrained weights written by torch.save."""
    import torch

    from segcert.networks.checkpoints import read_checkpoint
    from segcert.networks.folders import ModelError

    def seeds():
        weights = {"weight": torch.ones(2)}
        zipped = [_saved(weights), _saved({"state_dict": {"module.weight": torch.ones(2)}})]
        return [*map(unpacked, zipped), *zipped, _saved(weights, _use_new_zipfile_serialization=False)]

    return Target(read_checkpoint, seeds, (ModelError,), "weights.pt", build=as_zip)


def safetensors():
    import torch
    from safetensors.torch import save

    from segcert.networks.checkpoints import read_checkpoint
    from segcert.networks.folders import ModelError

    seeds = [save({"weight": torch.ones(2), "b": torch.zeros(1, 3)})]
    return Target(read_checkpoint, lambda: seeds, (ModelError,), "weights.safetensors")


def adm():
    """Return a target that imports OpenAI's ADM checkpoint."""
    import torch

    from segcert.networks.adm import ADMLayout, import_adm
    from segcert.networks.folders import ModelError

    layout = ADMLayout(image_size=8, model_channels=32, channel_mult=(1,), num_res_blocks=1, attention_resolutions=())

    def read(path):
        import_adm(path, path.parent / "out", layout)

    seed = _saved({"time_embed.0.weight": torch.ones(2)})
    return Target(read, lambda: [unpacked(seed), seed], (ModelError,), "adm.pt", build=as_zip)


def checkpoints():
    """Return a target that reads checkpoints of interrupted training runs."""
    import torch

    from segcert.training.state import Checkpoint

    def read(path):
        Checkpoint(path, "k").load()

    seed = _saved({"key": "k", "state": {"step": 3, "model": {"w": torch.ones(2)}}})
    return Target(read, lambda: [unpacked(seed), seed], (), "checkpoint.pt", build=as_zip)


def programs():
    """Return a target that identifies the format of exported networks (torch.export, TorchScript).

    It does not load them, because they are code.
    """
    import torch

    from segcert.networks import exported as module
    from segcert.networks.folders import ModelError

    def read(path):
        module._load_export = lambda _: (torch.nn.Identity(), None)
        module.load_exported(path)

    def seeds():
        weights = _saved({"w": torch.ones(2)})
        config = {"config": {"w": {"path_name": "weight_0", "use_pickle": False}}}
        exported = {
            "p/archive_format": b"pt2",
            "p/data/weights/model_weights_config.json": json.dumps(config).encode(),
            "p/data/weights/x.pt": weights,
        }
        return [packed(exported), packed({"p/constants.pkl": b"x", "p/data.pkl": b"y"}), weights]

    return Target(read, seeds, (ModelError,), "network.pt2", build=as_zip)


def denoisers():
    """Return a target that reads a denoiser's folder: unet/config.json and scheduler/scheduler_config.json."""
    from segcert.networks.denoiser import DiffusionDenoiser
    from segcert.networks.folders import ModelError

    names = ("unet/config.json", "scheduler/scheduler_config.json", "unet/diffusion_pytorch_model.safetensors")

    def read(path):
        write_members(path, names)
        DiffusionDenoiser.load(path.parent)

    def seeds():
        import tempfile
        from pathlib import Path

        from diffusers import DDPMScheduler, UNet2DModel

        blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (4,)}
        blocks |= {"layers_per_block": 1, "norm_num_groups": 2}
        unet = UNet2DModel(sample_size=8, in_channels=1, out_channels=1, **blocks)
        with tempfile.TemporaryDirectory() as folder:
            unet.save_pretrained(Path(folder, "unet"))
            DDPMScheduler(num_train_timesteps=10).save_pretrained(Path(folder, "scheduler"))
            return [packed({name: Path(folder, name).read_bytes() for name in names})]

    return Target(read, seeds, (ModelError,), "input", named=False, longest=80000)
