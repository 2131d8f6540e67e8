"""Trainings with two processes: one history and one set of weights, also after SIGTERM."""

import json
import signal
import subprocess
import sys

import pandas as pd
import psutil
import torch
from safetensors.torch import load_file
from tests.support.checkout import ROOT, wait_for
from tests.unit.training.test_segmenter import index, settings_of  # noqa: F401

from segcert.training.denoiser import train_denoiser
from segcert.training.launch import launch

PROGRAM = """
import json, sys
from pathlib import Path
from segcert.training.denoiser import train_denoiser
from segcert.training.launch import launch
launch(train_denoiser, json.loads(Path(sys.argv[1]).read_text()), device="cpu", threads=1, processes=2, log=sys.argv[2])
"""


def arguments_of(index_file, folder, name, settings):
    places = {"folder": str(folder / name), "checkpoint": str(folder / f"{name}.pt")}
    return {"indexes": [str(index_file)], "seed": 0, "settings": settings, **places}


def test_sigterm_stops_both_processes_of_a_training_at_the_same_step(index, tmp_path, monkeypatch):  # noqa: F811
    """All processes get SIGTERM, as from SLURM, and the first one passes it on."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "scripts"))  # as the Snakefile does for its jobs
    settings = settings_of("denoiser", channels=[8, 16], steps=20, evaluate_every=20)

    def arguments(name):
        return arguments_of(index, tmp_path, name, settings)

    log = tmp_path / "log.txt"
    (tmp_path / "arguments.json").write_text(json.dumps(arguments("again")))
    command = [sys.executable, "-c", PROGRAM, tmp_path / "arguments.json", log]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: process.poll() is not None or (log.exists() and " of 20" in log.read_text()), "a step was taken")
    assert process.poll() is None
    for each in [*psutil.Process(process.pid).children(recursive=True), process]:
        each.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Interrupted: SIGTERM" in said
    assert "interrupted by SIGTERM. The checkpoint of step" in log.read_text()
    for name in ("again", "whole"):
        launch(train_denoiser, arguments(name), device="cpu", threads=1, processes=2, log=str(log))
    assert "resumes from step" in log.read_text()
    for name in ("unet/diffusion_pytorch_model.safetensors", "last.safetensors", "history.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_two_processes_share_one_training(index, tmp_path):  # noqa: F811
    """On a CPU with accelerate: one history and one set of weights, in the usual formats."""
    settings = settings_of("denoiser", channels=[8, 16], steps=4, evaluate_every=2)
    together, alone = (arguments_of(index, tmp_path, name, settings) for name in ("model", "alone"))
    log = tmp_path / "log.txt"
    device = launch(train_denoiser, together, device="cpu", threads=1, processes=2, log=str(log))
    assert device.startswith("2 x cpu")
    assert log.read_text().count("val_psnr_") == 2 * 3, "one process logs a line per validation"
    launch(train_denoiser, alone, device="cpu", threads=1, processes=1, log=str(log))
    of_two, of_one = (load_file(tmp_path / name / "last.safetensors") for name in ("model", "alone"))
    assert any(not torch.equal(of_two[name], tensor) for name, tensor in of_one.items()), (
        "each process drew its own noise"
    )
    assert list(pd.read_csv(tmp_path / "model" / "history.csv")["step"]) == [2, 4]
    assert (tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors").exists()
    assert not (tmp_path / "model.pt").exists()
