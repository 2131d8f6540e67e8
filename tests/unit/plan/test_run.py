"""What a run would cost: network evaluations, throughput, images, disk, draws, and the words of the command."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from segcert.certification.methods import CertificationError
from segcert.cli import main
from segcert.config import Config
from segcert.data.catalogue import Named, dataset
from segcert.data.dataset import Row, write_index
from segcert.data.sets.cvc_clinicdb import FRAMES, frame_name, sequence
from segcert.data.sets.jsrt import by_fold
from segcert.data.splits import by_group
from segcert.networks.registry import build_segmenter
from segcert.plan.command import plan_image, plan_run, which_plan
from segcert.plan.counts import images_of
from segcert.plan.disk import disk_of
from segcert.plan.draws import draws_table, read_forecast
from segcert.plan.durations import read_overheads
from segcert.plan.evaluations import Passes, padded, sampled
from segcert.plan.forecast import cost_of_draws, make_forecast, work_of
from segcert.plan.jobs import ForecastError, JobGraph, Planned
from segcert.plan.networks import Network, gflop, weight_bytes
from segcert.plan.throughput import read_hardware
from segcert.smoothing.sampler import SmoothedSegmenter

MEASURED = Path(__file__).parents[3] / "benchmarks" / "results"
UNET = {"architecture": "unet", "arguments": {"in_channels": 1, "num_classes": 3, "width": 8, "depth": 3}}
TRAINING = {
    "steps": 50,
    "epochs": None,
    "batch_size": 16,
    "evaluate_every": 20,
    "precision": "float32",
    "ema_decay": 0.0,
}
SAMPLING = {"batch_size": 10, "block_size": 50, "precision": "float32"}


def job(rule, params=None, *, wildcards=None, stale=True, after=(), gpu=0):
    return Planned(
        rule, [], [], params or {}, stale, [], [], False, False, False, [], {"dataset": "phantom", **(wildcards or {})},
        1, {"gpu": gpu}, 0, list(after),
    )  # fmt: skip


def phantom_graph(shards=1, stale=True, **config):
    folder = "models/segmenter/phantom/unet-clean"
    params = {
        "segmenter": folder, "denoiser": None, "denoising_steps": 1, "settings": SAMPLING, "n0": 10, "n": 100,
        "noise": "normal", "pool": 1, "keep_draws": False,
    }  # fmt: skip
    training = {"folder": folder, "network": UNET, "settings": TRAINING, "tuning": {}, "pool": 1}
    draws = [
        job("sample", params, wildcards={"shard": str(shard)}, stale=stale, after=[1], gpu=1) for shard in range(shards)
    ]
    certified = job("certify", {}, stale=stale, after=range(2, 2 + shards))
    return JobGraph(
        [
            job("prepare_phantom", stale=False),
            job("train_segmenter", training, stale=stale, after=[0], gpu=1),
            *draws,
            certified,
        ],
        config,
        {"dvc": 1},
    )


def forecast(graph, **options):
    return make_forecast(graph, MEASURED, **options)


def test_sampling_asks_the_network_as_often_as_is_said():
    seen = []

    def model(x):
        seen.append(len(x))
        return torch.cat([x, 1 - x], dim=1)

    for n0, n, batch_size, block_size in ((10, 100, 55, 50), (10, 100, 50, 50), (3, 21, 7, 5), (1, 100, 10, 50)):
        seen.clear()
        smoothed = SmoothedSegmenter(model, 0.5, 2, batch_size=batch_size, block_size=block_size)
        smoothed.sample(np.zeros((1, 4, 4), np.float32), n0, n)
        assert sum(seen) == sampled(1, n0, n, batch_size)


def test_shards_share_the_images_and_change_no_total():
    whole, parts = forecast(phantom_graph()), forecast(phantom_graph(shards=3))
    of = {each.rule: each for each in whole.stages}
    assert of["sample"].evaluations == 8 * 110 == {e.rule: e for e in parts.stages}["sample"].evaluations
    assert of["train_segmenter"].evaluations == 50 * 16 + 3 * 16  # three validations of 16 images
    assert "prepare_phantom" not in of


def test_more_devices_take_no_longer_and_no_less_than_the_bound():
    found = forecast(phantom_graph(shards=4), hardware="h100", devices=[1, 2, 4])
    times = [wall.seconds for wall in found.walls]
    assert times == sorted(times, reverse=True)
    assert all(wall.seconds >= wall.bound >= found.critical_path > 0 for wall in found.walls)
    assert times[0] > found.device > times[-1] / 4


def test_nothing_is_left_of_a_finished_run():
    found = forecast(phantom_graph(stale=False))
    assert found.todo == 0 == found.device
    assert all(wall.seconds == 0 for wall in found.walls)
    assert {row.n: row.evaluations for row in found.draws}[100] == 8 * 110  # of all draws, done or not


def test_arithmetic_is_that_of_the_network_with_numbers_in_it():
    from segcert.smoothing.network_costs import gflop_of

    network = Network.of(UNET["architecture"], UNET["arguments"])
    model = build_segmenter(UNET["architecture"], UNET["arguments"]).eval()
    with torch.inference_mode():
        assert gflop(network, 1, 32) == gflop_of(model, torch.zeros(2, 1, 32, 32))
    assert weight_bytes(network, 32) == sum(each.nbytes for each in model.state_dict().values())


def test_what_was_measured_is_not_scaled_and_all_else_says_in_what_it_differs():
    h100 = read_hardware(MEASURED)["h100"]
    segmenter = Network.of("unet", {"in_channels": 1, "num_classes": 2, "width": 64, "depth": 4})
    same = Passes("forward", segmenter, None, 1000, 55, 256, 1, "float32", "normal")
    loop = json.loads((MEASURED / "throughput-h100.json").read_text())["loop"]
    rate = next(each for each in loop if each["stored"] and each["precision"] == "float32")["loop_draws_per_s"]
    assert h100.estimate(same).basis == "measured"
    assert h100.estimate(same).seconds == pytest.approx(1000 / rate)
    of_colours = Network.of("unet", {"in_channels": 3, "num_classes": 2, "width": 64, "depth": 4})
    coloured = h100.estimate(dataclasses.replace(same, segmenter=of_colours, channels=3, size=512))
    assert coloured.basis == "scaled"
    assert coloured.differs == ("size 512", "channels 3")
    assert coloured.seconds == pytest.approx(4 * 1000 / rate, rel=0.02)
    program = h100.estimate(dataclasses.replace(same, segmenter=Network("given")))
    assert program.basis == "not measured"
    assert math.isnan(program.seconds)


def test_a_rate_of_draws_counts_padded_batches():
    """110 draws in batches of 50 are 150 copies: per copy the GPU is as fast as in batches of 55."""
    cases = {
        (case.passes.batch_size, case.stored): case.passes.images
        for case in read_hardware(MEASURED)["h100"].cases
        if case.passes.kind == "forward" and case.passes.denoiser and case.passes.precision == "bfloat16"
    }
    assert cases[50, False] == pytest.approx(cases[55, False], rel=0.02)
    assert padded(110, 50) == 150


def test_hardware_is_what_was_measured():
    assert forecast(phantom_graph()).hardware == "cpu"  # the networks of the default run were measured there
    assert forecast(phantom_graph(device="cpu")).gpu is False
    with pytest.raises(ForecastError, match="expected one of cpu, h100"):
        forecast(phantom_graph(), hardware="abacus")


def test_missing_measurements_are_named(tmp_path):
    with pytest.raises(ForecastError, match=r"throughput-NAME\.json: missing"):
        read_hardware(tmp_path)
    with pytest.raises(ForecastError, match=r"startup-cpu.json: missing.*benchmarks.startup"):
        read_overheads(tmp_path)


def test_images_are_those_prepared_else_those_published(tmp_path):
    index = tmp_path / "index.csv"
    config = Config.read({"datasets": ["isic2018", "montgomery", "jsrt"]})
    assert images_of("isic2018", config, index).test == 1000
    assert images_of("jsrt", config, index).all == 247
    expected = images_of("montgomery", config, index)
    assert (expected.all, expected.test) == (138, 34)
    assert "expected of 138" in expected.source
    splits = ["train"] * 3 + ["val"] + ["test"] * 2
    rows = [("a" * 63 + str(number), split) for number, split in enumerate(splits)]
    write_index(
        index,
        [Row(image=d, group=d, split=s, digest=d, mask_digest=d, height=9, width=9) for d, s in rows],
    )
    prepared = images_of("isic2018", config, index)
    assert (prepared.train, prepared.val, prepared.test, prepared.source) == (3, 1, 2, str(index))
    assert images_of("isic2018", config, index, 60).test == 60
    fewer = Config.read({"datasets": ["isic2018"], "sampling": {"test_images": 1}})
    assert images_of("isic2018", fewer, index).test == 1


def test_published_counts_are_those_of_the_rules():
    frames = [frame_name(str(number)) for number in range(1, FRAMES + 1)]
    groups = [by_group(Named("cvc_clinicdb", frame, sequence(frame))) for frame in frames]
    counts = dataset("cvc_clinicdb").splits["groups"].counts
    assert {split: groups.count(split) for split in counts} == counts
    patients = [f"JPCLN{n:03d}" for n in range(1, 155)] + [f"JPCNN{n:03d}" for n in range(1, 94)]
    folds = [by_fold(Named("jsrt", name, name, "1" if int(name[-3:]) % 2 else "2")) for name in patients]
    counts = dataset("jsrt").splits["folds"].counts
    assert {split: folds.count(split) for split in counts} == counts


def test_disk_is_counted_from_images_classes_and_blocks():
    graph = phantom_graph(shards=2)
    work = work_of(graph, Config.read({}))
    space = {each.what: each.bytes for each in disk_of(work, graph.jobs, dict.fromkeys(
        ("votes", "blocks", "certificates", "radii", "predictions", "images", "masks"), 1.0))}  # fmt: skip
    assert space["votes"] == 8 * 2 * 3 * 64**2
    assert space["blocks of draws (.segcert/blocks, may be deleted)"] == 8 * 3 * 3 * 64**2  # 10; 50 and 50 draws
    assert space["prepared images (data/prepared)"] == 120 * 2 * 64**2
    model = build_segmenter(UNET["architecture"], UNET["arguments"])
    assert space["models"] == 2 * sum(each.nbytes for each in model.state_dict().values())


def test_draws_that_certify_nothing_and_a_forecast_where_there_is_one(tmp_path):
    config = Config.read({"image_size": 256})
    graph = phantom_graph()
    work, cpu = work_of(graph, config), read_hardware(MEASURED)["cpu"]
    rows = {
        row.n: row for row in draws_table(config, lambda n: cost_of_draws(work, graph.jobs, cpu, n), tmp_path / "none")
    }
    assert list(rows) == [50, 100, 200, 500, 1000]
    assert not rows[50].feasible
    assert rows[100].feasible
    assert rows[1000].evaluations == 8 * 1010
    assert rows[1000].hours == pytest.approx(rows[100].hours * 1010 / 110)
    assert math.isnan(rows[100].area)
    budget = tmp_path / "budget.parquet"
    table = [
        ("segcertify", 110, 0.5, 0.4),
        ("segcertify", 110, 0.7, 0.6),
        ("segcertify", 1010, 0.9, 0.8),
        ("holm", 70, 1, 1),
    ]
    pd.DataFrame(table, columns=["method", "draws", "certified_area", "certified_dice"]).to_parquet(budget)
    assert read_forecast(budget, "segcertify") == {110: pytest.approx((0.6, 0.5)), 1010: (0.9, 0.8)}
    rows = draws_table(config, lambda n: (0, 0.0), budget)
    assert [(row.n, row.area) for row in rows] == [(100, pytest.approx(0.6)), (1000, 0.9)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "found no options"),
        (["sigma"], "found --sigma alone"),
        (["tau", "alpha"], "found --tau alone"),
        (["config", "sigma"], "--config sigmas=..."),
        (["config", "k"], "--config kfwer_k=..."),
        (["as_json"], "found --json, which speaks of a run, but no --config"),
        (["sigma", "shape", "hardware"], "found --hardware"),
    ],
)
def test_options_of_a_run_and_of_an_image_exclude_each_other(given, says):
    with pytest.raises(ForecastError, match=says):
        which_plan(given)


def test_options_say_what_is_planned():
    assert which_plan(["sigma", "shape", "tau"]) == "image"
    assert which_plan(["config", "devices", "as_json"]) == "run"
    assert which_plan(["changes"]) == "run"


def planned(*config, **options):
    asked = []
    settings = {"hardware": None, "devices": "1,2", "cores": 8, "images": None, "as_json": False} | options

    def read_graph(arguments):
        asked.append(arguments)
        return phantom_graph()

    return plan_run(read_graph, list(config), **settings), asked[0]


def test_the_command_says_it_in_words_and_for_machines(monkeypatch):
    monkeypatch.chdir(MEASURED.parents[1])
    text, asked = planned("config/default.yaml", "tau=0.8", "draws=200")
    assert asked == ["--configfile", "config/default.yaml", "--config", "tau=0.8", "draws=200"]
    for words in (
        "3 of them to be done",
        "Hardware: cpu",
        "the configuration",
        "1 of 1",
        "880",
        "wall time",
        "prepared",
    ):
        assert words in text
    document = json.loads(planned(as_json=True, images=4)[0])
    assert document["complete"] is True
    assert document["images"]["phantom"]["test"] == 4
    assert next(s for s in document["stages"] if s["rule"] == "sample")["evaluations"] == 4 * 110
    assert [wall["devices"] for wall in document["walls"]] == [1, 2]


def test_mistakes_on_the_command_line_are_explained(monkeypatch):
    monkeypatch.chdir(MEASURED.parents[1])
    with pytest.raises(ForecastError, match="--devices: found '0'"):
        planned(devices="0")
    with pytest.raises(ForecastError, match="which is no file"):
        planned("config/none.yaml")
    with pytest.raises(CertificationError, match="--shape: found '256'"):
        plan_image(0.25, "256", tau=0.75, alpha=0.001, method="segcertify", n0=10, k=10)


def test_one_command_plans_images_and_runs(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["segcert", "plan", "--sigma", "0.25", "--shape", "64x64", "--tau", "0.75"])
    with pytest.raises(SystemExit):
        main()
    assert "Any pixel at all: n >= 53." in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["segcert", "plan", "--config", "config/default.yaml", "--shape", "64x64"])
    with pytest.raises(SystemExit, match="found --shape beside the configuration of a run"):
        main()
    monkeypatch.setattr("sys.argv", ["segcert", "plan"])
    with pytest.raises(SystemExit, match="found no options; expected the configuration of a run, or sigma and shape"):
        main()
