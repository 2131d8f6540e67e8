"""User-supplied networks: importable factories, pretrained weights and exported networks."""

import copy
import json
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

import segcert
from segcert.config.networks import OwnModel
from segcert.networks.exported import load_exported
from segcert.networks.folders import ModelError, segmenter_files
from segcert.networks.pretrained import import_pretrained
from segcert.networks.registry import build_segmenter, load_segmenter, save_segmenter
from segcert.networks.unet import UNet
from segcert.smoothing.sampler import module_digest

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

CLASSES = ["background", "lung"]
MONAI = "monai.networks.nets:BasicUNet"
MONAI_ARGUMENTS = {
    "spatial_dims": 2,
    "in_channels": "$in_channels",
    "out_channels": "$num_classes",
    "features": [4, 4, 4, 4, 4, 4],
}
DATA = {"preprocessing": {}, "classes": CLASSES, "in_channels": 1, "image_size": 16}
UNET = {"architecture": "unet", "arguments": {"in_channels": 1, "num_classes": 2, "width": 4, "depth": 2}}


class Tied(nn.Module):
    """A network with two names of one tensor."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.first = nn.Conv2d(in_channels, num_classes, 1)
        self.second = nn.Conv2d(in_channels, num_classes, 1)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.first(x) - self.second(x)


class Two(nn.Module):
    """A network that returns logits and something else."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.net = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, x):
        return self.net(x), x


def number(in_channels):
    return in_channels


def promised() -> nn.Module:
    return 1


HERE = sys.modules[__name__]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Use one thread, because small tensors take longer on many. Make this module importable as a target."""
    monkeypatch.setitem(sys.modules, "own_networks", HERE)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def network():
    """Return a U-Net with batch statistics, which finds both classes in noise."""
    torch.manual_seed(0)
    model = UNet(1, 2, width=4, depth=2)
    noise = torch.rand(8, 1, 16, 16)
    model(noise)
    with torch.no_grad():
        model.head.bias -= model.eval()(noise).mean(dim=(0, 2, 3))
    return model


@pytest.fixture(scope="module")
def programs(network, tmp_path_factory):
    """Export the network in each format; return the folder."""
    folder = tmp_path_factory.mktemp("programs")
    images = torch.zeros(4, 1, 16, 16)
    dynamic = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(dynamic, folder / "torch.export.pt2")
    torch.export.save(torch.export.export(network, (images,)), folder / "static.pt2")
    torch.jit.trace(network, images).save(folder / "torchscript.pt")
    return folder


def of_kind(programs, kind):
    return next(programs.glob(f"{kind}.*"))


KINDS = pytest.mark.parametrize("kind", ["torchscript", "torch.export"])


def test_a_monai_network_survives_saving(tmp_path):
    arguments = OwnModel(target=MONAI, arguments=MONAI_ARGUMENTS).filled(in_channels=1, num_classes=2)
    assert (arguments["in_channels"], arguments["out_channels"]) == (1, 2)
    model = build_segmenter(MONAI, arguments).eval()
    assert type(model).__module__.startswith("monai.")
    save_segmenter(tmp_path, model, {"architecture": MONAI, "arguments": arguments, "classes": CLASSES})
    loaded, config = load_segmenter(tmp_path)
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(loaded(images), model(images))
    assert not loaded.training
    assert config["architecture"] == MONAI


def test_placeholders_are_filled_at_any_depth():
    arguments = {"a": "$image_size", "b": [8, ["$in_channels"], {"c": "$num_classes"}], "d": "relu", "e": 0.5}
    own = OwnModel(target="package.module:Net", arguments=arguments)
    values = {"image_size": 64, "in_channels": 3, "num_classes": 2}
    assert own.filled(**values) == {"a": 64, "b": [8, [3], {"c": 2}], "d": "relu", "e": 0.5}
    with pytest.raises(ValueError, match=r"found '\$classes' .* expected one of \$image_size, \$in_channels, \$num_"):
        OwnModel(target="a:b", arguments={"a": ["$classes"]}).filled(**values)


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("no.such.package:Net", {}, r"'no\.such\.package:Net': cannot be imported \(No module named 'no'\)"),
        ("torch.nn:NoSuchNet", {}, r"cannot be imported \(.*NoSuchNet"),
        (":Net", {}, "':Net': cannot be imported"),
        (
            "torch.nn:Conv2d",
            {"channels": 3},
            r"'torch\.nn:Conv2d': cannot be built with .* keyword argument 'channels'",
        ),
        ("own_networks:number", {"in_channels": 3}, r"returned a int; expected a torch\.nn\.Module"),
        ("own_networks:promised", {}, r"returned a int; expected a torch\.nn\.Module"),
        ("own_networks:CLASSES", {}, "is of type list; expected a class or a function"),
        ("unet", {"depht": 2}, r"'unet': cannot be built with .*'depht'"),
    ],
)
def test_targets_that_do_not_return_a_network_are_named(target, arguments, message):
    with pytest.raises(ModelError, match=message):
        build_segmenter(target, arguments)


def test_shared_tensors_are_saved_and_loaded(tmp_path):
    arguments = {"in_channels": 1, "num_classes": 2}
    model = build_segmenter("own_networks:Tied", arguments).eval()
    save_segmenter(tmp_path, model, {"architecture": "own_networks:Tied", "arguments": arguments, "classes": CLASSES})
    loaded, _ = load_segmenter(tmp_path)
    images = torch.rand(1, 1, 4, 4)
    assert torch.equal(loaded(images), model(images))
    assert loaded.first.weight is loaded.second.weight

    save_model(model, str(tmp_path / "tied.safetensors"))  # as Hugging Face writes it, under one name only
    assert len(load_file(tmp_path / "tied.safetensors")) == 3
    target = {"architecture": "own_networks:Tied", "arguments": arguments}
    import_pretrained(tmp_path / "tied.safetensors", tmp_path / "given", **target, **DATA)
    assert torch.equal(load_segmenter(tmp_path / "given")[0](images), model(images))


def test_a_checkpoint_of_another_architecture_is_refused_with_a_short_message(tmp_path):
    about = {"architecture": "resunetpp", "arguments": {"in_channels": 1, "num_classes": 2, "width": 4}}
    save_segmenter(tmp_path, build_segmenter(**UNET), about)
    with pytest.raises(
        ModelError, match=r"missing: encoder\.conv1\.weight, .* and \d+ more; unexpected: down\.0\.0\.weight"
    ) as refusal:
        load_segmenter(tmp_path)
    assert "Train it again" in str(refusal.value)
    assert len(str(refusal.value)) < 600
    save_segmenter(tmp_path, build_segmenter(**UNET), {**UNET, "arguments": {**UNET["arguments"], "in_channels": 3}})
    with pytest.raises(
        ModelError, match=r"of the wrong shape: stem\.0\.weight \(4, 1, 3, 3\) instead of \(4, 3, 3, 3\)\)"
    ):
        load_segmenter(tmp_path)


@KINDS
def test_an_exported_network_computes_the_same_function(programs, network, kind):
    program = load_exported(of_kind(programs, kind))
    assert program.kind == kind
    images = torch.rand(3, 1, 16, 16)
    for _ in range(3):  # TorchScript's optimiser would start
        torch.testing.assert_close(program(images), network(images), rtol=1e-5, atol=1e-5)
    assert not any(module.training for module in program.eval().modules())
    with pytest.raises(ModelError, match="cannot be trained"):
        program.train()


@KINDS
def test_an_exported_network_is_imported_and_certified(programs, network, kind, tmp_path):
    path = of_kind(programs, kind)
    import_pretrained(path, tmp_path / "model", **DATA)
    program, config = load_segmenter(tmp_path / "model")
    assert (config["program"], config["regime"], config["classes"]) == (kind, "given", CLASSES)
    assert "architecture" not in config
    assert [each.name for each in segmenter_files(tmp_path / "model")] == ["program.pt", "config.json"]
    image = np.random.default_rng(0).random((1, 16, 16), np.float32)
    votes = [
        segcert.SmoothedSegmenter(model, sigma=0.25, num_classes=2, batch_size=8).sample(image, n0=4, n=60)
        for model in (program, copy.deepcopy(network))
    ]
    assert np.array_equal(votes[0].estimation, votes[1].estimation)
    assert 0 < votes[0].areas[:, 1].mean() < 256
    assert segcert.certify(votes[0], tau=0.75, alpha=0.001).labels.shape == (16, 16)


def test_exported_networks_with_the_same_weights_have_different_digests(network, tmp_path):
    """The printed form of a traced module does not show what it computes."""

    class Turned(nn.Module):
        def __init__(self, sign):
            super().__init__()
            self.network, self.sign = network, sign

        def forward(self, x):
            return self.sign * self.network(x)

    digests = set()
    for sign in (1.0, -1.0):
        torch.jit.trace(Turned(sign).eval(), torch.zeros(2, 1, 16, 16)).save(tmp_path / "turned.pt")
        digests |= {module_digest(load_exported(tmp_path / "turned.pt")) for _ in range(2)}
    assert len(digests) == 2


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_an_exported_network_with_a_static_batch_accepts_any_batch(programs, network, tmp_path, count):
    import_pretrained(programs / "static.pt2", tmp_path, **DATA)
    program, _ = load_segmenter(tmp_path)
    images = torch.rand(count, 1, 16, 16)
    torch.testing.assert_close(program(images), network(images))
    with pytest.raises(ModelError, match=r"does not accept images of shape \(4, 1, 8, 8\) \(Guard failed"):
        program(torch.zeros(4, 1, 8, 8))


def test_an_exported_network_of_another_kind_than_in_its_config_is_refused(programs, tmp_path):
    import_pretrained(programs / "torchscript.pt", tmp_path, **DATA)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"program": "torch.export"}))
    with pytest.raises(ModelError, match=r"program\.pt: found a torchscript file; expected torch\.export"):
        load_segmenter(tmp_path)
    (tmp_path / "program.pt").unlink()
    with pytest.raises(ModelError, match=r"program\.pt: missing"):
        segmenter_files(tmp_path)


class Trap:
    """A pickle that runs code when it is loaded."""

    sprung = False

    def __reduce__(self):
        return spring, ()


def spring():
    Trap.sprung = True
    return ()


def with_member(source, target, member, content):
    """Copy an archive with other content in one member."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith(member) else old.read(name))


def test_pickles_are_refused_without_unpickling(programs, network, tmp_path):
    torch.save(network, tmp_path / "network.pt")
    torch.save({"net": Trap()}, tmp_path / "trap.pt")
    torch.save(Trap(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    trap = (tmp_path / "trap.pt").read_bytes()
    with_member(programs / "torch.export.pt2", tmp_path / "inputs.pt2", "sample_inputs/model.pt", trap)
    for name, message in [
        ("network.pt", r"network\.pt: is a pickle, .* torch\.save\(model\.state_dict\(\), path\)"),
        ("trap.pt", "is a pickle"),
        ("old.pt", "is neither a TorchScript nor a torch.export file"),
        ("inputs.pt2", r"data/sample_inputs/model\.pt contains pickled objects"),
    ]:
        with pytest.raises(ModelError, match=message):
            import_pretrained(tmp_path / name, tmp_path / "model", **DATA)
    for name in ("network.pt", "trap.pt", "old.pt"):
        with pytest.raises(ModelError, match=rf"{name}: found a .*\. A pickled network is code and is not loaded"):
            import_pretrained(tmp_path / name, tmp_path / "model", **UNET, **DATA)
    assert not (tmp_path / "model").exists()
    assert not Trap.sprung
    pickle.loads(pickle.dumps(Trap()))
    assert Trap.sprung  # the trap works


def test_pickled_weights_within_an_export_are_refused(programs, tmp_path):
    with zipfile.ZipFile(programs / "torch.export.pt2") as archive:
        member = next(name for name in archive.namelist() if name.endswith("weights_config.json"))
        config = json.loads(archive.read(member))
    next(iter(config["config"].values()))["use_pickle"] = True
    with_member(programs / "torch.export.pt2", tmp_path / "weights.pt2", member, json.dumps(config).encode())
    with pytest.raises(ModelError, match=r"model_weights_config\.json contains pickled objects"):
        load_exported(tmp_path / "weights.pt2")


def test_other_files_and_damaged_exports_are_refused(programs, tmp_path):
    (tmp_path / "text.pt").write_text("not a network")
    with pytest.raises(ModelError, match=r"text\.pt: is neither a TorchScript nor a torch\.export file"):
        load_exported(tmp_path / "text.pt")
    with pytest.raises(ModelError, match=r"none\.pt: missing"):
        load_exported(tmp_path / "none.pt")
    for kind, member in [("torchscript", "data.pkl"), ("torch.export", "models/model.json")]:
        with_member(of_kind(programs, kind), tmp_path / "broken.pt", member, b"{")
        with pytest.raises(ModelError, match=f"cannot be loaded as {kind} by torch"):
            load_exported(tmp_path / "broken.pt")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".nested.pth"])
def test_pretrained_weights_are_imported_unchanged(network, tmp_path, suffix, prefix):
    state = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    source = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, source)
    else:
        torch.save({"epoch": 3, "state_dict": state} if "nested" in suffix else state, source)
    arguments = UNET["arguments"]
    import_pretrained(source, tmp_path / "model", architecture="unet", arguments=arguments, **DATA)
    loaded, config = load_segmenter(tmp_path / "model")
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(loaded(images), network(images))
    assert config["arguments"] == UNET["arguments"]
    assert config["regime"] == "given"
    assert len(config["source_digest"]) == 64
    assert [each.name for each in segmenter_files(tmp_path / "model")] == ["model.safetensors", "config.json"]


def test_two_networks_in_one_file_are_refused(network, tmp_path):
    state = {f"student.{name}": tensor for name, tensor in network.state_dict().items()}
    state |= {f"teacher.{name}": 2 * tensor for name, tensor in network.state_dict().items()}
    torch.save(state, tmp_path / "both.pt")
    with pytest.raises(ModelError, match=r"both\.pt: contains several .* fit unet .*'student' and 'teacher'"):
        import_pretrained(tmp_path / "both.pt", tmp_path / "model", **UNET, **DATA)
    import_pretrained(tmp_path / "both.pt", tmp_path / "model", **UNET, **DATA, weights_key="student")
    loaded, config = load_segmenter(tmp_path / "model")
    assert torch.equal(loaded.head.bias, network.head.bias)
    assert config["weights_key"] == "student"


def test_networks_that_do_not_fit_the_data_are_refused(programs, network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    three = DATA | {"classes": [*CLASSES, "heart"]}
    with pytest.raises(
        ModelError,
        match=r"torchscript\.pt: returns \(3, 2, 16, 16\); expected logits \(3, 3, 16, 16\)\. .* for each class",
    ):
        import_pretrained(programs / "torchscript.pt", tmp_path / "model", **three)
    with pytest.raises(ModelError, match=r"weights\.pt: returns \(3, 2, 16, 16\); expected logits \(3, 3, 16, 16\)"):
        import_pretrained(tmp_path / "weights.pt", tmp_path / "model", **UNET, **three)
    with pytest.raises(
        ModelError, match=r"torchscript\.pt: does not accept images of shape \(3, 3, 16, 16\) .*to have 1 c"
    ):
        import_pretrained(programs / "torchscript.pt", tmp_path / "model", **DATA | {"in_channels": 3})
    with pytest.raises(
        ModelError, match=r"torch\.export\.pt2: does not accept images of shape \(3, 1, 32, 32\) .*Guard"
    ):
        import_pretrained(programs / "torch.export.pt2", tmp_path / "model", **DATA | {"image_size": 32})
    wider = UNET | {"arguments": UNET["arguments"] | {"width": 8}}
    with pytest.raises(ModelError, match=r"weights\.pt: does not fit unet with .*of the wrong shape: stem\.0\.weight"):
        import_pretrained(tmp_path / "weights.pt", tmp_path / "model", **wider, **DATA)
    torch.save({"optimizer": {"lr": 0.1}}, tmp_path / "other.pt")
    with pytest.raises(
        ModelError, match=r"other\.pt: found a dictionary with 'optimizer': dict; expected named tensors"
    ):
        import_pretrained(tmp_path / "other.pt", tmp_path / "model", **UNET, **DATA)
    two = build_segmenter("own_networks:Two", {"in_channels": 1, "num_classes": 2})
    torch.save(two.state_dict(), tmp_path / "two.pt")
    with pytest.raises(
        ModelError, match=r"two\.pt: returns a tuple with \[0\] \(3, 2, 16, 16\), \[1\] .* such as `network\(x\)\[0\]`"
    ):
        import_pretrained(
            tmp_path / "two.pt",
            tmp_path / "model",
            architecture="own_networks:Two",
            arguments={"in_channels": 1, "num_classes": 2},
            **DATA,
        )
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm2d(2)], ids=["dropout", "statistics of the batch"])
def test_an_export_in_train_mode_is_refused(tmp_path, layer):
    model = nn.Sequential(nn.Conv2d(1, 2, 1), layer).train()
    traced = torch.jit.trace(model, torch.rand(2, 1, 16, 16), check_trace=False)
    traced.save(tmp_path / "train.pt")
    with pytest.raises(ModelError, match=r"train\.pt: its logits .*change .* model\.eval\(\)"):
        import_pretrained(tmp_path / "train.pt", tmp_path / "model", **DATA)
