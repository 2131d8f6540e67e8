"""Counted network calls and arithmetic, compared with those of the sampler and the networks."""

import math

import numpy as np
import torch
from tests.support.planned_jobs import FOLDER, TRAINING, UNET, job, phantom_graph

from segcert.networks.registry import build_segmenter
from segcert.plan.jobs import JobGraph
from segcert.plan.workload import ADM, Network, Workload, network_size, sampled
from segcert.smoothing.network_costs import gflop_of
from segcert.smoothing.sampler import SmoothedSegmenter

NETWORK = Network.of(UNET["architecture"], UNET["arguments"])


def test_sampling_calls_the_network_as_often_as_counted():
    seen = []

    def model(x):
        seen.append(len(x))
        return torch.cat([x, 1 - x], dim=1)

    for n0, n, batch_size, block_size in ((10, 100, 55, 50), (10, 100, 50, 50), (3, 21, 7, 5), (1, 100, 10, 50)):
        seen.clear()
        smoothed = SmoothedSegmenter(model, 0.5, 2, batch_size=batch_size, block_size=block_size)
        smoothed.sample(np.zeros((1, 4, 4), np.float32), n0, n)
        probe = batch_size  # the second look at the first batch, once a job: not worth a forecast
        assert sum(seen) - probe == sampled(1, n0, n, batch_size)


def test_arithmetic_is_that_of_the_network_with_real_weights():
    model = build_segmenter(UNET["architecture"], UNET["arguments"]).eval()
    with torch.inference_mode():
        assert network_size(NETWORK, 1, 32).gflop == gflop_of(model, torch.zeros(2, 1, 32, 32))
    weight_bytes = sum(each.nbytes for each in model.state_dict().values())
    assert network_size(NETWORK, 1, 32).weight_bytes == network_size(NETWORK, 5, 32).weight_bytes == weight_bytes
    assert network_size(Network(ADM), 1, 64) == network_size(Network(ADM), 3, 64)  # it gets a gray image three times
    assert all(map(math.isnan, network_size(Network("unknown"), 1, 32)))


def test_a_denoiser_in_front_is_called_but_not_trained():
    denoiser, tuned = "models/denoiser/phantom", FOLDER.replace("clean", "denoised")
    settings = TRAINING | {"channels": [8, 8], "layers_per_block": 1}
    tuning = {"denoiser": denoiser, "denoising_steps": 2}
    params = {"folder": tuned, "network": UNET, "settings": TRAINING, "tuning": tuning}
    jobs = [
        job("train_denoiser", {"folder": denoiser, "settings": settings}, source="phantom"),
        job("train_segmenter", params),
        job("predict", {"segmenter": tuned, "denoiser": denoiser, "denoising_steps": 2}),
    ]
    work = Workload.of(JobGraph(jobs, {}))
    learning, validation, denoised = work.calls_of(jobs[1])
    assert [each.kind for each in (learning, validation, denoised)] == ["training", "forward", "forward"]
    assert denoised.images == (50 * 16 + 16) * 2
    assert denoised.denoiser
    plain, in_front = work.calls_of(jobs[2])
    assert (plain.images, in_front.images) == (8, 16)
    size = network_size(NETWORK, 1, 64)
    assert plain.gflop == 8 * size.gflop
    assert plain._replace(kind="gradient").gflop == 2 * plain.gflop
    assert plain._replace(kind="training").gflop == 3 * plain.gflop


def test_shards_split_the_images():
    whole, parts = phantom_graph(), phantom_graph(shards=3)
    for graph, images in ((whole, [8]), (parts, [3, 3, 2])):
        work = Workload.of(graph)
        jobs = [each for each in graph.jobs if each.rule == "sample"]
        assert [work.images_of(each) for each in jobs] == images
        assert [call.images for each in jobs for call in work.calls_of(each)] == [110 * count for count in images]


def test_trainings_validate_and_attacks_use_no_more_images_than_there_are():
    graph = phantom_graph()
    work = Workload.of(graph, certified=4)
    (learning, validation) = work.calls_of(graph.jobs[1])
    assert (learning.kind, learning.images, learning.network) == ("training", 50 * 16, NETWORK)
    assert (validation.kind, validation.images) == ("forward", 3 * 16)  # three validations of 16 images
    attack = {"images": 6, "factors": [1, 2], "steps": 5, "copies": 7, "draws": 20}
    params = {"segmenter": FOLDER, "denoiser": None, "sigmas": [0.5], "settings": attack, "batch_size": 10}
    steps, decided = work.calls_of(job("attack", params | {"precision": "float32"}))
    assert (steps.kind, steps.images) == ("gradient", 4 * 2 * 5 * 7)
    assert (decided.kind, decided.images) == ("forward", 4 * 20)


def test_a_denoiser_of_two_data_sets_learns_from_both():
    settings = {"channels": [8, 8], "layers_per_block": 1, "batch_size": 4, "steps": None, "epochs": 2}
    settings |= {"evaluate_every": 20, "precision": "bfloat16"}
    training = job("train_denoiser", {"folder": "models/denoiser/both", "settings": settings}, source="phantom+jsrt")
    work = Workload.of(JobGraph([training], {"datasets": ["phantom", "jsrt"]}))
    learning, validation = work.calls_of(training)
    train, val = 96 + 99, 16 + 25
    steps = 2 * math.ceil(train / 4)
    assert (learning.images, learning.precision, learning.denoiser) == (steps * 4, "bfloat16", True)
    assert validation.images == math.ceil(steps / 20) * val * 3
