import math

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import nn

from segcert.data.dataset import PreparedDataset
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.networks.registry import build_segmenter, save_segmenter
from segcert.report.figures import cost_figure
from segcert.results.tables import cost_table
from segcert.smoothing.network_costs import gflop_of, measure_costs, parameters_of
from segcert.smoothing.shard import Pairing

SIZE = 16
SAMPLING = {"batch_size": 3, "precision": "float32", "compile": False}


class Brightness(nn.Module):
    """No convolution, no matrix product."""

    def forward(self, x):
        return torch.cat([1 - x, x], dim=1)


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    root = tmp_path_factory.mktemp("costs")
    prepare(DATASET, find_phantoms({"train": 1, "val": 1, "test": 1}, SIZE), root / "data", Form(SIZE))
    arguments = {"in_channels": 1, "num_classes": 3, "width": 4, "depth": 1}
    unet = build_segmenter("unet", arguments)
    save_segmenter(root / "segmenter", unet, {"architecture": "unet", "arguments": arguments, "classes": list("abc")})
    denoiser = UNet2DModel(
        sample_size=SIZE, in_channels=1, out_channels=1, block_out_channels=(8, 8), layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    denoiser.save_pretrained(root / "denoiser/unet")
    DDPMScheduler().save_pretrained(root / "denoiser/scheduler")
    rows = measure_costs(
        PreparedDataset(root / "data/index.csv"),
        {
            ("unet", "clean", "none"): Pairing(root / "segmenter"),
            ("unet", "clean", "ddpm"): Pairing(root / "segmenter", root / "denoiser", 3),
        },
        settings=SAMPLING, pool=1, device=torch.device("cpu"),
    )  # fmt: skip
    return pd.DataFrame(rows), unet, denoiser.eval()


@pytest.mark.parametrize("batch", [1, 5])
def test_gflop_of_a_convolution_by_hand(batch):
    convolution = nn.Conv2d(3, 7, kernel_size=5, padding=2)
    x = torch.zeros(batch, 3, 16, 12)
    multiplications = 7 * 16 * 12 * (3 * 5 * 5)
    assert gflop_of(convolution, x) == pytest.approx(2 * multiplications / 1e9, rel=1e-12)
    assert gflop_of(torch.jit.script(convolution), x) == gflop_of(convolution, x)


def test_costs_that_cannot_be_counted_are_nan():
    assert math.isnan(gflop_of(Brightness(), torch.zeros(1, 1, 4, 4)))
    assert math.isnan(parameters_of(Brightness()))


def test_a_denoiser_adds_its_calls_parameters_and_operations(costs):
    rows, unet, denoiser = costs
    alone, behind = rows.to_dict("records")
    x = torch.zeros(1, 1, SIZE, SIZE)
    assert (alone["evaluations"], behind["evaluations"]) == (1, 4)
    assert alone["parameters"] == sum(parameter.numel() for parameter in unet.parameters())
    assert behind["parameters"] - alone["parameters"] == sum(each.numel() for each in denoiser.parameters())
    assert alone["gflop"] == pytest.approx(gflop_of(unet, x))
    assert behind["gflop"] - alone["gflop"] == pytest.approx(3 * gflop_of(denoiser, x, torch.tensor(7)))
    assert min(rows["seconds"]) > 0


def test_costs_are_joined_to_certified_dice_and_multiplied_by_draws(costs):
    main = pd.DataFrame(
        [
            {"dataset": "phantom", "model": "unet", "regime": "clean", "denoiser": denoiser, "sigma": sigma, "n0": 10,
             "n": 90, "certified_dice": dice, "certified_dice_low": dice, "certified_dice_high": dice}
            for sigma, denoiser, dice in [(0.5, "none", 0.4), (0.5, "ddpm", 0.8), (1, "none", 0.1), (1, "ddpm", 0.7)]
        ]
    )  # fmt: skip
    table = cost_table(main, costs[0].drop(columns="seconds"))
    assert list(table["certified_dice"]) == [0.4, 0.8, 0.1, 0.7]
    assert list(table["evaluations"]) == [1, 4, 1, 4]
    assert np.allclose(table["gflop_per_image"], 100 * table["gflop_per_draw"])
    panels = cost_figure(table).axes
    drawn = [
        [(*line.get_xdata(), *line.get_ydata()) for line in panel.lines if len(line.get_xdata())] for panel in panels
    ]
    gflop = list(table["gflop_per_image"])
    assert drawn == [[(gflop[0], 0.4), (gflop[1], 0.8)], [(gflop[2], 0.1), (gflop[3], 0.7)]]
