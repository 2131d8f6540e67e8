"""`segcert plan` of a real run: before it, after it, and after a change."""

import collections

import numpy as np
import pytest
from tests.support.checkout import ROOT, TINY

from segcert.plan.forecast import make_forecast
from segcert.plan.snakemake_plan import read_graph


def forecast(checkout, *changes):
    with checkout.inside():
        graph = read_graph(["--configfile", TINY, *(["--config", *changes] if changes else [])])
        return graph, make_forecast(graph, ROOT / "benchmarks" / "results", devices=[1, 2])


def test_all_of_a_run_that_has_not_begun_is_planned(checkout):
    graph, found = forecast(checkout, "sampling={shard_size: 2, block_size: 10}")
    assert found.todo == found.jobs == len(graph.jobs)
    jobs = collections.Counter(job.rule for job in graph.jobs)
    assert jobs["sample"] == 4 * jobs["certify"] == 16
    assert {job.rule for job in graph.jobs if job.resources.get("gpu")} == {
        "train_segmenter", "train_denoiser", "sample", "predict", "attack", "measure_costs", "score_denoisers",
        "denoise_examples",
    }  # fmt: skip
    stages = {stage.rule: stage for stage in found.stages}
    plain, denoised = 4 * 3 * 60, 4 * 3 * 60 * 2  # two regimes, two sigmas; 55 draws in batches of ten
    assert stages["sample"].evaluations == plain + denoised
    assert stages["train_denoiser"].evaluations == 4 * 4 + 2 * 2 * 3  # two validations of two images at three levels
    for place, job in enumerate(graph.jobs):
        assert all(before < place for before in job.after)
        read = {output for before in job.after for output in graph.jobs[before].outputs}
        made = {output for each in graph.jobs for output in each.outputs}
        assert set(job.inputs) & made <= read
    one, two = found.walls
    assert one.seconds >= two.seconds >= two.bound >= found.critical_path > 0


def test_only_what_is_left_is_planned(finished_once):
    graph, found = forecast(finished_once)
    assert found.todo == 0
    assert found.jobs == len(graph.jobs)
    assert found.images["phantom"].test == 3
    assert found.forecast_file
    assert [row.n for row in found.draws if np.isnan(row.area)] == [50]  # the forecast has other budgets than 55
    votes = next(space.bytes for space in found.disk if space.what == "votes")
    files = list((finished_once.path / "results/tiny/votes").rglob("*.npz"))
    assert votes < 4 * sum(file.stat().st_size for file in files)

    graph, found = forecast(finished_once, "tau=0.7")
    stale = collections.Counter(job.rule for job in graph.jobs if job.stale)
    assert {stage.rule: stage.jobs for stage in found.stages} == stale == finished_once.stale("--config", "tau=0.7")
    assert "sample" not in stale
    assert stale["certify"] == 4
    assert found.device == pytest.approx(sum(s.measured + s.scaled + s.start for s in found.stages if s.evaluations))
