"""Make the jobs that Snakemake would plan for a phantom run, without running Snakemake."""

from segcert.plan.jobs import JobGraph, PlannedJob

FOLDER = "models/segmenter/phantom/unet-clean"
UNET = {"architecture": "unet", "arguments": {"in_channels": 1, "num_classes": 3, "width": 8, "depth": 3}}
TRAINING = {"steps": 50, "epochs": None, "batch_size": 16, "evaluate_every": 20, "ema_decay": 0.0}
TRAINING["precision"] = "float32"


def job(rule, params, *, stale=True, **wildcards):
    wildcards = {"dataset": "phantom", **wildcards}
    return PlannedJob(rule, [], [], params, stale, [], [], False, False, False, [], wildcards)


def phantom_graph(shards=1, stale=True, **config):
    """Return the jobs for a run with n0=10 and n=100 draws, whose segmenter is trained first."""
    sampling = {"batch_size": 10, "block_size": 50, "precision": "float32"}
    pairing = {"segmenter": FOLDER, "denoiser": None, "denoising_steps": 1, "pool": 1}
    draws = {"settings": sampling, "n0": 10, "n": 100, "keep_draws": False, "shards": shards}
    training = {"folder": FOLDER, "network": UNET, "settings": TRAINING, "tuning": {}, "pool": 1}
    return JobGraph(
        [
            job("prepare_phantom", {}, stale=False),
            job("train_segmenter", training, stale=stale),
            *(job("sample", pairing | draws, stale=stale, shard=str(shard)) for shard in range(shards)),
            job("certify", {}, stale=stale),
        ],
        config,
    )
