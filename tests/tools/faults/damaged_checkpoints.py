"""Damaged checkpoints of trainings. A valid one is resumed from; any other is found, and training starts again."""

import shutil
import threading
import time

from tests.tools.faults.damaged_blocks import empty, flipped, garbage, truncated
from tests.tools.faults.outcomes import Fault, differences

MODELS = {
    "train_segmenter": "models/segmenter/phantom/unet-clean/model.safetensors",
    "train_denoiser": "models/denoiser/phantom/unet/diffusion_pytorch_model.safetensors",
}
CHECKPOINTS = {
    "train_segmenter": ".segcert/checkpoints/models/segmenter/phantom/unet-clean.pt",
    "train_denoiser": ".segcert/checkpoints/models/denoiser/phantom.pt",
}
LOGS = {"train_segmenter": "logs/train/phantom/unet-clean.log", "train_denoiser": "logs/train/denoiser/phantom.log"}
ROUNDS = ((flipped, flipped), (truncated, garbage), (empty, None))


def damaged_checkpoints(_base, plain, work, random, _count):
    """Train both networks repeatedly, each time from a checkpoint with another damage."""
    run, faults = plain.copy(work), []
    kept = caught(run, work.with_name(f"{work.name}-kept"))
    for damages in ROUNDS:
        round_faults = []
        for (stage, path), damage in zip(CHECKPOINTS.items(), damages, strict=True):
            content = kept[stage].read_bytes()
            target = run.path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(damage(content, random, b"") if damage else content)
            name = damage.__name__ if damage else "none"
            round_faults.append((stage, damage, Fault(f"a damaged checkpoint: {name}", [stage])))
        wrong = differences(run, plain, run.run("--force", *MODELS.values()))
        for stage, damage, fault in round_faults:
            said = (run.path / LOGS[stage]).read_text()
            if (": damaged (" if damage else ": goes on from step") not in said:
                fault.wrong.append(f"not found: {said}")
            how = "found, named in the log, training started again" if damage else "training resumed from it"
            faults.append(fault.judge(wrong, how))
    return faults


def caught(run, folder):
    """Return copies of the checkpoints that the trainings write."""
    folder.mkdir(exist_ok=True)
    kept, ended = {}, threading.Event()

    def watch():
        while not ended.is_set():
            for stage in CHECKPOINTS.keys() - kept.keys():
                try:
                    shutil.copy(run.path / CHECKPOINTS[stage], folder / f"{stage}.pt")
                    kept[stage] = folder / f"{stage}.pt"
                except FileNotFoundError:
                    continue
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert run.run("--force", *MODELS.values()) == 0, run.output
    finally:
        ended.set()
        watcher.join()
    assert kept.keys() == CHECKPOINTS.keys(), "no checkpoint was caught"
    return kept
