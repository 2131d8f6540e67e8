"""The one training loop: AdamW, warm-up and cosine, history, the best weights."""

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from segcert.progress import log, track
from segcert.provenance.atomic import atomic_file

WARM_UP = 0.05
MAX_GRADIENT_NORM = 1.0


class TrainingError(RuntimeError):
    """Training that cannot go on."""


def train(
    model: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    score_of: Callable[[], dict[str, float]],
    batches: Iterator[Tensor],
    *,
    what: str,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    evaluate_every: int,
    history: Path,
    after_step: Callable[[], None] = lambda: None,
    keep: nn.Module | None = None,
) -> None:
    """Train `model` and leave the best weights in `keep` (by default, in the model itself).

    Parameters
    ----------
    loss_of
        From the indices of a batch to the scalar loss.
    score_of
        Called every `evaluate_every` steps and at the end; a dictionary of validation figures, of which the
        first is the one to maximise. They become columns of the CSV file `history`.
    batches
        Endless batches of indices.
    after_step, keep
        A hook after each optimiser step (moving averages), and the network whose weights are scored and kept.

    Raises TrainingError when the loss stops being finite.
    """
    keep = keep or model
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_then_cosine(step, steps))
    best_score = -math.inf
    best: dict[str, Tensor] = {}
    rows: list[dict[str, float]] = []
    running = 0.0
    model.train()
    for step in track(range(1, steps + 1), what):
        loss = loss_of(next(batches))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        schedule.step()
        after_step()
        running += loss.item()
        if not math.isfinite(running):
            raise TrainingError(
                f"{what}: the loss is {loss.item()} at step {step}; lower the learning rate ({learning_rate})"
            )
        if step % evaluate_every == 0 or step == steps:
            since = (step - 1) % evaluate_every + 1
            keep.eval()
            with torch.inference_mode():
                scores = score_of()
            model.train()
            rate = float(schedule.get_last_lr()[0])
            rows.append({"step": step, "learning_rate": rate, "train_loss": running / since, **scores})
            log.info("%s: %s", what, ", ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()))
            running = 0.0
            if (score := next(iter(scores.values()))) > best_score:
                best_score = score
                best = {name: value.detach().clone() for name, value in keep.state_dict().items()}
    keep.load_state_dict(best)
    keep.eval()
    with atomic_file(history) as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def warm_up_then_cosine(step: int, steps: int) -> float:
    """The factor on the learning rate: linear warm-up over the first 5% of the steps, then a half cosine to 0."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def shuffled_batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of indices below `count`: shuffled passes, joined end to end."""
    pending = torch.empty(0, dtype=torch.long)
    while True:
        while len(pending) < batch_size:
            pending = torch.cat([pending, torch.randperm(count, generator=generator)])
        yield pending[:batch_size]
        pending = pending[batch_size:]
