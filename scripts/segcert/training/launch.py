"""Where a training runs: one device, or the GPUs of a node.

Start a training: here on one device, or through accelerate on several GPUs of this node.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from segcert.io.interruption import Interrupted, interrupted_between_steps, is_interrupted
from segcert.io.progress import log as messages
from segcert.io.progress import log_to
from segcert.networks.runtime import device_name, set_up_torch

MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


def accelerator_on(device: torch.device, precision: str) -> Accelerator:
    """accelerate's view of a device, with the arithmetic that the configuration names.

    It keeps the device and the arithmetic of the first training of a process for all that follow: they are forgotten
    here, but by the processes of a launch, which hold one training each.
    """
    if AcceleratorState._shared_state and AcceleratorState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision=MIXED_PRECISION[precision])


LIBRARY = Path(__file__).parents[2]


class LaunchError(RuntimeError):
    """A training on several GPUs that failed; its processes have said why."""


def launch(
    train: Callable[..., None], arguments: dict[str, Any], *, device: str, threads: int, processes: int, log: str
) -> str:
    """Call `train(**arguments, device=...)` and return the hardware's name.

    `arguments` are plain JSON values. With several `processes` each batch is dealt out among them: torchrun starts
    them, one per GPU (or on the CPU, if `device` is cpu), and each runs this module; the first appends to the file
    `log`. SIGTERM is passed on to them, and Interrupted raised when they have ended.
    """
    target = set_up_torch(device, threads, processes)
    if processes == 1:
        train(**arguments, device=target)
        return device_name(target)
    job = {
        "train": f"{train.__module__}:{train.__name__}",
        "arguments": arguments,
        "device": device,
        "threads": threads,
        "log": log,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.json")
        path.write_text(json.dumps(job))
        options = ["--standalone", "--nproc-per-node", str(processes), "--module", __name__]
        command = [sys.executable, "-m", "torch.distributed.run", *options, str(path)]
        returncode, said = _run(command)
    if returncode:
        raise LaunchError(f"{processes} processes: {said.strip()[-4000:]}")
    return f"{processes} x {device_name(target)}"


def _run(command: list[str]) -> tuple[int, str]:
    """Exit status and standard error of a command that imports this library; it gets SIGTERM when this process does."""
    places = os.pathsep.join([str(LIBRARY), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": places}
    with (
        interrupted_between_steps(),
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process,
    ):
        told = False
        while True:
            try:
                _, said = process.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if is_interrupted() and not told:
                    process.terminate()
                    told = True
        if process.returncode and is_interrupted():
            raise Interrupted("SIGTERM")
    return process.returncode, said


def run_job(path: str) -> None:
    """Be one of the processes: call the training function that a job file names."""
    job = json.loads(Path(path).read_text())
    if os.environ["RANK"] == "0":
        log_to(job["log"])
    module, name = job["train"].split(":")
    device = set_up_torch(job["device"], job["threads"], gpus=0)
    try:
        getattr(importlib.import_module(module), name)(**job["arguments"], device=device)
    except Interrupted as stop:
        messages.warning("interrupted by %s", stop)
        raise SystemExit(str(stop)) from stop


if __name__ == "__main__":
    run_job(sys.argv[1])
