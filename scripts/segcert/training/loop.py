"""The training loop. It writes checkpoints, resumes from them and keeps the best weights.

The loop runs on one or several devices.
"""

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
from segcert.networks.deterministic import nondeterministic_operation
from segcert.networks.registry import save_weights
from segcert.networks.runtime import ran_out_of_memory
from segcert.training.schedule import batch_indices, build_optimizer, learning_rate, steps_of, stream
from segcert.training.state import Average, Checkpoint

MAX_GRADIENT_NORM = 1.0

Loss = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
Score = Callable[[nn.Module], dict[str, float]]


class TrainingError(RuntimeError):
    """Error for a training run that cannot continue."""


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
    """Train `model`, and leave it in eval mode with the weights that had the best validation score.

    Writes two files to `folder`. history.csv contains one row per validation: step, learning rate, mean training loss
    and scores. last.safetensors contains the last weights.

    Parameters
    ----------
    model
        The network, on the device of `accelerator`.
    loss_of
        Function that takes the model, the indices of a batch and a generator, and returns the scalar loss. All
        randomness in a step comes from this generator or from torch's global generator. Both are seeded only from the
        seed, the step and the process rank, so interrupting and resuming training does not change the result.
    score_of
        Function that takes a network in eval mode and returns a dictionary of validation scores. If `settings` has an
        `ema_decay`, the weights of this network are the moving average of those of `model`. The first score is
        maximised. The function is called every `evaluate_every` steps and at the end.
    names
        Names of the training images.
    what
        Description of the training run, for messages.
    section
        Name of the configuration section from which `settings` come, for messages.
    folder
        Folder to which history.csv and last.safetensors are written.

    Raises
    ------
    TrainingError
        If the loss is not finite (the message names the images in the batch), or if memory runs out (the message
        suggests a batch size). In both cases, the checkpoint of the last validation is kept.
    Interrupted
        At the end of the step during which SIGTERM arrives, after the checkpoint of this step is written.
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
            batch = batch_indices(step, len(names), settings["batch_size"], seed)
            batch = batch[accelerator.process_index :: accelerator.num_processes]
            loss = loss_of(learner.prepared, batch, stream(seed, step, accelerator.process_index))
            learner.losses.append(loss.item())
            if not math.isfinite(learner.losses[-1]):
                images = ", ".join(names[index] for index in batch)
                raise TrainingError(
                    f"{what}: the loss is {learner.losses[-1]} at step {step}, for the images {images}. "
                    f"{learner.checkpoint_text()}. Check these images, or lower the learning rate: write, for example, "
                    f"`{section}: {{learning_rate: {rate / 3:.2g}}}`"
                )
            last = learner.must_stop() and step < steps
            learner.learn(loss, step, rate)
            if step % settings["evaluate_every"] == 0 or step == steps:
                learner.validate(score_of, step, rate)
            if last:
                learner.stop(step)
    learner.finish(Path(folder))


@contextlib.contextmanager
def memory_explained(what: str, section: str, batch_size: int) -> Iterator[None]:
    """Convert an out-of-memory error from torch to a TrainingError that suggests a smaller batch size.

    An error about a nondeterministic operation is also converted to a TrainingError.
    """
    try:
        yield
    except Exception as error:
        if operation := nondeterministic_operation(error):
            raise TrainingError(
                f"{what}: uses {operation}, which is not deterministic here, so training could not be reproduced. "
                "Replace this layer of the network, or train the network elsewhere and set `weights`"
            ) from error
        if not ran_out_of_memory(error):
            raise
        advice = "Use a smaller `image_size`, or a larger `pool`"
        if batch_size > 1:
            advice = f"Write, for example: `{section}: {{batch_size: {batch_size // 2}}}`"
        raise TrainingError(
            f"{what}: out of memory with batches of {batch_size}. "
            f"The checkpoint from the last validation, if there was one, is kept. {advice}"
        ) from error


class _Learner:
    """A network in training, with the state that a checkpoint stores."""

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
        """Restore the state from the checkpoint, if there is one, and prepare for training."""
        state = self.checkpoint.load()
        if state:
            self.step, self.rows, self.best = state["step"], state["rows"], state["best"]
            self.losses = state["losses"]
            self.model.load_state_dict(state["model"])
            self.kept.load_state_dict(state["kept"])
            self.optimizer.load_state_dict(state["optimizer"])
            log.info("%s: resumes from step %d (%s)", self.what, self.step, self.checkpoint.path)
        self.prepared, self.prepared_optimizer = self.accelerator.prepare(self.model, self.optimizer)
        if state and self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.prepared.train()

    def learn(self, loss: Tensor, step: int, rate: float) -> None:
        """Take one gradient step with the learning rate `rate`."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.prepared_optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.prepared.parameters(), MAX_GRADIENT_NORM)
        self.prepared_optimizer.step()
        if self.average:
            self.average.update(self.model, step)

    def validate(self, score_of: Score, step: int, rate: float) -> None:
        """Score the network, or its moving average, and write a checkpoint.

        The first process computes the scores and sends them to the others.
        """
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

    def must_stop(self) -> bool:
        """Return True if any process has received SIGTERM. In this case, all processes must stop at the same step."""
        if self.accelerator.num_processes == 1:
            return is_interrupted()
        if is_interrupted():
            self.accelerator.set_trigger()
        return bool(self.accelerator.check_trigger())

    def stop(self, step: int) -> None:
        """Write the checkpoint of this step unless it has already been written, and raise Interrupted."""
        if self.step < step:
            self.save(step)
        self.accelerator.wait_for_everyone()
        raise Interrupted(f"SIGTERM. {self.checkpoint_text()}")

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
        """Return the row with the best score, or the first such row in a tie.

        The score is in the column after the training loss.
        """

        def score(row: dict[str, float]) -> float:
            figure = list(row.values())[3]
            return -math.inf if math.isnan(figure) else figure

        return max(self.rows, key=score)

    def patience_is_over(self) -> bool:
        """Return True if there have been at least `patience` validations since the best validation."""
        if not self.settings["patience"] or not self.rows:
            return False
        since = sum(row["step"] > self.best_row()["step"] for row in self.rows)
        if since >= self.settings["patience"]:
            log.info("%s: stops early; the best validation was at step %d", self.what, self.best_row()["step"])
        return since >= int(self.settings["patience"])

    def checkpoint_text(self) -> str:
        """Return a sentence that names the kept checkpoint, for messages."""
        if not self.step:
            return "There was no validation yet, so there is no checkpoint"
        return f"The checkpoint of step {self.step} is kept in {self.checkpoint.path}"

    def finish(self, folder: Path) -> None:
        """Write history.csv and the last weights, then load the best weights into the model."""
        if self.accelerator.is_main_process:
            with atomic_file(folder / "history.csv") as path, path.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.rows[0].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
            save_weights(folder / "last.safetensors", self.kept)
        self.model.load_state_dict(self.best)
        self.model.eval()
