"""SIGTERM during training or sampling: finished work is kept, and the result is the same."""

import os
import signal
import threading
import types

import numpy as np
import pytest
import torch
from tests.unit.training.test_loop import linear, run
from tests.unit.training.test_segmenter import denoiser, index, segmenter, settings_of  # noqa: F401

from segcert.io.interruption import (
    Interrupted,
    interrupted_between_steps,
    interruptible,
    is_interrupted,
)
from segcert.provenance.recording import recorded
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.store import BlockStore
from segcert.training import loop
from segcert.training.schedule import stream
from segcert.training.state import Checkpoint


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_raises_at_once_or_is_recorded_and_the_handler_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted), interruptible():
        terminate()
        pytest.fail("execution continued")
    with interrupted_between_steps():
        terminate()
        assert is_interrupted()
    assert not is_interrupted()
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_do_not_change_signal_handlers():
    seen = []

    def work():
        with interrupted_between_steps(), interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize("at", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}, {"optimizer": "sgd"}], ids=["plain", "ema", "sgd"])
def test_training_resumes_from_the_step_of_sigterm(tmp_path, at, changes):
    """Validations are at 2, 4 and 6; in the last step there is nothing left to interrupt."""
    whole = run(tmp_path / "whole", linear(), **changes)
    seen = []

    def terminated(model, batch, generator):
        seen.append(len(seen) + 1)
        if len(seen) == at:
            terminate()
        x = torch.arange(12.0).view(4, 3)
        return (model(x[batch] + torch.randn((len(batch), 3), generator=generator)) - 1).square().mean()

    if at < 6:
        with pytest.raises(Interrupted, match=f"The checkpoint of step {at} is kept in .*checkpoint.pt"):
            run(tmp_path / "again", linear(), terminated, **changes)
        assert Checkpoint(tmp_path / "again/checkpoint.pt", "key").load()["step"] == at
        torch.manual_seed(99)
    again = run(tmp_path / "again", linear(), terminated, **changes)
    assert len(seen) == 6, "no step is run twice"
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
    for name in ("history.csv", "last.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def terminated_at(at, step):
    if step == at:
        terminate()


@pytest.mark.parametrize("at", [1, 3])
def test_networks_interrupted_between_validations_end_as_the_same_bytes(index, tmp_path, monkeypatch, at):  # noqa: F811
    for make, file in (
        (lambda folder: segmenter(index, folder, "noise", steps=4, evaluate_every=2), "model.safetensors"),
        (
            lambda folder: denoiser([index], folder, steps=4, evaluate_every=2),
            "unet/diffusion_pytorch_model.safetensors",
        ),
    ):
        whole, again = make(tmp_path / f"whole-{file[:4]}"), tmp_path / f"again-{file[:4]}"
        with monkeypatch.context() as patch:
            patch.setattr(loop, "stream", lambda seed, step, rank: terminated_at(at, step) or stream(seed, step, rank))
            with pytest.raises(Interrupted):
                make(again)
        assert not (again / file).exists()
        make(again)
        for name in (file, "last.safetensors", "history.csv"):
            assert (whole / name).read_bytes() == (again / name).read_bytes(), name


def test_votes_are_the_same_after_sigterm_and_no_block_is_drawn_twice(tmp_path):
    drawn = []

    def model(x):
        drawn.append(len(x))
        if len(drawn) == 5:  # four batches, and the probe of the first
            terminate()
        return torch.cat([torch.full_like(x, 0.5), x], dim=1)

    image = np.random.default_rng(0).random((1, 8, 8), np.float32)

    def smoothed(store):
        return SmoothedSegmenter(
            model, 0.5, 2, batch_size=5, block_size=10, store=BlockStore(store), identity={"segmenter": "it"}
        )

    with pytest.raises(Interrupted), interrupted_between_steps():
        smoothed(tmp_path / "store").sample(image, 10, 50)
    blocks = {path: path.stat().st_mtime_ns for path in tmp_path.glob("store/*/*.npz")}
    assert len(blocks) == 2, "finished blocks are stored"
    assert len(drawn) == 5, "no further batch is drawn"
    first = len(drawn)
    votes = smoothed(tmp_path / "store").sample(image, 10, 50)
    assert len(drawn) - first <= (60 - 20) / 5 + 1
    assert all(path.stat().st_mtime_ns == written for path, written in blocks.items())
    assert votes.digest == smoothed(tmp_path / "whole").sample(image, 10, 50).digest


def job(folder):
    return types.SimpleNamespace(
        log=[str(folder / "job.log")], rule="sample", wildcards={}, params={}, threads=1, input=[],
        output=[str(folder / "out")], scriptdir=str(folder),
    )  # fmt: skip


def test_an_interrupted_job_writes_one_line_to_its_log(tmp_path):
    with pytest.raises(SystemExit) as ended, recorded(job(tmp_path)):
        (tmp_path / ".half.part").touch()
        try:
            terminate()
        finally:
            (tmp_path / ".half.part").unlink()
    assert ended.value.code == "segcert: rule sample: interrupted by SIGTERM"
    (line,) = (tmp_path / "job.log").read_text().splitlines()
    assert "rule sample: interrupted by SIGTERM; run snakemake again" in line
    assert [path.name for path in tmp_path.iterdir()] == ["job.log"]
