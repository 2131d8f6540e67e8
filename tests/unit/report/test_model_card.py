"""Model cards of small networks with known numbers."""

import json
import re

import pytest
import torch
import yaml
from diffusers import DDPMScheduler, UNet2DModel

from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.pretrained import import_pretrained
from segcert.networks.registry import build_segmenter, load_segmenter, save_segmenter
from segcert.provenance.digests import file_digest
from segcert.report.model_card import (
    Validation,
    adm_card,
    best_and_last,
    count_parameters,
    denoiser_card,
    segmenter_card,
)

SIZE = 16
CLASSES = list(DATASET.classes)
ARGUMENTS = {"in_channels": 1, "num_classes": 3, "width": 4, "depth": 1}
HISTORY = "step,learning_rate,train_loss,{score},more\n100,0.1,0.9,0.81234,1\n200,0.1,0.8,0.87654,1\n300,0,0.7,0.85,1\n"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "phantom"
    prepare(DATASET, find_phantoms({"train": 5, "val": 2, "test": 3}, SIZE), folder, Form(SIZE))
    return folder / "index.csv"


def segmenter(folder, regime):
    model = build_segmenter("unet", ARGUMENTS)
    about = {"architecture": "unet", "arguments": ARGUMENTS, "classes": CLASSES, "in_channels": 1, "pool": 1}
    save_segmenter(folder, model, about | {"regime": regime, "sigma_max": 0.75})
    (folder / "history.csv").write_text(HISTORY.format(score="val_dice"))
    return model


def denoiser(folder, prediction, channels=1, out_channels=1):
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=SIZE, in_channels=channels, out_channels=out_channels, block_out_channels=(8, 8),
        layers_per_block=1, down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    unet.save_pretrained(folder / "unet")
    variance = "fixed_small" if channels == out_channels else "learned_range"
    DDPMScheduler(prediction_type=prediction, variance_type=variance).save_pretrained(folder / "scheduler")
    (folder / "history.csv").write_text(HISTORY.format(score="val_psnr"))
    return unet


def front_matter(card):
    _, matter, text = card.split("---\n", 2)
    assert text.startswith("\n# ")
    return yaml.safe_load(matter)


def snippets(card):
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


def test_the_card_of_a_segmenter_has_digests_and_numbers(tmp_path, index):
    model = segmenter(tmp_path / "unet-noise", "noise")
    card = segmenter_card(tmp_path / "unet-noise", index, {"steps": 300, "augmentation": {"flips": False}}, {})
    assert front_matter(card)["datasets"] == ["phantom"]
    assert file_digest(tmp_path / "unet-noise/model.safetensors") in card
    assert file_digest(index) in card
    assert "5 for training, 2 for validation, 3 for testing" in card
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert f"{parameters:,}" in card
    assert count_parameters(tmp_path / "unet-noise/model.safetensors") == parameters
    assert "| best (kept) | 200 | 0.8765 |" in card
    assert "| last | 300 | 0.85 |" in card
    assert "uniformly from 0 to 0.75" in card
    assert DATASET.citation in card
    assert "Synthetic images" in card
    assert "Not for clinical use" in card
    assert json.loads(re.search(r"```json\n(.*?)```", card, re.DOTALL)[1])["steps"] == 300


def test_the_snippet_in_the_card_of_a_segmenter_loads_it(tmp_path, index):
    segmenter(tmp_path / "unet-clean", "clean")
    (snippet,) = snippets(segmenter_card(tmp_path / "unet-clean", index, {}, {}))
    names = {}
    exec(snippet, names)
    expected, _ = load_segmenter(tmp_path / "unet-clean")
    x = torch.rand(1, 1, SIZE, SIZE)
    assert torch.equal(names["model"](x), expected(x))


def test_the_card_of_a_tuned_segmenter_names_its_denoiser(tmp_path, index):
    segmenter(tmp_path / "unet-denoised", "denoised")
    tuning = {"start": "models/start", "denoiser": "models/denoiser/phantom", "denoising_steps": 1, "sigmas": [0.25, 1]}
    card = segmenter_card(tmp_path / "unet-denoised", index, {}, tuning)
    assert "noise of sigma 0.25, 1, which were denoised by `models/denoiser/phantom` (1 network call)." in card
    assert "--denoiser models/denoiser/phantom --sigma" in card
    card = segmenter_card(tmp_path / "unet-denoised", index, {}, tuning | {"denoising_steps": 3})
    assert "--denoiser models/denoiser/phantom --denoising-steps 3 --sigma" in card


def test_the_card_of_a_pretrained_network_says_that_little_is_known(tmp_path, index):
    program = torch.jit.trace(build_segmenter("unet", ARGUMENTS).eval(), torch.zeros(1, 1, SIZE, SIZE))
    program.save(tmp_path / "network.pt")
    data = {"classes": CLASSES, "in_channels": 1, "image_size": SIZE, "preprocessing": {}}
    import_pretrained(tmp_path / "network.pt", tmp_path / "theirs-given", **data)
    card = segmenter_card(tmp_path / "theirs-given", index, {}, {})
    assert "trained elsewhere" in card
    assert "may include the test images" in card
    assert file_digest(tmp_path / "network.pt") in card
    assert "## Training" not in card


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_snippet_in_the_card_of_a_denoiser_denoises_as_segcert_does(tmp_path, index, prediction):
    unet = denoiser(tmp_path, prediction)
    settings = {"levels": "range", "sigma_min": 0.2, "sigma_max": 1.1}
    card = denoiser_card(tmp_path, [index, index], settings)
    assert front_matter(card)["library_name"] == "diffusers"
    assert "sigma 0.2 to 1.1, for pixel values in [0, 1].\n" in card
    assert "the model sees noise of sigma 0.1 to 0.55.\n" in denoiser_card(tmp_path, [index], settings, pool=2)
    assert "It was trained on 10 images" in card
    assert f"{sum(parameter.numel() for parameter in unet.parameters()):,}" in card
    (snippet,) = snippets(card)
    assert "segcert" not in snippet.replace(str(tmp_path), "")
    names = {}
    exec(snippet, names)
    with torch.no_grad():
        expected = DiffusionDenoiser.load(tmp_path)(names["x_noisy"], names["sigma"])
    assert torch.allclose(names["x_denoised"], expected, atol=1e-5)


def test_the_snippet_in_the_card_of_adm_drops_the_variances(tmp_path):
    denoiser(tmp_path, "epsilon", channels=3, out_channels=6)
    card = adm_card(tmp_path)
    assert front_matter(card)["license"] == "mit"
    (snippet,) = snippets(card)
    names = {}
    exec(snippet, names)
    with torch.no_grad():
        expected = DiffusionDenoiser.load(tmp_path)(names["x_noisy"], names["sigma"])
    assert torch.allclose(names["x_denoised"], expected, atol=1e-5)


def test_a_leaking_split_is_a_limit(tmp_path, index):
    leaking = tmp_path / "leaking"
    leaking.mkdir()
    for name in ("index.csv", "dataset.json", "splits.json"):
        (leaking / name).write_text(index.with_name(name).read_text().replace('"leaks": false', '"leaks": true'))
    segmenter(tmp_path / "unet-clean", "clean")
    card = segmenter_card(tmp_path / "unet-clean", leaking / "index.csv", {}, {})
    assert card.count("split leaks") == 2


def test_a_validation_of_nan_is_not_the_best(tmp_path):
    (tmp_path / "history.csv").write_text("step,learning_rate,train_loss,val_dice\n1,1,1,nan\n2,1,1,0.5\n3,1,1,0.4\n")
    assert best_and_last(tmp_path / "history.csv") == (Validation(2, 0.5), Validation(3, 0.4))
