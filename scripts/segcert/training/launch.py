"""Start training on one device or, with accelerate, on several GPUs of a node."""

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
    """Return an Accelerator for a device, with the precision from the configuration.

    Within a process, accelerate would use the device and precision of the first training run for all later runs, so its
    state is reset here. The processes that `launch` starts need no reset, because each trains only once.
    """
    if AcceleratorState._shared_state and AcceleratorState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision=MIXED_PRECISION[precision])


LIBRARY = Path(__file__).parents[2]


class LaunchError(RuntimeError):
    """Failure of a training run on several GPUs. The message contains the output of its processes."""


def launch(
    train: Callable[..., None], arguments: dict[str, Any], *, device: str, threads: int, processes: int, log: str
) -> str:
    """Call `train(**arguments, device=...)` in one or several processes, and return the name of the hardware.

    `arguments` are plain JSON values, and each process uses `threads` CPU threads. With several processes, each batch
    is split across them. torchrun starts one process per GPU (or all processes on the CPU), and each process runs this
    module. The first process appends its messages to the file `log`.

    SIGTERM is forwarded to the processes. After SIGTERM, Interrupted is raised when the processes have ended.
    LaunchError is raised if a process fails.
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
        returncode, errors = _run(command)
    if returncode:
        raise LaunchError(f"training in {processes} processes failed: {errors.strip()[-4000:]}")
    return f"{processes} x {device_name(target)}"


def _run(command: list[str]) -> tuple[int, str]:
    """Run a command that imports this library, forward SIGTERM to it, and return its exit status and standard error."""
    search_path = os.pathsep.join([str(LIBRARY), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": search_path}
    with (
        interrupted_between_steps(),
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process,
    ):
        terminated = False
        while True:
            try:
                _, errors = process.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if is_interrupted() and not terminated:
                    process.terminate()
                    terminated = True
        if process.returncode and is_interrupted():
            raise Interrupted("SIGTERM")
    return process.returncode, errors


def run_job(path: str) -> None:
    """Call the training function that is named in a job file. Every training process runs this function."""
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
