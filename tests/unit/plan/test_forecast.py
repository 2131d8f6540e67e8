"""The cost of a run: hours by stage, disk, and the least number of draws that certify any pixel."""

import math
from pathlib import Path

import pytest
from tests.support.planned_jobs import UNET, phantom_graph

from segcert.networks.registry import build_segmenter
from segcert.plan.command import to_text
from segcert.plan.disk import disk_of
from segcert.plan.forecast import make_forecast
from segcert.plan.hardware import read_hardware, seconds_of
from segcert.plan.jobs import ForecastError
from segcert.plan.workload import Workload

MEASURED = Path(__file__).parents[3] / "benchmarks" / "results"


def test_hours_are_calls_times_the_measured_seconds_of_one():
    graph = phantom_graph(shards=3)
    found = make_forecast(graph, MEASURED, hardware="h100")
    stages = {each.rule: each for each in found.stages}
    assert list(stages) == ["train_segmenter", "sample", "certify"]
    assert (stages["sample"].jobs, stages["sample"].of, stages["sample"].calls) == (3, 3, 8 * 110)
    assert stages["certify"].calls == 0 == stages["certify"].seconds
    (call,) = Workload.of(phantom_graph()).calls_of(phantom_graph().jobs[2])
    assert stages["sample"].gflop == pytest.approx(call.gflop)
    assert stages["sample"].seconds == pytest.approx(seconds_of(call, read_hardware(MEASURED)["h100"])[0])
    assert found.seconds == pytest.approx(sum(found.used.values()))
    assert found.complete
    assert found.cpu_seconds > 5  # to start five jobs
    (start,) = make_forecast(phantom_graph(), MEASURED, images=0).stages[2:]
    certification = stages["certify"].cpu_seconds - start.cpu_seconds
    assert certification == pytest.approx(8 * 3 * 64**2 / 1e6 * 1.42, rel=0.1)


def test_nothing_is_left_of_a_finished_run():
    found = make_forecast(phantom_graph(stale=False), MEASURED)
    assert found.todo == 0 == found.seconds == found.cpu_seconds
    assert found.jobs == 4


def test_calls_of_an_exported_network_are_not_measured(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal wraps the cells of the table
    graph = phantom_graph()
    graph.jobs[1].params["network"] = {"architecture": None, "arguments": {}}
    found = make_forecast(graph, MEASURED)
    stages = {each.rule: each for each in found.stages}
    assert (stages["sample"].unknown, stages["sample"].seconds) == (8 * 110, 0.0)
    assert not found.complete
    assert "880 calls not measured" in to_text(found)
    assert "of unknown size" in next(space.known for space in found.disk if space.what == "models")


def test_the_least_number_of_draws_depends_on_the_number_of_pixels():
    found = make_forecast(phantom_graph(image_size=256), MEASURED)
    assert (found.n, found.least_n) == (100, 63)


def test_a_forecast_is_for_the_last_look():
    text = to_text(make_forecast(phantom_graph(looks=[60, 110]), MEASURED))
    assert "Draws: n = 60 or 110 (planned looks share alpha); below n = 56, no pixel" in text
    assert "n0 + the last look" in text
    assert "--config 'looks=[N,N,...]'" in text


def test_missing_measurements_are_named(tmp_path):
    (tmp_path / "throughput-cpu.json").write_bytes((MEASURED / "throughput-cpu.json").read_bytes())
    with pytest.raises(ForecastError, match=r"startup-cpu.json: missing.*benchmarks.startup"):
        make_forecast(phantom_graph(), tmp_path)


def test_disk_is_counted_from_images_classes_and_blocks():
    graph = phantom_graph(shards=2)
    kinds = ("votes", "blocks", "certificates", "radii", "predictions", "images", "masks")
    space = {each.what: each.bytes for each in disk_of(Workload.of(graph), graph.jobs, dict.fromkeys(kinds, 1.0))}
    assert space["votes"] == 8 * 2 * 3 * 64**2
    assert space["blocks of draws (.segcert/blocks, may be deleted)"] == 8 * 3 * 3 * 64**2  # 10; 50 and 50 draws
    assert space["prepared images (data/prepared)"] == 120 * 2 * 64**2
    assert space["certificates and radius maps"] == 8 * 3 * 2 * 64**2  # three noise levels
    model = build_segmenter(UNET["architecture"], UNET["arguments"])
    held = sum(each.nbytes for each in model.state_dict().values())
    assert space["models"] == 2 * held
    assert space["largest training checkpoint, during training"] == 4 * held
    assert not any(math.isnan(each) for each in space.values())
