"""The training loop: kept weights, resuming, and errors that stop it."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from tests.unit.training.test_segmenter import denoiser, index, segmenter, settings_of  # noqa: F401
from torch import nn

from segcert.config import Config
from segcert.training.launch import accelerator_on
from segcert.training.loop import TrainingError, train
from segcert.training.schedule import batch_indices, build_optimizer, learning_rate, steps_of, stream
from segcert.training.state import Average, Checkpoint

SETTINGS = Config().segmenter.model_dump() | {"steps": 6, "evaluate_every": 2, "batch_size": 2, "learning_rate": 0.1}
NAMES = ["ann", "ben", "cat", "dan"]


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.3), nn.Linear(3, 1))


def run(folder, model, loss_of=None, score_of=None, key="key", **changes):
    x = torch.arange(12.0).view(4, 3)

    def usual_loss(model, batch, generator):
        noise = torch.randn((len(batch), 3), generator=generator)
        return (model(x[batch] + noise) - 1).square().mean()

    train(
        model, loss_of or usual_loss, score_of or (lambda kept: {"score": float(kept(x).sum())}), NAMES,
        what="training a line", section="segmenter", settings=SETTINGS | changes, seed=0,
        accelerator=Accelerator(cpu=True), folder=folder, checkpoint=Checkpoint(folder / "checkpoint.pt", key),
    )  # fmt: skip
    return model


def test_the_best_and_the_last_weights_are_kept(tmp_path):
    """The score falls after the first validation, so the weights of that validation are kept."""
    seen = []

    def score_of(kept):
        seen.append(kept[0].weight.clone())
        return {"score": -len(seen)}

    model = run(tmp_path, linear(), score_of=score_of)
    assert torch.equal(model[0].weight, seen[0])
    assert torch.equal(load_file(tmp_path / "last.safetensors")["0.weight"], seen[-1])
    assert not torch.equal(seen[0], seen[-1])
    assert not model.training
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(history["step"]) == [2, 4, 6]
    assert list(history["score"]) == [-1, -2, -3]


class Killed(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("killed_at", [1, 3, 6])
@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}, {"optimizer": "sgd"}], ids=["plain", "ema", "sgd"])
def test_a_resumed_training_gives_the_same_result(tmp_path, killed_at, changes):
    whole = run(tmp_path / "whole", linear(), **changes)

    def killed(model, batch, generator):
        killed.steps += 1
        if killed.steps == killed_at:
            raise Killed
        x = torch.arange(12.0).view(4, 3)
        return (model(x[batch] + torch.randn((len(batch), 3), generator=generator)) - 1).square().mean()

    killed.steps = 0
    with pytest.raises(Killed):
        run(tmp_path / "killed", linear(), killed, **changes)
    assert (tmp_path / "killed" / "checkpoint.pt").exists() == (killed_at > 2)
    torch.manual_seed(99)  # earlier use of the process does not matter
    again = run(tmp_path / "killed", linear(), **changes)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    for name in ("history.csv", "last.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def test_networks_resume_to_the_same_bytes(index, tmp_path, monkeypatch):  # noqa: F811
    """Kill a U-Net with batch statistics and a denoiser with a moving average after a validation."""
    options = {"steps": 6, "evaluate_every": 2}
    for make, file in (
        (lambda folder: segmenter(index, folder, "noise", **options), "model.safetensors"),
        (lambda folder: denoiser([index], folder, **options), "unet/diffusion_pytorch_model.safetensors"),
    ):
        whole = make(tmp_path / f"whole-{file[:4]}")
        assert not (whole / "checkpoint.pt").exists(), "the checkpoint is deleted at the end"
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "save", _save_and_die_at_step_4(Checkpoint.save))
            with pytest.raises(Killed):
                make(tmp_path / f"killed-{file[:4]}")
        killed = tmp_path / f"killed-{file[:4]}"
        assert (killed / "checkpoint.pt").exists()
        assert not (killed / file).exists()
        make(killed)
        for name in (file, "last.safetensors", "history.csv"):
            assert (whole / name).read_bytes() == (killed / name).read_bytes(), name


def _save_and_die_at_step_4(save):
    def saved(self, state):
        save(self, state)
        if state["step"] == 4:
            raise Killed

    return saved


def test_a_training_has_its_own_device_and_precision():
    cpu = torch.device("cpu")
    assert [accelerator_on(cpu, each).mixed_precision for each in ("float32", "bfloat16")] == ["no", "bf16"]
    if torch.cuda.is_available():
        assert accelerator_on(torch.device("cuda"), "float32").device.type == "cuda"
        assert accelerator_on(cpu, "float32").device.type == "cpu"


def test_a_checkpoint_is_read_to_the_cpu(tmp_path, monkeypatch):
    """An optimiser keeps the step count of each weight on the CPU: on a GPU, each step would wait for it."""
    seen = {}
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **options: seen.update(options) or load(*args, **options))
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    checkpoint.save({"step": torch.tensor(1.0)})
    assert checkpoint.load()["step"].device.type == "cpu"
    assert seen == {"map_location": "cpu", "weights_only": True}


def flip_a_weight(content):
    return content.replace(np.float32(0.5).tobytes(), np.float32(0.25).tobytes())


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: b"garbage", lambda content: content[: len(content) // 2], flip_a_weight],
    ids=["empty", "garbage", "truncated", "flipped"],
)
def test_a_damaged_checkpoint_is_ignored(tmp_path, damage, caplog):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "key")
    checkpoint.save({"weight": torch.full((1000,), 0.5)})
    content = checkpoint.path.read_bytes()
    assert damage(content) != content
    checkpoint.path.write_bytes(damage(content))
    assert checkpoint.load() is None
    assert "checkpoint.pt: this checkpoint is damaged" in caplog.text
    checkpoint.save({"weight": torch.ones(3)})
    assert torch.equal(checkpoint.load()["weight"], torch.ones(3))


def test_a_checkpoint_of_another_training_is_ignored(tmp_path):
    run(tmp_path, linear(), key="another")
    seen = []
    run(tmp_path, linear(), score_of=lambda kept: {"score": seen.append(1) or 0.0})
    assert len(seen) == 3


def test_a_loss_that_is_not_finite_names_the_images_and_keeps_the_checkpoint(tmp_path):
    def loss_of(model, batch, generator):
        loss_of.steps += 1
        return model[0].bias.sum() * (math.nan if loss_of.steps == 4 else 1)

    loss_of.steps = 0
    with pytest.raises(TrainingError) as error:
        run(tmp_path, linear(), loss_of)
    images = ", ".join(NAMES[i] for i in batch_indices(4, 4, 2, 0))
    for part in (
        f"training a line: the loss is nan at step 4, for the images {images}.",
        f"The checkpoint of step 2 is kept in {tmp_path / 'checkpoint.pt'}",
        "lower the learning rate: write, for example, `segmenter: {learning_rate: ",
    ):
        assert part in str(error.value)
    state = Checkpoint(tmp_path / "checkpoint.pt", "key").load()
    assert state["step"] == 2
    assert all(value.isfinite().all() for value in state["model"].values())
    assert not (tmp_path / "history.csv").exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_out_of_memory_names_the_batch_size_to_try(tmp_path, error):
    def loss_of(*_):
        raise error

    with pytest.raises(TrainingError, match=r"out of memory with batches of 2\. .*`segmenter: {batch_size: 1}`"):
        run(tmp_path, linear(), loss_of)


def test_out_of_memory_in_a_validation_is_explained_too(tmp_path):
    def score_of(_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TrainingError, match=r"batches of 1\. .* Use a smaller `image_size`"):
        run(tmp_path, linear(), score_of=score_of, batch_size=1)


def test_a_validation_score_of_nan_is_not_the_best(tmp_path):
    scores = iter([math.nan, 1.0, 0.5])
    seen = []
    model = run(
        tmp_path, linear(), score_of=lambda kept: seen.append(kept[0].weight.clone()) or {"score": next(scores)}
    )
    assert torch.equal(model[0].weight, seen[1])


def test_shared_weights_of_a_network_are_kept(tmp_path):
    model = linear()
    model.append(nn.Linear(1, 1))
    model.append(model[3])
    run(tmp_path, model)
    last = load_file(tmp_path / "last.safetensors")
    assert torch.equal(last["3.weight"], last["4.weight"])


def test_other_errors_are_not_changed(tmp_path):
    def loss_of(*_):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        run(tmp_path, linear(), loss_of)


def test_patience_stops_early(tmp_path):
    scores = iter([1, 2, 1, 1, 1, 1])
    run(tmp_path, linear(), score_of=lambda kept: {"score": next(scores)}, steps=12, patience=2)
    assert list(pd.read_csv(tmp_path / "history.csv")["step"]) == [2, 4, 6, 8]


def test_batches_cover_all_images():
    indices = torch.cat([batch_indices(step, 10, 4, seed=0) for step in range(1, 6)])
    assert sorted(indices.tolist()) == sorted(2 * list(range(10)))
    assert not torch.equal(indices[:10], indices[10:])
    assert torch.equal(batch_indices(1, 10, 25, seed=0)[:10], indices[:10])
    assert not torch.equal(batch_indices(1, 10, 10, seed=1), indices[:10])


def test_epochs_are_converted_to_steps():
    assert steps_of({"steps": 7, "epochs": None, "batch_size": 4}, 10) == 7
    assert steps_of({"steps": 7, "epochs": 3, "batch_size": 4}, 10) == 8
    assert steps_of({"steps": 7, "epochs": 0.1, "batch_size": 40}, 10) == 1


def test_streams_differ_by_step_and_rank():
    drawn = {(step, rank): torch.rand(1, generator=stream(0, step, rank)).item() for step in (1, 2) for rank in (0, 1)}
    assert len(set(drawn.values())) == 4
    stream(0, 2, 1)
    first = torch.rand(1)
    stream(0, 2, 1)
    assert torch.equal(first, torch.rand(1))


def test_learning_rate_warms_up_and_ends_near_zero():
    settings = SETTINGS | {"learning_rate": 2.0, "warm_up": 0.05}
    rates = [learning_rate(step, 100, settings) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.4)
    assert max(rates) == rates[4] == rates[5] == 2.0
    assert 0 < rates[-1] < 0.01
    constant = [learning_rate(step, 100, settings | {"schedule": "constant"}) for step in range(1, 101)]
    assert constant[4:] == [2.0] * 96


def test_optimisers_by_name():
    kinds = {name: build_optimizer(linear(), SETTINGS | {"optimizer": name}) for name in ("adamw", "adam", "sgd")}
    assert [type(kind).__name__ for kind in kinds.values()] == ["AdamW", "Adam", "SGD"]
    assert all(kind.defaults["weight_decay"] == SETTINGS["weight_decay"] for kind in kinds.values())


def test_the_average_follows_the_weights_and_copies_the_last_buffers():
    model = nn.BatchNorm1d(2)
    average = Average(model, 0.5)
    for step, value in enumerate((1.0, 2.0, 3.0), start=1):
        nn.init.constant_(model.weight, value)
        nn.init.constant_(model.running_mean, value)
        average.update(model, step)
    expected = 1.0
    for step, value in enumerate((1.0, 2.0, 3.0), start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(average.module.weight, torch.full((2,), expected))
    torch.testing.assert_close(average.module.running_mean, torch.full((2,), 3.0))
