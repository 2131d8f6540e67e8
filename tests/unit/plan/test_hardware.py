"""Seconds of calls, from measurements of the same kind."""

import json
import math
from pathlib import Path

import pytest

from segcert.plan.hardware import choose_hardware, measurement_for, read_hardware, seconds_of
from segcert.plan.jobs import ForecastError
from segcert.plan.workload import DENOISER, Calls, Network

MEASURED = Path(__file__).parents[3] / "benchmarks" / "results"
UNET = Network.of("unet", {"in_channels": 1, "num_classes": 2, "width": 64, "depth": 4})
UNET_CALLS = Calls(UNET, 1000, 256, 1)


def test_measured_calls_take_as_long_as_measured():
    h100 = read_hardware(MEASURED)["h100"]
    loop = json.loads((MEASURED / "throughput-h100.json").read_text())["loop"]
    rates = [each["loop_draws_per_s"] for each in loop if not each["denoiser"] and each["precision"] == "float32"]
    seconds, measurement = seconds_of(UNET_CALLS, h100)
    assert len(rates) == 2
    assert seconds == pytest.approx(1000 / min(rates))
    assert measurement == "unet (width 64, depth 4), 256x256, float32, forward [throughput-h100.json]"


def test_other_networks_and_sizes_are_scaled_by_their_arithmetic():
    h100 = read_hardware(MEASURED)["h100"]
    seconds, measurement = seconds_of(UNET_CALLS, h100)
    assert seconds_of(UNET_CALLS._replace(size=512), h100) == (pytest.approx(4 * seconds), measurement)
    program, silent = seconds_of(UNET_CALLS._replace(network=Network("unknown")), h100)
    assert math.isnan(program)
    assert silent == ""
    forward = [each for each in h100 if not each.calls[-1].training]
    assert math.isnan(seconds_of(UNET_CALLS._replace(kind="training"), forward)[0])


def test_the_measurement_is_one_of_the_same_kind():
    known = read_hardware(MEASURED)
    found = measurement_for(Calls(Network("adm256"), 1, 256, 3, "bfloat16"), known["h100"]).calls[-1]
    assert (found.denoiser, found.precision) == (True, "bfloat16")
    plain = Calls(Network.of("resunetpp", {"width": 4}), 1, 64, 1, "bfloat16", "training")
    found = measurement_for(plain, known["cpu"])
    assert (found.calls[-1].architecture, found.calls[-1].precision) == ("resunetpp", "float32")
    assert found.file == "training-cpu.json"
    learning = Calls(Network.of(DENOISER, {"channels": [8]}), 1, 64, 1, kind="training")
    assert measurement_for(learning, known["h100"]).calls[-1].architecture == DENOISER


def test_a_rate_of_draws_counts_padded_batches():
    """110 draws in batches of 50 are 150 copies: per copy the GPU is as fast as in batches of 55."""
    loop = json.loads((MEASURED / "throughput-h100.json").read_text())["loop"]
    copies = {}
    for case, measurement in zip(loop, read_hardware(MEASURED)["h100"], strict=False):  # trainings come last
        if case["denoiser"] and case["precision"] == "bfloat16" and not case["stored"]:
            copies[case["batch_size"]] = measurement.images_per_second
    assert copies[50] == pytest.approx(copies[55], rel=0.02)


def test_hardware_is_the_requested_one_or_that_of_this_machine(monkeypatch):
    known = read_hardware(MEASURED)
    monkeypatch.setattr("segcert.plan.hardware.visible_gpus", list)
    assert choose_hardware(known, None, 256, "auto") == ("cpu", "this machine has no GPU")
    assert choose_hardware(known, None, 64, "cuda") == ("h100", "`device` is cuda")
    assert choose_hardware(known, "h100", 256, "cpu") == ("h100", "as requested")
    monkeypatch.setattr("segcert.plan.hardware.visible_gpus", lambda: ["0"])
    assert choose_hardware(known, None, 64, "auto") == ("h100", "this machine has a GPU")
    assert choose_hardware(known, None, 64, "cpu") == ("cpu", "`device` is cpu")
    with pytest.raises(ForecastError, match="segcert was measured: cpu, h100"):
        choose_hardware(known, "abacus", 64, "auto")
    with pytest.raises(ForecastError, match=r"there are no measurements for a CPU\. Pass --hardware h100"):
        choose_hardware({"h100": known["h100"]}, None, 64, "cpu")


def test_of_several_gpus_the_one_measured_on_images_of_a_similar_size_is_chosen():
    known = read_hardware(MEASURED)
    small = [each._replace(device="small") for each in known["cpu"]]
    known = {"small": small, **known}
    assert choose_hardware(known, None, 64, "cuda")[0] == "small"
    assert choose_hardware(known, None, 512, "cuda")[0] == "h100"


def test_missing_measurements_are_named(tmp_path):
    with pytest.raises(ForecastError, match=r"throughput-NAME\.json: missing"):
        read_hardware(tmp_path)
