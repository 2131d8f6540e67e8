"""The run that a configuration describes, before any job runs."""

import json

import pytest
from tests.tools.fuzz.of_runs import record

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


def test_a_network_that_was_trained_elsewhere_has_no_history_and_no_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.safetensors").touch()
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
    with pytest.raises(RunError, match="or a larger number"):
        asked(n=20)


def test_a_network_path_that_does_not_exist_is_refused_with_the_most_similar_one(tmp_path, monkeypatch):
    """A typing error was once swallowed where an earlier import existed, and the report named the wrong file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vendor.pt").touch()
    keys = {"models": ["vendor"]}
    with pytest.raises(RunError, match=r"`own_models\.vendor\.program`: found 'vendr\.pt'.*Did you mean `vendor\.pt`"):
        asked(**keys, own_models={"vendor": {"program": "vendr.pt"}})
    assert asked(**keys, own_models={"vendor": {"program": "vendor.pt"}})
    imported = tmp_path / "models/segmenter/phantom/vendor-given/program.pt.record.json"
    imported.parent.mkdir(parents=True)
    imported.write_text(json.dumps(record("models/x", inputs={"vendor.pt": "0" * 64})))
    (tmp_path / "vendor.pt").unlink()
    assert asked(**keys, own_models={"vendor": {"program": "vendor.pt"}}), "its record names it: a clone"
    with pytest.raises(RunError, match="vendr"):
        asked(**keys, own_models={"vendor": {"program": "vendr.pt"}})


def test_a_mirror_that_does_not_exist_is_refused_until_everything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="`mirror`: found 'nowhere', which does not exist"):
        asked(datasets=["montgomery"], mirror="nowhere")
    (tmp_path / "data/raw/montgomery").mkdir(parents=True)
    (tmp_path / "data/raw/montgomery/manifest.json").touch()
    assert asked(datasets=["montgomery"], mirror="nowhere")
