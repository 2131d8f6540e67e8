"""The run that a configuration describes, before any job runs."""

import pytest

from segcert.plan.configured_run import ConfiguredRun, RunError

OWN = {"mine": {"target": "torch.nn:Identity", "weights": "mine.safetensors"}}


def asked(**keys):
    return ConfiguredRun.read({"n": 100, "image_size": 64, **keys})


def test_a_segmenter_tuned_on_denoised_images_has_a_denoiser_in_front():
    run = asked(models=["unet"], regimes=["clean", "denoised"], denoisers=["none", "ddpm"])
    assert ("unet", "denoised", "none") not in run.pairings
    assert len(run.pairings) == 3
    assert run.start_files("phantom", "unet", "denoised") == run.segmenter_files("phantom", "unet", "clean")
    assert run.tuning_files("phantom", "denoised") == run.denoiser_files("phantom", "ddpm")
    assert run.tuning("phantom", "unet", "denoised")["denoiser"] == "models/denoiser/phantom"
    assert run.start_files("phantom", "unet", "clean") == run.tuning_files("phantom", "clean") == []


def test_a_network_that_was_trained_elsewhere_has_no_history_and_no_settings():
    run = asked(models=["unet", "mine"], own_models=OWN, regimes=["clean"], denoisers=["none"])
    assert run.models == [("unet", "clean"), ("mine", "given")]
    assert run.trained == [("unet", "clean")]
    assert run.segmenter_settings("phantom", "given") == {}
    assert run.history("phantom", "mine", "given") == []
    assert set(run.weights()) < set(run.model_files())
    assert run.cards() == [f"models/segmenter/phantom/{name}/README.md" for name in ("unet-clean", "mine-given")]


def test_test_images_are_split_across_as_many_jobs_as_they_fill():
    for images, size, shards in ((10, 4, 3), (8, 4, 2), (8, None, 1)):
        run = asked(phantom={"test": images}, sampling={"shard_size": size})
        assert run.shards("phantom") == shards
    assert asked(sampling={"shard_size": 2, "test_images": 3}).shards("phantom") == 2


def test_a_run_that_cannot_certify_anything_is_refused():
    with pytest.raises(RunError, match="or more"):
        asked(n=20)
