"""The one training loop, on one device or several: checkpoints at validations and at SIGTERM, the best weights kept."""

import contextlib
import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from segcert.io.atomic import atomic_file
from segcert.io.interruption import Interrupted, interrupted_between_steps, is_interrupted
from segcert.io.progress import log, track
from segcert.networks.registry import save_weights
from segcert.networks.runtime import ran_out_of_memory
from segcert.training.schedule import batch_of, build_optimizer, learning_rate, steps_of, stream
from segcert.training.state import Average, Checkpoint

MAX_GRADIENT_NORM = 1.0

Loss = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
Score = Callable[[nn.Module], dict[str, float]]


class TrainingError(RuntimeError):
    """Training that cannot go on."""


def train(
    model: nn.Module,
    loss_of: Loss,
    score_of: Score,
    names: Sequence[str],
    *,
    what: str,
    section: str,
    settings: Mapping[str, Any],
    seed: int,
    accelerator: Accelerator,
    folder: str | Path,
    checkpoint: Checkpoint,
) -> None:
    """Train `model` and leave the weights of the best validation in it, in eval mode.

    Writes history.csv, a row per validation (step, learning rate, mean training loss, the figures of `score_of`), and
    last.safetensors, the last weights, to `folder`.

    Parameters
    ----------
    model
        On the device of `accelerator`.
    loss_of
        From the model, the indices of a batch and a generator to the scalar loss. All that is random in a step comes
        from the generator, which depends on the seed, the step and the rank of the process alone, or from torch's
        global one, which is seeded alike: so a resumed training goes on as if nothing had happened.
    score_of
        Called every `evaluate_every` steps and at the end with the network that is kept (the moving average, if there
        is one) in eval mode; a dictionary of validation figures, the first of which is the one to maximise.
    names
        Names of the training images.
    section
        The section of the configuration that `settings` come from, for messages.

    Raises TrainingError when the loss stops being finite, which names the images of the batch, and when memory runs
    out, which names the batch size to try. The checkpoint of the last validation is left in place then. Raises
    Interrupted at the end of the step in which SIGTERM comes, with a checkpoint of that step.
    """
    learner = _Learner(model, settings, accelerator, checkpoint, what)
    learner.resume()
    steps = steps_of(settings, len(names))
    todo = range(learner.step + 1, steps + 1)
    with memory_explained(what, section, settings["batch_size"]), interrupted_between_steps():
        for step in track(todo, what) if accelerator.is_main_process else todo:
            if learner.patience_is_over():
                break
            rate = learning_rate(step, steps, settings)
            batch = batch_of(step, len(names), settings["batch_size"], seed)
            batch = batch[accelerator.process_index :: accelerator.num_processes]
            loss = loss_of(learner.prepared, batch, stream(seed, step, accelerator.process_index))
            learner.losses.append(loss.item())
            if not math.isfinite(learner.losses[-1]):
                images = ", ".join(names[index] for index in batch)
                raise TrainingError(
                    f"{what}: the loss is {learner.losses[-1]} at step {step}, of the images {images}. "
                    f"{learner.left()}. Look at these images, or lower the learning rate: "
                    f"`{section}: {{learning_rate: {rate / 3:.2g}}}`"
                )
            last = learner.is_to_stop() and step < steps
            learner.learn(loss, step, rate)
            if step % settings["evaluate_every"] == 0 or step == steps:
                learner.validate(score_of, step, rate)
            if last:
                learner.stop(step)
    learner.finish(Path(folder))


@contextlib.contextmanager
def memory_explained(what: str, section: str, batch_size: int) -> Iterator[None]:
    """Raise TrainingError where torch runs out of memory: it names the batch size to try."""
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        advice = "Take a smaller `image_size`, or a larger `pool`"
        if batch_size > 1:
            advice = f"Write, for example: `{section}: {{batch_size: {batch_size // 2}}}`"
        raise TrainingError(
            f"{what}: memory ran out with batches of {batch_size}. "
            f"The checkpoint of the last validation, if there was one, is kept. {advice}"
        ) from error


class _Learner:
    """A network that learns, and all that a checkpoint holds of it."""

    def __init__(
        self, model: nn.Module, settings: Mapping[str, Any], accelerator: Accelerator, checkpoint: Checkpoint, what: str
    ) -> None:
        self.model, self.settings, self.accelerator = model, settings, accelerator
        self.checkpoint, self.what = checkpoint, what
        self.optimizer = build_optimizer(model, settings)
        self.average = Average(model, settings["ema_decay"]) if settings["ema_decay"] else None
        self.kept = self.average.module if self.average else model
        self.step, self.rows = 0, list[dict[str, float]]()
        self.losses: list[float] = []  # since the last validation
        self.best: dict[str, Tensor] = {}

    def resume(self) -> None:
        """Take up the state of the checkpoint, if there is one of this training, and get ready to learn."""
        state = self.checkpoint.load()
        if state:
            self.step, self.rows, self.best = state["step"], state["rows"], state["best"]
            self.losses = state["losses"]
            self.model.load_state_dict(state["model"])
            self.kept.load_state_dict(state["kept"])
            self.optimizer.load_state_dict(state["optimizer"])
            log.info("%s: goes on from step %d (%s)", self.what, self.step, self.checkpoint.path)
        self.prepared, self.prepared_optimizer = self.accelerator.prepare(self.model, self.optimizer)
        if state and self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.prepared.train()

    def learn(self, loss: Tensor, step: int, rate: float) -> None:
        """One step down the gradient."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.prepared_optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.prepared.parameters(), MAX_GRADIENT_NORM)
        self.prepared_optimizer.step()
        if self.average:
            self.average.update(self.model, step)

    def validate(self, score_of: Score, step: int, rate: float) -> None:
        """Score the network that is kept (the first process does, and tells the others), and write a checkpoint."""
        scores: list[dict[str, float]] = [{}]
        if self.accelerator.is_main_process:
            self.kept.eval()
            with torch.inference_mode():
                scores = [score_of(self.kept)]
            self.prepared.train()
        if self.accelerator.num_processes > 1:
            broadcast_object_list(scores)
        row = {"step": step, "learning_rate": rate, "train_loss": sum(self.losses) / len(self.losses)}
        self.losses = []
        self.rows.append(row | scores[0])
        log.info("%s: %s", self.what, ", ".join(f"{name} {figure:.4g}" for name, figure in self.rows[-1].items()))
        if self.best_row() is self.rows[-1]:
            self.best = {name: value.detach().clone() for name, value in self.kept.state_dict().items()}
        self.save(step)

    def is_to_stop(self) -> bool:
        """Whether SIGTERM came, to any of the processes: all have to leave at the same step."""
        if self.accelerator.num_processes == 1:
            return is_interrupted()
        if is_interrupted():
            self.accelerator.set_trigger()
        return bool(self.accelerator.check_trigger())

    def stop(self, step: int) -> None:
        """Write a checkpoint, unless this step has one, and raise Interrupted."""
        if self.step < step:
            self.save(step)
        self.accelerator.wait_for_everyone()
        raise Interrupted(f"SIGTERM. {self.left()}")

    def save(self, step: int) -> None:
        """Write the checkpoint of a step."""
        self.step = step
        if self.accelerator.is_main_process:
            state = {
                "step": self.step,
                "rows": self.rows,
                "losses": self.losses,
                "best": self.best,
                "model": self.model.state_dict(),
                "kept": self.kept.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            }
            self.checkpoint.save(state)

    def best_row(self) -> dict[str, float]:
        """The validation with the highest score (the figure after the training loss); the first of equals."""

        def score(row: dict[str, float]) -> float:
            figure = list(row.values())[3]
            return -math.inf if math.isnan(figure) else figure

        return max(self.rows, key=score)

    def patience_is_over(self) -> bool:
        """Whether `patience` validations have passed without a better one."""
        if not self.settings["patience"] or not self.rows:
            return False
        since = sum(row["step"] > self.best_row()["step"] for row in self.rows)
        if since >= self.settings["patience"]:
            log.info("%s: stops, no better validation since step %d", self.what, self.best_row()["step"])
        return since >= int(self.settings["patience"])

    def left(self) -> str:
        """Where the last good state is, in words."""
        if not self.step:
            return "There was no validation yet, so there is no checkpoint"
        return f"The checkpoint of step {self.step} is kept in {self.checkpoint.path}"

    def finish(self, folder: Path) -> None:
        """Write history and last weights; put the best ones into the model."""
        if self.accelerator.is_main_process:
            with atomic_file(folder / "history.csv") as path, path.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.rows[0].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
            save_weights(folder / "last.safetensors", self.kept)
        self.model.load_state_dict(self.best)
        self.model.eval()
