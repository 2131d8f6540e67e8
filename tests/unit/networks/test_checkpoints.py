"""Files of weights as other programs write them: the network's weights are found, or nothing is loaded."""

import argparse
import collections
import datetime
import enum
import pathlib
import random
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from segcert.networks.checkpoints import Found, read_checkpoint
from segcert.networks.folders import ModelError
from segcert.networks.matching import fill_from_checkpoint, match


class Net(nn.Module):
    """A network with batch statistics."""

    def __init__(self, width=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width))
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        return self.head(self.encoder(x))


class Wrapped(nn.Module):
    """The same network, as the attribute of a different module."""

    def __init__(self):
        super().__init__()
        self.net = Net()


def trained(seed=0):
    torch.manual_seed(seed)
    net = Net()
    net(torch.rand(4, 1, 8, 8))
    return net.eval()


STATE = trained().state_dict()
OTHER = trained(1).state_dict()


def prefixed(prefix, state=STATE):
    return {prefix + name: tensor for name, tensor in state.items()}


def inside(word):
    """Put the name of a wrapper between the parts of each name."""
    return {name.replace("encoder.", f"encoder.{word}."): tensor for name, tensor in STATE.items()}


LIGHTNING = {
    "epoch": 3,
    "pytorch-lightning_version": "2.1",
    "state_dict": {**prefixed("model."), "loss.pos_weight": torch.ones(2), "metric.total": torch.zeros(())},
    "optimizer_states": [{"state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.ones(3)}}, "param_groups": []}],
}
FOUND = {
    "bare": (STATE, ""),
    "state_dict": ({"epoch": 3, "state_dict": STATE}, "state_dict"),
    "model_state_dict": ({"model_state_dict": STATE, "loss": torch.tensor(0.5)}, "model_state_dict"),
    "model": ({"model": STATE, "args": {"lr": 0.1}}, "model"),
    "net": ({"net": STATE, "acc": 0.9}, "net"),
    "ema alone": ({"ema": STATE}, "ema"),
    "network_weights": ({"network_weights": STATE, "init_args": {"plans": {}}, "trainer_name": "x"}, "network_weights"),
    "nested": ({"checkpoint": {"generator": {"weights": STATE}}}, "checkpoint.generator.weights"),
    "DataParallel": (prefixed("module."), "module"),
    "DataParallel of a wrapper": ({"model": prefixed("module.model.")}, "model.module.model"),
    "Lightning": (LIGHTNING, "state_dict.model"),
    "Lightning, net": ({"state_dict": prefixed("net.")}, "state_dict.net"),
    "torch.compile": (prefixed("_orig_mod."), "_orig_mod"),
    "Lightning, compiled": ({"state_dict": prefixed("model._orig_mod.")}, "state_dict.model._orig_mod"),
    "parallel encoder": (inside("module"), ""),
    "compiled encoder": (inside("_orig_mod"), ""),
    "AveragedModel": ({"n_averaged": torch.tensor(7), **prefixed("module.")}, "module"),
    "the same weights twice": ({"state_dict": STATE, "best": {k: v.clone() for k, v in STATE.items()}}, "state_dict"),
    "one dictionary under two names": ({"model": STATE, "best": STATE}, "model"),
    "a network of another shape with it": ({"model": STATE, "critic": Net(8).state_dict()}, "model"),
    "an optimizer that knows names": ({"model": STATE, "optimizer": {"exp_avg": OTHER}}, "model"),
    "parts": ({part: {k.partition(".")[2]: v for k, v in STATE.items() if k.startswith(part)} for part in
               ("encoder", "head")}, ""),
    "without counters": ({k: v for k, v in STATE.items() if "num_batches" not in k}, ""),
    "half": ({k: v.half() if v.is_floating_point() else v for k, v in STATE.items()}, ""),
    "parameters": ({k: nn.Parameter(v, requires_grad=v.is_floating_point()) for k, v in STATE.items()}, ""),
}  # fmt: skip


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("name", FOUND)
def test_the_weights_are_found_whatever_is_around_them(tmp_path, name, old):
    content, key = FOUND[name]
    torch.save(content, tmp_path / "w.ckpt", _use_new_zipfile_serialization=not old)
    model = Net()
    assert fill_from_checkpoint(model, read_checkpoint(tmp_path / "w.ckpt"), "Net", "") == key
    for tensor_name, tensor in model.state_dict().items():
        if name == "without counters" and "num_batches" in tensor_name:
            continue
        expected = STATE[tensor_name].half().float() if name == "half" else STATE[tensor_name]
        assert torch.equal(tensor, expected.to(tensor.dtype)), tensor_name


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".safetensors", ".bin", ""])
@pytest.mark.parametrize("prefix", ["", "module.model."])
def test_a_file_is_recognised_by_its_content(tmp_path, suffix, prefix):
    path = tmp_path / f"weights{suffix}"
    for save in (save_file, torch.save):
        save(prefixed(prefix), path)
        assert torch.equal(match(Net(), read_checkpoint(path), "Net", "").state["head.bias"], STATE["head.bias"])


@pytest.mark.parametrize("content", [STATE, {"state_dict": prefixed("model.")}, prefixed("net.")])
def test_a_target_may_wrap_the_network_that_was_saved(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    model = Wrapped()
    fill_from_checkpoint(model, read_checkpoint(tmp_path / "w.pt"), "Wrapped", "")
    assert torch.equal(model.net.head.weight, STATE["head.weight"])


class Mode(enum.Enum):
    FAST = 1


class Settings(dict):
    """A dictionary like Lightning's AttributeDict."""


class Callbacks(list):
    """A foreign type of list."""


class Cls:
    """An object with slots and a function that pickles it."""

    def __reduce__(self):
        return exploded, (1, "a"), {"state": 2}


def exploded(*_):
    raise AssertionError("a foreign function was called")


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
def test_settings_of_foreign_types_are_skipped_without_running_their_code(tmp_path, monkeypatch, old):
    gone = types.ModuleType("pytorch_lightning_parsing")
    for kind in (Mode, Settings, Callbacks, Cls):
        monkeypatch.setattr(kind, "__module__", gone.__name__)
        setattr(gone, kind.__name__, kind)
    monkeypatch.setattr(exploded, "__module__", gone.__name__)
    gone.exploded = exploded
    monkeypatch.setitem(sys.modules, gone.__name__, gone)
    hyper_parameters = {
        "namespace": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("/data")),
        "numbers": [np.float64(0.5), np.int64(3), np.arange(3), np.dtype("f4")],
        "settings": Settings(a=1, inner=Settings(b=Callbacks([1, 2]))),
        "defaults": collections.defaultdict(list, {"a": [1]}),
        "mode": Mode.FAST,
        "date": datetime.datetime(2024, 1, 1),
        "random": random.Random(3),
        "object": Cls(),
        "slice": slice(1, 2),
        "frozen": frozenset({1}),
    }
    content = {"hyper_parameters": hyper_parameters, **LIGHTNING}
    torch.save(content, tmp_path / "last.ckpt", _use_new_zipfile_serialization=not old)
    monkeypatch.delitem(sys.modules, gone.__name__)
    model = Net()
    assert fill_from_checkpoint(model, read_checkpoint(tmp_path / "last.ckpt"), "Net", "") == "state_dict.model"
    assert torch.equal(model.head.weight, STATE["head.weight"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": STATE, "ema": OTHER}, r"several sets .* fit Net: 'model' and 'ema'.*`weights_key: ema`"),
        (prefixed("student.") | prefixed("teacher.", OTHER), r"'student' and 'teacher'"),
        ({**STATE, "aux.weight": torch.ones(1)}, r"does not fit Net \(unexpected: aux\.weight\)"),
        ({"state_dict": prefixed("model.") | {"model.aux.weight": torch.ones(1)}},
         r"does not fit Net \(below 'state_dict\.model', unexpected: aux\.weight\)"),
        ({k: v for k, v in STATE.items() if k != "head.bias"}, r"missing: head\.bias"),
        ({"model": {k: v for k, v in STATE.items() if "running" not in k}},
         r"below 'model', missing: encoder\.1\.running_mean, encoder\.1\.running_var"),
        (Net(8).state_dict(), r"of the wrong shape: encoder\.0\.weight \(8, 1, 3, 3\) instead of \(4, 1, 3, 3\)"),
        ({k: (v * 9).to(torch.int8) for k, v in STATE.items()},
         r"of the wrong type: encoder\.0\.weight int8 instead of float32"),
        ({"a": torch.ones(2)}, r"missing: encoder\.0\.weight, .* unexpected: a\)"),
    ],
)  # fmt: skip
def test_nothing_is_loaded_if_not_exactly_one_set_fits(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    model = Net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        fill_from_checkpoint(model, read_checkpoint(tmp_path / "w.pt"), "Net", "")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_of_several_sets_can_be_chosen(tmp_path):
    torch.save({"model": STATE, "ema": {"module": OTHER}}, tmp_path / "w.pt")
    tensors = read_checkpoint(tmp_path / "w.pt")
    assert torch.equal(match(Net(), tensors, "Net", "", "ema.module").state["head.bias"], OTHER["head.bias"])
    assert torch.equal(match(Net(), tensors, "Net", "", "model").state["head.bias"], STATE["head.bias"])
    with pytest.raises(ModelError, match=r"`weights_key`: found 'emma'; expected one of 'model', 'ema\.module'"):
        match(Net(), tensors, "Net", "", "emma")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (trained(), r"found a .*Net; expected named tensors\. A pickled network is code.*torch\.save\(model\."),
        ({"epoch": 3, "model": trained()}, r"found a dictionary with 'epoch': int, 'model': .*Net;.*A pickled network"),
        ({"lr": 0.1}, r"found a dictionary with 'lr': float; expected named tensors"),
        ([STATE["head.bias"]], "found a list"),
        ({}, "found an empty dictionary"),
        ({"optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}, "found a dictionary with 'optimizer': dict"),
    ],
)  # fmt: skip
def test_files_without_named_tensors_say_what_was_found(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=message):
        read_checkpoint(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "is an HDF5 file"),
        (b"\x1f\x8b\x08\x00" + bytes(64), "compressed with gzip"),
        (b'{"metadata": {}, "weight_map": {}}', "is JSON, such as the index of weights in several files"),
        (b"not a checkpoint", "cannot be read as a file of tensors"),
        (b"PK\x03\x04" + bytes(64), "cannot be read as a file of tensors"),
        (b"\x80\x02" + bytes(64), "cannot be read as a file of tensors"),
        (b"\x10" + bytes(7) + b"{" + bytes(64), "cannot be read as a file of tensors"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, content, message):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_checkpoint(tmp_path / "w.pt")


def test_a_zip_archive_of_weights_must_be_unpacked(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.write(tmp_path / "a.safetensors", "a.safetensors")
    with pytest.raises(ModelError, match=r"w\.pt: is a zip archive of a\.safetensors; unpack it"):
        read_checkpoint(tmp_path / "w.pt")


def test_lazy_layers_are_named():
    lazy = nn.Sequential(nn.LazyConv2d(2, 1))
    with pytest.raises(ModelError, match=r"does not fit Lazy: its layer 0\.weight has no size before its first call"):
        match(lazy, {"0.weight": Found(torch.ones(2, 1, 1, 1), "")}, "Lazy", "")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_exported_networks_and_folders_are_not_weights(tmp_path):
    torch.jit.script(trained()).save(tmp_path / "script.pt")
    torch.export.save(torch.export.export(trained(), (torch.rand(2, 1, 8, 8),)), tmp_path / "program.pt2")
    with pytest.raises(ModelError, match=r"is a torchscript file.*Set `program` instead of `target` and `weights`"):
        read_checkpoint(tmp_path / "script.pt")
    with pytest.raises(ModelError, match=r"is a torch\.export file.*Set `program`"):
        read_checkpoint(tmp_path / "program.pt2")
    with pytest.raises(ModelError, match="is a folder"):
        read_checkpoint(tmp_path)
    with pytest.raises(ModelError, match="missing"):
        read_checkpoint(tmp_path / "none.pt")
