"""Networks of denoisers: every tensor is needed, and a network that is not for images is refused."""

import shutil

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    LDMPipeline,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from tests.unit.networks.denoiser_folders import UNET, WEIGHTS, saved, tiny_unet, with_keys, with_weights

from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.folders import ModelError, denoiser_digest

X_NOISY = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
ABAR = DDPMScheduler().alphas_cumprod
ATTENTION = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
OLD_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def denoised(folder):
    with torch.no_grad():
        return DiffusionDenoiser.load(folder)(X_NOISY, 0.25)


def refusal(folder):
    with pytest.raises(ModelError) as refused:
        DiffusionDenoiser.load(folder)
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {name: state[name] for name in state if name != "conv_out.bias"}, "(missing: conv_out.bias)"),
        (lambda state: state | {"extra": torch.ones(2)}, "(unexpected: extra)"),
        (lambda state: {}, "(missing: conv_in.weight, conv_in.bias, time_embedding.linear_1.weight and 101 more)"),
        (lambda state: {f"module.{name}": state[name] for name in state}, "unexpected: module.conv_in.bias"),
        (
            lambda state: state | {"conv_out.bias": torch.ones(2)},
            "of the wrong shape: conv_out.bias (2,) instead of (1,)",
        ),
        (
            lambda state: state | {"conv_out.bias": torch.ones(1, dtype=torch.int8)},
            "of the wrong type: conv_out.bias int8 instead of float32",
        ),
        (
            lambda state: {name: tensor.to(torch.float8_e4m3fn) for name, tensor in state.items()},
            "of the wrong type: conv_in.weight float8_e4m3fn instead of float32",
        ),
        (lambda state: state | {"conv_out.bias": torch.tensor([torch.nan])}, "found NaN or infinity in conv_out.bias"),
        (lambda state: state | {"conv_out.bias": torch.tensor([-torch.inf])}, "found NaN or infinity in conv_out.bias"),
    ],
    ids=["missing", "unexpected", "empty", "prefix", "shape", "integer", "quantised", "NaN", "infinity"],
)
def test_weights_that_do_not_fit_are_named(tmp_path, change, message):
    """A missing tensor once kept its random initial value."""
    found = refusal(with_weights(saved(tmp_path), change))
    assert found.startswith(f"{tmp_path / WEIGHTS}: ")
    assert message in found


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted(tmp_path, dtype):
    network = tiny_unet().to(dtype)
    folder = saved(tmp_path, network)
    expected = DiffusionDenoiser(network.float(), ABAR)(X_NOISY, 0.25).detach()
    assert torch.equal(denoised(folder), expected)


def test_the_old_names_of_attention_layers_are_read_as_diffusers_reads_them(tmp_path):
    network = tiny_unet(**ATTENTION, attention_head_dim=4, add_attention=True)
    folder = saved(tmp_path, network)
    expected = denoised(folder)

    def with_old_names(state):
        for new, old in OLD_NAMES.items():
            state = {name.replace(new, old): tensor for name, tensor in state.items()}
        return state

    with_weights(folder, with_old_names)
    assert torch.equal(denoised(folder), expected)
    read = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).state_dict()
    assert all(torch.equal(read[name], tensor) for name, tensor in network.state_dict().items())
    with_weights(folder, lambda state: state | {"mid_block.attentions.0.to_q.bias": torch.zeros(16)})
    assert "unexpected: mid_block.attentions.0.query.bias" in refusal(folder)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", None])
def test_damaged_weights_are_named(tmp_path, content):
    path = saved(tmp_path) / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert refusal(tmp_path).startswith(f"{path}: does not match")


ACCEPTED = [
    {"sample_size": None},
    {"sample_size": (16, 8)},
    {"mid_block_type": None},
    {"time_embedding_type": "learned", "num_train_timesteps": 1000},
    {"downsample_type": "resnet", "upsample_type": "resnet", "downsample_padding": 0, "dropout": 0.5},
    {**ATTENTION, "attention_head_dim": None},
]


@pytest.mark.parametrize("arguments", ACCEPTED, ids=str)
def test_every_network_of_image_and_step_is_accepted(tmp_path, arguments):
    network = tiny_unet(**arguments)
    expected = DiffusionDenoiser(network, ABAR)(X_NOISY, 0.25).detach()
    assert torch.equal(denoised(saved(tmp_path, network)), expected)


REFUSED = [
    ({"in_channels": 4, "out_channels": 4}, "`in_channels`: found 4; expected 1 (gray) or 3 (colour)"),
    ({"in_channels": 2, "out_channels": 2}, "`in_channels`: found 2"),
    ({"in_channels": 6, "out_channels": 3}, "`in_channels`: found 6"),
    ({"in_channels": 3, "out_channels": 1}, "`out_channels`: found 1; expected 3 for 3 input channels"),
    ({"in_channels": 3, "out_channels": 6}, "`out_channels`: found 6; expected 3 for 3 input channels"),
    ({"num_class_embeds": 10}, "`num_class_embeds`: found 10, which means that the network takes a class as input"),
    ({"class_embed_type": "timestep"}, "`class_embed_type`: found 'timestep'"),
    ({"class_embed_type": "identity"}, "`class_embed_type`: found 'identity'"),
    (
        {"center_input_sample": True},
        "`center_input_sample`: found true, which means that the network expects images in [0, 1]",
    ),
    ({"time_embedding_type": "fourier"}, "`time_embedding_type`: found 'fourier'"),
    (
        {"time_embedding_type": "learned", "num_train_timesteps": 500},
        "`num_train_timesteps`: found 500; expected 1000, the number of steps in the noise schedule",
    ),
    (
        {"down_block_types": ("SkipDownBlock2D",) * 2, "up_block_types": ("SkipUpBlock2D",) * 2, "norm_num_groups": 1},
        "a UNet2DModel for images cannot be built from this file",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[str(arguments)[:60] for arguments, _ in REFUSED])
def test_networks_that_do_not_denoise_images_are_refused(tmp_path, arguments, message):
    network = tiny_unet(**arguments)
    assert message in refusal(saved(tmp_path, network))
    if not {"down_block_types", "out_channels"} & arguments.keys():
        with pytest.raises(ModelError):
            DiffusionDenoiser(network, ABAR)


def test_variances_are_learned_if_the_schedule_says_so(tmp_path):
    network = tiny_unet(in_channels=3, out_channels=6)
    learned = DDPMScheduler(variance_type="learned_range")
    expected = DiffusionDenoiser(network, ABAR)(X_NOISY, 0.25).detach()
    assert torch.equal(denoised(saved(tmp_path / "ddpm", network, learned)), expected)
    other_class = DDIMScheduler.from_config(learned.config)
    assert torch.equal(denoised(saved(tmp_path / "ddim", network, other_class)), expected)
    assert "`out_channels`: found 1; expected 2" in refusal(saved(tmp_path / "half", scheduler=learned))


def test_a_network_of_text_is_refused(tmp_path):
    network = UNet2DConditionModel(
        sample_size=16,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
    )
    folder = saved(tmp_path, network)
    assert "`_class_name`: found 'UNet2DConditionModel'; expected UNet2DModel" in refusal(folder)
    with pytest.raises(ModelError, match="unet: found a UNet2DConditionModel; expected a UNet2DModel"):
        DiffusionDenoiser(network, ABAR)
    assert "but UNet2DModel has no such key" in refusal(with_keys(folder, UNET, _class_name="UNet2DModel"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"_class_name": None}, "`_class_name`: found None; expected UNet2DModel"),
        ({"in_channels": "1"}, "in_channels: found '1'; Input should be a valid integer"),
        ({"encoder_hid_dim": 8}, "`encoder_hid_dim`: found 8, but UNet2DModel has no such key"),
        (
            {"quantization_config": {"bits": 8}},
            "`quantization_config`: found {'bits': 8}, but UNet2DModel has no such key",
        ),
        ({"layers_per_block": 10**9}, "layers_per_block: found 1000000000"),
        (
            {"block_out_channels": [60000, 60000]},
            "weights, which is more than diffusion_pytorch_model.safetensors can contain",
        ),
        ({"block_out_channels": [8, 16, 32]}, "a UNet2DModel for images cannot be built from this file"),
        ({"down_block_types": 5}, "a UNet2DModel for images cannot be built from this file"),
        ({"norm_eps": "small"}, "norm_eps: found 'small'"),
        ({"flip_sin_to_cos": "no"}, "flip_sin_to_cos: found 'no'"),
        ({"sample_size": -1}, "found -1"),
        ({"layers_per_block": 2}, "missing: down_blocks.0.resnets.1.norm1.weight"),
    ],
    ids=str,
)
def test_damaged_keys_are_named(tmp_path, keys, message):
    found = refusal(with_keys(saved(tmp_path), UNET, **keys))
    assert UNET in found
    assert message in found


def test_the_state_of_an_average_of_weights_is_ignored(tmp_path):
    folder = saved(tmp_path)
    expected = denoised(folder)
    assert torch.equal(denoised(with_keys(folder, UNET, decay=0.9999, power=0.75, use_ema_warmup=True)), expected)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"safe_serialization": False}, "diffusion_pytorch_model.bin"),
        ({"variant": "fp16"}, "diffusion_pytorch_model.fp16.safetensors"),
        ({"max_shard_size": "20KB"}, "diffusion_pytorch_model-00001-of-"),
    ],
    ids=["pickle", "variant", "shards"],
)
def test_weights_in_another_form_are_named_with_the_line_that_converts_them(tmp_path, options, found):
    folder = saved(tmp_path)
    (folder / WEIGHTS).unlink()
    tiny_unet().save_pretrained(folder / "unet", **options)
    message = refusal(folder)
    assert f"{WEIGHTS}: missing; a denoiser folder contains unet/ and scheduler/. Found {found}" in message
    assert "write it with unet.save_pretrained" in message
    with pytest.raises(ModelError, match="missing"):
        denoiser_digest(folder)


def test_a_pipeline_of_images_is_accepted_and_one_of_latents_is_refused(tmp_path):
    """CompVis's latent models have a UNet2DModel of three channels, which are not colours."""
    network = tiny_unet()
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(tmp_path / "images")
    assert torch.equal(denoised(tmp_path / "images"), denoised(saved(tmp_path / "parts", network)))
    coder = VQModel(block_out_channels=(8,), norm_num_groups=4, latent_channels=3, sample_size=16)
    latents = tmp_path / "latents"
    LDMPipeline(coder, tiny_unet(in_channels=3, out_channels=3), DDIMScheduler()).save_pretrained(latents)
    assert f"{latents}: found vqvae; expected only unet/ and scheduler/" in refusal(latents)
    (latents / "model_index.json").unlink()
    assert "found vqvae" in refusal(latents)
    shutil.rmtree(latents / "vqvae")
    assert DiffusionDenoiser.load(latents)
    (latents / "model_index.json").write_text("{")
    assert "model_index.json: not the index of a pipeline" in refusal(latents)


def test_files_outside_their_folders_are_named(tmp_path):
    tiny_unet().save_pretrained(tmp_path)
    assert refusal(tmp_path).endswith(
        f"Move config.json and the files that belong to it from {tmp_path} to {tmp_path}/unet"
    )
    assert "is a file; expected a folder" in refusal(tmp_path / "config.json")


def test_a_tensor_that_several_names_share_needs_one_of_them():
    """`fill` is also the reader of segmenters."""
    from segcert.networks.weights import fill

    shared = torch.nn.Linear(2, 2)
    model = torch.nn.Sequential(shared, shared)
    weights = {"0.weight": torch.eye(2), "0.bias": torch.zeros(2)}
    fill(model, weights)
    assert torch.equal(model[1].weight, torch.eye(2))
    with pytest.raises(ModelError, match=r"of the wrong type: 0\.bias complex64 instead of float32"):
        fill(model, weights | {"0.bias": torch.zeros(2, dtype=torch.complex64)})
