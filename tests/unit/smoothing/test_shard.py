"""The votes of a shard: remarks on its denoiser in the log."""

import torch
from tests.unit.networks.denoiser_folders import saved, tiny_unet

from segcert.data.dataset import PreparedDataset
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.networks.registry import build_segmenter, save_segmenter
from segcert.smoothing.shard import Pairing, Sampling, sample_shard
from segcert.smoothing.store import BlockStore

SIZE = 16
OPTIONS = {"batch_size": 4, "block_size": 4, "precision": "float32", "noise": "normal", "pool": 1, "seed": 0}


def test_a_denoiser_for_other_images_is_remarked_in_the_log(tmp_path, caplog):
    prepare(DATASET, find_phantoms({"train": 1, "val": 1, "test": 1}, SIZE), tmp_path / "phantom", Form(SIZE))
    dataset = PreparedDataset(tmp_path / "phantom/index.csv")
    classes = dataset.about["classes"]
    arguments = {"in_channels": 1, "num_classes": len(classes), "width": 8, "depth": 1}
    config = {"architecture": "unet", "arguments": arguments, "classes": classes}
    save_segmenter(tmp_path / "net", build_segmenter("unet", arguments), config)
    for size in (SIZE, 64):
        pairing = Pairing(tmp_path / "net", saved(tmp_path / f"denoiser{size}", tiny_unet(sample_size=size)))
        sampling = Sampling(pairing, 0.25, 2, 4, (), False, "", OPTIONS)
        names, cpu = dataset.names("test"), torch.device("cpu")
        store = BlockStore(tmp_path / f"blocks{size}")
        sample_shard(dataset, names, sampling, tmp_path / f"votes{size}.npz", device=cpu, store=store)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["the denoiser was trained on images of 64 x 64 pixels and gets 16 x 16"]
