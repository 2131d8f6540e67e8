"""`segcert plan` of a real run: before it, after it, and after a change."""

import collections

import pytest
from tests.support.checkout import ROOT, TINY

from segcert.plan.forecast import make_forecast
from segcert.plan.snakemake_plan import read_graph

# Rules that request a GPU (tests/system/resources)
NETWORKS = {"train_segmenter", "train_denoiser", "sample", "predict", "attack"}
NETWORKS |= {"measure_costs", "score_denoisers", "denoise_examples"}


def forecast(checkout, *changes):
    with checkout.inside():
        graph = read_graph(["--configfile", TINY, *(["--config", *changes] if changes else [])])
        return graph, make_forecast(graph, ROOT / "benchmarks" / "results")


def test_a_run_that_has_not_begun_is_planned_completely(checkout):
    graph, found = forecast(checkout, "sampling={shard_size: 2, block_size: 10}")
    assert found.todo == found.jobs == len(graph.jobs)
    jobs = collections.Counter(job.rule for job in graph.jobs)
    assert jobs["sample"] == 4 * jobs["certify"] == 16
    stages = {stage.rule: stage for stage in found.stages}
    assert {rule for rule, stage in stages.items() if stage.calls} == NETWORKS
    plain, denoised = 4 * 3 * 60, 4 * 3 * 60 * 2  # two regimes, two sigmas; 55 draws in batches of ten
    assert stages["sample"].calls == plain + denoised
    assert stages["train_denoiser"].calls == 4 * 4 + 2 * 2 * 3  # two validations of two images at three levels
    assert found.complete


def test_only_the_remaining_jobs_are_planned(finished_once):
    graph, found = forecast(finished_once)
    assert found.todo == 0
    assert found.jobs == len(graph.jobs)
    assert found.images["phantom"].test == 3
    votes = next(space.bytes for space in found.disk if space.what == "votes")
    files = list((finished_once.path / "results/tiny/votes").rglob("*.npz"))
    assert votes < 4 * sum(file.stat().st_size for file in files)

    graph, found = forecast(finished_once, "tau=0.7")
    stale = collections.Counter(job.rule for job in graph.jobs if job.stale)
    assert {stage.rule: stage.jobs for stage in found.stages} == stale == finished_once.stale("--config", "tau=0.7")
    assert "sample" not in stale
    assert stale["certify"] == 4
    assert {stage.rule for stage in found.stages if stage.calls} == {"attack"}
    assert found.seconds == pytest.approx(sum(found.used.values()))
