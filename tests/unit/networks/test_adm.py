import os

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from tests.unit.networks.adm_reference import Reference

from segcert.networks.adm import ADMLayout, adm_config, adm_to_diffusers, import_adm
from segcert.networks.folders import ModelError

ADM_256 = Reference(
    width=256,
    image_channels=3,
    head_channels=64,
    groups=32,
    input=[
        (3, 256, "conv"),
        *[(256, 256, "res"), (256, 256, "res"), (256, 256, "down")],
        *[(256, 256, "res"), (256, 256, "res"), (256, 256, "down")],
        *[(256, 512, "res"), (512, 512, "res"), (512, 512, "down")],
        *[(512, 512, "res att"), (512, 512, "res att"), (512, 512, "down")],
        *[(512, 1024, "res att"), (1024, 1024, "res att"), (1024, 1024, "down")],
        *[(1024, 1024, "res att"), (1024, 1024, "res att")],
    ],
    middle=(1024, 1024, "res att res"),
    output=[
        *[(2048, 1024, "res att"), (2048, 1024, "res att"), (2048, 1024, "res att up")],
        *[(2048, 1024, "res att"), (2048, 1024, "res att"), (1536, 1024, "res att up")],
        *[(1536, 512, "res att"), (1024, 512, "res att"), (1024, 512, "res att up")],
        *[(1024, 512, "res"), (1024, 512, "res"), (768, 512, "res up")],
        *[(768, 256, "res"), (512, 256, "res"), (512, 256, "res up")],
        *[(512, 256, "res"), (512, 256, "res"), (512, 256, "res")],
    ],
)

SMALL = Reference(
    width=32,
    image_channels=3,
    head_channels=8,
    groups=8,
    input=[
        (3, 32, "conv"),
        *[(32, 32, "res"), (32, 32, "res"), (32, 32, "down")],
        *[(32, 64, "res att"), (64, 64, "res att"), (64, 64, "down")],
        *[(64, 64, "res att"), (64, 64, "res att")],
    ],
    middle=(64, 64, "res att res"),
    output=[
        *[(128, 64, "res att"), (128, 64, "res att"), (128, 64, "res att up")],
        *[(128, 64, "res att"), (128, 64, "res att"), (96, 64, "res att up")],
        *[(96, 32, "res"), (64, 32, "res"), (64, 32, "res")],
    ],
)
SMALL_LAYOUT = ADMLayout(
    image_size=32,
    model_channels=32,
    channel_mult=(1, 2, 2),
    attention_resolutions=(16, 8),
    num_head_channels=8,
    norm_groups=8,
)

GRAY = Reference(
    width=16,
    image_channels=1,
    head_channels=16,
    groups=4,
    input=[
        (1, 16, "conv"),
        *[(16, 16, "res att"), (16, 16, "down")],
        *[(16, 16, "res"), (16, 16, "down")],
        *[(16, 48, "res")],
    ],
    middle=(48, 48, "res att res"),
    output=[
        *[(96, 48, "res"), (64, 48, "res up")],
        *[(64, 16, "res"), (32, 16, "res up")],
        *[(32, 16, "res att"), (32, 16, "res att")],
    ],
)
GRAY_LAYOUT = ADMLayout(
    image_size=16,
    in_channels=1,
    model_channels=16,
    channel_mult=(1, 1, 3),
    num_res_blocks=1,
    attention_resolutions=(16,),
    num_head_channels=16,
    norm_groups=4,
)


def saved(state, path):
    torch.save(state, path)
    return path


@pytest.mark.parametrize(("reference", "layout"), [(SMALL, SMALL_LAYOUT), (GRAY, GRAY_LAYOUT)], ids=["small", "gray"])
def test_the_converted_network_computes_what_adm_does(reference, layout):
    state = {name: tensor.double() for name, tensor in reference.random_state(seed=0).items()}
    unet = UNet2DModel(**adm_config(layout)).double().eval()
    unet.load_state_dict(adm_to_diffusers(state, layout))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, layout.in_channels, layout.image_size, layout.image_size, generator=generator).double()
    t = torch.tensor([0, 37, 999])
    with torch.no_grad():
        expected = reference.forward(state, x, t)
        assert (unet(x, t).sample - expected).abs().max() < 1e-8 * expected.std()


def test_every_weight_is_used_exactly_once():
    state = {name: torch.empty(shape) for name, shape in SMALL.shapes().items()}
    total = 0
    for name, tensor in state.items():
        numbers = torch.arange(total, total := total + tensor.numel(), dtype=torch.float64)
        state[name] = numbers.reshape(tensor.shape)
    used = torch.cat([tensor.flatten() for tensor in adm_to_diffusers(state, SMALL_LAYOUT).values()])
    assert torch.equal(used.sort().values.long(), torch.arange(total))


def test_the_full_size_checkpoint_maps_onto_diffusers_network():
    """OpenAI's file has 552,814,086 parameters in 2,211,383,297 bytes: four per parameter, and its directory."""
    state = {name: torch.empty(shape, device="meta") for name, shape in ADM_256.shapes().items()}
    assert sum(tensor.numel() for tensor in state.values()) == 552_814_086
    with torch.device("meta"):
        unet = UNet2DModel(**adm_config())
    converted = {name: tensor.shape for name, tensor in adm_to_diffusers(state).items()}
    assert converted == {name: tensor.shape for name, tensor in unet.state_dict().items()}


def test_diffusers_alone_loads_an_imported_checkpoint(tmp_path):
    state = SMALL.random_state(seed=0)
    import_adm(saved(state, tmp_path / "adm.pt"), tmp_path / "denoiser", SMALL_LAYOUT)
    assert sorted(path.name for path in tmp_path.glob("denoiser/*/*")) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "scheduler_config.json",
    ]
    unet, loading = UNet2DModel.from_pretrained(tmp_path / "denoiser" / "unet", output_loading_info=True)
    assert not any(loading.values())
    x, t = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.tensor([500])
    with torch.no_grad():
        expected = SMALL.forward(state, x, t)
        assert (unet(x, t).sample - expected).abs().max() < 1e-5 * expected.std()
    scheduler = DDPMScheduler.from_pretrained(tmp_path / "denoiser" / "scheduler")
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    assert torch.allclose(scheduler.alphas_cumprod.double(), (1 - betas).cumprod(0), rtol=1e-4)
    assert (scheduler.config.prediction_type, scheduler.config.variance_type) == ("epsilon", "learned_range")


def test_a_checkpoint_in_the_old_format_without_zip_is_imported(tmp_path):
    state = GRAY.random_state(seed=0)
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    import_adm(tmp_path / "old.pt", tmp_path / "old", GRAY_LAYOUT)
    import_adm(saved(state, tmp_path / "new.pt"), tmp_path / "new", GRAY_LAYOUT)
    old, new = (tmp_path / name / "unet" / "diffusion_pytorch_model.safetensors" for name in ("old", "new"))
    assert old.read_bytes() == new.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"out.2.bias": None},
            r"adm\.pt: the tensors of the checkpoint do not fit .*: 1 missing \(first: out\.2\.bias\)\.",
        ),
        ({"label_emb.weight": torch.zeros(1000, 64)}, r"1 unexpected \(first: label_emb\.weight\)\. Use 256x256"),
        (
            {"middle_block.1.qkv.weight": torch.zeros(144, 48)},
            r"1 misshaped \(first: middle_block\.1\.qkv\.weight of shape \(144, 48\) instead of \(144, 48, 1\)",
        ),
        (
            {"out.2.bias": torch.zeros(2, dtype=torch.int8)},
            r"1 not floating-point \(first: out\.2\.bias of type torch\.int8\)",
        ),
        (
            {"out.2.bias": torch.tensor([0, torch.nan])},
            r"adm\.pt: found NaN or infinity in out\.2\.bias; expected finite",
        ),
    ],
    ids=["missing", "unexpected", "misshaped", "integer", "NaN"],
)
def test_a_checkpoint_of_another_architecture_is_refused(tmp_path, change, message):
    state = GRAY.random_state(seed=0) | change
    checkpoint = saved({name: tensor for name, tensor in state.items() if tensor is not None}, tmp_path / "adm.pt")
    with pytest.raises(ModelError, match=message):
        import_adm(checkpoint, tmp_path / "denoiser", GRAY_LAYOUT)
    assert not (tmp_path / "denoiser").exists()


def test_a_file_without_a_state_dict_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"adm\.pt: the file contains no state dict"):
        import_adm(saved({"model": GRAY.random_state(seed=0)}, tmp_path / "adm.pt"), tmp_path, GRAY_LAYOUT)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x90\xb2\x0f!\xfa\x00"])
def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "adm.pt").write_bytes(content)
    with pytest.raises(ModelError, match=r"adm\.pt: cannot be read as a file of tensors .* download it again"):
        import_adm(tmp_path / "adm.pt", tmp_path / "denoiser", GRAY_LAYOUT)


def test_half_a_download_is_refused(tmp_path):
    checkpoint = saved(GRAY.random_state(seed=0), tmp_path / "adm.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"adm\.pt: cannot be read as a file of tensors .* download it again"):
        import_adm(checkpoint, tmp_path / "denoiser", GRAY_LAYOUT)


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, zipped):
    state = GRAY.random_state(seed=0) | {"out.2.bias": Code(tmp_path / "run")}
    torch.save(state, tmp_path / "adm.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"adm\.pt: cannot be read as a file of tensors .* contains code"):
        import_adm(tmp_path / "adm.pt", tmp_path / "denoiser", GRAY_LAYOUT)
    assert not (tmp_path / "run").exists()
