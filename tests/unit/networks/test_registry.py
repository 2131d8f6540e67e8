import json

import pytest
import torch

from segcert.networks.folders import ModelError
from segcert.networks.registry import build_segmenter, load_segmenter, save_segmenter
from segcert.networks.runtime import set_up_torch

ARGUMENTS = {"in_channels": 1, "num_classes": 3, "width": 4, "depth": 2}
CONFIG = {"architecture": "unet", "arguments": ARGUMENTS, "classes": ["a", "b", "c"]}


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 5)])
def test_unet_accepts_any_channels_and_classes(channels, classes):
    model = build_segmenter("unet", {"in_channels": channels, "num_classes": classes, "width": 4, "depth": 3})
    assert model(torch.rand(2, channels, 16, 24)).shape == (2, classes, 16, 24)


def test_unet_has_the_papers_size():
    """The U-Net with 64 to 1024 channels has 31.0 million weights."""
    model = build_segmenter("unet", {"in_channels": 1, "num_classes": 2})
    assert sum(parameter.numel() for parameter in model.parameters()) == 31_036_546


def test_a_segmenter_survives_saving_and_gives_the_same_bytes(tmp_path):
    model = build_segmenter("unet", ARGUMENTS).eval()
    for name in "ab":
        save_segmenter(tmp_path / name, model, CONFIG)
    loaded, config = load_segmenter(tmp_path / "a")
    x = torch.rand(1, 1, 8, 8)
    assert torch.equal(loaded(x), model(x))
    assert not loaded.training
    assert config == CONFIG
    files = [tmp_path / name / "model.safetensors" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_weights_of_another_network_are_refused(tmp_path):
    save_segmenter(tmp_path, build_segmenter("unet", ARGUMENTS), CONFIG)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"arguments": ARGUMENTS | {"width": 8}}))
    with pytest.raises(ModelError, match=r"model\.safetensors: does not fit"):
        load_segmenter(tmp_path)
    with pytest.raises(ModelError, match="found 'vnet'; expected one of unet"):
        build_segmenter("vnet", {})


def test_cuda_without_a_gpu_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="`device`: found cuda"):
        set_up_torch("cuda", 1)
    assert set_up_torch("auto", torch.get_num_threads()).type == "cpu"
