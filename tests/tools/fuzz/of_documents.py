"""Fuzz the readers of single-image certificates."""

import contextlib
import json

from tests.tools.fuzz.contract import Target
from tests.tools.fuzz.edits import MARK, edited

KINDS = ("labels.png", "labels.original-nearest.png", "votes.npz")


def document():
    """Return a certificate in the format that `segcert certify` writes."""
    interval = {"name": "area", "median": 3.0, "low": 1.0, "high": None, "alpha": 0.001, "tau": 0.75, "unit": "pixels"}
    return {
        "format": "segcert-certificate-1", "segcert": "0.1.0",
        "image": {"path": "chest.png", "sha256": "0" * 64, "shape": [1, 8, 8], "bits": 8, "pixel_size_mm": None,
                  "grid": {"original": [6, 9], "padding": [1, 0], "padded": [9, 9], "size": [8, 8], "squeeze": 1.0}},
        "networks": {"segmenter": {"path": "net", "digest": "0" * 64}, "denoiser": None},
        "sampling": {"sigma": 0.25, "n0": 10, "n": 100, "seed": 0, "batch_size": 10, "precision": "float32",
                     "noise": "normal", "device": "cpu"},
        "certificate": {"radius": 0.17, "sigma": 0.25, "tau": 0.75, "alpha": 0.001, "n0": 10, "n": 100,
                        "method": "segcertify", "k": 1, "guarantee": "with probability 1 - alpha"},
        "radius_gray_levels": 5.0, "abstain": 0.25,
        "classes": [{"id": 0, "name": "background", "certified_pixels": 3, "area_low": 3, "area_high": 9}],
        "measurements": [interval | {"threshold": 2.0, "decision": "open"}],
        "files": {kind: {"path": f"chest.{kind}", "sha256": "0" * 64} for kind in KINDS},
    }  # fmt: skip


def certificates():
    import torch

    from segcert.networks.folders import ModelError
    from segcert.single_image.explain import explain
    from segcert.single_image.schema import DocumentError, read_certificate
    from segcert.single_image.verify import verify
    from segcert.votes import VotesError

    def read(path):
        found = read_certificate(path)
        explain(found)
        with contextlib.suppress(DocumentError, ModelError, VotesError):
            verify(path, found, draws=1, device=torch.device("cpu"))

    def build(data):
        return edited(document(), data) or data

    seeds = [json.dumps(document()).encode(), MARK, MARK + bytes(range(12))]
    return Target(read, lambda: seeds, (DocumentError,), "chest.certificate.json", build=build)
