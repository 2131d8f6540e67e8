"""Built-in and user-supplied networks and denoisers in the whole pipeline, and the jobs that their changes rerun."""

import re

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from segcert.data.dataset import PreparedDataset
from segcert.networks.unet import UNet
from segcert.votes import load_votes

VOTES = "results/tiny/votes/phantom"

MONAI = {"spatial_dims": 2, "in_channels": "$in_channels", "out_channels": "$num_classes"}
UNET = {"in_channels": 1, "num_classes": "$num_classes", "width": 4, "depth": 2}
ELSEWHERE = {"target": "segcert.networks.unet:UNet", "weights": "weights.safetensors", "arguments": UNET}
OWN = {
    "monai": {"target": "monai.networks.nets:UNet", "arguments": {**MONAI, "channels": [4, 8], "strides": [2]}},
    "elsewhere": ELSEWHERE,
    "program": {"program": "network.pt2"},
}


def test_built_in_and_user_supplied_networks_run_the_whole_pipeline(checkout):
    """The paper's three, one of MONAI, pretrained weights, and an exported network."""
    torch.manual_seed(0)
    network = UNet(1, 3, width=4, depth=2).eval()
    save_file(network.state_dict(), checkout.path / "weights.safetensors")
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(network, (torch.zeros(4, 1, 32, 32),), dynamic_shapes=(batch,))
    torch.export.save(exported, checkout.path / "network.pt2")
    names = ["unet", "resunetpp", "deeplabv3plus", "monai", "elsewhere", "program"]
    regimes = [*["clean"] * 4, *["given"] * 2]
    less = {"regimes": ["clean"], "denoisers": ["none"], "attack": {"images": 0}}
    configfile = checkout.configure(image_size=32, sigmas=[0.25], own_models=OWN, models=names, **less)
    cards = [f"models/segmenter/phantom/{name}-{regime}/README.md" for name, regime in zip(names, regimes, strict=True)]
    targets = ["reports/tiny/tables/main.csv", *cards]
    checkout.snakemake(*targets, configfile=configfile)
    assert "Nothing to be done" in checkout.snakemake(*targets, configfile=configfile).output
    rows = pd.read_parquet(checkout.path / "results/tiny/certificates.parquet")
    found = rows.drop_duplicates(["model", "regime"])
    assert [list(found["model"]), list(found["regime"])] == [names, regimes]
    files = {name: checkout.files(f"{VOTES}/{name}-*/*/*/*.npz")[0] for name in names}
    counts = {name: np.stack([vote.estimation for vote in load_votes(path).values()]) for name, path in files.items()}
    assert np.array_equal(counts["elsewhere"], counts["program"]), "both are the same network"
    assert not any(np.array_equal(counts["elsewhere"], counts[name]) for name in names[1:4])
    assert set(pd.read_csv(checkout.path / "reports/tiny/tables/main.csv")["model"]) == set(names)


def test_a_network_with_the_wrong_number_of_classes_is_refused(checkout):
    save_file(UNet(1, 2, width=4, depth=2).state_dict(), checkout.path / "weights.safetensors")
    two = ELSEWHERE | {"arguments": UNET | {"num_classes": 2}}
    configfile = checkout.configure(own_models={"elsewhere": two}, models=["elsewhere"])
    target = "models/segmenter/phantom/elsewhere-given/config.json"
    output = checkout.snakemake(target, configfile=configfile, check=False).output
    assert re.search(r"weights\.safetensors: returns .*\(3, 2, 16, 16\).*expected logits \(3, 3, 16, 16\)", output)
    assert not checkout.files("models/segmenter/phantom/elsewhere-given/config.json")


def test_a_tuned_segmenter_is_used_only_behind_the_denoiser(checkout):
    plan = checkout.stale("--config", "regimes=[clean,noise,denoised]")
    assert plan["train_segmenter"] == 3
    assert plan["sample"] == 2 * 5
    assert checkout.stale("--config", "regimes=[denoised]")["train_segmenter"] == 2, "it starts from the clean model"
    refused = checkout.snakemake("-n", "--config", "regimes=[denoised]", "denoisers=[none]", check=False)
    assert "Write `denoisers: [none, ddpm]`" in refused.output


def test_a_setting_of_one_network_retrains_only_that_network(finished_once):
    def trained(*config):
        plan = finished_once.stale("--config", *config)
        return {rule: jobs for rule, jobs in plan.items() if rule.startswith("train")}

    assert trained("denoiser={prediction: epsilon}") == {"train_denoiser": 1}
    assert trained("segmenter={sigma_max: 0.5}") == {"train_segmenter": 1}, "the noise-trained one"
    assert trained("segmenter={fine_tuning: 0.1}") == {}
    assert trained("segmenter={patience: 3}") == {"train_segmenter": 2}
    assert trained("gpus=2") == {}
    steps = finished_once.stale("--config", "denoising_steps=2")
    assert steps["sample"] == 4, "only behind the denoiser"
    assert not any(rule.startswith("train") for rule in steps)


def test_shared_denoisers_and_the_denoiser_of_the_paper_are_planned(checkout):
    sets = ["datasets=[montgomery,shenzhen,isic2018]", "image_size=64", "draws=60", "regimes=[clean]"]
    shared = "denoiser={shared: [montgomery, shenzhen]}"
    output = checkout.snakemake("-n", "--config", *sets, shared).output
    folders = set(re.findall(r"models/denoiser/([^/,\s]+)/unet/config\.json", output))
    assert folders == {"montgomery+shenzhen", "isic2018"}
    output = checkout.snakemake("-n", "--config", *sets, "denoisers=[none,adm256]").output
    assert set(re.findall(r"models/denoiser/([^/,\s]+)/unet/config\.json", output)) == {"adm256"}
    refused = checkout.snakemake("-n", "--config", "denoiser={shared: [jsrt]}", check=False).output
    assert "`denoiser.shared`: found 'jsrt'; expected one of phantom" in refused


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_images(finished):
    finished.edit(
        "scripts/segcert/training/segmenter.py",
        "criterion(logits, one_hot)",
        "criterion(logits, one_hot) * float('nan')",
    )
    output = finished.snakemake("models/segmenter/phantom/unet-clean/model.safetensors", check=False).output
    names = PreparedDataset(finished.path / "data/prepared/phantom/index.csv").names("train")
    named = re.search(r"training unet-clean on phantom: the loss is nan at step 1, for the images (\w+)", output)
    assert named[1] in names
    assert "lower the learning rate: write, for example, `segmenter: {learning_rate:" in output
